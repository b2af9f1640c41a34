"""Figures are commands that anyone can run: from anywhere, as README prints them, their last line one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(p for p in (ROOT / "bench").glob("*.py") if "__main__" in p.read_text(encoding="utf-8"))
# whole within seconds; the others take minutes, another tool's environment or an accelerator, and are only opened here
QUICK = ("decode", "importers", "start_speed", "world_speed")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_opens_from_anywhere_and_says_how_to_run_it(script: Path, tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "usage:" in ran.stdout
    assert f"bench/{script.name}" in script.read_text(encoding="utf-8"), "its docstring holds the command"


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_quick_runs_end_in_a_json_object(name: str, tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "bench" / f"{name}.py", "--quick"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.strip().splitlines()[-1])
