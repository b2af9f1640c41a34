"""A rule applied to a file, line by line: how each answer is read, whether each pair matches."""

from __future__ import annotations

from pathlib import Path

from ruvlm.benchmarks.catalog import matcher_named, reader_named
from ruvlm.data.jsonl import Row, read_jsonl, text_field
from ruvlm.errors import DataError
from ruvlm.rules.named import MATCHERS, READERS
from ruvlm.rules.parse import Reading
from ruvlm.rules.parse_ru import writes_cyrillic
from ruvlm.schema import LETTERS

PREDICTION = ("prediction", "pred")
GOLD = ("gold", "answer")


def parse_file(path: Path, rule: str) -> list[Reading]:
    """The letter of each line's `prediction` among its `options` (an object by letters, or a list). Raises RuvlmError."""
    read = READERS[reader_named(rule)]
    rows = [
        (text_field(path, number, row, PREDICTION), _options(path, number, row))
        for number, row in enumerate(read_jsonl(path), 1)
    ]
    cyrillic = writes_cyrillic(
        (prediction for prediction, _ in rows), max((len(options) for _, options in rows), default=0)
    )
    return [read(prediction, options, cyrillic) for prediction, options in rows]


def match_file(path: Path, rule: str) -> list[float]:
    """What each line's `pred` scores against its `gold`, 0 to 1. Raises RuvlmError."""
    match = MATCHERS[matcher_named(rule)]
    return [
        match(text_field(path, number, row, PREDICTION), text_field(path, number, row, GOLD))
        for number, row in enumerate(read_jsonl(path), 1)
    ]


def _options(path: Path, number: int, row: Row) -> list[str | None]:
    given = row.get("options")
    if isinstance(given, dict) and given and set(given) <= set(LETTERS):
        values = [given.get(letter) for letter in LETTERS]
    elif isinstance(given, list) and 0 < len(given) <= len(LETTERS):
        values = list(given)
    else:
        raise DataError(
            f"{path}, строка {number}: поле «options» = {str(given)[:60]}, а нужен список или объект с буквами {LETTERS}."
        )
    wrong = [value for value in values if not (value is None or isinstance(value, str))]
    if wrong:
        raise DataError(f"{path}, строка {number}: вариант {wrong[0]!r} в «options» – не текст: исправьте строку.")
    while values and values[-1] is None:
        values.pop()
    return values
