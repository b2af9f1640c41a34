"""Imports point one way, and the light parts load no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "ruvlm"
# room -> rooms it may import from (besides itself, schema, errors, registry, config, runtime)
ARROWS = {
    "questions": set(),
    "world": {"questions"},
    "data": set(),
    "photos": {"questions", "data"},
    "rules": set(),
    "benchmarks": {"rules", "data"},
    "audit": {"data", "backends", "benchmarks"},
    "backends": {"data"},
    "evaluation": {"backends", "data", "benchmarks", "rules"},
    "reporting": {"data", "evaluation", "benchmarks"},
    "training": {"data", "backends", "evaluation", "benchmarks"},
    "models": {"training", "backends", "data", "benchmarks"},
    "demo": {"world", "data", "backends", "evaluation", "reporting", "benchmarks", "rules"},
    "cli": {
        "demo",
        "questions",
        "world",
        "photos",
        "audit",
        "reporting",
        "data",
        "models",
        "backends",
        "benchmarks",
        "evaluation",
        "rules",
        "training",
    },
}
COMMON = {
    "checkpoint",
    "files",
    "processes",
    "workers",
    "run_folder",
    "thoughts",
    "schema",
    "errors",
    "registry",
    "config",
    "runtime",
    "autoregister",
    "morphology",
    "doctor",
    "numerals",
    "tabular",
}


def imported(path: Path) -> set[str]:
    """Rooms of ruvlm that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ruvlm."):
            found.add(node.module.split(".")[1])
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ruvlm.")}
    return found


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_arrows(room: str) -> None:
    files = list((SOURCE / room).rglob("*.py"))
    assert files
    for path in files:
        strange = imported(path) - ARROWS[room] - COMMON - {room}
        assert not strange, f"{path.relative_to(SOURCE)} imports {strange}"


def test_every_room_is_walked() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py") if any(path.parent.rglob("[a-z]*.py"))}
    assert rooms == set(ARROWS)


def test_scoring_knows_no_torch_and_no_backends() -> None:
    scoring = [*(SOURCE / "rules").glob("*.py"), *(SOURCE / "benchmarks").rglob("*.py")]
    scoring += [SOURCE / "evaluation" / f"{name}.py" for name in ("store", "table", "compare", "evaluated")]
    for path in scoring:
        text = path.read_text(encoding="utf-8")
        assert "import torch" not in text, path
        assert "ruvlm.backends" not in text, path


@pytest.mark.parametrize(
    "code",
    [
        "import ruvlm",
        "from ruvlm.cli.main import main; main(['--help'])",
        "import ruvlm.world.export, ruvlm.benchmarks.source, ruvlm.benchmarks.catalog, ruvlm.evaluation.table",
    ],
)
def test_no_torch(code: str) -> None:
    check = f"{code}\nimport sys; assert not {{'torch', 'transformers', 'matplotlib', 'pymorphy3'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ["import ruvlm, transformers", "import transformers, ruvlm"])
def test_auto_classes_know_our_model_in_either_order(order: str) -> None:
    code = (
        f"{order}\n"
        "from transformers import AutoConfig, AutoModelForImageTextToText\n"
        "config = AutoConfig.for_model('ruvlm_nano')\n"
        "print(type(AutoModelForImageTextToText.from_config(config)).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "NanoForConditionalGeneration", done.stderr
