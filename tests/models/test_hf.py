"""Hugging Face models: three real architectures, the shared prefix against `generate`, what is wrong said in a sentence."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ruvlm.backends.base import Access, Asked
from ruvlm.data.images import load_image
from ruvlm.errors import DataError, ModelError
from ruvlm.models.vlm.backend import HfBackend, open_hf
from ruvlm.models.vlm.load import load_hf
from ruvlm.models.vlm.shared_prefix import SharedRows
from ruvlm.schema import ImageRef, Wording
from ruvlm.thoughts import until
from tests.support.family_models import built
from tests.support.house import Ran
from tests.support.rows import asked as asked_of

Run = Callable[..., Ran]
QUESTIONS = ("Кто в рубашке?\nОтветь.", "Какого цвета мяч слева от кошки?", "да?", "нет или да?", "Кто?")
OPTIONS = ("красный мяч", "да", "синий")
KINDS = ("llava", "idefics3", "qwen")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """Four pictures of different sizes: for Qwen also different numbers of tokens."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 255, (60 + 40 * number, 100, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [ImageRef(folder / f"{number}.png") for number in range(4)]


def asked(
    pictures: list[ImageRef], candidates: tuple[str, ...] = (), limit: int = 12, stops: tuple[str, ...] = ("\n\n",)
) -> list[Asked]:
    """Five questions on the first picture, four on the second, and so on."""
    found = []
    for number, picture in enumerate(pictures):
        for question in QUESTIONS[: 5 - number]:
            found.append(asked_of(question, picture, limit, stop=stops, candidates=candidates))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [0, 3, 7])
def test_the_shared_prefix_gives_the_answers_of_generate(
    kind: str, rows: int, models: dict[str, Path], pictures: list[ImageRef]
) -> None:
    loaded = load_hf(str(models[kind]), Access())
    plain = [r.text for r in HfBackend(loaded, rows=1, shared=False).answer(asked(pictures))]
    backend = HfBackend(loaded, rows)
    shared = list(backend.answer(asked(pictures)))
    assert not any("заново" in note for note in backend.notes)
    assert [r.text for r in shared] == plain
    assert len(set(plain)) > len(plain) // 2, "answers must differ for the comparison to say anything"
    assert all(0 < r.probability <= 1 for r in shared)


@pytest.mark.parametrize("kind", KINDS)
def test_option_likelihoods_agree_too(kind: str, models: dict[str, Path], pictures: list[ImageRef]) -> None:
    loaded = load_hf(str(models[kind]), Access())
    plain = list(HfBackend(loaded, shared=False).answer(asked(pictures, OPTIONS)))
    shared = list(HfBackend(loaded).answer(asked(pictures, OPTIONS)))
    for a, b in zip(plain, shared, strict=True):
        np.testing.assert_allclose(a.sum_logprobs, b.sum_logprobs, atol=1e-4)
        np.testing.assert_allclose(a.mean_logprobs, b.mean_logprobs, atol=1e-4)
        assert a.text == b.text
        assert all(value < 0 for value in b.sum_logprobs)


def test_likelihood_does_not_depend_on_the_order_of_options(models: dict[str, Path], pictures: list[ImageRef]) -> None:
    backend = open_hf(str(models["llava"]), Access())
    there = next(iter(backend.answer(asked(pictures[:1], OPTIONS))))
    back = next(iter(backend.answer(asked(pictures[:1], OPTIONS[::-1]))))
    np.testing.assert_allclose(there.sum_logprobs, back.sum_logprobs[::-1], atol=1e-5)


def test_a_wrong_fast_path_is_noticed_and_left(
    models: dict[str, Path], pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_hf(str(models["llava"]), Access())
    plain = [r.text for r in HfBackend(loaded, shared=False).answer(asked(pictures))]
    right = SharedRows.step
    monkeypatch.setattr(SharedRows, "step", lambda self, tokens: right(self, tokens).roll(1, -1))
    backend = HfBackend(loaded)
    assert [r.text for r in backend.answer(asked(pictures))] == plain
    assert "разошлись с generate" in backend.notes[0]


def test_wrong_likelihoods_are_noticed_too(
    models: dict[str, Path], pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_hf(str(models["llava"]), Access())
    plain = list(HfBackend(loaded, shared=False).answer(asked(pictures, OPTIONS)))
    right = SharedRows.start
    monkeypatch.setattr(SharedRows, "start", lambda self, rows, keep=1: right(self, rows, keep).roll(1, -1))
    backend = HfBackend(loaded)
    assert [r.sum_logprobs for r in backend.answer(asked(pictures, OPTIONS))] == [r.sum_logprobs for r in plain]
    assert "разошлись с generate" in backend.notes[0]


def test_a_penalty_that_the_checkpoint_brings_is_not_greedy(
    models: dict[str, Path], pictures: list[ImageRef], tmp_path: Path
) -> None:
    folder = tmp_path / "penalised"
    shutil.copytree(models["llava"], folder)
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(settings | {"repetition_penalty": 3.0}), encoding="utf-8")
    expected = [r.text for r in open_hf(str(models["llava"]), Access()).answer(asked(pictures))]
    backend = open_hf(str(folder), Access())
    assert [r.text for r in backend.answer(asked(pictures))] == expected
    assert not any("заново" in note for note in backend.notes)


@pytest.mark.parametrize("window", [3, 8, 400])
def test_a_window_of_attention_is_kept_by_the_shared_prefix(
    window: int, models: dict[str, Path], pictures: list[ImageRef], tmp_path: Path
) -> None:
    folder = tmp_path / "mistral"
    shutil.copytree(models["llava"], folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["text_config"] |= {
        "model_type": "mistral",
        "sliding_window": window,
        "architectures": ["MistralForCausalLM"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = load_hf(str(folder), Access())
    plain = [r.text for r in HfBackend(loaded, shared=False).answer(asked(pictures))]
    backend = HfBackend(loaded)
    assert [r.text for r in backend.answer(asked(pictures))] == plain
    assert not any("заново" in note for note in backend.notes)


def test_too_little_memory_halves_the_batch(
    models: dict[str, Path], pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_hf(str(models["llava"]), Access())
    plain = [r.text for r in HfBackend(loaded, shared=False).answer(asked(pictures))]
    start, sizes = SharedRows.start, []

    def small(self: SharedRows, rows: list[list[list[int]]], keep: int = 1) -> torch.Tensor:
        sizes.append(sum(map(len, rows)))
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return start(self, rows, keep)

    monkeypatch.setattr(SharedRows, "start", small)
    backend = HfBackend(loaded, rows=14)
    assert [r.text for r in backend.answer(asked(pictures))] == plain
    assert sizes[0] > 4
    assert max(sizes[-4:]) <= 4

    def never(self: SharedRows, rows: list[list[list[int]]], keep: int = 1) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(SharedRows, "start", never)
    with pytest.raises(ModelError, match="не помещается в память"):
        list(HfBackend(loaded, rows=14).answer(asked(pictures)))


def test_an_adapter_changes_the_answers(models: dict[str, Path], pictures: list[ImageRef], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = load_hf(str(models["llava"]), Access())
    before = [r.text for r in HfBackend(base).answer(asked(pictures))]
    wrapped = get_peft_model(base.model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    wrapped.save_pretrained(tmp_path / "lora")
    expected = [r.text for r in HfBackend(base, shared=False).answer(asked(pictures))]
    adapted = open_hf(f"{models['llava']}+{tmp_path / 'lora'}", Access())
    assert [r.text for r in adapted.answer(asked(pictures))] == expected != before
    assert adapted.name == "hf:llava+lora"
    assert adapted.fingerprint != base.fingerprint


def test_lost_weights_are_an_error_not_a_score(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "holed"
    shutil.copytree(models["llava"], folder)
    weights = load_file(folder / "model.safetensors")
    name = next(key for key in weights if "q_proj" in key)
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="со случайными"):
        load_hf(str(folder), Access())


def test_a_picture_mark_in_a_question_is_refused(models: dict[str, Path], pictures: list[ImageRef]) -> None:
    item = asked_of("Что <image> это?", pictures[0], 4)
    with pytest.raises(DataError, match="служебная метка <image>"):
        list(open_hf(str(models["llava"]), Access()).answer([item]))


def test_a_model_without_a_template_is_spoken_to_as_vicuna(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(models["llava"], folder)
    (folder / "chat_template.jinja").unlink()
    backend = open_hf(str(folder), Access())
    assert backend.reader.worded(Wording("Кто?")).endswith("USER: <image>\nКто? ASSISTANT:")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hf:./нет-такой", "Папки с моделью ./нет-такой нет"),
        ("hf:{llava}+./нет", "Папки с моделью ./нет нет"),
        ("hf:{empty}", "нет config.json"),
        ("hf:{remote}", "--trust-remote-code"),
        ("hf:{text}", "не из image-text-to-text моделей"),
        ("гф:{llava}", "Схема модели «гф» не известна"),
    ],
)
def test_what_is_wrong_is_said(
    spec: str, said: str, models: dict[str, Path], little: Path, tmp_path: Path, ruvlm: Run
) -> None:
    for name, config in (
        (
            "remote",
            {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForImageTextToText": "own.M"}},
        ),
        ("text", {"model_type": "bert", "architectures": ["BertModel"]}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "empty").mkdir()
    places = {name: tmp_path / name for name in ("remote", "text", "empty")}
    ran = ruvlm("eval", spec.format(**places, **models), "--data", little, "--out", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()


def test_the_whole_command(models: dict[str, Path], little: Path, tmp_path: Path, ruvlm: Run) -> None:
    arguments = (
        "eval",
        f"hf:{models['qwen']}",
        "--data",
        little,
        "--out",
        tmp_path,
        "--max-new-tokens",
        "8",
        "--json",
    )
    ran = ruvlm(*arguments)
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)
    assert {row["model"] for row in rows} == {
        "hf:qwen",
        "blind:hf:qwen",
        "no-picture:hf:qwen",
        "guess:hf:qwen",
        "random",
        "majority",
        "question-only",
    }
    assert {row["protocol"] for row in rows} == {"gqa-ru/lmms", "mmbench-ru/lmms", "mmbench-ru/likelihood"}
    again = ruvlm(*arguments)
    assert json.loads(again.out) == rows
    summaries = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*/summary.json")]
    assert all(s["parameters"] == 164736 for s in summaries if s["model"].endswith("hf:qwen"))


# --- a foreign oracle: the model's own template, tokenised by transformers, and generate


def with_own_beginning(folder: Path, out: Path) -> Path:
    """The same model with a template that writes the beginning-of-text itself, as Gemma 3's and Llama's do."""
    shutil.copytree(folder, out)
    for path in (out / "chat_template.jinja", out / "tokenizer_config.json"):
        if path.name.endswith("jinja") and path.is_file():
            path.write_text("{{ bos_token }}" + path.read_text(encoding="utf-8"), encoding="utf-8")
    return out


def by_transformers(folder: Path, item: Asked, limit: int = 12) -> tuple[list[int], str]:
    """Ids of a question as `apply_chat_template(tokenize=True)` gives them, and the greedy answer: a loop of this test's own."""
    loaded = load_hf(str(folder), Access())
    content = [{"type": "image", "image": load_image(item.prompt.image)}, {"type": "text", "text": item.prompt.text}]
    inputs = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = inputs["input_ids"][0].tolist()
    with torch.inference_mode():
        written = loaded.model.generate(**inputs, max_new_tokens=limit, do_sample=False)[0, len(ids) :]
    return ids, loaded.processor.tokenizer.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("own", [False, True], ids=["template without bos", "template with bos"])
@pytest.mark.parametrize("kind", ["llava", "idefics3"])
def test_ids_and_answers_are_those_of_the_models_own_template(
    kind: str, own: bool, models: dict[str, Path], pictures: list[ImageRef], tmp_path: Path
) -> None:
    folder = with_own_beginning(models[kind], tmp_path / "m") if own else models[kind]
    loaded = load_hf(str(folder), Access())
    items = asked(pictures)[:6]
    expected = [by_transformers(folder, item) for item in items]
    backend = HfBackend(loaded)
    for item, (ids, _) in zip(items, expected, strict=True):
        image = load_image(item.prompt.image)
        assert backend.reader.encode(image, [item.prompt.wording]).ids[0] == ids
        assert backend.reader.batch([[image]], [item.prompt.wording])["input_ids"][0].tolist() == ids
    answers = [response.text for response in backend.answer(items)]
    assert answers == [until(text, ("\n\n",)) for _, text in expected]
    assert backend.reader.begins_itself == own


def test_whatever_the_fast_way_raises_the_plain_way_answers(
    models: dict[str, Path], pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_hf(str(models["llava"]), Access())
    before = loaded.model.config.get_text_config()._attn_implementation
    plain = [r.text for r in HfBackend(loaded, shared=False).answer(asked(pictures))]

    def broken(*arguments: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(SharedRows, "step", broken)
    backend = HfBackend(loaded)
    assert [r.text for r in backend.answer(asked(pictures))] == plain
    assert any("list index out of range" in note for note in backend.notes)
    assert loaded.model.config.get_text_config()._attn_implementation == before, "the model is as it was"


@pytest.mark.parametrize("kind", [*KINDS, "qwen3_5", "gemma3_window", "gemma4_e"])
def test_waiting_pictures_enter_as_rows_leave(
    kind: str, models: dict[str, Path], pictures: list[ImageRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = models[kind] if kind in models else built(kind, tmp_path)
    loaded = load_hf(str(folder), Access())
    items = asked(pictures, stops=("а", "е", "о")) * 2  # answers of different lengths
    plain = [r.text for r in HfBackend(loaded, rows=1, shared=False).answer(items)]
    join, entered = SharedRows.join, []

    def counted(self: SharedRows, other: SharedRows) -> None:
        entered.append(len(self.mask_NS))
        join(self, other)

    monkeypatch.setattr(SharedRows, "join", counted)
    backend = HfBackend(loaded, rows=9)
    assert [r.text for r in backend.answer(items)] == plain
    assert not any("заново" in note for note in backend.notes)
    assert entered, "no picture entered while others were being answered: nothing was shown"


@pytest.mark.parametrize(
    "fault", [RuntimeError("сбой"), torch.OutOfMemoryError("CUDA out of memory")], ids=["fault", "memory"]
)
@pytest.mark.parametrize("where", ["step", "start"])
def test_a_fault_while_others_are_answered_loses_nothing(
    where: str, fault: Exception, models: dict[str, Path], pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_hf(str(models["llava"]), Access())
    items = asked(pictures) * 2
    plain = [r.text for r in HfBackend(loaded, shared=False).answer(items)]
    right, calls = getattr(SharedRows, where), []

    def failing(self: SharedRows, *arguments: object) -> torch.Tensor:
        calls.append(where)
        if len(calls) == (20 if where == "step" else 3):
            raise fault
        result: torch.Tensor = right(self, *arguments)
        return result

    monkeypatch.setattr(SharedRows, where, failing)
    backend = HfBackend(loaded, rows=9)
    assert [r.text for r in backend.answer(items)] == plain
    assert len(calls) > (20 if where == "step" else 3)
    assert any("один раз" in note for note in backend.notes), "one fault is no reason to leave the fast way"


def test_seconds_of_answers_add_up(models: dict[str, Path], pictures: list[ImageRef]) -> None:
    backend = open_hf(str(models["llava"]), Access())
    started = time.perf_counter()
    spent = [response.seconds for response in backend.answer(asked(pictures))]
    assert all(seconds > 0 for seconds in spent)
    assert sum(spent) < time.perf_counter() - started


def test_a_template_is_told_whether_to_think(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["llava"], tmp_path / "m")
    path = folder / "chat_template.jinja"
    tail = "{% if add_generation_prompt %}{% if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    path.write_text(path.read_text(encoding="utf-8") + tail, encoding="utf-8")
    loaded = load_hf(str(folder), Access())
    on, off = HfBackend(loaded, thinking=True), HfBackend(loaded)
    assert on.reader.worded(Wording("Кто?")).endswith("<think>\n")
    assert off.reader.worded(Wording("Кто?")).endswith("</think>\n\n")
    assert on.fingerprint != off.fingerprint


def test_a_picture_that_the_processor_refuses_costs_its_own_questions(
    models: dict[str, Path], pictures: list[ImageRef], tmp_path: Path
) -> None:
    """Qwen-VL refuses pictures more than 200 times as long as they are wide."""
    Image.new("RGB", (2, 600), (9, 99, 9)).save(tmp_path / "strip.png")
    items = asked([pictures[0], ImageRef(tmp_path / "strip.png"), pictures[2]])
    backend = open_hf(str(models["qwen"]), Access())
    answers = list(backend.answer(items))
    strip = [item.prompt.image.path.name == "strip.png" for item in items]
    assert [response.error is not None for response in answers] == strip
    alone = open_hf(str(models["qwen"]), Access())
    assert [r.text for r in alone.answer([i for i, bad in zip(items, strip, strict=True) if not bad])] == [
        r.text for r in answers if r.error is None
    ]
    with pytest.raises(ModelError, match="не может ответить"):
        list(open_hf(str(models["qwen"]), Access()).answer([i for i, bad in zip(items, strip, strict=True) if bad]))


def test_the_fast_way_can_be_left_out(models: dict[str, Path], pictures: list[ImageRef]) -> None:
    backend = open_hf(str(models["llava"]), Access(shared=False))
    list(backend.answer(asked(pictures[:1])))
    assert not any("один раз" in note for note in backend.notes)
