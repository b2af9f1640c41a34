"""Damaged input of every kind ends in a result or a sentence: a few cases of each with fixed numbers (bench/fuzz.py tries thousands)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ruvlm.errors import DataError
from tests.support.fuzzing import INPUTS, Case, Input, command, prepared, tried
from tests.support.mutations import FORMATS

CASES = 12


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
def test_damaged_input_ends_in_a_result_or_a_sentence(given: Input, tmp_path: Path) -> None:
    with prepared((given.name,)) as clean:
        for number, reader in enumerate(given.readers):
            whole = shutil.copytree(clean[given.name], tmp_path / str(number) / "case")
            for file in sorted(path for path in whole.glob(given.files) if path.is_file()):
                ended = reader(Case(whole, file))  # undamaged, it is a result: else the cases would try nothing
                assert ended not in (1, 2)
                assert given.name != "replies" or [response.error for response in ended] == [None]
        faults = [fault for number in range(CASES) if (fault := tried(given, clean[given.name], number))]
    assert not faults


def plain_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.json").write_text('{"x": [1, "2", {"y": null}]}')


def _refuses(case: Case) -> None:
    raise DataError("Файл повреждён.")


def _fails(case: Case) -> None:
    raise KeyError("y")


def _paints(case: Case) -> None:
    sys.stdout.write("\x1b[31m")


def _strays(case: Case) -> None:
    shutil.copy(case.file, case.folder.parents[3])


def _strays_nearby(case: Case) -> None:
    shutil.copy(case.file, case.folder.parent)


@pytest.mark.parametrize(
    ("reader", "what"),
    [
        (_refuses, None),
        (_fails, "KeyError"),
        (_paints, "an escape code"),
        (_strays, "wrote a.json outside"),
        (_strays_nearby, "wrote 1/2/3/a.json"),
    ],
)
def test_what_counts_as_a_fault(reader: object, what: str | None, tmp_path: Path) -> None:
    given = Input("planted", plain_file, "*", (reader,))  # type: ignore[arg-type]
    given.make(tmp_path / "clean")
    fault = tried(given, tmp_path / "clean", 0)
    assert (fault is None) if what is None else (fault is not None and fault.what.startswith(what))


def test_a_case_is_a_function_of_its_number(tmp_path: Path) -> None:
    """And of a hundred cases most differ from the clean file."""
    seen: list[bytes] = []
    given = Input("planted", plain_file, "*", (lambda case: seen.append(case.file.read_bytes()),))
    given.make(tmp_path / "clean")
    for number in [*range(100), *range(100)]:
        assert tried(given, tmp_path / "clean", number) is None
    assert seen[:100] == seen[100:]
    assert len(set(seen)) > 60


def test_every_format_has_inputs_and_the_commands_are_there(tmp_path: Path) -> None:
    """A format nobody damages, or a command that has another name by now, would be a case that cannot fail."""
    with prepared(("answers", "cards", "sets", "nano")) as clean:
        ends = {path.suffix[1:] for folder in clean.values() for path in folder.rglob("*.*")}
        assert set(FORMATS) <= ends
        case = Case(clean["answers"], clean["answers"] / "short.csv")
        assert command("score", "{file}", "--json")(case) in (None, 0)
        with pytest.raises(AssertionError, match="No such command"):
            command("scores", "{file}")(case)
