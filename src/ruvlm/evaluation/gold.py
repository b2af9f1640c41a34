"""Gold answers of a choice as option letters, in whatever dress a table has them: decided over all of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.errors import DataError
from ruvlm.rules.cleaning import plain
from ruvlm.schema import LETTERS, RUSSIAN_LETTERS

_LOOKALIKES = str.maketrans("АВСЕ", "ABCE")
# letters of the Russian alphabet that no Latin one looks like
_ONLY_RUSSIAN = tuple(letter for letter in RUSSIAN_LETTERS if letter not in "АВЕКМНОРСТУХ")
_ALPHABET = str.maketrans(RUSSIAN_LETTERS, LETTERS)


@dataclass(frozen=True)
class Marked:
    """One row's gold answer as it stands, among its options; `number` is its line."""

    number: int
    gold: str
    options: tuple[str | None, ...]

    @property
    def letters(self) -> list[str]:
        """The letters of the options that the row has."""
        return [letter for letter, option in zip(LETTERS, self.options, strict=False) if option is not None]


@dataclass(frozen=True)
class Lettering:
    """The letter of every row, how it was read where that is not plain, and the number of the first option if golds were numbers.

    `cyrillic`: the letters were А, Б, В, Г.
    """

    letters: list[str]
    note: str | None = None
    cyrillic: bool = False
    first: int | None = None


def gold_letters(path: Path, rows: Sequence[Marked], cyrillic: bool) -> Lettering | None:
    """Letters for a table whose rows have options; None for one without any.

    `cyrillic`: the options' columns are А, Б, В, Г. Raises DataError for what fits nothing, or two things at once.
    """
    if not any(row.options for row in rows):
        return None
    bare = next((row for row in rows if not row.options), None)
    if bare is not None:
        raise DataError(
            f"{path}, строка {bare.number}: нет вариантов, а в других строках они есть: оцените эти строки отдельным файлом."
        )
    as_text = [_by_text(row) for row in rows]
    numbers = [_number(row.gold) for row in rows]
    if all(number is not None for number in numbers):
        return _numbered(path, rows, [number or 0 for number in numbers], as_text)
    russian = cyrillic or any(_letter(row.gold) in _ONLY_RUSSIAN for row in rows)
    if not russian:
        _refuse_unclear(path, rows)
    letters = []
    for row, text in zip(rows, as_text, strict=True):
        letter = _letter(row.gold).translate(_ALPHABET if russian else _LOOKALIKES)
        letter = letter if letter in row.letters and len(letter) == 1 else text
        if not letter:
            raise DataError(
                f"{path}, строка {row.number}: верный ответ «{row.gold}» не входит в варианты {', '.join(row.letters)}: исправьте "
                "строку. Если это короткие ответы, уберите столбцы вариантов."
            )
        letters.append(letter)
    return Lettering(letters, _dress(rows, letters, russian), russian)


def _letter(gold: str) -> str:
    """«B», «b)», «(B).», « B » → B; anything longer as it is."""
    return plain(gold).strip().strip("().:[]«»\"' ").upper()


def _by_text(row: Marked) -> str:
    """The letter of the one option that the gold answer repeats."""
    wanted = _folded(row.gold)
    same = [
        letter
        for letter, option in zip(LETTERS, row.options, strict=False)
        if option is not None and _folded(option) == wanted
    ]
    return same[0] if len(same) == 1 else ""


def _folded(text: str) -> str:
    return " ".join(plain(text).lower().replace("ё", "е").split()).rstrip(" .")


def _number(gold: str) -> int | None:
    text = gold.strip().removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 else None


def _numbered(path: Path, rows: Sequence[Marked], numbers: Sequence[int], as_text: Sequence[str]) -> Lettering:
    """Numbers of options, from 0 or from 1, or numbers that are the options themselves."""
    readings = {}
    for first in (0, 1):
        places = [number - first for number in numbers]
        if all(
            0 <= place < len(row.options) and row.options[place] is not None
            for place, row in zip(places, rows, strict=True)
        ):
            readings[f"номера вариантов с {'нуля' if first == 0 else 'единицы'}"] = [LETTERS[place] for place in places]
    if all(as_text):
        readings["сами варианты"] = list(as_text)
    if not readings:
        fits = [
            0 < number <= len(row.options) or (number == 0 and 0 not in numbers)
            for row, number in zip(rows, numbers, strict=True)
        ]
        wrong = rows[max(range(len(rows)), key=lambda n: (not fits[n], numbers[n]))]
        raise DataError(
            f"{path}, строка {wrong.number}: верный ответ «{wrong.gold}» – не номер варианта и не вариант ({len(wrong.options)} вариантов): "
            "исправьте строку."
        )
    if len({tuple(letters) for letters in readings.values()}) > 1:
        raise DataError(
            f"{path}: верные ответы – числа ({', '.join(sorted({row.gold.strip() for row in rows})[:5])}), и понять их можно "
            f"по-разному: {', '.join(readings)}. Замените их буквами A, B, C, D."
        )
    how, letters = next(iter(readings.items()))
    start = {"номера вариантов с нуля": 0, "номера вариантов с единицы": 1}.get(how)
    return Lettering(letters, f"верные ответы прочитаны как {how}", first=start)


def _refuse_unclear(path: Path, rows: Sequence[Marked]) -> None:
    """Russian А and В alone: is В the third option or a B that looks the same?"""
    said = {_letter(row.gold) for row in rows if len(_letter(row.gold)) == 1}
    if (
        "В" in said
        and not said & {*"СЕ", *LETTERS}
        and any("C" in row.letters for row in rows if _letter(row.gold) == "В")
    ):
        raise DataError(
            f"{path}: верные ответы – русские буквы {', '.join(sorted(said))}, и «В» может значить и B, и третий вариант: "
            "замените их латинскими A, B, C, D."
        )


def _dress(rows: Sequence[Marked], letters: Sequence[str], russian: bool) -> str | None:
    """What had to be done to read the letters, in words."""
    dressed = sum(row.gold != letter for row, letter in zip(rows, letters, strict=True))
    if not dressed:
        return None
    how = (
        "русские буквы А, Б, В, Г по порядку вариантов" if russian else "буквы в другом написании или тексты вариантов"
    )
    return f"верных ответов прочитано как {how}: {dressed}"
