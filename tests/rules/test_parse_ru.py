"""The Russian-aware extraction, case by case, and what must never change a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruvlm.rules.parse_ru import read_russian, writes_cyrillic

TABLE = Path(__file__).parent / "parse_cases.tsv"


def _cases() -> list[tuple[tuple[str, ...], str, str | None]]:
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        options, prediction, letter = line.split("\t")
        found.append((tuple(options.split("|")), prediction.replace("\\n", "\n"), None if letter == "-" else letter))
    return found


CASES = _cases()


def test_the_table_is_large_enough() -> None:
    assert len(CASES) >= 250


@pytest.mark.parametrize(("options", "prediction", "letter"), CASES)
def test_extraction(options: tuple[str, ...], prediction: str, letter: str | None) -> None:
    reading = read_russian(prediction, options)
    assert reading.letter == letter
    assert (reading.reason is None) is (letter is not None)


WRAPPINGS = ("  {}  ", "\n{}\n", "«{}»", '"{}"', "**{}**", "`{}`", "{}.", "_{}_", "\t{}", "„{}“", "{} .")


@given(st.sampled_from(CASES), st.sampled_from(WRAPPINGS))
def test_wrapping_changes_nothing(case: tuple[tuple[str, ...], str, str | None], wrapping: str) -> None:
    options, prediction, letter = case
    assert read_russian(wrapping.format(prediction), options).letter == letter


@given(st.text(max_size=60), st.sampled_from(CASES))
def test_what_is_read_is_an_option_or_nothing(text: str, case: tuple[tuple[str, ...], str, str | None]) -> None:
    reading = read_russian(text, case[0])
    assert reading.letter is None or reading.letter in "ABCDE"[: len(case[0])]
    assert (reading.letter is None) is (reading.reason is not None)


def test_the_prompts_own_alphabet() -> None:
    """Where the options were lettered а, б, в, г, «В» is the third."""
    options = ("стол", "стул", "шкаф", "кровать")
    assert [read_russian(text, options, cyrillic=True).letter for text in ("а)", "Б", "В", "ответ: г")] == list("ABCD")


def test_a_missing_option_is_not_read() -> None:
    assert read_russian("C", ("лес", "поле", None)).letter is None


def test_letters_go_as_far_as_a_row_has_options() -> None:
    eight = [f"слово{n}" for n in range(8)]
    assert read_russian("Ж", eight).letter == "G"
    assert read_russian("Ответ: Ж", eight).letter == "G"
    assert read_russian("H", eight).letter == "H"
    assert read_russian("<F>", eight).letter == "F"
    assert read_russian("I think so", ["да", "нет", "не знаю"]).letter is None, (
        "«I» is a word where there is no such option"
    )
    assert writes_cyrillic(["Ж", "Е", "З", "И"], 8)
    assert not writes_cyrillic(["F"] * 100 + ["Б"], 8), "one slip among a hundred Latin letters"
