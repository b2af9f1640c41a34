"""The nano that comes with the package: small, honest about itself, and as good as its card says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.checkpoint import PACKAGED, model_folder
from ruvlm.evaluation.plan import evaluate_model
from ruvlm.world.export import build, plans
from tests.support.house import ROOT, Ran
from tests.support.packaged import RULES, TEST_SEED

Run = Callable[..., Ran]
NANO = PACKAGED["nano"]


def stated() -> dict[tuple[str, str], float]:
    """The card's figures by name and part."""
    found = {}
    for line in (NANO / "README.md").read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| ([^|]+) \| ([^|]+) \| \d+ \| \*\*([\d,]+)", line):
            found[row[1], row[2]] = float(row[3].replace(",", "."))
    return found


def test_it_is_small_and_has_no_pickle() -> None:
    names = {path.name for path in NANO.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert sum(path.stat().st_size for path in NANO.iterdir()) <= 1_500_000


@pytest.mark.slow
def test_it_is_as_good_as_its_card_says(tmp_path: Path) -> None:
    """On the card's world, drawn again. Another processor may round a tie otherwise: a fifth of a point is allowed."""
    build("mini", tmp_path / "world", TEST_SEED, splits=plans("mini", 4))
    card, seen = stated(), {}
    for split, title in (("test", "test"), ("holdout", "невиданные сочетания")):
        for one in evaluate_model("nano", str(tmp_path / "world"), split, controls=False, out=tmp_path / "eval"):
            seen |= {
                (name, title): one.result.scores[rule].value
                for name, rule in RULES.items()
                if rule in one.result.scores
            }
    assert seen.keys() == card.keys()
    for key, value in seen.items():
        assert value == pytest.approx(card[key], abs=0.2), key


def test_it_answers_seconds_after_installation(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ruvlm",
        "ask",
        "nano",
        str(ROOT / "docs" / "images" / "scene.png"),
        "Кто в рубашке?",
        "--json",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] == "женщина"
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_it_says_what_it_knows(ruvlm: Run) -> None:
    done = ruvlm("ask", "nano", ROOT / "docs" / "images" / "scene.png", "Кто в рубашке?")
    assert "на фотографиях она гадает" in done.err
    card = (NANO / "README.md").read_text(encoding="utf-8")
    assert "Это не баллы GQA-ru" in card
    assert "python bench/packaged_nano.py" in card
    assert json.loads((NANO / "config.json").read_text())["trained_on"].startswith("world-mini")


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_folder("nano") == NANO
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    assert model_folder("nano") == NANO, "it holds no model"
    (tmp_path / "nano" / "config.json").write_text("{}")
    assert model_folder("nano") == Path("nano")


def test_its_evaluations_go_where_the_user_is(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ruvlm: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ruvlm("eval", "nano", "--data", world, "--limit", "20", "--no-controls").code == 0
    assert list((tmp_path / "results" / "eval").glob("*nano*"))
