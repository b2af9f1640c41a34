"""A table of answers as rows, whatever file people bring: JSON of every build, CSV with its delimiters and encodings, xlsx.

No row is lost or doubled without a word: what can't be read for certain is refused with its line, what was dropped or
guessed is in `notes`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.data.jsonl import Row, TwiceError, decoded, once, read_jsonl, read_text
from ruvlm.errors import DataError

DELIMITED = (".csv", ".tsv", ".txt", ".tab")
_DELIMITERS = (",", ";", "\t", "|")
_BETWEEN = re.compile(r"[\s,]*")
_LISTS = ("data", "predictions", "results", "rows", "samples", "questions", "annotations", "outputs", "items")


@dataclass(frozen=True)
class Table:
    """Rows with the line of the file that each begins at (from 1), and what a reader should know of how they were read."""

    rows: list[Row]
    lines: list[int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoValue:
    """A cell whose value the file does not hold: a formula that was never computed."""

    cell: str
    formula: str


def read_table(path: Path) -> Table:
    """Every row of a file. Raises DataError naming file and line."""
    suffix = path.suffix.lower()
    if suffix in (".xlsx", ".xlsm"):
        from ruvlm.data.spreadsheet import read_spreadsheet

        return read_spreadsheet(path)
    if suffix in (".xls", ".ods", ".pkl", ".pickle"):
        raise DataError(f"{path}: формат {suffix} не читается: сохраните таблицу в xlsx, CSV или JSONL.")
    if suffix == ".parquet":
        return _parquet(path)
    table = read_delimited(path, suffix) if suffix in DELIMITED else _json(path)
    if not table.rows:
        raise DataError(f"{path}: файл пуст, оценивать нечего.")
    return table


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if name not in ("image", "images")]
        rows: list[Row] = file.read(columns=columns).to_pylist()
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{path}: это не parquet или он повреждён ({error}).") from error
    if not rows:
        raise DataError(f"{path}: файл пуст, оценивать нечего.")
    return Table(rows, list(range(1, len(rows) + 1)))


# --- JSON


def _json(path: Path) -> Table:
    """Lines of objects; else one array, one object by ids, or objects one after another over several lines."""
    text = read_text(path)
    head = text.lstrip()
    lines = [line for line in text.split("\n") if line.strip()]
    if not head:
        return Table([], [])
    if head[0] in "[{" and not (head[0] == "{" and _parses(lines[0])):
        return _document(path, text)
    if head[0] == "{" and len(lines) == 1:
        return _document(path, text)
    rows = read_jsonl(path)
    numbers = [number for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return Table(rows, numbers)


def _parses(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _document(path: Path, text: str) -> Table:
    values, starts, decoder = [], [], json.JSONDecoder(object_pairs_hook=once)
    place = _BETWEEN.match(text).end()  # type: ignore[union-attr]
    line, counted = 1, 0
    try:
        while place < len(text):
            line, counted = line + text.count("\n", counted, place), place
            value, end = decoder.raw_decode(text, place)
            values.append(value)
            starts.append(line)
            place = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]
    except RecursionError as error:
        raise DataError(f"{path}: JSON вложен слишком глубоко: это не таблица ответов.") from error
    except TwiceError as error:
        raise DataError(f"{path}: поле «{error}» в одной записи названо дважды: оставьте одно.") from error
    except ValueError as error:
        line = text.count("\n", 0, getattr(error, "pos", place)) + 1
        shown = text.split("\n")[line - 1][:60]
        raise DataError(f"{path}, строка {line}: это не JSON («{shown}»): исправьте строку.") from error
    rows = _records(values[0]) if len(values) == 1 else values
    lines = starts if len(values) > 1 else list(range(1, len(rows) + 1))
    wrong = next((n for n, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise DataError(
            f"{path}, строка {lines[wrong]}: «{str(rows[wrong])[:60]}» – не объект с полями: нужен список объектов."
        )
    return Table(rows, lines)


def _records(value: Any) -> list[Any]:
    """The rows of one document: a list, the list in an object, an object by ids, or one record."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return [value]
    held = [
        name
        for name in _LISTS
        if isinstance(value.get(name), list) and value[name] and isinstance(value[name][0], dict)
    ]
    if len(held) == 1:
        return list(value[held[0]])
    if value and all(isinstance(one, dict) for one in value.values()):
        keys = [tuple(one) for one in value.values()]
        if (
            len(set(keys)) == 1 and len(value) > 1 and all(key.isdigit() for key in keys[0])
        ):  # pandas' to_json, by columns
            return [{name: column[key] for name, column in value.items()} for key in keys[0]]
        return [{"id": key, **one} for key, one in value.items()]
    if value and all(
        isinstance(one, str | int | float | list) and key.strip("n-").isdigit() for key, one in value.items()
    ):
        return [{"id": key, "prediction": one} for key, one in value.items()]
    return [value]


# --- CSV and TSV


def read_delimited(path: Path, suffix: str, delimiter: str = "", encoding: str = "") -> Table:
    """A table of text. Its delimiter and its encoding are told by the file where they are not given. Raises DataError."""
    text, encoding = _in_encoding(path, encoding) if encoding else decoded(path, cyrillic=True)
    notes = [f"кодировка {encoding}"] if not encoding.startswith("utf") else []
    if "\n" not in text:
        text = text.replace("\r", "\n")
    skipped = 0
    if text.startswith("sep=") and "\n" in text:  # what Excel reads the delimiter from
        text, skipped = text[text.index("\n") + 1 :], 1
    delimiter = delimiter or _delimiter(text, suffix)
    csv.field_size_limit(1 << 30)  # VLMEvalKit's tables may carry whole pictures in a column
    records = [(line + skipped, cells) for line, cells in _records_of(path, text, delimiter)]
    if not records:
        return Table([], [])
    _, header = records[0]
    names = [name.strip() for name in header]
    body, repeated, blank = [], 0, 0
    for line, cells in records[1:]:
        if cells == header:
            repeated += 1
        elif not any(cell.strip() for cell in cells):
            blank += 1
        elif len(cells) != len(names):
            raise DataError(
                f"{path}, строка {line}: полей {len(cells)}, а в заголовке {len(names)}: проверьте кавычки и разделитель «{delimiter}»."
            )
        else:
            body.append((line, cells))
    _refuse_swallowed(path, body, delimiter)
    notes += [f"повторённых строк заголовка пропущено: {repeated}"] if repeated else []
    notes += [f"пустых строк таблицы пропущено: {blank}"] if blank else []
    several = [line for line, cells in body if any("\n" in cell.strip() for cell in cells)]
    notes += [f"строк таблицы с ячейками в несколько строк: {len(several)} (первая – {several[0]})"] if several else []
    rows = [named(path, names, cells) for _, cells in body]
    return Table(rows, [line for line, _ in body], tuple(notes))


def layout_of(path: Path) -> tuple[str, str, tuple[str, ...]]:
    """The delimiter, the encoding and the columns of a table of text, as `read_delimited` tells them. Raises DataError."""
    text, encoding = decoded(path, cyrillic=True)
    if text.startswith("sep=") and "\n" in text:
        text = text[text.index("\n") + 1 :]
    delimiter = _delimiter(text, path.suffix.lower())
    csv.field_size_limit(1 << 30)
    records = _records_of(path, text if "\n" in text else text.replace("\r", "\n"), delimiter)
    header = next((cells for _, cells in records), [])
    return delimiter, encoding, tuple(name.strip() for name in header)


def _in_encoding(path: Path, encoding: str) -> tuple[str, str]:
    try:
        return path.read_bytes().decode(encoding), encoding
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, строка {line}: байт {error.start} не читается в {encoding}: укажите другую кодировку."
        ) from error
    except LookupError as error:
        raise DataError(f"{path}: кодировки «{encoding}» нет, бывает utf-8, cp1251, utf-16.") from error


def named(path: Path, names: Sequence[str], cells: Sequence[Any]) -> Row:
    """A row by its header; two columns of one name must agree."""
    row: Row = {}
    for name, cell in zip(names, cells, strict=True):
        if name in row and row[name] != cell:
            raise DataError(f"{path}: столбец «{name}» назван дважды, и значения различаются: оставьте один.")
        if name:
            row[name] = cell
    return row


def _delimiter(text: str, suffix: str) -> str:
    """The sign that parts the header's names: a tab in .tsv, else the one that stands there most often."""
    head = text.split("\n", 1)[0]
    counts = {sign: head.count(sign) for sign in _DELIMITERS}
    if suffix in (".tsv", ".tab") and counts["\t"]:
        return "\t"
    best = max(_DELIMITERS, key=lambda sign: counts[sign])
    return best if counts[best] else ("\t" if suffix == ".tsv" else ",")


def _records_of(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records of a file with the line each begins at; a quote that is opened and never closed is an error."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, строка {start}: кавычка открыта и не закрыта или стоит посреди ячейки ({error}): удвойте её внутри "
            "ячейки, закройте или сохраните файл в JSONL."
        ) from error


def _refuse_swallowed(path: Path, body: Sequence[tuple[int, list[str]]], delimiter: str) -> None:
    """Raise DataError where a stray quote has swallowed whole rows: lines inside a cell go on with the file's numbering.

    A cell of several lines is ordinary, also one with a list in it; what no answer holds by chance are the ids that are
    missing from the file, or, without numbers, cells that the file's own columns hold.
    """
    width = len(body[0][1]) if body else 0
    if width < 2 or not any("\n" in cell for _, cells in body for cell in cells):
        return
    known = [{cells[n] for _, cells in body if "\n" not in cells[n]} for n in range(width)]
    numeric = [bool(values) and all(value.strip().isdigit() for value in values) for values in known]
    for line, cells in body:
        for cell in cells:
            for piece in cell.split("\n")[1:]:
                parts = piece.rstrip("\r").split(delimiter)
                if len(parts) == width and _looks_like_row(parts, numeric, known):
                    raise DataError(
                        f"{path}, строка {line}: в ячейке целая строка таблицы («{piece[:40]}»): кавычка закрыта не там; "
                        "исправьте её или сохраните файл в JSONL."
                    )


def _looks_like_row(parts: Sequence[str], numeric: Sequence[bool], known: Sequence[set[str]]) -> bool:
    """Are its numbers where the file's are, and new; or, in a file without numbers, is it parted as no sentence is, without blanks?"""
    if not any(numeric):
        bare = all(part.strip() and not part[:1].isspace() for part in parts)
        return (bare and len(parts) > 1) or any(
            part and part in values for part, values in zip(parts, known, strict=True)
        )
    numbers = [(part.strip(), values) for part, number, values in zip(parts, numeric, known, strict=True) if number]
    if not all(part.isdigit() for part, _ in numbers):
        return False
    return any(part not in values for part, values in numbers)


def name_counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows have each field, in the order of first appearance."""
    return dict(Counter(name for row in rows for name in row))
