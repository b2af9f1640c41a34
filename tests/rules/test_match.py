"""The Russian-aware and the lemma match, case by case."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruvlm.rules.match import match_lemma, match_reference, match_russian, normalised

# prediction, gold, reference, Russian-aware, lemma
CASES = [
    ("стол", "стол", 1, 1, 1),
    ("Стол.", "стол", 1, 1, 1),
    (" стол ", "стол ", 0, 1, 1),
    ("зеленый", "зелёный", 0, 1, 1),
    ("«стол»", "стол", 0, 1, 1),
    ("Ответ: стол", "стол", 0, 1, 1),
    ("**стол**", "стол", 1, 1, 1),
    ("стол\nПотому что он деревянный.", "стол", 0, 1, 1),
    ("да, на картинке есть стол", "да", 0, 1, 1),
    ("Нет, стола нет", "нет", 0, 1, 1),
    ("нетрудно", "нет", 0, 0, 0),
    ("данный", "да", 0, 0, 0),
    ("да", "нет", 0, 0, 0),
    ("большим", "большой", 0, 0, 1),
    ("большой", "большим", 0, 0, 1),
    ("из ткани", "ткань", 0, 0, 1),
    ("круглая", "круглый", 0, 0, 1),
    ("стулья", "стул", 0, 0, 1),
    ("кот", "кошка", 0, 0, 0),
    ("котик", "кот", 0, 0, 0),
    ("красная машина", "машина", 0, 0, 0),
    ("на столе", "стол", 0, 0, 1),
    ("слева", "справа", 0, 0, 0),
    ("", "стол", 0, 0, 0),
    ("стол стул", "стол", 0, 0, 0),
    ("<think>это стул</think>стол", "стол", 1, 1, 1),
    ("черно-белый", "чёрно-белый", 0, 1, 1),
    ("красный цвет", "красный", 0, 0, 0),
    ("стола\u200b", "стол", 0, 0, 1),
]


TABLE = Path(__file__).parent / "match_cases.tsv"


def _table() -> list[tuple[str, str, int, int, int]]:
    """prediction, gold and the verdicts of the three rules, a line each."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]:
        prediction, gold, *verdicts = line.split("\t")
        reference, russian, lemma = map(int, verdicts)
        found.append((prediction.replace("\\n", "\n"), gold, reference, russian, lemma))
    return found


def test_the_tables_are_large_enough() -> None:
    assert len(CASES) + len(_table()) >= 150


@pytest.mark.parametrize(("prediction", "gold", "reference", "russian", "lemma"), [*CASES, *_table()])
def test_cases(prediction: str, gold: str, reference: int, russian: int, lemma: int) -> None:
    found = (match_reference(prediction, gold), match_russian(prediction, gold), match_lemma(prediction, gold))
    assert found == (bool(reference), bool(russian), bool(lemma))


_WORDS = st.lists(st.text("абвгдежзиклмнопрст", min_size=1, max_size=8), min_size=1, max_size=3).map(" ".join)


@given(_WORDS, st.sampled_from(["{}.", " {} ", "«{}»", "**{}**", "{}\n", "Ответ: {}", '"{}"', "{} ."]))
def test_wrapping_an_answer_never_changes_the_russian_verdict(text: str, wrapping: str) -> None:
    assert match_russian(wrapping.format(text), text)


@given(st.text(max_size=40))
def test_normalised_is_idempotent(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
