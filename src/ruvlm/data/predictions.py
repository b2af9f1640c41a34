"""Files of predictions as people have them: JSONL, CSV, TSV, xlsx in the common spellings, logs of other tools."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.data.jsonl import Row, read_jsonl, read_text
from ruvlm.data.tool_logs import from_lmms, is_lmms_sample, read_spreadsheet
from ruvlm.errors import DataError
from ruvlm.schema import LETTERS

PREDICTION = ("prediction", "pred", "response", "output")
GOLD = ("gold", "reference", "target", "ground_truth", "answer")
IDENTITY = ("id", "index", "question_id", "questionId")
CLUSTER = ("imageId", "image_id", "image")
_LLAVA = ("question_id", "text")


@dataclass(frozen=True)
class Line:
    """One line of a file. `number` counts from 1; a field that the file does not have is None."""

    number: int
    identity: str | None
    prediction: str | None
    gold: str | None
    cluster: str | None
    options: tuple[str | None, ...]
    category: str | None
    l2: str | None


@dataclass(frozen=True)
class Fields:
    """Which columns of a file carry what."""

    identity: str | None
    prediction: str | None
    gold: str | None
    cluster: str | None


def read_lines(path: Path, predicted: bool = True) -> list[Line]:
    """Every line of a predictions file, or with `predicted` false of a file of gold answers.

    Raises DataError naming file, line and field; two columns that might both be meant are a question, not a guess.
    """
    rows = _rows(path)
    fields = _fields(path, rows, predicted)
    lines = [_line(path, number, row, fields) for number, row in enumerate(rows, 1)]
    if fields.identity is not None:
        twice = [name for name, count in Counter(line.identity for line in lines).items() if count > 1]
        if twice:
            raise DataError(
                f"{path}: id «{twice[0]}» встречается не раз (всего таких {len(twice)}): оставьте по строке."
            )
    return lines


def _rows(path: Path) -> list[Row]:
    if path.suffix.lower() == ".xlsx":
        return read_spreadsheet(path)
    if path.suffix.lower() not in (".csv", ".tsv"):
        found = read_jsonl(path)
        if not is_lmms_sample(found[0]):
            return found
        return [from_lmms(path, number, row) for number, row in enumerate(found, 1)]
    text = read_text(path)
    csv.field_size_limit(1 << 30)  # VLMEvalKit's tables may carry whole pictures in a column
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    rows: list[Row] = []
    for number, row in enumerate(reader, 1):
        if None in row or None in row.values():
            raise DataError(f"{path}, строка {number}: полей не столько, сколько в заголовке: проверьте кавычки.")
        rows.append(dict(row))
    if not rows:
        raise DataError(f"{path}: файл пуст, оценивать нечего.")
    return rows


def _fields(path: Path, rows: Sequence[Row], predicted: bool) -> Fields:
    first = rows[0]
    identity = _column(path, rows, IDENTITY, "id")
    prediction = _column(path, rows, PREDICTION, "ответа модели") if predicted else None
    if predicted and prediction is None and all(name in first for name in _LLAVA):
        prediction = "text"
    gold = _column(path, rows, tuple(name for name in GOLD if name != prediction), "верного ответа")
    if predicted and prediction is None:
        raise DataError(
            f"{path}: нет поля ответа модели (ищу {', '.join(PREDICTION)}; в строке 1 есть {', '.join(first)}): "
            "переименуйте поле."
        )
    cluster = next((name for name in CLUSTER if all(isinstance(row.get(name), str | int) for row in rows)), None)
    return Fields(identity, prediction, gold, cluster)


def _column(path: Path, rows: Sequence[Row], names: tuple[str, ...], what: str) -> str | None:
    there = [name for name in names if name in rows[0]]
    if len(there) > 1 and any(len({str(row.get(name)) for name in there}) > 1 for row in rows):
        raise DataError(f"{path}: полей {what} несколько ({', '.join(there)}), и они различаются: оставьте одно.")
    return there[0] if there else None


def _line(path: Path, number: int, row: Row, fields: Fields) -> Line:
    def text(name: str | None, kinds: tuple[type, ...] = (str,)) -> str | None:
        if name is None:
            return None
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise DataError(f"{path}, строка {number}: поле «{name}» = {value!r}, а нужен текст.")
        return str(value)

    category, l2 = _label(row, ("category",)), _label(row, ("l2-category", "L2-category", "l2_category"))
    name = (str, int)
    return Line(
        number, text(fields.identity, name), text(fields.prediction), text(fields.gold), text(fields.cluster, name),
        _options(row), category, l2,
    )  # fmt: skip


def _label(row: Row, names: tuple[str, ...]) -> str | None:
    """The first of the named columns that says something."""
    return next((str(row[name]) for name in names if isinstance(row.get(name), str) and row[name]), None)


def _options(row: Row) -> tuple[str | None, ...]:
    """Options as a list, an object by letters, or columns A, B, C, D; () where there are none."""
    given = row.get("options")
    if isinstance(given, list):
        return tuple(str(option) for option in given)
    source = given if isinstance(given, dict) else row
    values = [source.get(letter) for letter in LETTERS]
    found = [None if value is None or str(value).strip() in ("", "nan") else str(value) for value in values]
    while found and found[-1] is None:
        found.pop()
    return tuple(found)
