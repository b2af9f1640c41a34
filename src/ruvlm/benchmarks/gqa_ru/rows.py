"""deepvk/GQA-ru rows → Example: instructions joined to images, pictures decoded only when they are needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ruvlm.benchmarks.base import Place, Rows
from ruvlm.data.annotations import answer_regions_of, mentions_of, objects_by_image
from ruvlm.data.images import copy_rows, open_parquet, rows_of
from ruvlm.data.split_files import fingerprint, missing, require_columns, split_files
from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Example, ImageRef, Region, Vocabulary

REQUIRED = ("id", "imageId", "question", "answer")
OPTIONAL = ("groups", "entailed", "types", "annotations", "semanticStr")


@final
class GqaRows(Rows):
    """Folders `SPLIT_balanced_instructions` and `SPLIT_balanced_images` of parquet files."""

    layout = "папки *_balanced_instructions"

    def holds(self, folder: Path) -> bool:
        return any(folder.glob("*_balanced_instructions"))

    def load(self, place: Place, split: str, grounding: bool, bare: bool) -> Dataset:
        """What was odd in the rows is counted in `notes`; whole rows carry the training split's answers as well.

        Raises DataError for a missing file or column, or a question whose image is not there.
        """
        images, instructions = _files(place.folder, split)
        dirt: Counter[str] = Counter()
        examples = tuple(_examples(place.folder, split, grounding, bare, dirt))
        if not examples:
            raise DataError(f"В {place.folder} нет ни одного вопроса части «{split}»: файл пуст, скачайте его заново.")
        return Dataset(
            name="gqa-ru",
            split=split,
            source=place.label,
            fingerprint=fingerprint([*instructions, *images]),
            examples=examples,
            notes=tuple(f"{what}: {count}" for what, count in dirt.items()),
            vocabulary=None if bare or grounding else answer_vocabulary(place.folder),
        )

    def files(self, folder: Path, split: str) -> set[Path]:
        images, instructions = _files(folder, split)
        return {*images, *instructions}

    def copy(self, folder: Path, split: str, examples: Sequence[Example], out: Path) -> None:
        names = {"instructions": {e.id for e in examples}, "images": {e.image_id for e in examples}}
        for kind, wanted in names.items():
            config = f"{split}_balanced_{kind}"
            (out / config).mkdir()
            copy_rows(
                split_files(folder, config, split), out / config / f"{split}-00000-of-00001.parquet", "id", wanted
            )

    def graphs(self, folder: Path) -> Path:
        return folder

    def stream(self, place: Place, split: str) -> Iterator[Example]:
        """The first comes at once, however large the set."""
        return _examples(place.folder, split)


def _examples(
    folder: Path, split: str, grounding: bool = False, bare: bool = False, dirt: Counter[str] | None = None
) -> Iterator[Example]:
    """The examples of a split one by one, a few rows in memory at a time; the pictures stay in their files.

    With `bare`, questions and answers only, without types and programs. With `grounding`, mentions and answers carry the
    boxes that scene graphs give, where the folder has any.
    `dirt` counts what is odd: repeated ids, spaces around answers. Raises DataError.
    """
    image_files, row_files = _files(folder, split)
    images = _image_rows(image_files)
    regions = objects_by_image(folder, split) if grounding else {}
    odd = Counter() if dirt is None else dirt
    seen: set[str] = set()
    for path in row_files:
        parquet = open_parquet(path)
        names = require_columns(parquet, path, REQUIRED)
        skipped = "entailed" if grounding else "annotations"  # training needs the one, evaluation the other
        optional = () if bare else tuple(c for c in OPTIONAL if c in names and c != skipped)
        for number, row in enumerate(rows_of(parquet, path, batch_size=1024, columns=[*REQUIRED, *optional])):
            example = _example(row, images, regions, f"{path}, строка {number}")
            if example.id in seen:
                odd["повторный id"] += 1
            seen.add(example.id)
            if example.answer != example.answer.strip():
                odd["пробелы по краям ответа"] += 1
            yield example


def _files(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    """Picture files and question files of a split."""
    images = split_files(folder, f"{split}_balanced_images", split)
    return images, split_files(folder, f"{split}_balanced_instructions", split)


def answer_vocabulary(folder: Path) -> Vocabulary | None:
    """The training split's answers by detailed question type; None where there is no training split, or no types."""
    known: dict[str, set[str]] = {}
    for path in sorted((folder / "train_balanced_instructions").glob("train-*.parquet")):
        parquet = open_parquet(path)
        if not {"types", "answer"} <= set(parquet.schema_arrow.names):
            return None
        for row in _answers_by_type(parquet, path):
            if row["kind"] and row["answer"]:
                known.setdefault(row["kind"], set()).add(row["answer"])
    return {kind: frozenset(answers) for kind, answers in known.items()} or None


def _answers_by_type(parquet: pq.ParquetFile, path: Path) -> list[dict[str, Any]]:
    """Every pair of detailed type and answer, once. Raises DataError."""
    try:
        table = parquet.read(columns=["types", "answer"])
        kinds = pa.table({"kind": pc.struct_field(table.column("types"), "detailed"), "answer": table.column("answer")})
        pairs: list[dict[str, Any]] = kinds.group_by(["kind", "answer"]).aggregate([]).to_pylist()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"Файл {path} повреждён внутри ({str(error)[:100]}): скачайте его заново.") from error
    return pairs


def _image_rows(files: list[Path]) -> dict[str, ImageRef]:
    refs: dict[str, ImageRef] = {}
    for path in files:
        parquet = open_parquet(path)
        require_columns(parquet, path, ("id", "image"))
        ids = [row["id"] for row in rows_of(parquet, path, columns=["id"])]
        refs.update((str(name), ImageRef(path, row)) for row, name in enumerate(ids))
    return refs


def _example(
    row: dict[str, Any], images: dict[str, ImageRef], regions: dict[str, dict[str, Region]], where: str
) -> Example:
    for field in ("id", "question", "answer", "imageId"):
        if missing(row[field]):
            raise DataError(f"{where}: поле «{field}» пусто: исправьте строку или удалите её.")
    image_id = str(row["imageId"])
    if image_id not in images:
        raise DataError(f"{where}: картинки «{image_id}» нет среди картинок этой части: скачайте её заново.")
    types = _struct(row.get("types"))
    question = str(row["question"])
    objects = regions.get(image_id, {})
    notes = _struct(row.get("annotations"))
    return Example(
        id=str(row["id"]),
        benchmark="gqa-ru",
        question=question,
        answers=(str(row["answer"]),),
        images=(images[image_id],),
        image_id=image_id,
        cluster=image_id,
        structural=types.get("structural"),
        semantic=types.get("semantic"),
        detailed=types.get("detailed"),
        group=_known(_struct(row.get("groups")).get("global")),
        program=str(row.get("semanticStr") or ""),
        entailed=_ids(row.get("entailed")),
        mentions=mentions_of(question, notes, objects),
        answer_regions=answer_regions_of(notes, objects),
    )


def _struct(value: Any) -> dict[str, Any]:
    """A nested value where it is one; the hub has strings in some of these places."""
    return value if isinstance(value, dict) else {}


def _known(value: Any) -> str | None:
    return None if missing(value) else str(value)


def _ids(value: Any) -> tuple[str, ...]:
    """`entailed` is a string of a list on the hub and a list in the original JSON."""
    if isinstance(value, str):
        return tuple(_ID.findall(value))
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


_ID = re.compile(r"[^\[\]'\",\s]+")
