"""What keeps the house as it is: short files and functions, nothing swallowed, nothing printed but by the commands."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ruvlm.benchmarks.catalog import house_benchmarks

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ruvlm"
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION = 400, 60
# longer than the rule, each with its reason; nothing may be added, and what has become short is taken out
LONG_FUNCTIONS = {
    "cli/evaluate.py:evaluate": "a command's parameters with their help are most of it",
}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short() -> None:
    lengths = {path.relative_to(SOURCE): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(name): count for name, count in lengths.items() if count > MOST_LINES} == {}


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(SOURCE)}:{node.name}"
        for path in FILES
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > MOST_FUNCTION
    }
    assert long == set(LONG_FUNCTIONS)


def test_nothing_is_swallowed() -> None:
    bare = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_only_commands_print() -> None:
    printing = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in FILES
        if path.relative_to(SOURCE).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_stored_formats_have_one_owner() -> None:
    """Names of files in evaluation and run folders stand in the modules that own these folders, and in no other."""
    owners = {
        "identity.json": "evaluation/folder.py",
        "verdicts.jsonl": "evaluation/folder.py",
        "summary.json": "evaluation/folder.py",
        "judged.jsonl": "evaluation/folder.py",
        "responses.jsonl": "evaluation/store.py",
        "run.json": "run_folder.py",
        "run.toml": "run_folder.py",
        "metrics.jsonl": "run_folder.py",
        "best_model": "run_folder.py",
        "final_model": "run_folder.py",
    }
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            tells_tools_apart = (
                path.name == "tool_logs.py" and isinstance(node, ast.Constant) and node.value == "identity.json"
            )
            if isinstance(node, ast.Constant) and node.value in owners and not tells_tools_apart:
                assert str(path.relative_to(SOURCE)) == owners[node.value], f"{path}:{node.lineno} knows {node.value}"


def test_no_benchmark_is_named_outside_its_folder() -> None:
    """Nor is a protocol or a rule's label: who needs to know asks the benchmark.

    What is drawn or made is written by name, the first runs' metrics are read by theirs, and the quickstart is a run on what is drawn.
    """
    names = {benchmark.name for benchmark in house_benchmarks().values()}
    named = [
        f"{path.relative_to(SOURCE)}:{node.lineno} {node.value}"
        for path in FILES
        if path.relative_to(SOURCE).parts[:2] not in (("benchmarks", "gqa_ru"), ("benchmarks", "mmbench_ru"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split("/")[0] in names
    ]
    places = Counter(one.split(":")[0] for one in named)
    assert places.keys() == {"questions/tables.py", "run_folder.py", "cli/quickstart.py"}, named
    assert (places["questions/tables.py"], places["run_folder.py"]) == (2, 2), named


@pytest.mark.parametrize(
    "room",
    ["training", "models", "backends", "data", "questions", "world", "photos", "audit", "benchmarks", "evaluation"],
)
def test_locks_and_whole_folders_are_made_at_the_ground(room: str) -> None:
    for path in (SOURCE / room).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "FileLock" not in text, f"{path}: files.held"
        assert "blake2b(data" not in text, f"{path}: files.picture_mark"


def test_the_formatter_formats_all_but_the_drawings() -> None:
    marks = ("fmt: " + "skip", "fmt: " + "off")
    skipped = [
        str(path.relative_to(ROOT))
        for folder in ("src", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
        if any(mark in path.read_text(encoding="utf-8") for mark in marks)
    ]
    assert skipped == []
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["ruff"]["format"]["exclude"] == ["src/ruvlm/world/kinds.py"]


def test_no_test_imports_another_or_a_bench() -> None:
    """What they share is in tests/support, which benches may import as well."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith("bench"), f"{path}: {name}"
                assert not re.match(r"tests\.(?!support)", name), f"{path}: {name}"


def test_every_room_has_its_tests() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    tested = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert rooms == tested - {"house"}


def test_a_class_name_means_one_thing() -> None:
    names = Counter(
        node.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_a_file_name_means_one_thing() -> None:
    """Two files of one name do the same for different families, benchmarks, pictures, or are a command and its work."""
    alike = {
        *("backend", "learner", "model", "packing", "config"),  # a family's
        *("rows", "base"),  # a benchmark's; what a room's own things have in common
        *("asker", "choices", "export", "scene"),  # drawings and photographs
        *("compare", "doctor", "leaderboard", "push", "mistakes"),  # a command or a tab, and what it shows
    }
    names = Counter(path.stem for path in FILES if not path.stem.startswith("__"))
    assert {name for name, count in names.items() if count > 1} == alike
