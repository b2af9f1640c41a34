"""Logs of other evaluation tools as plain rows: lmms-eval's samples, VLMEvalKit's spreadsheets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruvlm.data.jsonl import Row
from ruvlm.errors import DataError


def is_lmms_sample(row: Row) -> bool:
    """Is a line one of lmms-eval's `--log_samples`?"""
    return "doc_id" in row and ("filtered_resps" in row or "resps" in row)


def from_lmms(path: Path, number: int, row: Row) -> Row:
    """A sample of lmms-eval as id, prediction, gold and, where the task logs them, options and category.

    `doc_id` is the row's place in the data set, not its id, and is left out. Raises DataError.
    """
    answer = row.get("filtered_resps", row.get("resps"))
    while isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, str):
        raise DataError(f"{path}, строка {number}: поле «filtered_resps» = {answer!r}, а нужен текст.")
    document = row["doc"] if isinstance(row.get("doc"), dict) else {}
    # a task's own record of the sample: MMBench keeps the options there
    record = next((value for value in row.values() if isinstance(value, dict) and "prediction" in value), {})
    known: dict[str, Any] = {**document, **record}
    found: Row = {key: known[key] for key in ("A", "B", "C", "D", "E", "category", "imageId") if key in known}
    found["l2-category"] = known.get("l2-category", known.get("L2-category"))
    identity = next((key for key in ("id", "index", "question_id") if key in known), None)
    if identity is not None:
        found["id"] = known[identity]
    return {**found, "prediction": answer, "gold": known.get("answer", row.get("target"))}


def read_spreadsheet(path: Path) -> list[Row]:
    """The first sheet of an xlsx, a row of text cells for each line under the header. Raises DataError."""
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except (OSError, BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise DataError(f"{path}: это не таблица xlsx или она повреждена ({error}).") from error
    lines = book.worksheets[0].iter_rows(values_only=True)
    header = [None if name is None else str(name) for name in next(lines, ())]
    rows = [
        {name: _cell(value) for name, value in zip(header, line, strict=False) if name is not None}
        for line in lines
        if any(value is not None for value in line)
    ]
    book.close()
    if not rows:
        raise DataError(f"{path}: таблица пуста, оценивать нечего.")
    return rows


def _cell(value: Any) -> str:
    """Text of a cell; a whole number without its «.0»."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
