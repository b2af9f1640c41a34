"""What a card leaves out, or a table without one: columns, gold answers and prompts guessed from the rows, each with its reason."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.card_pictures import PictureFinder, RowFault, picture_bytes, picture_of
from ruvlm.benchmarks.cards.card_rows import place_of
from ruvlm.benchmarks.cards.card_text import card_text
from ruvlm.benchmarks.cards.column_roles import Roles, roles_of
from ruvlm.benchmarks.cards.guess_answer import GuessedRows, answer_of, is_json_list, is_russian
from ruvlm.benchmarks.cards.guess_table import MERA, Values, guess_source, picture_folders, source_card
from ruvlm.benchmarks.cards.raw_rows import files_of, listed, missing, raw_rows, texts_of
from ruvlm.benchmarks.cards.read_card import card_of, card_values
from ruvlm.errors import DataError
from ruvlm.rules.official import match_numeric

# so many folders are looked through for the pictures of a table
MOST_FOLDERS = 50
SECTIONS = ("columns", "answer", "protocol")
ORDER = (
    "schema",
    "benchmark",
    "source",
    "columns",
    "answer",
    "rotation",
    "axes",
    "statistics",
    "protocol",
    "published",
    "submission",
)
ROTATION = 1_000_000
_MERA_RULES = {"choice": ["mera-em", "letters-ru", "letters-vlmevalkit"], "short": ["mera-em", "exact", "exact-ru"]}


@dataclass(frozen=True, kw_only=True)
class OpenedCard:
    """A card, and where part of it was guessed, all of it as its file would say it, with the reasons by key."""

    card: BenchmarkCard
    guessed: Values | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    def text(self, out: Path | None = None) -> str:
        """The whole card as its file would say it, in the file `out` where one is meant. Empty for a card that was all there."""
        if self.guessed is None:
            return ""
        source = dict(self.guessed["source"])
        if out is not None and "path" in source:
            source["path"] = os.path.relpath(self.card.folder / source["path"], out.parent)
        return card_text({**self.guessed, "source": source}, self.reasons)


def open_card(path: Path, skip_bad: bool = False) -> OpenedCard:
    """A card from a file; the sections that it leaves out are guessed, with `skip_bad` though some pictures are nowhere.

    Raises DataError.
    """
    values = card_values(path)
    if all(section in values for section in SECTIONS):
        return OpenedCard(card=card_of(values, path))
    return _completed(values, path, {}, sure=values, skip_bad=skip_bad)


def open_table(place: Path, skip_bad: bool = False) -> OpenedCard:
    """The card of a table, or of a folder that holds one, with `skip_bad` though some pictures are nowhere.

    Raises DataError saying which line of a card would settle it.
    """
    source = guess_source(place)
    return _completed(source.values, source.path, source.reasons, sure={}, skip_bad=skip_bad)


def _completed(
    values: Values, path: Path, reasons: Mapping[str, str], sure: Values, skip_bad: bool = False
) -> OpenedCard:
    card = source_card(values, path)
    base = place_of(card)
    rows = GuessedRows(card, base, raw_rows(card, base, card.source.split))
    said = dict(reasons)
    guess: Values = dict(values)
    mera = set(rows.raws[0].values) >= MERA
    roles = None if mera or "columns" in sure else roles_of(str(base), rows.raws)
    if "columns" not in sure:
        guess["columns"] = (
            _mera_columns(rows) if mera else _columns(rows, guess, roles or roles_of(str(base), rows.raws), said)
        )
        guess["source"] = _with_images(rows, guess, skip_bad)
    if "answer" not in sure:
        column = "outputs" if mera else (roles or roles_of(str(base), rows.raws)).answer
        if not column:
            raise _no_column(rows, "ответом", "answer.column")
        guess["answer"] = answer_of(rows, guess, column, said)
    about = guess["benchmark"]
    if "language" not in about and not sure:
        guess["benchmark"] = {**about, "language": _language(rows.texts(guess["columns"]["question"]))}
    if "protocol" not in sure:
        guess["protocol"] = _mera_protocols(guess) if mera else [_protocol(rows, guess, said)]
    if roles is not None and roles.category and "axes" not in sure:
        guess["axes"] = {"category": roles.category}
    turned = "" if "columns" in sure or guess["protocol"][0].get("kind") != "choice" else _rotation(rows)
    if turned and "rotation" not in sure:
        guess["rotation"] = {"kind": "rows", "index": turned, "step": ROTATION}
        guess.setdefault("statistics", {"cluster": "group"})
        said["rotation"] = "номера от миллиона – те же вопросы с переставленными вариантами"
    ordered = {key: guess[key] for key in (*ORDER, *guess) if key in guess}
    return OpenedCard(card=card_of(ordered, path), guessed=ordered, reasons=said)


def _no_column(rows: GuessedRows, what: str, key: str) -> DataError:
    columns = ", ".join(rows.raws[0].values)
    return DataError(f"{rows.called}: столбца с {what} не видно (есть {columns}): назовите его, {key}.")


# --- columns


def _columns(rows: GuessedRows, guess: Values, roles: Roles, said: dict[str, str]) -> Values:
    if not roles.question:
        raise _no_column(rows, "вопросом", "columns.question")
    image = roles.image or ("imageId" if guess["source"].get("rows") == "*" and rows.raws[0].has("imageId") else "")
    if not image:
        raise _no_column(rows, "картинкой (image)", "columns.image")
    unlike = bool(roles.id) and len(set(rows.texts(roles.id))) == len(rows.raws)
    columns: Values = {"id": roles.id} if unlike else {}
    if roles.id and not unlike:
        said["columns"] = f"номера в столбце {roles.id} повторяются или пропущены: строки названы по порядку"
    columns |= {"image": image, "question": roles.question}
    if roles.hint:
        columns["hint"] = roles.hint
    if roles.options:
        columns["options"] = list(roles.options)
    elif roles.options_list:
        columns["options"] = roles.options_list
    return columns


def _mera_columns(rows: GuessedRows) -> Values:
    """MERA's rows: what is asked is in `inputs`, its wording in `instruction`."""
    inputs = [raw.get("inputs") for raw in rows.raws]
    names = list(
        dict.fromkeys(
            f"inputs.{n}" for one in inputs if isinstance(one, Mapping) for n in one if n.startswith("option_")
        )
    )
    columns: Values = {"id": "meta.id", "image": "inputs.image", "question": "inputs.question"}
    return columns | ({"options": sorted(names)} if len(names) > 1 else {})


def _with_images(rows: GuessedRows, guess: Values, skip_bad: bool) -> Values:
    """The source with the folder of its pictures, where they are not beside the table. Raises DataError for one that is nowhere."""
    image = guess["columns"]["image"]
    values = [one for raw in rows.raws for one in listed(raw.get(image))]
    said = [one.get("path") if isinstance(one, Mapping) and not one.get("bytes") else one for one in values]
    plain = [texts_of([one])[0] for one in said if isinstance(one, str | int | float) and not missing(one)]
    names = list(dict.fromkeys(plain))
    names = [name for name in names if picture_bytes(name) is None]
    source: Values = guess["source"]
    absent = _absent(rows, guess, source, names)
    root = rows.base if rows.base.is_dir() else rows.base.parent
    if absent and "images" not in source:
        inside = [{**source, "images": folder} for folder in picture_folders(root)[:MOST_FOLDERS]]
        left = [(_absent(rows, guess, one, names), one) for one in inside]
        best = min((len(still) for still, _ in left), default=len(absent))
        fitting = [(still, one) for still, one in left if len(still) == best]
        # of two folders with the same pictures neither is the one
        if best < len(absent) and len(fitting) == 1:
            absent, source = fitting[0]
    if absent and (not skip_bad or len(absent) == len(names)):
        shown = ", ".join(f"«{name[:60]}»" for name in list(absent)[:3])
        why = next((fault for fault in absent.values() if "картинки" not in fault[:9]), "")
        raise DataError(
            f"{rows.called}: не нашлись картинки столбца {image}: {shown}; нашлось {len(names) - len(absent)} из {len(names)}"
            f"{f' ({why})' if why else ''}: положите их рядом с таблицей, назовите папку (source.images) или пропустите такие строки: --skip-bad."
        )
    return source


def _absent(rows: GuessedRows, guess: Values, source: Values, names: Sequence[str]) -> dict[str, str]:
    """The pictures that are not found, each with the reason."""
    card = source_card({**guess, "source": source}, rows.card.path)
    finder = PictureFinder(card, files_of(card, rows.base, card.source.split)[0].parent, rows.base)
    absent: dict[str, str] = {}
    for name in names:
        try:
            picture_of(name, finder)
        except RowFault as fault:
            absent[name] = fault.said
    return absent


# --- how it is asked


def _language(questions: Sequence[str]) -> str:
    letters = [sign for question in questions for sign in question if sign.isalpha()]
    russian = sum(is_russian(sign) for sign in letters)
    return "ru" if 2 * russian > len(letters) else "en"


_WORDS = {
    "ru": ("Ответь одним словом.", "Ответь кратко.", "Выбери правильный вариант ответа буквой."),
    "en": (
        "Answer the question using a single word or phrase.",
        "Answer briefly.",
        "Answer with the option's letter from the given choices directly.",
    ),
}


def _protocol(rows: GuessedRows, guess: Values, said: dict[str, str]) -> Values:
    word, brief, letter = _WORDS.get(guess["benchmark"].get("language", "ru"), _WORDS["en"])
    question = "[[{hint}\n]]{question}\n" if "hint" in guess["columns"] else "{question}\n"
    if "options" in guess["columns"] or "options_fixed" in guess["columns"]:
        return {
            "name": "letters",
            "kind": "choice",
            "prompt": f"{question}{{options}}\n{letter}",
            "max_new_tokens": 1024,
            "rules": ["letters-ru", "letters-vlmevalkit"],
        }
    golds = _gold_texts(rows, guess["answer"])
    single = sum(len(gold.split()) == 1 for gold in golds) >= 0.9 * len(golds)
    numbers = sum(match_numeric(gold, gold) for gold in golds) >= 0.8 * len(golds)
    long = 2 * sum(len(gold.split()) >= 3 for gold in golds) >= len(golds)
    rules = ["exact-ru", "exact", "lemma"] + (["numeric"] if numbers else []) + (["contains"] if long else [])
    said["protocol"] = "ответы в одно слово: одним словом" if single else "ответы в несколько слов: кратко"
    return {
        "name": "word" if single else "brief",
        "kind": "short",
        "prompt": question + (word if single else brief),
        "max_new_tokens": 16 if single else 64,
        "rules": rules,
    }


def _gold_texts(rows: GuessedRows, answer: Values) -> list[str]:
    golds: list[Any] = []
    for raw in rows.raws:
        gold = raw.get(answer.get("column", ""))
        if isinstance(gold, str) and answer.get("decode") == "json" and is_json_list(gold):
            gold = json.loads(gold)
        golds += [one for one in listed(gold) if not missing(one)]
    return [text for text in texts_of(golds) if text.strip()] or [""]


def _mera_protocols(guess: Values) -> list[Values]:
    """The row's own wording, with a limit that lets the model reason; and with the harness's."""
    kind = "choice" if "options" in guess["columns"] else "short"
    common: Values = {"kind": kind, "prompt_column": "instruction", "fill": "inputs", "image_tag": "<image>"}
    return [
        {"name": "mera", **common, "max_new_tokens": 1024, "rules": _MERA_RULES[kind]},
        {"name": "mera-harness", **common, "max_new_tokens": 256, "stop": ["\n\n"], "rules": ["mera-em"]},
    ]


def _rotation(rows: GuessedRows) -> str:
    """The column whose numbers say that some rows turn the options of others; empty where none does."""
    column = next((name for name in rows.raws[0].values if name.strip().lower() == "index"), "")
    texts = rows.texts(column) if column else []
    if len(texts) != len(rows.raws) or not all(re.fullmatch(r"\d{1,15}", text) for text in texts):
        return ""
    numbers = {int(text) for text in texts}
    return column if any(n >= ROTATION and n % ROTATION in numbers for n in numbers) else ""
