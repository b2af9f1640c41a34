"""Families built unlike LLaVA: states instead of keys, windows, borrowed keys, marks that merge. The oracle is transformers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ruvlm.backends.base import Access, Asked
from ruvlm.data.images import load_image
from ruvlm.errors import ModelError
from ruvlm.models.vlm.backend import HfBackend
from ruvlm.models.vlm.load import Loaded, load_hf
from ruvlm.models.vlm.prompts import PromptReader
from ruvlm.models.vlm.sheets import sheets
from ruvlm.schema import ImageRef
from tests.support.family_models import built
from tests.support.rows import asked as asked_of
from tests.support.rows import example as row
from tests.support.rows import prompt

QUESTIONS = ("Кто в рубашке?\nОтветь.", "Какого цвета мяч слева от кошки?", "да?", "нет или да?", "Кто?")
OPTIONS = ("красный мяч", "да", "синий")
SHARED = (
    "qwen3_5",
    "gemma3",
    "gemma3_window",
    "gemma4_e",
    "internvl",
    "llava_onevision",
    "ovis2",
    "idefics2",
    "llava_mla",
)
# their own reason, and the plain way
PLAIN = {"mllama": "отдельное внимание"}
WITHOUT_TORCHVISION = pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision стоит")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """Four pictures of different sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    refs = []
    for number in range(4):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (60 + 40 * number, 100, 3), dtype=np.uint8)).save(path)
        refs.append(ImageRef(path))
    return refs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


def asked(pictures: list[ImageRef], candidates: tuple[str, ...] = ()) -> list[Asked]:
    """Five questions on the first picture, four on the second, and so on."""
    return [
        asked_of(question, picture, 12, candidates=candidates)
        for number, picture in enumerate(pictures)
        for question in QUESTIONS[: 5 - number]
    ]


def by_transformers(loaded: Loaded, item: Asked) -> tuple[list[int], str]:
    """Ids of the model's own template and what `generate` makes of them: a loop of this test's own, messages put together by hand."""
    images = [{"type": "image", "image": load_image(ref)} for ref in item.prompt.images]
    content: list[dict[str, Any]] = [*images, {"type": "text", "text": item.prompt.text}]
    if item.prompt.parts:
        content = [{"type": "text", "text": item.prompt.parts[0]}]
        for image, part in zip(images, item.prompt.parts[1:], strict=True):
            content += [image, {"type": "text", "text": part}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": [c for c in content if c.get("text") != ""]}]
    if item.prompt.system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": item.prompt.system}]})
    inputs = loaded.processor.apply_chat_template(
        messages,
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
        return_tensors="pt",
        enable_thinking=False,
    )
    ids = inputs["input_ids"][0].tolist()
    with torch.inference_mode():
        written = loaded.model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, len(ids) :]
    return ids, loaded.processor.tokenizer.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("name", [*SHARED, "mllama"])
def test_ids_and_answers_are_those_of_transformers(name: str, root: Path, pictures: list[ImageRef]) -> None:
    loaded = load_hf(str(built(name, root)), Access())
    items = asked(pictures)
    expected = [by_transformers(loaded, item) for item in items]
    backend = HfBackend(loaded)
    backend._portion = 96  # all pictures in one batch
    for item, (ids, _) in zip(items[::4], expected[::4], strict=True):
        image = load_image(item.prompt.image)
        assert backend.reader.encode(image, [item.prompt.wording]).ids[0] == ids
        assert backend.reader.batch([[image]], [item.prompt.wording])["input_ids"][0].tolist() == ids
    answers = [response.text for response in backend.answer(items)]
    assert answers == [text for _, text in expected]
    assert len(set(answers)) > len(answers) // 2, "answers must differ for the comparison to say anything"
    assert any("заново" in note for note in backend.notes) == (name in PLAIN)


LAYOUTS: dict[str, tuple[int, tuple[str, ...], str]] = {
    "last": (1, ("Кто тут?", ""), ""),
    "amid": (1, ("Картинка ", " перед вами. Кто?"), ""),
    "system": (1, (), "Отвечай буквой."),
    "two": (2, (), ""),
    "two amid": (2, ("Было ", ", стало ", ". Что изменилось?"), ""),
    "none": (0, (), ""),
}


@pytest.mark.parametrize("name", ["qwen3_5", "gemma3", "llava_onevision", "idefics2", "internvl"])
def test_pictures_stand_where_the_wording_puts_them(name: str, root: Path, pictures: list[ImageRef]) -> None:
    """Against the same messages given to transformers' own template, whichever others are asked in the same call."""
    loaded = load_hf(str(built(name, root)), Access())
    items = [
        Asked(
            prompt("".join(parts) or "Кто?", images=tuple(pictures[:count]), tokens=12, parts=parts, system=said), row()
        )
        for count, parts, said in LAYOUTS.values()
    ]
    expected = [by_transformers(loaded, item) for item in items]
    for item, (ids, _) in zip(items, expected, strict=True):
        shown = [load_image(ref) for ref in item.prompt.images]
        reader = PromptReader(loaded.processor, loaded.model.config.model_type)
        assert reader.batch([shown], [item.prompt.wording])["input_ids"][0].tolist() == ids
    backend = HfBackend(loaded)
    assert [response.text for response in backend.answer(items)] == [text for _, text in expected]
    # what the fast way is for goes the fast way still
    plain = asked(pictures)
    assert [r.text for r in backend.answer(plain)] == [by_transformers(loaded, item)[1] for item in plain]
    assert any("один раз на картинку" in note for note in backend.notes)


@pytest.mark.parametrize("name", [*SHARED, *PLAIN])
def test_likelihoods_with_the_shared_prefix_are_the_plain_ones(name: str, root: Path, pictures: list[ImageRef]) -> None:
    loaded = load_hf(str(built(name, root)), Access())
    before = loaded.model.config.get_text_config()._attn_implementation
    items = asked(pictures, OPTIONS)
    plain = list(HfBackend(loaded, shared=False, rows=1).answer(items))
    backend = HfBackend(loaded)
    backend._portion = 96
    shared = list(backend.answer(items))
    np.testing.assert_allclose([r.sum_logprobs for r in shared], [r.sum_logprobs for r in plain], atol=1e-3)
    left = [note for note in backend.notes if "заново" in note]
    assert [PLAIN[name] in note for note in left] == [True] if name in PLAIN else not left
    assert loaded.model.config.get_text_config()._attn_implementation == before, "the model is as it was"


def test_inputs_that_cannot_be_put_together_go_one_by_one(
    root: Path, pictures: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Molmo 2 numbers its patches through a batch: what was prepared for one picture is wrong beside another."""
    loaded = load_hf(str(built("llava_next", root)), Access())
    items = asked(pictures)
    expected = [response.text for response in HfBackend(loaded, shared=False).answer(items)]
    whole = PromptReader.batch

    def numbered(self: PromptReader, images: Any, texts: Any) -> dict[str, torch.Tensor]:
        inputs = whole(self, images, texts)
        steps = torch.arange(len(images)).view(-1, *[1] * (inputs["pixel_values"].ndim - 1))
        return inputs | {"pixel_values": inputs["pixel_values"] + steps}

    backend = HfBackend(loaded)
    backend._portion = 96
    decoder = backend._shared
    assert decoder is not None
    with monkeypatch.context() as patch:
        patch.setattr(PromptReader, "batch", numbered)
        pairs = [
            (sheet, decoder.reader.encode(sheet.pictures[0], [sheet.prompts[0].wording]))
            for sheet in sheets(i.prompt for i in items)
        ]
        assert not decoder._joinable(pairs[:2])
    assert decoder._joinable(pairs[2:])
    decoder._joins = False
    assert [response.text for response in backend.answer(items)] == expected
    assert not any("заново" in note for note in backend.notes)


@pytest.mark.parametrize("name", ["kosmos2", "blip2", "instructblip"])
def test_families_that_must_be_asked_slowly_are_asked_right(name: str, root: Path, pictures: list[ImageRef]) -> None:
    loaded = load_hf(str(built(name, root)), Access())
    items = asked(pictures)
    alone = [response.text for response in HfBackend(loaded, shared=False, rows=1).answer(items)]
    backend = HfBackend(loaded)
    assert [response.text for response in backend.answer(items)] == alone
    assert any("по одному" in note for note in backend.notes) == (name == "kosmos2")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("florence2", "кодировщик с декодером"),
        ("blip", "вопросов не принимает"),
        pytest.param("smolvlm", "num2words torchvision", marks=WITHOUT_TORCHVISION),
    ],
)
def test_a_family_that_cannot_be_asked_is_refused_in_a_sentence(name: str, said: str, root: Path) -> None:
    with pytest.raises(ModelError, match=said):
        load_hf(str(built(name, root)), Access())
