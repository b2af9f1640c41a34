"""JSONL as people bring it: every line an object, and one sentence when it is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError, because

Row = dict[str, Any]
_BYTE_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


# what Russian tables were saved in before UTF-8, the usual one first
_CYRILLIC = ("cp1251", "koi8-r", "cp866")


def _old_russian(data: bytes) -> tuple[str, str]:
    """Text and encoding. A short table says little: the usual encoding, unless another one makes much better Russian."""
    usual = data.decode(_CYRILLIC[0]) if _decodes(data, _CYRILLIC[0]) else ""
    if usual and sum(byte > 127 for byte in data[:4096]) < 16:
        return usual, _CYRILLIC[0]
    others = [(data.decode(name), name) for name in _CYRILLIC[1:] if _decodes(data, name)]
    likeliest = max(others, key=lambda pair: _russian(pair[0]), default=("", ""))
    if _russian(likeliest[0]) > _russian(usual) + 0.4:
        return likeliest
    return data.decode(_CYRILLIC[0]), _CYRILLIC[0]


def _damaged(data: bytes) -> bool:
    """Is it UTF-8 all the same, with a few bytes spoilt? No old Russian text is read as that."""
    text = data.decode("utf-8", "replace")
    return text.count("\ufffd") * 10 < sum(not sign.isascii() for sign in text)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _russian(text: str) -> float:
    """How Russian a text looks: the share of its letters that are the commonest ones, in lower case."""
    letters = [sign for sign in text[:20_000] if not sign.isascii()]
    return sum(sign in "оеаинтсрвлкмдпуяыьг" for sign in letters) / max(1, len(letters))


def read_text(path: Path) -> str:
    """A file of text in UTF-8 or, with its mark, UTF-16. Raises DataError."""
    return decoded(path)[0]


def decoded(path: Path, cyrillic: bool = False) -> tuple[str, str]:
    """A file's text and its encoding; with `cyrillic`, an old Russian one where it is no UTF-8. Raises DataError."""
    try:
        data = path.read_bytes()
        encoding = next((name for mark, name in _BYTE_MARKS if data.startswith(mark)), "utf-8")
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            if not cyrillic or encoding != "utf-8" or _damaged(data):
                raise
            return _old_russian(data)
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        line = data[:place].count(b"\n") + 1
        raise DataError(
            f"{path}, строка {line}: это не текст в UTF-8 (байт {place}): сохраните его в UTF-8."
        ) from error
    except OSError as error:
        raise DataError(f"{path} не удалось прочитать ({because(error)}).") from error


class TwiceError(Exception):
    """A key that an object has twice, with different values."""


def once(pairs: Sequence[tuple[str, Any]]) -> Row:
    """A JSON object whose keys are each named once: for `object_pairs_hook`. Raises TwiceError."""
    row = dict(pairs)
    if len(row) != len(pairs):
        for name, value in pairs:
            if row[name] != value:
                raise TwiceError(name)
    return row


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
        row = json.loads(line, object_pairs_hook=once)
    except TwiceError as error:
        raise DataError(f"{path}, строка {number}: поле «{error}» названо дважды: оставьте одно.") from error
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
