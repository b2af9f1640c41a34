"""A run's evaluations, row by row: which rows a person wants to see, and one row as HTML that nothing a model said can break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from ruvlm.data.images import load_image
from ruvlm.demo.spotlight import sized
from ruvlm.errors import DataError
from ruvlm.numerals import decimal
from ruvlm.reporting.gathered import Answers, gather
from ruvlm.reporting.shown import types_of
from ruvlm.schema import LETTERS, Dataset

WRONG, UNREAD, RIGHT, ALL = "неверные", "непрочитанные", "верные", "все"
KINDS = (WRONG, UNREAD, RIGHT, ALL)
LONGEST = 600


@dataclass(frozen=True)
class Browsed:
    """One evaluation with its rows: what the page's list calls it, and the rule its rows are judged by."""

    title: str
    answers: Answers
    dataset: Dataset
    rule: str

    @property
    def types(self) -> list[str]:
        return sorted({name for example in self.dataset.examples for name in types_of(example)})


def evaluated(folders: Sequence[Path], data: Sequence[str]) -> list[Browsed]:
    """The evaluations in these folders whose rows were found. Raises DataError where there is none."""
    missing: list[str] = []
    browsed = []
    for section in gather(folders, data, missing.append).sections:
        for answers in section.models:
            measured, verdicts = answers.measured, answers.verdicts
            if section.dataset is None or not verdicts:
                continue
            verdict, *_ = verdicts.values()
            score = decimal(measured.headline[1].value)
            title = f"{answers.name} · {measured.source}, {measured.rows} · {measured.protocol} · {score} %"
            browsed.append(Browsed(title, answers, section.dataset, verdict.rule))
    if not browsed:
        raise DataError(f"Показать ошибки нельзя: {missing[0] if missing else 'в оценках нет строк'}.")
    return browsed


def chosen(one: Browsed, kind: str, of_type: str | None, words: str) -> list[int]:
    """Numbers of the rows that fit: what became of them, their type, and words of the question or an answer."""
    wanted = words.casefold().split()
    return [n for n in range(len(one.dataset.examples)) if _fits(one, n, kind, of_type, wanted)]


def _fits(one: Browsed, number: int, kind: str, of_type: str | None, words: list[str]) -> bool:
    example = one.dataset.examples[number]
    verdict = one.answers.verdicts.get(example.id)
    right = verdict is not None and verdict.full(one.rule)
    unread = verdict is None or verdict.parsed is None
    if kind != ALL and not {WRONG: not right, UNREAD: unread, RIGHT: right}[kind]:
        return False
    if of_type and of_type not in types_of(example):
        return False
    if not words:
        return True
    said = one.answers.said.get(example.id)
    text = " ".join((example.question, *example.options, example.answer, said.text if said else "")).casefold()
    return all(word in text for word in words)


def picture(one: Browsed, number: int) -> Image.Image:
    """The row's picture, large enough to see; an empty strip for a row without one. Raises DataError."""
    example = one.dataset.examples[number]
    if not example.images:
        return Image.new("RGB", (320, 40), "white")
    return sized(load_image(example.image))


def described(one: Browsed, number: int) -> str:
    """The row as a definition list; every text in it is escaped, and cut at LONGEST characters."""
    example = one.dataset.examples[number]
    verdict, said = one.answers.verdicts.get(example.id), one.answers.said.get(example.id)
    right = verdict is not None and verdict.full(one.rule)
    gold = example.answer
    if example.options and gold in example.letters:
        gold = f"{gold} – {example.options[LETTERS.index(gold)]}"
    lines = [("Вопрос", example.question)]
    if example.options:
        lines.append(("Варианты", "; ".join(map(" ".join, zip(example.letters, example.options, strict=True)))))
    lines += [
        ("Верный ответ", gold),
        ("Ответ модели", said.text if said else "ответа нет"),
        ("Итог", ("верно" if right else "неверно") + (f" ({verdict.reason})" if verdict and verdict.reason else "")),
        ("Типы", ", ".join(dict.fromkeys(types_of(example))) or "–"),
        ("Строка", f"{example.id}, картинка {example.image_id}"),
    ]
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(_cut(text))}</dd>" for name, text in lines)
    return f'<dl class="ruvlm-row" id="ruvlm-row">{items}</dl>'


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… (всего знаков: {len(text)})"
