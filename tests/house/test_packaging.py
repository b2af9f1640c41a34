"""The sdist, and the wheel built from it, in a clean environment without our constraints: what a stranger gets."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from tests.support.house import ROOT


@pytest.mark.slow
def test_the_wheel_runs_where_nothing_else_is_installed() -> None:
    """Torch and its kind are this environment's own (their index gives gigabytes of CUDA); everything else is what the index has."""
    models = Path(torch.__file__).parents[1]
    command = [sys.executable, ROOT / "bench" / "first_install.py", "--models", models]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])
    assert figures.pop("состав") == 0
    assert any(name.startswith("Python 3.11") for name in figures)


def test_the_workflow_may_do_no_more_than_it_must() -> None:
    """No job may write anything but the one that publishes, and that one only an identity."""
    yaml = pytest.importorskip("yaml")
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert flow["permissions"] == {}
    for name, job in flow["jobs"].items():
        assert job["permissions"] == ({"id-token": "write"} if name == "publish" else {"contents": "read"}), name
    assert "refs/tags/" in flow["jobs"]["publish"]["if"]


def test_minimum_versions_are_named_for_everything() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["models"]]
    assert [line for line in named if ">=" not in line] == []
