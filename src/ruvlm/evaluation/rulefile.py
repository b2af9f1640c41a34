"""A rule applied to a file, line by line: how each answer is read, whether each pair matches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruvlm.benchmarks.catalog import matcher_named, reader_named
from ruvlm.data.jsonl import Row, read_jsonl, text_field
from ruvlm.errors import DataError
from ruvlm.rules.named import OPTIONLESS, READERS, best_match
from ruvlm.rules.parse import Reading
from ruvlm.rules.parse_ru import writes_cyrillic
from ruvlm.schema import LETTERS

PREDICTION = ("prediction", "pred")
GOLD = ("gold", "golds", "answer")
# what an official rule is shown beside
RUSSIAN_MATCHER, RUSSIAN_READER = "exact-ru", "letters-ru"


@dataclass(frozen=True)
class ReadLine:
    """How a line's answer is read by the rule that was asked for, and by ours."""

    reading: Reading
    russian: Reading


@dataclass(frozen=True)
class MatchedLine:
    """What a line's answer scores under the rule that was asked for, 0 to 1, and under ours."""

    score: float
    russian: float


def parse_file(path: Path, rule: str) -> list[ReadLine]:
    """Each line's `prediction` read among its `options` (an object by letters, or a list) or `n_options`. Raises RuvlmError."""
    name = reader_named(rule)
    read, ours = READERS[name], READERS[RUSSIAN_READER]
    rows = [
        (text_field(path, number, row, PREDICTION), _options(path, number, row, name in OPTIONLESS))
        for number, row in enumerate(read_jsonl(path), 1)
    ]
    cyrillic = writes_cyrillic(
        (prediction for prediction, _ in rows), max((len(options) for _, options in rows), default=0)
    )
    return [
        ReadLine(read(prediction, options, cyrillic), ours(prediction, options, cyrillic))
        for prediction, options in rows
    ]


def match_file(path: Path, rule: str) -> list[MatchedLine]:
    """What each line's `pred` scores against its `gold`, a text, a number or a list of them. Raises RuvlmError."""
    rules = (matcher_named(rule), RUSSIAN_MATCHER)
    return [
        MatchedLine(*best_match(rules, text_field(path, number, row, PREDICTION), _golds(path, number, row)))
        for number, row in enumerate(read_jsonl(path), 1)
    ]


def _golds(path: Path, number: int, row: Row) -> list[str]:
    name = next((name for name in GOLD if name in row), GOLD[0])
    values = row.get(name)
    golds = values if isinstance(values, list) else [values]
    if not golds or not all(isinstance(gold, str | int | float) and not isinstance(gold, bool) for gold in golds):
        raise DataError(
            f"{path}, строка {number}: поле «{name}» = {str(values)[:60]}, а нужен текст, число или непустой список их."
        )
    return [str(gold) for gold in golds]


def _options(path: Path, number: int, row: Row, needless: bool) -> list[str | None]:
    given, count = row.get("options"), row.get("n_options")
    if given is None and (needless or (isinstance(count, int) and 0 < count <= len(LETTERS))):
        # options without their texts: nothing that an answer could hold
        return [f"\0{letter}" for letter in LETTERS[: count if isinstance(count, int) else len(LETTERS)]]
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
