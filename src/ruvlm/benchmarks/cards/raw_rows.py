"""The rows of a card's tables as plain values: read, kept, joined and unfolded; pictures as references, never as bytes."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard, Join, Where
from ruvlm.benchmarks.cards.parquet_rows import parquet_rows
from ruvlm.data.answer_tables import NoValue, read_delimited
from ruvlm.data.jsonl import read_jsonl, read_text
from ruvlm.errors import DataError, MissingSplitError
from ruvlm.files import sound

SUFFIXES = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
# VLMEvalKit: in place of a picture the index of the row that holds it
LONGEST_REFERENCE = 64


@dataclass(frozen=True)
class RawRow:
    """A row with its number among all of its split's tables; after unfolding, also its place among those of its table's row."""

    values: dict[str, Any]
    number: int
    place: int | None = None

    def get(self, path: str) -> Any:
        """What a dotted path leads to; a column of that whole name comes first. None where nothing is there."""
        if path in self.values:
            return self.values[path]
        value: Any = self.values
        for part in path.split("."):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif (
                isinstance(value, Sequence) and not isinstance(value, str) and part.isdigit() and int(part) < len(value)
            ):
                value = value[int(part)]
            else:
                return None
        return value

    def has(self, path: str) -> bool:
        """Is there such a column, whatever this row has in it? Of a dotted path all but the last step must lead on."""
        if path in self.values:
            return True
        *outer, last = path.split(".")
        holder = self.get(".".join(outer)) if outer else self.values
        if isinstance(holder, Mapping):
            return last in holder
        return isinstance(holder, list) and last.isdigit()


def missing(value: Any) -> bool:
    """Null, NaN, an empty text or blanks."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def listed(value: Any) -> list[Any]:
    """A list as it is, anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def blank(value: Any) -> bool:
    """Missing, as an option or an answer may be."""
    return missing(value) or (isinstance(value, str) and value.strip() in ("nan", "NaN"))


def raw_rows(card: BenchmarkCard, base: Path, split: str, notes: list[str] | None = None) -> list[RawRow]:
    """All rows of a split, in order. Raises DataError naming the card, the file and the key.

    What a reader should know of how the tables were read is added to `notes`.
    """
    source = card.source
    notes = [] if notes is None else notes
    files = _matching(card, base, source.splits.get(split, ()), f"source.splits.{split}")
    read = (row for path in files for row in _table(card, path, source.format, notes))
    numbered = [replace(row, number=number) for number, row in enumerate(read)]
    for where in source.where:
        if numbered and not any(row.has(where.column) for row in numbered):
            raise DataError(
                f"Карточка {card.path}, source.where: столбца «{where.column}» нет (есть {', '.join(numbered[0].values)})."
            )
    rows = [row for row in numbered if all(_kept(row, where) for where in source.where)]
    if not rows:
        said = ", ".join(where.column for where in source.where)
        raise DataError(
            f"Карточка {card.path}: в части {split} не осталось ни одной строки"
            + (f" (source.where по столбцам {said})" if said else "")
            + ": проверьте её."
        )
    for join in source.joins:
        rows = _joined(card, base, split, rows, join)
    if source.explode:
        parents = len(rows)
        rows = [one for row in rows for one in _unfolded(card, row)]
        empty = parents - len({row.number for row in rows})
        if rows and empty:
            notes.append(f"строк таблицы без единого вопроса (столбец {source.explode} – пустой список): {empty}")
        if not rows:
            raise DataError(f"Карточка {card.path}, source.explode: в столбце {source.explode} все списки пусты.")
    # a line of JSON may leave out what it has nothing to say of
    columns = dict.fromkeys(name for row in rows for name in row.values)
    return [replace(row, values={**columns, **row.values}) for row in rows]


def files_of(card: BenchmarkCard, base: Path, split: str) -> list[Path]:
    """The files that a split's rows are in, then those joined to them. Raises DataError."""
    files = _matching(card, base, card.source.splits.get(split, ()), f"source.splits.{split}")
    return [*files, *(path for join in card.source.joins for path in _joined_files(card, base, split, join))]


def _joined_files(card: BenchmarkCard, base: Path, split: str, join: Join) -> list[Path]:
    place = card.folder / join.path if join.path else base
    if join.repo not in ("", card.source.repo) and not join.path:
        place = base.parent / join.repo.rsplit("/", 1)[-1]
    return _matching(card, place, join.files or join.splits.get(split, ()), "source.join")


def _matching(card: BenchmarkCard, base: Path, globs: Sequence[str], key: str) -> list[Path]:
    if base.is_file():
        return [base]
    files: dict[Path, None] = {}
    for mask in globs:
        found = [
            path
            for path in sorted(_globbed(card, base, mask, key))
            if path.is_file() and (mask != "*" or path.suffix in SUFFIXES)
        ]
        if not found:
            raise MissingSplitError(f"Карточка {card.path}, {key}: под «{mask}» в {base} нет ни одного файла.")
        files.update(dict.fromkeys(found))
    return list(files)


def _globbed(card: BenchmarkCard, base: Path, mask: str, key: str) -> list[Path]:
    try:
        return list(base.glob(mask))
    except (ValueError, NotImplementedError) as error:
        raise DataError(f"Карточка {card.path}, {key}: «{mask}» – не имя и не образец файлов набора.") from error


def _table(card: BenchmarkCard, path: Path, given: str, notes: list[str]) -> list[RawRow]:
    kind = given or SUFFIXES.get(path.suffix.lower(), "")
    if not kind:
        raise DataError(f"Карточка {card.path}: файл {path} неизвестного вида: назовите его ключом source.format.")
    if kind == "parquet":
        optional = card.columns.image_optional
        return [RawRow(values, number) for number, values in enumerate(parquet_rows(path, optional))]
    if kind == "jsonl":
        return [RawRow(dict(values), number) for number, values in enumerate(read_jsonl(path))]
    if kind == "json":
        return [RawRow(dict(values), number) for number, values in enumerate(_json(card, path))]
    if kind == "xlsx":
        return [RawRow(values, number) for number, values in enumerate(_spreadsheet(path, notes))]
    suffix = ".csv" if kind == "csv" else ".tsv"
    table = read_delimited(path, suffix, card.source.delimiter, card.source.encoding)
    notes += [f"{path.name}: {note}" for note in table.notes]
    rows = [RawRow(values, number) for number, values in enumerate(table.rows)]
    return _with_pictures(card, rows) if kind == "vlmevalkit" else rows


def _spreadsheet(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    from ruvlm.data.spreadsheet import read_spreadsheet

    table = read_spreadsheet(path)
    rows = table.rows
    notes += [f"{path.name}: {note}" for note in table.notes]
    cell = next((value for row in rows for value in row.values() if isinstance(value, NoValue)), None)
    if cell is not None:
        raise DataError(
            f"{path}, ячейка {cell.cell}: формула «{cell.formula[:60]}» без сохранённого значения: откройте файл в Excel и "
            "сохраните, а если это текст, начните его с апострофа."
        )
    return rows


def _json(card: BenchmarkCard, path: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: это не JSON ({error}): исправьте файл.") from error
    source = card.source
    if source.rows == "*":
        if not isinstance(document, dict):
            raise DataError(f"Карточка {card.path}, source.rows: в {path} не объект, а «*» берёт значения объекта.")
        rows: Any = [{source.key_as: key, **row} if isinstance(row, dict) else row for key, row in document.items()]
        taken = next((row for row in document.values() if isinstance(row, dict) and source.key_as in row), None)
        if taken is not None:
            raise DataError(f"Карточка {card.path}, source.key_as: столбец «{source.key_as}» в {path} уже есть.")
    else:
        rows = RawRow({"": document}, 0).get(f".{source.rows}" if source.rows else "")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"Карточка {card.path}, source.rows: в {path} под «{source.rows}» не список строк-объектов.")
    return rows


def _with_pictures(card: BenchmarkCard, rows: list[RawRow]) -> list[RawRow]:
    """VLMEvalKit's tables: a short value in place of a picture is the index of the row that holds it."""
    pictures = {str(row.values.get("index")): _parsed(row.values.get("image")) for row in rows}
    found = []
    for row in rows:
        image = _parsed(row.values.get("image"))
        if missing(image) and "image_path" in row.values:
            image = _parsed(row.values["image_path"])
        else:
            image = [shown for one in listed(image) for shown in listed(_referred(card, row, one, pictures))]
        found.append(replace(row, values={**row.values, "image": image}))
    return found


def _referred(card: BenchmarkCard, row: RawRow, image: Any, pictures: Mapping[str, Any]) -> Any:
    """A picture, or that of the row which a short value names."""
    if not isinstance(image, str) or not 0 < len(image.strip()) <= LONGEST_REFERENCE:
        return image
    if image.strip() not in pictures:
        raise DataError(f"Карточка {card.path}: строка {row.number} берёт картинку строки «{image.strip()}», а её нет.")
    return pictures[image.strip()]


def _parsed(value: Any) -> Any:
    """A cell that reads as a list of texts, as one."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            items = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
        return items if isinstance(items, list) else value
    return value


def _kept(row: RawRow, where: Where) -> bool:
    value = row.get(where.column)
    if where.values is None:
        return missing(value) is not where.present
    return any(type(value) is type(one) and value == one for one in where.values)


def _joined(card: BenchmarkCard, base: Path, split: str, rows: list[RawRow], join: Join) -> list[RawRow]:
    """The rows with another table's columns. Raises DataError for a key that is not there, or there twice."""
    other = [row for path in _joined_files(card, base, split, join) for row in _table(card, path, "", [])]
    lacking = [name for name in join.take if other and not any(row.has(name) for row in other)]
    if lacking:
        raise DataError(
            f"Карточка {card.path}, source.join: столбца «{lacking[0]}» нет (есть {', '.join(other[0].values)})."
        )
    several = len(join.there) > 1
    pairs = list(zip(join.there, join.take, strict=True)) if several else [(join.there[0], "")]
    index: dict[Any, tuple[RawRow, str]] = {}
    for row in other:
        for there, take in pairs:
            key = _join_key(card, there, row)
            if missing(key):
                continue
            if key in index and index[key][0] is not row:
                raise DataError(f"Карточка {card.path}, source.join: ключ «{str(key)[:60]}» в столбце {there} не один.")
            index[key] = (row, take)
    absent = [key for row in rows if (key := _join_key(card, join.here, row)) not in index]
    if absent:
        said = ", ".join(f"«{str(key)[:60]}»" for key in absent[:3])
        raise DataError(
            f"Карточка {card.path}, source.join: {len(absent)} ключей столбца {join.here} не нашлось: {said}."
        )
    return [_with(row, index[row.get(join.here)], join) for row in rows]


def _join_key(card: BenchmarkCard, path: str, row: RawRow) -> Any:
    key = row.get(path)
    if isinstance(key, list | dict):
        raise DataError(
            f"Карточка {card.path}, source.join: ключ столбца {path} – список или объект ({str(key)[:40]})."
        )
    return key


def _with(row: RawRow, found: tuple[RawRow, str], join: Join) -> RawRow:
    other, take = found
    if take:
        return replace(row, values={**row.values, join.rename or take: other.get(take)})
    taken = {join.rename or name: other.get(name) for name in join.take}
    return replace(row, values={**row.values, **taken})


def _unfolded(card: BenchmarkCard, row: RawRow) -> Iterator[RawRow]:
    """A row of several questions as a row each."""
    column, decode = card.source.explode, card.source.explode_decode
    value = row.get(column)
    if isinstance(value, str) and decode != "list":
        value = decoded(value, decode)
    if not isinstance(value, list):
        raise DataError(
            f"Карточка {card.path}, source.explode: в столбце {column} строки {row.number} не список ({str(row.get(column))[:60]})."
        )
    for place, item in enumerate(value):
        yield RawRow({**row.values, column: item}, row.number, place)


def decoded(text: str, how: str) -> Any:
    """A text that holds a value, read as JSON or as a Python literal; None for what cannot be read. Nothing is executed."""
    try:
        return json.loads(text) if how == "json" else ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def texts_of(values: Iterable[Any]) -> list[str]:
    """Numbers and texts as texts; a whole number without its «.0»."""
    return [sound(str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)) for v in values]
