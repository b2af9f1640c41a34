"""Options of multiple-choice rows, however a table has them: columns, a list, an object, text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruvlm.data.answer_tables import name_counts
from ruvlm.data.jsonl import Row
from ruvlm.errors import DataError
from ruvlm.files import sound
from ruvlm.schema import LETTERS, RUSSIAN_LETTERS

_OPTION_NAMES = (
    "options",
    "choices",
    "варианты",
    "варианты ответа",
    "candidates",
    "answer_choices",
    "multiple_choices",
    "choices_text",
    "variants",
    "multi-choice options",
    "endings",
)
# «A», «option_a», «choice 1», «Вариант Б», «(A)», «A_text»
_OPTION_COLUMN = re.compile(
    r"^(option|opt|choice|вариант|mc|answer_option)?[ _-]?\(?([a-zа-я]|\d{1,2})\)?[.)]?(?:_text)?$"
)
_OPTION_LINE = re.compile(r"^\s*\(?([A-ZА-Я]|\d{1,2})\s*[).:]\s*(.+?)\s*$")
_ALPHABETS = (
    tuple(LETTERS.lower()),
    tuple(RUSSIAN_LETTERS.lower()),
    ("а", "в", "с", "д", "e"),
    tuple(map(str, range(len(LETTERS)))),
    tuple(map(str, range(1, len(LETTERS) + 1))),
)
_NEAR = 5
_INLINE = re.compile(r"(?:^|\s)\(?([A-Z])[).:]\s+")


def option_columns(rows: Sequence[Row]) -> tuple[str, ...] | None:
    """The names of the columns that hold options, in letter order; None where there are none."""
    series: dict[str, dict[str, str]] = {}
    for name in name_counts(rows):
        match = _OPTION_COLUMN.match(name)
        if match is not None and (match[1] or not match[2].isdigit()):
            series.setdefault(match[1] or "", {}).setdefault(match[2], name)
    for columns in series.values():
        for alphabet in _ALPHABETS:
            run = list(takewhile(columns.__contains__, alphabet))
            # a column «D» without a «C» is no option; one called «x» is none either, and harms nothing
            if len(run) > 1 and not any(mark in columns for mark in alphabet[len(run) : _NEAR]):
                return tuple(columns[mark] for mark in run)
        folded = {mark.translate(_ALIKE): name for mark, name in columns.items()}  # А, В, С, D: look-alikes
        if {"a", "b"} <= set(folded):
            return tuple(folded[mark] for mark in takewhile(folded.__contains__, _ALPHABETS[0]))
    return None


_ALIKE = str.maketrans("авсе", "abce")
_BY_LETTER = MappingProxyType(
    {**{letter: n for n, letter in enumerate(LETTERS)}, **{letter: n for n, letter in enumerate(RUSSIAN_LETTERS)}}
)


def options_of(path: Path, number: int, row: Row, letters: tuple[str, ...] | None) -> tuple[str | None, ...]:
    """Options as a list, an object by letters or numbers, either of them as text, or columns; () where there are none.

    Raises DataError for a field of options that cannot be read, and for more of them than there are letters.
    """
    name = next((name for name in _OPTION_NAMES if not is_missing(row.get(name)) and row[name] != []), None)
    if name is not None:
        values = option_values(row[name])
        if values is None:
            raise DataError(
                f"{path}, строка {number}: варианты в поле «{name}» = {str(row[name])[:60]} не понять: нужен список, объект по буквам или "
                "столбцы A, B, C, D."
            )
    elif letters is not None:
        values = [row.get(column) for column in letters]
    else:
        return ()
    options = [None if is_missing(value) or str(value).strip() == "nan" else as_text(value) for value in values]
    while options and options[-1] is None:
        options.pop()
    if len(options) > len(LETTERS):
        raise DataError(
            f"{path}, строка {number}: вариантов {len(options)}, а здесь читаются до {len(LETTERS)} ({LETTERS[0]}…{LETTERS[-1]}): "
            "оцените такие строки отдельно."
        )
    return tuple(options)


def option_values(given: Any) -> list[Any] | None:
    """A field of options as a list in letter order; None for what cannot be read."""
    if isinstance(given, str):
        given = _parsed_options(given)
    if isinstance(given, dict) and isinstance(given.get("text"), list):  # ARC's and ScienceQA's {label, text}
        given = given["text"]
    if isinstance(given, list):
        return list(given)
    if not isinstance(given, dict):
        return None
    marks = [str(key).strip().strip("().: ").upper() for key in given]
    if all(mark.isdigit() for mark in marks):
        first = min(map(int, marks))
        places = {int(mark) - first: value for mark, value in zip(marks, given.values(), strict=True)}
    elif all(mark in _BY_LETTER for mark in marks):
        places = {_BY_LETTER[mark]: value for mark, value in zip(marks, given.values(), strict=True)}
    else:
        return None
    return [places.get(n) for n in range(max(places) + 1)] if places else None


def _parsed_options(text: str) -> Any:
    """Options in a cell: JSON (also with single quotes), or a line each, «A. кот», or all in one line."""
    stripped = text.strip()
    if stripped[:1] in "[{(":
        import ast

        for read in (json.loads, ast.literal_eval):
            try:
                value = read(stripped)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(value, list | dict | tuple):
                return list(value) if isinstance(value, tuple) else value
    rows = [line for line in stripped.split("\n") if line.strip()]
    lines = [_OPTION_LINE.match(line) for line in rows]
    listed = [line for line in lines if line]
    if len(listed) == len(rows) > 1 and _counts(tuple(line[1].lower() for line in listed)):
        return {line[1]: line[2] for line in listed}
    inline = _inline_options(stripped)
    if len(inline) > 1:
        return inline
    for parts in (rows, re.split(r"[;|]", stripped)):
        if len(parts) > 1:
            return [part.strip() for part in parts]
    return None


def _counts(marks: tuple[str, ...]) -> bool:
    """Do they count from the first on, in any alphabet or by numbers? «М. Горький, И. Бунин» are no list of letters."""
    return any(marks == alphabet[: len(marks)] for alphabet in _ALPHABETS)


def _inline_options(text: str) -> list[str]:
    """«A. кот B. пёс»: what stands between the letters in their order; none where the text does not open with the first."""
    marks: list[re.Match[str]] = []
    for mark in _INLINE.finditer(text):
        if len(marks) < len(LETTERS) and mark[1] == LETTERS[len(marks)]:
            marks.append(mark)
    if not marks or text[: marks[0].start()].strip():
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]


def is_missing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def as_text(value: Any) -> str:
    """An option as text; a whole number without its «.0»."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return sound(str(value))
