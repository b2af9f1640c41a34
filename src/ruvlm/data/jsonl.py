"""JSONL as people bring it: every line an object, and one sentence when it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError, because

Row = dict[str, Any]


def read_text(path: Path) -> str:
    """A file of text in UTF-8. Raises DataError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: это не текст в UTF-8 (байт {error.start}): сохраните его в UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path} не удалось прочитать ({because(error)}).") from error


def read_jsonl(path: Path) -> list[Row]:
    """All objects of a file, empty lines left out. Raises DataError naming file and line."""
    text = read_text(path)
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append(_row(path, number, line))
    if not rows:
        raise DataError(f"{path}: файл пуст, оценивать нечего.")
    return rows


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, строка {number}: это не JSON («{line[:60]}»): исправьте строку.") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, строка {number}: «{line[:60]}» – не объект с полями: исправьте строку.")
    return row


def text_field(path: Path, number: int, row: Row, names: tuple[str, ...]) -> str:
    """The first of the named fields that a row has, which must be text. Raises DataError."""
    name = next((name for name in names if name in row), None)
    if name is None:
        raise DataError(
            f"{path}, строка {number}: нет поля {' или '.join(names)} (есть: {', '.join(row) or 'никаких'})."
        )
    if not isinstance(row[name], str):
        raise DataError(f"{path}, строка {number}: поле «{name}» = {row[name]!r}, а нужен текст.")
    return str(row[name])
