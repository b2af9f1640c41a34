"""What is killed, starved or run twice gives the undisturbed result at last: a few trials with a fixed seed (bench/chaos.py tries hundreds)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.chaos import Ended, badly, result
from tests.support.house import ROOT


@pytest.mark.slow
def test_killed_and_starved_jobs_end_in_the_undisturbed_result() -> None:
    chosen = ("--only", "world", "--kills", "4", "--faults", "1", "--seed", "7")
    ran = subprocess.run(
        [sys.executable, ROOT / "bench" / "chaos.py", *chosen], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    kinds = json.loads(ran.stdout.splitlines()[-1])["kinds"]
    assert kinds["kill"]["tried"] + kinds["kill"]["left out"] == 4
    assert {"full disk", "descriptors", "memory", "file size", "read-only", "two processes"} <= set(kinds)


def test_a_lost_or_changed_file_is_another_result(tmp_path: Path) -> None:
    """Times are left out, answers are not; else nothing could be lost."""
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "a.json").write_text('{"seconds": 1.5, "score": 3}')
    before = result(folder)
    (folder / "a.json").write_text('{"seconds": 2.5, "score": 3}')
    assert result(folder) == before
    (folder / "a.json").write_text('{"seconds": 1.5, "score": 4}')
    assert result(folder) != before
    (folder / "a.json").rename(folder / "b.json")
    assert result(folder).keys() != before.keys()


@pytest.mark.parametrize(
    ("said", "code", "bad"),
    [
        ("Ошибка: нет места.", 2, False),
        ("Traceback (most recent call last)", 1, True),
        ("", 99, True),
        ("Прервано.", 130, False),
    ],
)
def test_what_counts_as_a_bad_end(said: str, code: int, bad: bool) -> None:
    assert badly(Ended(code, said, 0.0)) is bad
