"""The quickstart from end to end, small: the table, the picture, the figures, a second run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.world.export import build, plans
from tests.support.house import ROOT, Ran


def run(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "bench" / "quickstart.py"), "--quick", "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_quickstart(tmp_path: Path) -> None:
    done = run(tmp_path / "q")
    assert done.returncode == 0, done.stderr
    assert "Это не баллы GQA-ru и MMBench-ru" in done.stdout
    assert "Пробный прогон" in done.stdout
    figures = json.loads(done.stdout.splitlines()[-1])
    names = {
        "nano_gqa",
        "nano_gqa_spatial",
        "nano_holdout",
        "nano_mmbench_letters",
        "nano_mmbench_likelihood",
        "cnn_lstm_gqa",
    }
    assert names <= set(figures)
    assert figures["question_only_gqa"] < 50
    assert (tmp_path / "q" / "nano_world" / "training_history.png").is_file()
    assert (tmp_path / "q" / "question.png").is_file()
    again = run(tmp_path / "q")
    assert again.returncode == 0, again.stderr
    assert "уже обучена" in again.stderr
    kept = {k: v for k, v in json.loads(again.stdout.splitlines()[-1]).items() if k != "minutes"}
    assert kept == {k: v for k, v in figures.items() if k != "minutes"}


def test_a_world_of_an_earlier_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ruvlm: Callable[..., Ran]
) -> None:
    """Who updates has one lying there: it is neither mixed up with today's nor taken away."""
    monkeypatch.chdir(tmp_path)
    build("mini", Path("data/world-mini"), 0, 1, plans("mini", 2, 0.01), version="2")
    ran = ruvlm("quickstart")
    assert ran.code == 2
    assert "другой версии (2, а рисуется 3)" in ran.err
    assert "--world data/world-mini" in ran.err
    assert not Path("results").exists()
