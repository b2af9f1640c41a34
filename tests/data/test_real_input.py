"""Real answers and real photographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ruvlm.data.images import load_image
from ruvlm.schema import ImageRef
from tests.support.house import Ran

Run = Callable[..., Ran]


def test_a_real_models_answers_score_as_its_author_says(shared: Path, ruvlm: Run) -> None:
    path = shared / "real/gqa_ru/predictions_llava_gemma2b_lora_testdev300.jsonl"
    found = json.loads(ruvlm("score", path, "--json").out)
    score = found["scores"]["gqa-ru/lmms"]
    assert (found["n"], score["n"], score["correct"]) == (300, 300, 139)
    assert score["value"] == pytest.approx(46.3333, abs=1e-3)
    assert score["low"] < score["value"] < score["high"]
    assert set(found["scores"]) == {"gqa-ru/lmms", "gqa-ru/ru", "gqa-ru/lemma", "gqa-ru/vlmevalkit"}


def test_photographs_are_answered_without_fuss(shared: Path, runs: Path, ruvlm: Run) -> None:
    for photo in sorted((shared / "real/coco_photos/images").glob("*.jpg"))[::25]:
        for model in ("nano", "cnn_lstm"):
            ran = ruvlm("ask", runs / model, photo, "Кто в рубашке?", "--json")
            assert ran.code == 0, ran.err
            answer = json.loads(ran.out)
            assert answer["answer"]
            assert 0 <= answer["probability"] <= 1


@pytest.mark.parametrize("kind", ["sideways", "grey", "tiny", "large", "palette", "alpha", "cmyk", "webp", "deep"])
def test_odd_pictures_become_rgb_the_right_way_up(tmp_path: Path, kind: str) -> None:
    picture = Image.new("RGB", (60, 40), (250, 0, 0))
    path = tmp_path / "p.png"
    if kind == "sideways":
        path = tmp_path / "p.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(path, exif=exif)
    elif kind == "grey":
        picture.convert("L").save(path)
    elif kind == "tiny":
        picture.resize((1, 1)).save(path)
    elif kind == "large":
        picture.resize((5000, 4000)).save(path)
    elif kind == "palette":
        picture.convert("P").save(path)
    elif kind == "alpha":
        Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(path)
    elif kind == "cmyk":
        path = tmp_path / "p.jpg"
        picture.convert("CMYK").save(path)
    elif kind == "webp":
        path = tmp_path / "p.webp"
        picture.save(path)
    else:
        Image.new("I;16", (60, 40), 40_000).save(path)
    found = load_image(ImageRef(path))
    assert found.mode == "RGB"
    if kind == "sideways":
        assert found.size == (40, 60)
    if kind == "alpha":
        assert found.getpixel((5, 5)) == (255, 255, 255)
    if kind == "deep":
        assert found.getpixel((5, 5)) == (156, 156, 156)


def test_options_give_probabilities_that_add_up(runs: Path, ruvlm: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (64, 64), (0, 200, 0)).save(path)
    for model in ("nano", "cnn_lstm"):
        found = json.loads(
            ruvlm("ask", runs / model, path, "Кто здесь?", "--options", "кошка; собака; да", "--json").out
        )
        shares = [found["probability"], *(a["probability"] for a in found["alternatives"])]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert {found["answer"], *(a["text"] for a in found["alternatives"])} == {"кошка", "собака", "да"}
