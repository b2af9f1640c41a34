"""The models: sizes, equal answers by every path, strict loading."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ruvlm.backends.base import Asked
from ruvlm.backends.local import LocalBackend, load_local
from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.config import load_config
from ruvlm.errors import ModelError
from ruvlm.models.cnn_lstm.model import CnnLstm, CnnLstmShape
from ruvlm.models.nano.config import NanoConfig
from ruvlm.models.nano.model import parameter_count
from ruvlm.models.nano.pretrained import NanoForConditionalGeneration
from ruvlm.schema import ImageRef
from tests.support.house import RECIPES


def asked_of(world: Path, protocol: str, count: int) -> list[Asked]:
    benchmark = "gqa-ru" if protocol.startswith("gqa") else "mmbench-ru"
    examples = open_source(str(world)).load(benchmark, "test").examples[:count]
    return [Asked(protocol_named(protocol).prompt(example), example) for example in examples]


def test_cnn_lstm_has_exactly_the_promised_parameters() -> None:
    assert parameter_count(CnnLstm(CnnLstmShape())) == 649_610


def test_the_baselines_gradients_are_the_same_whichever_thread_comes_first() -> None:
    """As many questions as a step of the recipe has; every picture is in both threads' shares."""
    torch.manual_seed(0)
    model = CnnLstm(CnnLstmShape())
    owner = torch.arange(32).repeat(12)
    pixels, words = torch.randn(32, 3, 128, 128), torch.randint(2, 500, (len(owner), 8))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gradients = [_gradients(model, pixels, words, owner) for _ in range(12)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in gradients[1:] for a, b in zip(gradients[0], other, strict=True))


def _gradients(model: CnnLstm, pixels: torch.Tensor, words: torch.Tensor, owner: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    model(pixels, words, owner).square().sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def test_nano_config_stays_within_the_promise() -> None:
    model = load_config(RECIPES / "nano_world.toml").model
    config = NanoConfig(
        vocab_size=model.vocab_size + 8,
        hidden_size=model.hidden_size,
        num_hidden_layers=model.layers,
        num_attention_heads=model.heads,
        mlp_ratio=model.mlp_ratio,
        stem_blocks=model.stem_blocks,
    )
    assert parameter_count(NanoForConditionalGeneration(config)) <= 649_610


@pytest.mark.parametrize(("name", "low", "high"), [("nano_small", 4e6, 8e6), ("nano_base", 30e6, 50e6)])
def test_larger_configs_are_the_size_they_say(name: str, low: float, high: float) -> None:
    model = load_config(RECIPES / f"{name}.toml").model
    with torch.device("meta"):
        config = NanoConfig(
            vocab_size=model.vocab_size,
            image_size=model.image_size,
            hidden_size=model.hidden_size,
            num_hidden_layers=model.layers,
            num_attention_heads=model.heads,
            mlp_ratio=model.mlp_ratio,
            stem_widths=model.stem_widths,
            stem_blocks=model.stem_blocks,
            max_text_positions=model.max_text_positions,
        )
        assert low <= parameter_count(NanoForConditionalGeneration(config)) <= high


def test_auto_class_generates_what_our_backend_answers(runs: Path, world: Path) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoModelForImageTextToText

    from ruvlm.data.images import load_image
    from ruvlm.data.pixels import square

    folder = runs / "nano" / "final_model"
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    assert isinstance(model, NanoForConditionalGeneration)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    asked = asked_of(world, "gqa-ru/lmms", 6)
    ours = [response.text for response in load_local(str(folder), torch.device("cpu")).answer(asked)]
    config = model.config
    for item, expected in zip(asked, ours, strict=True):
        ids = [config.image_token_id] * config.num_image_tokens + tokenizer.encode(item.prompt.text).ids
        picture = square(load_image(item.prompt.image), config.image_size)
        pixels = torch.from_numpy(picture).float()[None].div(255).sub(0.5).mul(4)
        out = model.generate(
            input_ids=torch.tensor([ids]),
            pixel_values=pixels,
            max_new_tokens=16,
            do_sample=False,
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        )
        new = [t for t in out[0, len(ids) :].tolist() if t not in (config.eos_token_id, config.pad_token_id)]
        assert tokenizer.decode(new).strip() == expected


@pytest.mark.parametrize("protocol", ["gqa-ru/lmms", "mmbench-ru/lmms", "mmbench-ru/likelihood"])
def test_a_batch_answers_as_one_by_one(runs: Path, world: Path, protocol: str) -> None:
    backend = load_local(str(runs / "nano"), torch.device("cpu"))
    asked = asked_of(world, protocol, 24)
    together = list(backend.answer(asked))
    alone = [next(backend.answer([item])) for item in asked]
    assert [r.text for r in together] == [r.text for r in alone]
    for a, b in zip(together, alone, strict=True):
        assert a.mean_logprobs == pytest.approx(b.mean_logprobs, abs=1e-4)


@pytest.mark.parametrize("name", ["nano", "cnn_lstm"])
def test_a_picture_that_was_rewritten_is_looked_at_again(runs: Path, world: Path, tmp_path: Path, name: str) -> None:
    """An open model, a file of one name: the second answer is about what stands there now."""
    (asked,) = asked_of(world, "gqa-ru/lmms", 1)
    path = tmp_path / "x.png"
    there = Asked(replace(asked.prompt, images=(ImageRef(path),)), asked.example)

    def chances(backend: LocalBackend) -> dict[str, float]:
        return {one.text: one.probability for one in backend.alternatives(there)}

    backend = load_local(str(runs / name), torch.device("cpu"))
    seen = []
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(path)
        seen.append(chances(backend))
        assert seen[-1] == chances(load_local(str(runs / name), torch.device("cpu")))
    assert seen[0] != seen[1]


def test_packed_rows_predict_as_separate_ones(runs: Path, world: Path) -> None:
    """Questions that share a row do not see one another."""
    from ruvlm.models.nano.packing import Packer
    from ruvlm.training.texts import training_text

    backend = load_local(str(runs / "nano"), torch.device("cpu"))
    model = backend.model  # type: ignore[attr-defined]
    examples = open_source(str(world)).load("gqa-ru", "val").examples[:6]
    packer = Packer(backend.tokenizer, model.shape.grid, model.shape.max_text_positions, {})  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    texts = [training_text(example, rng, plain_share=0) for example in examples]
    pixels = np.random.default_rng(1).integers(0, 255, (1, 3, 64, 64), dtype=np.uint8)
    words = np.full((1, 64, 6), -1, dtype=np.int16)

    def predicted(asked: list) -> dict[str, torch.Tensor]:
        batch = packer.pack(pixels, words, [asked])
        with torch.no_grad():
            traces = model.rows(
                model.prefix(batch.pixels_BCSS),
                batch.ids_RT,
                batch.positions_RT,
                batch.owner_R,
                batch.mask,
                batch.places,
            )
            logits = model.logits(traces.last_RAD.flatten(0, 1)[batch.answers_N])
        return {"n": len(batch.answers_N), "sum": logits.double().sum()}

    together = predicted(texts)
    alone = [predicted([text]) for text in texts]
    assert together["n"] == sum(found["n"] for found in alone)
    assert float(together["sum"]) == pytest.approx(float(sum(found["sum"] for found in alone)), rel=1e-4)


def test_missing_weights_are_named(runs: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(runs / "nano" / "final_model", tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    del weights["embed.weight"]
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"embed\.weight"):
        load_local(str(tmp_path / "model"), torch.device("cpu"))


def test_a_checkpoint_of_another_model_is_refused(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "nano" / "final_model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    for change, said in (
        ({"model_type": "llava"}, "llava"),
        ({"hidden_size": 48}, "не"),
        ({"num_hidden_layers": 9}, "не"),
    ):
        (tmp_path / "model" / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
        with pytest.raises(ModelError, match=said):
            load_local(str(tmp_path / "model"), torch.device("cpu"))


def test_orthogonalised_updates_have_singular_values_near_one() -> None:
    from ruvlm.training.optim import orthogonalised

    torch.manual_seed(0)
    for shape in ((3, 40, 20), (2, 16, 64)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.3


@pytest.mark.parametrize("shape", [(2, 88, 88), (6, 264, 88), (3, 88, 176), (1, 88, 792), (1, 5, 7), (1, 1, 9)])
def test_orthogonalised_is_the_published_iteration(shape: tuple[int, int, int]) -> None:
    """The loop as it is printed, in double precision, whichever way it is computed here; small directions among them."""
    from ruvlm.training.optim import orthogonalised

    steps = (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    )
    generator = torch.Generator().manual_seed(1)
    matrices = torch.randn(shape, generator=generator)
    matrices[:, :, : shape[2] // 4] *= 1e-3
    x = matrices.double()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = shape[1] > shape[2]
    x = x.mT if tall else x
    for number, (a, b, c) in enumerate(steps):
        room = 1.01 if number < 4 else 1.0
        a, b, c = a / room, b / room**3, c / room**5
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.mT if tall else x
    assert float((orthogonalised(matrices).double() - x).norm() / x.norm()) < 1e-4


def test_rows_hold_every_text_once_and_waste_less_than_one_length_would() -> None:
    from ruvlm.models.nano.packing import best_rows

    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = [sorted(rng.integers(3, 24, rng.integers(0, 24)).tolist(), reverse=True) for _ in range(6)]
        if not any(lengths):
            continue
        places = best_rows(lengths, 64)
        areas = {}
        for most in (40, 48, 60):  # the same by a plain search for each length
            rows = [[0] for _ in lengths]
            for own, filled in zip(lengths, rows, strict=True):
                for length in own:
                    fits = [n for n, tokens in enumerate(filled) if tokens + length <= most]
                    if fits:
                        filled[fits[0]] += length
                    else:
                        filled.append(length)
            areas[most] = sum(map(len, rows)) * max(map(max, rows))
        sums = [
            [sum(t for t, n in zip(own, at, strict=True) if n == row) for row in set(at)]
            for own, at in zip(lengths, places, strict=True)
        ]
        assert [sum(own) for own in lengths] == [sum(row) for row in sums]
        assert all(set(at) == set(range(len(set(at)))) for at in places)
        count, longest = sum(map(len, sums)), max(max(row, default=0) for row in sums)
        assert count * longest <= 1.05 * min(areas.values())


def test_a_text_longer_than_any_row_has_one() -> None:
    from ruvlm.models.nano.packing import best_rows

    assert best_rows([[90, 8, 7], []], 64) == [[0, 1, 1], []]
