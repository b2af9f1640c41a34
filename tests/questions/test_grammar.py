"""Russian forms against a table that a person has read line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruvlm.questions.grammar import capitalise, counted, inflect_noun, phrase, with_preposition
from ruvlm.world.refer import noun_of

TABLE = [line.split("\t") for line in (Path(__file__).parent / "phrases.tsv").read_text(encoding="utf-8").splitlines()]


def test_the_table_is_large() -> None:
    assert len(TABLE) >= 300


@pytest.mark.parametrize(("kind", "word", "case", "number", "expected"), TABLE)
def test_phrase(kind: str, word: str, case: str, number: str, expected: str) -> None:
    noun = noun_of(kind)
    if case == "count":
        found = counted(int(word), noun)
    elif case == "prep":
        found = with_preposition(word, phrase((), noun, number))
    else:
        found = phrase((word,), noun, case, number)
    assert found == expected


def test_fixed_phrases() -> None:
    assert phrase(("в горошек",), noun_of("shirt"), "loct") == "рубашке в горошек"
    assert inflect_noun("предмет мебели", "gent") == "предмета мебели"
    assert with_preposition("в", "шляпе") == "в шляпе"
    assert capitalise("ёж") == "Ёж"


def test_an_unknown_word_is_an_error() -> None:
    with pytest.raises(ValueError, match="qwerty"):
        inflect_noun("qwerty", "gent")
