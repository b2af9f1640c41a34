"""deepvk/MMBench-ru rows → Example with options, hint, category and rotation group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from ruvlm.benchmarks.base import Place, Rows
from ruvlm.benchmarks.circular import ROTATION
from ruvlm.data.annotations import Objects, answer_regions_of, mentions_of, objects_by_image, read_groundings
from ruvlm.data.images import copy_rows, open_parquet, rows_of
from ruvlm.data.split_files import fingerprint, missing, require_columns
from ruvlm.errors import DataError, MissingSplitError
from ruvlm.schema import LETTERS, Dataset, Example, ImageRef

REQUIRED = ("index", "question", "answer", "A", "B", "image")
OPTIONAL = ("hint", "C", "D", "category", "l2-category")


@final
class MmbenchRows(Rows):
    """One file a split: `mmbench_ru_dev.parquet` and, in a world, its train, val and holdout."""

    layout = "файлы mmbench_ru_*.parquet"

    def holds(self, folder: Path) -> bool:
        return any(folder.glob("mmbench_ru_*.parquet"))

    def load(self, place: Place, split: str, grounding: bool, bare: bool) -> Dataset:
        """Raises DataError for a missing file or column and for a gold letter that is no option."""
        path, examples = _examples(place, split, grounding)
        return Dataset(
            name="mmbench-ru",
            split=split,
            source=place.label,
            fingerprint=fingerprint([path]),
            examples=tuple(examples),
        )

    def files(self, folder: Path, split: str) -> set[Path]:
        return {folder / f"mmbench_ru_{split}.parquet"}

    def copy(self, folder: Path, split: str, examples: Sequence[Example], out: Path) -> None:
        name = f"mmbench_ru_{split}.parquet"
        copy_rows([folder / name], out / name, "index", {example.id for example in examples})


def _examples(place: Place, split: str, grounding: bool) -> tuple[Path, list[Example]]:
    """A split's file and its rows; questions about scenes that are known carry mentions and answers with boxes."""
    folder = place.folder
    path = folder / f"mmbench_ru_{split}.parquet"
    if not path.is_file():
        known = sorted(p.stem.removeprefix("mmbench_ru_") for p in folder.glob("mmbench_ru_*.parquet"))
        raise MissingSplitError(
            f"Файла {path} нет: проверьте --data и --split. Есть части: {', '.join(known) or 'никаких'}."
        )
    parquet = open_parquet(path)
    names = require_columns(parquet, path, REQUIRED)
    columns = [c for c in REQUIRED if c != "image"] + [c for c in OPTIONAL if c in names]
    scenes = objects_by_image(place.graphs, split) if grounding and place.graphs is not None else {}
    groundings = read_groundings(folder, split) if scenes else {}
    examples = []
    for number, row in enumerate(rows_of(parquet, path, batch_size=4096, columns=columns)):
        example = example_of(row, ImageRef(path, number))
        if scenes and int(example.id) in groundings:
            image_id, notes = groundings[int(example.id)]
            example = _grounded(example, notes, scenes.get(image_id, {}))
        examples.append(example)
    if not examples:
        raise DataError(f"В файле {path} нет ни одной строки: скачайте его заново.")
    return path, examples


def _grounded(example: Example, notes: dict[str, Any], objects: Objects) -> Example:
    return replace(
        example,
        mentions=mentions_of(example.question, notes, objects),
        answer_regions=answer_regions_of(notes, objects),
    )


def example_of(row: dict[str, Any], ref: ImageRef) -> Example:
    """One row as an Example. Raises DataError naming the row for a gold letter that is no option, or no question."""
    by_letter = {letter: str(row[letter]) for letter in "ABCD" if not missing(row.get(letter))}
    options = list(by_letter.values())
    if "".join(by_letter) != "ABCD"[: len(options)]:
        raise DataError(f"{ref}: есть варианты {', '.join(by_letter)}, а между ними пропуск: исправьте строку.")
    answer = str(row["answer"] or "").strip()
    if len(answer) != 1 or answer not in LETTERS[: len(options)]:
        raise DataError(
            f"{ref}: верный ответ «{answer}» не входит в варианты {LETTERS[: len(options)]}: исправьте строку."
        )
    if missing(row["question"]):
        raise DataError(f"{ref}: поле «question» пусто: исправьте строку или удалите её.")
    try:
        index = int(row["index"])
    except (TypeError, ValueError) as error:
        raise DataError(f"{ref}: index «{row['index']}» – не число: исправьте строку.") from error
    base = index % ROTATION
    hint = row.get("hint")
    return Example(
        id=str(index),
        benchmark="mmbench-ru",
        question=str(row["question"]),
        answers=(answer,),
        images=(ref,),
        image_id=str(base),
        cluster=str(base),
        options=tuple(options),
        hint=None if missing(hint) else str(hint),
        rotation=index // ROTATION,
        category=_label(row.get("category")),
        l2=_label(row.get("l2-category")),
    )


def _label(value: Any) -> str | None:
    return None if missing(value) else str(value)
