"""The command line itself: help in Russian with an example, JSON for machines, completion, no colours in a pipe, wrong arguments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import COMMANDS
from tests.support.house import Ran

Run = Callable[..., Ran]
ENGLISH = re.compile(
    r"Usage:|Options:|Arguments:|Commands:|Show this|default:|required|Install|customize|range|<list|<str"
)
# those that hold the screen until they are stopped
NO_JSON = {"demo"}


def test_every_command_is_here() -> None:
    assert {" ".join(path) for path in COMMANDS} >= {
        "train",
        "ask",
        "demo",
        "report",
        "data fetch",
        "leaderboard verify",
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_is_russian_with_an_example_and_json(path: tuple[str, ...], ruvlm: Run) -> None:
    done = ruvlm(*path, "--help")
    assert done.code == 0
    assert not ENGLISH.search(done.out), ENGLISH.search(done.out)
    assert f"Пример: ruvlm {' '.join(path)}" in " ".join(done.out.split()) or path[-1] == "build", "an example to copy"
    assert ("--json" in done.out) == (path[0] not in NO_JSON)
    for parameter in COMMANDS[path].params:
        said = getattr(parameter, "help", None) or ""
        assert re.search("[а-яё]|auto", said) or parameter.name == "help", f"{parameter.name}: {said}"


@pytest.mark.parametrize("path", [(), ("data",), ("model",), ("leaderboard",)], ids=" ".join)
def test_groups_list_their_commands_whole(path: tuple[str, ...], ruvlm: Run) -> None:
    for arguments in ((*path, "--help"), path):
        done = ruvlm(*arguments)
        assert done.code == 0
        assert not ENGLISH.search(done.out)
        assert "..." not in done.out, "nothing is cut in the middle of a word"
        assert "Команды:" in done.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_wrong_arguments_are_one_sentence(path: tuple[str, ...], ruvlm: Run) -> None:
    wrong = [("--нет-такого",), *([("a", "b", "c", "d", "e", "f")] if not _takes_many(COMMANDS[path]) else [])]
    if any(p.required for p in COMMANDS[path].params):
        wrong.append(())
    for arguments in wrong:
        done = ruvlm(*path, *arguments)
        assert done.code == 2, (arguments, done)
        assert done.out == ""
        assert done.err.startswith("Ошибка: "), done.err
        assert "Traceback" not in done.err
        assert len(done.err.strip().splitlines()) == 1, done.err


def _takes_many(command: Any) -> bool:
    return any(
        parameter.nargs == -1 or (parameter.multiple and parameter.param_type_name == "argument")
        for parameter in command.params
    )


def test_an_unknown_command_is_told_of(ruvlm: Run) -> None:
    done = ruvlm("trian")
    assert (done.code, "trian" in done.err) == (2, True)
    assert "train" in done.err, "the near one is suggested"


@pytest.mark.parametrize(
    ("words", "wanted"), [("ruvlm le", "leaderboard"), ("ruvlm data fe", "fetch"), ("ruvlm ask --opt", "--options")]
)
def test_tab_completes(words: str, wanted: str) -> None:
    settings = os.environ | {
        "_RUVLM_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    ruvlm = str(Path(sys.executable).parent / "ruvlm")
    done = subprocess.run([ruvlm], env=settings, capture_output=True, text=True, check=False)
    assert wanted in done.stdout.split(), done


def test_a_pipe_gets_no_colours(tmp_path: Path) -> None:
    settings = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    for arguments in (["doctor", "--no-hub"], ["ask", "nano", str(tmp_path / "нет.png"), "Кто?"], ["--help"]):
        command = [sys.executable, "-m", "ruvlm", *arguments]
        done = subprocess.run(
            command, env=settings | {"TERM": "xterm-256color"}, capture_output=True, text=True, check=False
        )
        assert "\x1b" not in done.stdout + done.stderr
