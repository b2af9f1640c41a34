"""What scene graphs teach: relations of two things, the words that decide, and where they come from in a world."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruvlm.benchmarks.source import open_source
from ruvlm.models.nano.grounding import Lexicon, covered_cells, decisive_tokens, likeness, relation, same_colour
from ruvlm.models.nano.tokenizer import train_tokenizer
from ruvlm.schema import Example, Mention, Region
from tests.support.rows import example as example_of

BALL = Region((0.1, 0.4, 0.2, 0.5), ("мяч", "красный"))
CUP = Region((0.7, 0.42, 0.8, 0.52), ("чашка", "красный"))
HAT = Region((0.7, 0.8, 0.8, 0.9), ("шляпа", "синий"))
TEXTS = ["Мяч красный или синий", "Чашка слева справа от мяча", "красная синяя", "есть шляпа да нет над под"] * 20


def asked(
    question: str, answer: str, program: str, mentions: dict[str, Region], decide: tuple[Region, ...], kind: str
) -> Example:
    found = tuple(Mention(question.index(word), question.index(word) + len(word), r) for word, r in mentions.items())
    return example_of(
        question,
        answer,
        structural=kind,
        program=program,
        mentions=found,
        answer_regions=decide,
    )


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (BALL, CUP, ("слева",)),
        (CUP, BALL, ("справа",)),
        (CUP, HAT, ("над", "рядом")),
        (HAT, CUP, ("под", "рядом")),
    ],
)
def test_relation(first: Region, second: Region, words: tuple[str, ...]) -> None:
    assert relation(first, second) == words


def test_likeness() -> None:
    assert likeness(BALL, CUP) == ("одного", "одинаковый", "красный")
    assert likeness(CUP, HAT) == ("разного", "разные")
    assert likeness(CUP, Region((0, 0, 1, 1), ("мужчина",))) == ()
    assert same_colour(CUP, Region((0, 0, 1, 1), ("мужчина",))) is None


@pytest.mark.parametrize(
    ("example", "decide"),
    [
        (
            asked("Мяч красный?", "да", "select: ball->verify color: red", {"Мяч": BALL}, (BALL,), "verify"),
            [" красный"],
        ),
        (asked("Мяч синий?", "нет", "select: ball->verify color: blue", {"Мяч": BALL}, (BALL,), "verify"), ["the end"]),
        (
            asked("Чашка справа от мяча?", "да", "verify rel", {"Чашка": CUP, "мяча": BALL}, (CUP,), "verify"),
            [" справа"],
        ),
        (asked("Здесь есть шляпа?", "да", "select: hat->exist: ?", {"шляпа": HAT}, (HAT,), "verify"), [" шляпа"]),
        (asked("Мяч красный или синий?", "красный", "choose color", {"Мяч": BALL}, (BALL,), "choose"), [" красный"]),
        (asked("Какого цвета мяч?", "красный", "query: color", {"мяч": BALL}, (BALL,), "query"), []),
    ],
)
def test_words_that_decide(example: Example, decide: list[str]) -> None:
    tokenizer = train_tokenizer(TEXTS, 400, ())
    prompt = tokenizer.encode(example.question, add_special_tokens=False)
    found = decisive_tokens(example, prompt, Lexicon(tokenizer))
    end = len(prompt.ids) - 1
    assert ["the end" if n == end else example.question[slice(*prompt.offsets[n])] for n in found] == decide


def test_a_box_covers_its_centre_even_when_small() -> None:
    cells = covered_cells([(0.5, 0.5, 0.51, 0.51), (0.0, 0.0, 0.5, 0.25)], 4)
    assert cells[0].nonzero()[0].tolist() == [10]
    assert cells[1].nonzero()[0].tolist() == [0, 1]


def test_choices_about_training_pictures_are_grounded(world: Path) -> None:
    """Mentions lie inside the question and name what the words say; evaluation splits have none."""
    source = open_source(str(world))
    train = source.load("mmbench-ru", "train", grounding=True).examples
    grounded = [example for example in train if example.mentions]
    assert len(grounded) > len(train) // 3
    assert any(example.answer_regions for example in train)
    for example in grounded:
        for mention in example.mentions:
            assert example.question[mention.start : mention.end].strip()
            assert mention.region.words
    assert not any(example.mentions for example in source.load("mmbench-ru", "train").examples)
