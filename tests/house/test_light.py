"""The light installation: without torch and transformers all that runs no model here works, and the rest says what to install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.house import ROOT
from tests.support.serving import chatting

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which none of the heavy packages can be imported, by any process."""
    folder = tmp_path_factory.mktemp("bare")
    for name in HEAVY:
        text = f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def ran(environment: dict[str, str], here: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruvlm", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=here, capture_output=True, text=True, check=False)


def test_the_base_asks_for_none_of_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[]", one)[0] for one in project["dependencies"]}
    assert not names & set(HEAVY)
    assert {re.split(r"[<>=\[]", one)[0] for one in project["optional-dependencies"]["models"]} == set(HEAVY)


def test_what_runs_no_model_works_without_them(bare: dict[str, str], tmp_path: Path) -> None:
    rows = [{"id": n, "gold": "да", "prediction": "да" if n % 3 else "нет"} for n in range(12)]
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    commands: list[tuple[object, ...]] = [
        ("--help",),
        ("recipes",),
        ("data", "world", "--out", "w", "--train-images", 30, "--scale", 0.02, "--workers", 2),
        ("data", "check", "w"),
        ("data", "show", "w", "--n", 2),
        ("data", "bias", "w"),
        ("eval", "majority", "--data", "w", "--out", "e/majority"),
        ("eval", "question-only", "--data", "w", "--limit", 20, "--out", "e/words"),
        ("score", "a.jsonl"),
        ("compare", "a.jsonl", "b.jsonl"),
        ("explain", "a.jsonl", "b.jsonl"),
        ("report", "e/majority", "a.jsonl", "--out", "r.html"),
        ("leaderboard", "a.jsonl", "--out", "site"),
        ("leaderboard", "records"),
        ("doctor",),
    ]
    for arguments in commands:
        done = ran(bare, tmp_path, *arguments)
        # a set of a few pictures is not balanced
        assert done.returncode == 0 or (done.returncode == 1 and arguments[:2] == ("data", "check")), done.stderr
        assert "Traceback" not in done.stderr


def test_servers_are_asked_without_them_and_their_price_is_printed(bare: dict[str, str], tmp_path: Path) -> None:
    assert ran(bare, tmp_path, "data", "world", "--out", "w", "--train-images", 30, "--scale", 0.02).returncode == 0
    with chatting(lambda text, pictures: "A") as server:
        done = ran(bare, tmp_path, "eval", server.spec, "--data", "w", "--limit", 10, "--prices", "1,2", "--out", "e")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Цена всех запросов: \d+,\d{4}", done.stdout), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "nano", ROOT / "docs" / "images" / "scene.png", "Кто?"),
        ("train", "nano_world"),
        ("eval", "hf:a/b", "--data", "w"),
        ("model", "merge", "a+b", "--out", "c"),
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_whoever_asks_for_a_model_reads_one_line(
    bare: dict[str, str], tmp_path: Path, world: Path, arguments: tuple[object, ...]
) -> None:
    (tmp_path / "w").symlink_to(world)
    done = ran(bare, tmp_path, *arguments)
    assert done.returncode == 2
    assert "pip install 'ruvlm[models]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
