"""A file or a folder that nobody described → the [source] of its card: which tables ask, how they are read."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.card_pictures import ENDINGS
from ruvlm.benchmarks.cards.column_roles import Roles, roles_of
from ruvlm.benchmarks.cards.raw_rows import SUFFIXES, RawRow, raw_rows
from ruvlm.benchmarks.cards.read_card import card_of, shipped_cards
from ruvlm.data.answer_tables import layout_of
from ruvlm.data.jsonl import read_text
from ruvlm.errors import DataError

Values = dict[str, Any]
# the one asked when a folder has several, in this order
SPLITS = ("test", "testdev", "dev", "val", "validation", "train")
MERA = frozenset(("instruction", "inputs", "outputs", "meta"))
VLMEVALKIT = frozenset(("index", "question", "answer"))
MOST_TABLES = 40
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
UNKNOWN_LICENCE = "не указана"
_CYRILLIC = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        [
            "a",
            "b",
            "v",
            "g",
            "d",
            "e",
            "e",
            "zh",
            "z",
            "i",
            "i",
            "k",
            "l",
            "m",
            "n",
            "o",
            "p",
            "r",
            "s",
            "t",
            "u",
            "f",
            "h",
            "ts",
            "ch",
            "sh",
            "sch",
            "",
            "y",
            "",
            "e",
            "yu",
            "ya",
        ],
        strict=True,
    )
)


@dataclass(frozen=True, kw_only=True)
class GuessedSource:
    """The [benchmark] and [source] of a card, where it would stand, what was passed over; `reasons` by key."""

    values: Values
    path: Path
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asking:
    """A table of a folder with its way of being read."""

    path: Path
    source: Values
    columns: tuple[str, ...]


def source_card(values: Values, path: Path) -> BenchmarkCard:
    """A card of which only the source counts, to read rows by. Raises DataError."""
    stand_ins = {
        "columns": {"question": "?"},
        "answer": {"column": "?", "form": "text"},
        "protocol": [{"name": "?", "kind": "short", "prompt": "?", "max_new_tokens": 1, "rules": ["exact"]}],
    }
    return card_of(
        {key: values[key] for key in ("schema", "benchmark", "source", "submission") if key in values} | stand_ins, path
    )


def guess_source(place: Path) -> GuessedSource:
    """Raises DataError where no table asks, or two do that are no splits of one."""
    root = place if place.is_dir() else place.parent
    path = root / f"{place.resolve().name}, угаданная"
    if not place.is_dir():
        return GuessedSource(values=_named(_called(place), _source(place, path)), path=path)
    tables = _tables(place)
    if len(tables) > MOST_TABLES:
        raise DataError(f"В папке {place} таблиц {len(tables)}: назовите одну или опишите набор карточкой.")
    columns: dict[str, tuple[str, ...]] = {}
    asking = [one for one in (_asking(table, path, len(tables) == 1, columns) for table in tables) if one is not None]
    if not asking:
        said = "; ".join(f"{name}: {', '.join(names)}" for name, names in columns.items()) or "таблиц нет"
        raise DataError(
            f"В папке {place} нет таблицы с вопросами и ответами ({said}): нужны столбцы question и answer."
        )
    passed = [table.name for table in tables if table not in [one.path for one in asking]]
    reasons = {"source": f"не таблицы вопросов: {', '.join(passed)}"} if passed else {}
    if len(asking) == 1:
        source = asking[0].source
        if asking[0].path.parent != root:
            source = {**source, "path": ".", "splits": {"default": [f"data/{glob.escape(asking[0].path.name)}"]}}
        return GuessedSource(values=_named(place.resolve().name, source), path=path, reasons=reasons)
    source = _splits(place, asking)
    return GuessedSource(values=_named(place.resolve().name, source), path=path, reasons=reasons)


def _called(table: Path) -> str:
    """What a table's set is called: with its folder where its own name says nothing, so that two of them are told apart."""
    plain = table.stem.lower() in (*SPLITS, "data", "metadata", "questions", "table", "rows")
    return f"{table.resolve().parent.name}-{table.stem}" if plain else table.stem


def _tables(place: Path) -> list[Path]:
    folders = [folder for folder in (place, place / "data") if folder.is_dir()]
    return sorted(one for folder in folders for one in folder.iterdir() if one.suffix.lower() in SUFFIXES)


def holds_tables(folder: Path) -> bool:
    """Is there a file in it that may be a table?"""
    return bool(_tables(folder))


def _splits(place: Path, asking: Sequence[_Asking]) -> Values:
    """Several tables of the same columns, whose names say which part each is."""
    splits: dict[str, list[str]] = {}
    for one in asking:
        name = next((split for split in sorted(SPLITS, key=len, reverse=True) if split in one.path.stem.lower()), "")
        splits.setdefault(name, []).append(glob.escape(str(one.path.relative_to(place))))
    alike = len({frozenset(one.columns) for one in asking}) == 1 and len({one.path.suffix for one in asking}) == 1
    # parts of one table, as the hub writes them
    sharded = all(_SHARD.search(one.path.stem) for one in asking)
    if not alike or "" in splits or (not sharded and any(len(names) > 1 for names in splits.values())):
        said = ", ".join(one.path.name for one in asking)
        raise DataError(f"В папке {place} вопросы задают несколько таблиц ({said}): назовите одну.")
    first = next(split for split in SPLITS if split in splits)
    ways = [{key: value for key, value in one.source.items() if key != "path"} for one in asking]
    # what is not common to all files each file is left to tell
    shared = {key: value for key, value in ways[0].items() if all(way.get(key) == value for way in ways)}
    return {**shared, "path": ".", "split": first, "splits": splits}


def _asking(table: Path, path: Path, alone: bool, seen: dict[str, tuple[str, ...]]) -> _Asking | None:
    """None for a table without questions or answers, and for a document of JSON that is no table. Its columns are put into `seen`.

    Raises DataError for a table that cannot be read: it might be the one that asks.
    """
    try:
        source = _source(table, table.parent / path.name)
        rows = rows_of(source, table.parent / path.name)
    except DataError:
        if table.suffix.lower() == ".json" and not alone:
            return None
        raise
    columns = seen[table.name] = tuple(rows[0].values)
    if not set(columns) >= MERA:
        roles: Roles = roles_of(str(table), rows)
        if not roles.asks:
            return None
    return _Asking(table, source, columns)


def rows_of(source: Values, path: Path) -> list[RawRow]:
    """The rows of a source's split that is asked. Raises DataError."""
    card = source_card(_named("table", source), path)
    return raw_rows(card, card.folder / card.source.path, card.source.split)


def _source(table: Path, path: Path) -> Values:
    if not table.is_file():
        raise DataError(f"Таблицы {table} нет: проверьте путь.")
    kind = SUFFIXES.get(table.suffix.lower())
    if kind is None:
        raise DataError(f"{table}: такой таблицы не прочитать, нужны {', '.join(SUFFIXES)}.")
    source: Values = {"path": table.name}
    if kind in ("csv", "tsv"):
        delimiter, encoding, columns = layout_of(table)
        source["delimiter"] = delimiter
        if encoding != "utf-8":
            source["encoding"] = encoding
        if kind == "tsv" and set(columns) >= VLMEVALKIT and {"image", "image_path"} & set(columns):
            source["format"] = "vlmevalkit"
    if kind == "json":
        source |= _document(table)
    return source


def _document(table: Path) -> Values:
    """How the rows lie in a document of JSON."""
    text = read_text(table)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {"format": "jsonl"}
    if not isinstance(document, dict):
        return {}
    lists = [key for key, value in document.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        return {"rows": lists[0]}
    held = next((row for row in document.values() if isinstance(row, dict)), None)
    if held is None:  # one row on one line
        return {"format": "jsonl"}
    return {"rows": "*", "key_as": "key" if "id" in held else "id"}


def _named(name: str, source: Values) -> Values:
    """A card's head; its name in the letters that a name may have."""
    latin = "".join(_CYRILLIC.get(sign, sign) for sign in name.lower())
    short = re.sub(r"[^a-z0-9]+", "-", latin).strip("-") or "table"
    # a name that is a folder of the house, or a card of the package
    if (Path(__file__).parents[1] / short.replace("-", "_")).is_dir() or short in shipped_cards():
        short += "-own"
    return {
        "schema": 1,
        "benchmark": {"name": short, "title": name, "licence": UNKNOWN_LICENCE},
        "source": source,
    }


def picture_folders(root: Path) -> list[str]:
    """The folders below that hold pictures themselves, as paths from it."""
    return sorted({os.path.relpath(place, root) for place in _holding(root)} - {"."})


def _holding(root: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        if any(name.lower().endswith((*ENDINGS, ".gif", ".bmp", ".tif", ".tiff")) for name in names):
            yield Path(place)
