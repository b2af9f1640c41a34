"""What training leaves out changes no loss and no gradient; families that cannot share a picture; sharded weights; 4 bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ruvlm.backends.base import Access
from ruvlm.config import load_config
from ruvlm.data.images import load_image
from ruvlm.errors import ConfigError, ModelError
from ruvlm.models.vlm.load import load_hf
from ruvlm.models.vlm.shortcuts import AnswersOnly, decoder_layers, logits_at, skip_unread_vision
from ruvlm.run_folder import checkpoints
from ruvlm.schema import Wording
from ruvlm.training.loop import train
from tests.support.house import RECIPES, tiny
from tests.support.runs import overrides, ranked, settings, task


@pytest.mark.parametrize("kind", ["llava", "idefics3", "qwen"])
def test_the_last_layer_at_answers_only_gives_the_same_gradients(
    models: dict[str, Path], world: Path, tmp_path: Path, kind: str
) -> None:
    built = task(settings(models, world, tmp_path, f'vlm.path="{models[kind]}"', 'vlm.parts=["projector", "language"]'))
    batch = built.batch(0)
    found = []
    for narrowed in (True, False):
        if not narrowed:
            built.answering = None
        built.model.zero_grad()
        loss = built.loss(batch).total
        loss.backward()
        found.append(
            (loss.item(), {n: p.grad.clone() for n, p in built.model.named_parameters() if p.grad is not None})
        )
    (a, grads), (b, plain) = found
    assert a == pytest.approx(b, rel=1e-6)
    assert grads.keys() == plain.keys()
    assert any("layers" in name for name in grads)
    assert all(torch.allclose(grads[name], plain[name], atol=1e-5) for name in grads)
    assert built.answering is None


def test_the_last_layer_really_does_less(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    built = task(settings(models, world, tmp_path, 'vlm.parts=["projector", "language"]'))
    batch = built.batch(0)
    seen = []
    last = decoder_layers(built._whole)[-1]
    last.mlp.down_proj.register_forward_hook(lambda module, given, out: seen.append(out.shape[1]))
    built.loss(batch)
    assert seen == [len(batch.targets_N)]
    assert seen[0] < batch.ids_BT.numel()


def test_the_unread_vision_layer_is_passed_through(models: dict[str, Path], world: Path) -> None:
    from ruvlm.benchmarks.source import open_source
    from ruvlm.models.vlm.prompts import PromptReader

    loaded = load_hf(str(models["llava"]), Access())
    (example, *_) = open_source(str(world)).load("gqa-ru", "train").examples
    inputs = PromptReader(loaded.processor, "llava").batch([[load_image(example.image)]], [Wording("Кто?")])
    layers = next(m for m in loaded.model.model.vision_tower.modules() if isinstance(m, torch.nn.ModuleList))
    calls = []
    layers[-1].mlp.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        before = loaded.model(**inputs).logits
        assert (len(calls), skip_unread_vision(loaded.model)) == (1, 1)
        assert torch.equal(loaded.model(**inputs).logits, before)
    assert len(calls) == 1


def test_a_model_of_an_unknown_build_is_left_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    AnswersOnly(model)
    assert decoder_layers(model) == []


@pytest.mark.parametrize("kind", ["qwen", "llava"])
def test_rows_of_one_question_are_the_models_own(
    models: dict[str, Path], world: Path, tmp_path: Path, kind: str
) -> None:
    """Families that cannot share a picture: each row gives what the model gives for that question alone."""
    built = task(settings(models, world, tmp_path, f'vlm.path="{models[kind]}"'))
    built.packs = False
    built.model.eval()
    chosen = [(ref, group[:2]) for (_, ref), group in built.groups[:2]]
    pairs = [(ref, [(f"{e.question} Ответь.", e.answer) for e in some]) for ref, some in chosen]
    batch = built._packed(pairs)
    assert batch.questions == 4
    reader = built.reader
    with torch.inference_mode():
        together = built.logits(batch)
        alone = []
        for ref, some in pairs:
            for prompt, answer in some:
                inputs = reader.batch([[load_image(ref)]], [Wording(prompt)])
                ids = [*reader.option(answer, Wording(prompt)), built.eos]
                inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([ids[:-1]])], 1)
                inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
                if "mm_token_type_ids" in inputs:
                    more = torch.zeros(1, len(ids) - 1, dtype=torch.long)
                    inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], more], 1)
                alone.append(built.model(**inputs).logits[0, -len(ids) :])
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_a_model_that_cannot_share_learns(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    more = (
        f'vlm.path="{models["qwen"]}"',
        "vlm.parts=[]",
        "vlm.lora_rank=8",
        "vlm.language_lr=0.01",
        "train.max_steps=40",
        "train.validations=1",
        "data.limit_images=4",
        'name="q"',
    )
    said: list[str] = []
    done = train(settings(models, world, tmp_path, *more), False, lambda _: None, said.append)
    assert any("строка – один вопрос" in line for line in said)
    losses = [
        r["loss"]
        for r in map(json.loads, (done.folder / "metrics.jsonl").read_text().splitlines())
        if r["kind"] == "train"
    ]
    assert losses[-1] < 0.7 * losses[0]
    assert load_hf(f"{models['qwen']}+{done.folder / 'final_model'}", Access()).fingerprint


def test_recomputed_layers_learn_the_same(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    """Gradient checkpointing: same weights, the adapter in place."""
    for name, on in (("a", "false"), ("b", "true")):
        more = ("vlm.lora_rank=4", f"vlm.checkpointing={on}", f'name="{name}"')
        train(settings(models, world, tmp_path, *more), False, lambda _: None, lambda _: None)
    a, b = (load_file(tmp_path / name / "final_model" / "adapter_model.safetensors") for name in "ab")
    assert all(torch.allclose(a[key], b[key], atol=1e-5) for key in a)


def test_weights_unknown_to_the_class_are_an_error(models: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import save_file

    folder = tmp_path / "m"
    shutil.copytree(models["llava"], folder)
    file = folder / "model.safetensors"
    save_file(load_file(file) | {"model.language_model.layers.0.gate.weight": torch.zeros(2)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"layers\.0\.gate\.weight"):
        load_hf(str(folder), Access())


@pytest.mark.slow
def test_sharded_weights_take_the_steps_of_one_process(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    """FSDP2 on two gloo processes: losses within rounding, the same model saved, a resumed run goes on."""
    config = RECIPES / "llava_stage1.toml"
    base = overrides(
        models,
        world,
        tmp_path,
        "train.images_per_step=4",
        "train.validations=1",
        "train.ema=0.5",
        'vlm.parts=["projector", "language"]',
        "vlm.language_lr=1e-3",
        "train.max_steps=8",
    )

    def sets(name: str, *more: str) -> list[str]:
        return [part for o in [*base, f'name="{name}"', *more] for part in ("--set", o)]

    one = subprocess.run(
        [sys.executable, "-m", "ruvlm", "train", str(config), *sets("one")], capture_output=True, text=True, check=False
    )
    assert one.returncode == 0, one.stderr
    two = ranked(2, "train", str(config), *sets("two", 'train.sharding="fsdp2"'))
    assert two.returncode == 0, two.stderr
    records = [
        [json.loads(x) for x in (tmp_path / n / "metrics.jsonl").read_text().splitlines()] for n in ("one", "two")
    ]
    assert [r["scores"] for r in records[0] if r["kind"] == "validation"] == [
        r["scores"] for r in records[1] if r["kind"] == "validation"
    ]
    losses = [[r["loss"] for r in some] for some in records]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    a, b = (load_file(tmp_path / name / "final_model" / "model.safetensors") for name in ("one", "two"))
    assert a.keys() == b.keys()
    assert all(torch.allclose(a[key], b[key], atol=2e-4) for key in a)
    states = [load_file(checkpoints(tmp_path / n / "checkpoints")[0] / "state.safetensors") for n in ("one", "two")]
    assert {k: v.shape for k, v in states[0].items() if k != "rng"} == {
        k: v.shape for k, v in states[1].items() if k != "rng"
    }
    again = ranked(2, "train", str(config), *sets("two", 'train.sharding="fsdp2"'), "--resume")
    assert again.returncode == 0, again.stderr
    assert load_hf(str(tmp_path / "two" / "final_model"), Access()).fingerprint


def test_sharding_alone_or_of_small_models_is_refused(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    from tests.support.runs import nano

    with pytest.raises(ConfigError, match="torchrun"):
        train(settings(models, world, tmp_path, 'train.sharding="fsdp2"'), False, lambda _: None, lambda _: None)
    with pytest.raises(ConfigError, match=r"model\.name = vlm"):
        train(nano(world, tmp_path, "s", 'train.sharding="fsdp2"'), False, lambda _: None, lambda _: None)


def test_qlora_learns_an_adapter_of_four_bit_weights(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    more = (
        'vlm.dtype="4bit"',
        "vlm.parts=[]",
        "vlm.lora_rank=8",
        "vlm.language_lr=0.01",
        "train.max_steps=40",
        "data.limit_images=4",
    )
    built = task(settings(models, world, tmp_path, *more))
    kinds = {type(p).__name__ for p in built.model.parameters()}
    assert "Params4bit" in kinds
    done = train(settings(models, world, tmp_path, *more), False, lambda _: None, lambda _: None)
    losses = [r["loss"] for r in map(json.loads, (done.folder / "metrics.jsonl").read_text().splitlines())]
    assert losses[-1] < 0.8 * losses[0]
    adapter = load_file(done.folder / "final_model" / "adapter_model.safetensors")
    assert all("lora_" in key for key in adapter)
    loaded = load_hf(f"{models['llava']}+{done.folder / 'final_model'}", Access(dtype="4bit"))
    assert loaded.fingerprint.endswith("4bit")
    with pytest.raises(ModelError, match="4-битные веса не учатся"):
        task(settings(models, world, tmp_path, 'vlm.dtype="4bit"'))
    ready = load_config(
        RECIPES / "vlm_qlora.toml",
        overrides(models, world, tmp_path, 'name="ready"', "train.images_per_step=4"),
    )
    assert train(ready, False, lambda _: None, lambda _: None).steps == 6, (
        "the config as it is, layers recomputed, four parts a step"
    )


@pytest.mark.slow
def test_compiled_layers_learn_the_same(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    for name, on in (("a", "false"), ("b", "true")):
        more = (f"train.compile={on}", "train.max_steps=4", f'name="{name}"', 'vlm.parts=["projector", "language"]')
        sets = [part for o in overrides(models, world, tmp_path, *more) for part in ("--set", o)]
        command = [sys.executable, "-m", "ruvlm", "train", str(RECIPES / "llava_stage1.toml"), *sets]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    a, b = (load_file(tmp_path / name / "final_model" / "model.safetensors") for name in "ab")
    assert all(torch.allclose(a[key], b[key], atol=1e-4) for key in a)
    config = load_config(RECIPES / "cnn_lstm.toml", [*tiny("c", world, tmp_path), "train.compile=true"])
    with pytest.raises(ConfigError, match=r"train\.compile"):
        train(config, False, lambda _: None, lambda _: None)


def test_logits_at_places_are_the_models(models: dict[str, Path]) -> None:
    model: Any = load_hf(str(models["llava"]), Access()).model
    ids = torch.tensor([[5, 6, 7, 8], [9, 5, 6, 7]])
    with torch.inference_mode():
        whole = model(input_ids=ids).logits.flatten(0, 1)
        assert torch.allclose(logits_at(model, {"input_ids": ids}, torch.tensor([1, 6])), whole[[1, 6]], atol=1e-5)
