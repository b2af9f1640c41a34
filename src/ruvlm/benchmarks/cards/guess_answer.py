"""What the gold answers of a table are: texts, lists of texts, letters, numbers or texts of options."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.card_pictures import RowFault
from ruvlm.benchmarks.cards.card_rows import options_of
from ruvlm.benchmarks.cards.column_roles import option_mark
from ruvlm.benchmarks.cards.guess_table import Values
from ruvlm.benchmarks.cards.raw_rows import RawRow, decoded, missing, texts_of
from ruvlm.benchmarks.cards.read_card import card_of
from ruvlm.errors import DataError
from ruvlm.schema import LETTERS, RUSSIAN_LETTERS

# letters that look like Latin ones, so that their alphabet says nothing
_ALIKE = frozenset("АВСЕНКМОРТХ")
MOST_HIDDEN = 0.3


@dataclass(frozen=True)
class GuessedRows:
    """The rows of a table that is guessed at, with what it is called and where its pictures may be."""

    card: BenchmarkCard
    base: Path
    raws: Sequence[RawRow]

    @property
    def called(self) -> str:
        return f"Карточка {self.card.path}"

    def texts(self, path: str) -> list[str]:
        """A column's values that are there."""
        return [texts_of([value])[0] for raw in self.raws if not missing(value := raw.get(path))]


def answer_of(rows: GuessedRows, guess: Values, column: str, said: dict[str, str]) -> Values:
    golds = [raw.get(column) for raw in rows.raws]
    given = [gold for gold in golds if not missing(gold) and gold != [] and str(gold).strip() not in ("nan", "NaN")]
    hidden = len(golds) - len(given)
    if hidden > MOST_HIDDEN * len(golds):
        raise DataError(
            f"{rows.called}: в столбце {column} ответа нет у {hidden} строк из {len(golds)}: если так и надо, напишите answer.column в "
            "карточке."
        )
    if hidden:
        said["answer"] = f"без ответа строк: {hidden}, они не спрашиваются"
    if "options" in guess["columns"] or "options_fixed" in guess["columns"]:
        return {"column": column, **_choice_form(rows, guess, column)}
    if all(isinstance(gold, list) for gold in given):
        return {"column": column, "form": "texts"}
    lists = [isinstance(gold, str) and is_json_list(gold) for gold in given]
    if all(lists):
        return {"column": column, "form": "texts", "decode": "json"}
    literals = [isinstance(gold, str) and isinstance(decoded(gold, "python"), list) for gold in given]
    if all(literals):
        return {"column": column, "form": "texts", "decode": "python"}
    lists = literals if any(literals) else lists
    if any(lists):
        raise DataError(
            f"{rows.called}: в столбце {column} список у {sum(lists)} ответов из {len(given)}: нужен у всех или ни у одного "
            "(answer.form, answer.decode)."
        )
    return {"column": column, "form": "text"}


def is_json_list(text: str) -> bool:
    if not text.lstrip().startswith("["):
        return False
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _choice_form(rows: GuessedRows, guess: Values, column: str) -> Values:
    """Letters, else the options' texts, else numbers from 0 or from 1: what holds for every gold answer."""
    stand_in = {"answer": {"column": "?", "form": "text"}}
    protocol = {"name": "?", "kind": "short", "prompt": "?", "max_new_tokens": 1, "rules": ["exact"]}
    kept = {key: guess[key] for key in ("schema", "benchmark", "source", "columns")}
    card = card_of({**kept, **stand_in, "protocol": [protocol]}, rows.card.path)
    pairs: list[tuple[str, tuple[str, ...]]] = []
    for raw in rows.raws:
        gold = raw.get(column)
        gold = gold[0] if isinstance(gold, list) and len(gold) == 1 else gold
        if missing(gold) or str(gold).strip() in ("nan", "NaN"):
            continue
        try:
            pairs.append((texts_of([gold])[0].strip(), options_of(card, raw, str(raw.number))))
        except RowFault as fault:
            raise DataError(f"{rows.called}: {fault.said}.") from fault
    if all(len(gold) == 1 and gold.isalpha() for gold, _ in pairs):
        letters = _letters(rows, guess, column, pairs)
        if letters is not None:
            return letters
    if all(options.count(gold) == 1 for gold, options in pairs):
        return {"form": "option"}
    if pairs and all(re.fullmatch(r"\d{1,3}", gold) for gold, _ in pairs):
        places = [(int(gold), len(options)) for gold, options in pairs]
        if any(place == 0 for place, _ in places) and all(place < count for place, count in places):
            return {"form": "index0"}
        if any(place == count for place, count in places) and all(1 <= place <= count for place, count in places):
            return {"form": "index1"}
        far = next((str(place) for place, count in places if place > count), "")
        if far:
            raise _no_option(rows, far, column)
        raise DataError(
            f"{rows.called}: номера в столбце {column} могут быть и с нуля, и с единицы: напишите answer.form = "
            '"index0" или "index1".'
        )
    lettered = sum(_in_range(gold, options) for gold, options in pairs) > sum(o.count(g) == 1 for g, o in pairs)
    wrong = [
        gold for gold, options in pairs if not (_in_range(gold, options) if lettered else options.count(gold) == 1)
    ]
    raise _no_option(rows, wrong[0] if wrong else "", column)


def _in_range(gold: str, options: Sequence[str]) -> bool:
    """Is it a letter of an option, in any alphabet?"""
    place = max(LETTERS.find(gold.upper()), RUSSIAN_LETTERS.find(gold.upper())) if len(gold) == 1 else -1
    return 0 <= place < len(options)


def _no_option(rows: GuessedRows, gold: str, column: str) -> DataError:
    return DataError(
        f"{rows.called}: «{gold[:40]}» в столбце {column} – не буква, не номер и не текст одного из вариантов: исправьте строку "
        "или напишите answer.form."
    )


def _letters(
    rows: GuessedRows, guess: Values, column: str, pairs: Sequence[tuple[str, tuple[str, ...]]]
) -> Values | None:
    """None where some letter is of no option. Raises DataError where the alphabet could be either."""
    golds = {gold.upper() for gold, _ in pairs}
    russian = {gold for gold in golds if is_russian(gold)}
    columns = guess["columns"].get("options", "")
    marks = [option_mark(name) for name in columns] if isinstance(columns, list) else []
    of_columns = {is_russian(mark.upper()) for mark in marks if mark.isalpha()}
    unclear = (
        (russian and russian != golds)
        or (of_columns and of_columns != {bool(russian)})
        or (russian and not of_columns and russian <= _ALIKE)
    )
    if unclear:
        names = {True: "кириллица (Cyrillic)", False: "латиница (Latin)"}
        seen = " и ".join(names[flag] for flag in sorted({is_russian(gold) for gold in golds}))
        beside = " и ".join(names[flag] for flag in sorted(of_columns)) or "букв нет"
        raise DataError(
            f"{rows.called}: буквы ответов в столбце {column} ({', '.join(sorted(golds))}) – {seen}, а у вариантов {beside}: «В» – "
            'третья буква или вторая (Latin B)? Напишите answer.form = "letter" и answer.letters = "A" или "а".'
        )
    alphabet = RUSSIAN_LETTERS if russian else LETTERS
    if any(not -1 < alphabet.find(gold.upper()) < len(options) for gold, options in pairs):
        return None
    return {"form": "letter", "letters": "а"} if russian else {"form": "letter"}


def is_russian(letter: str) -> bool:
    return unicodedata.name(letter[:1], "").startswith("CYRILLIC")
