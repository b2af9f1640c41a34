"""GQA-style annotations joined to scene graphs: which words name which region, and which regions decide the answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruvlm.data.images import open_parquet, rows_of
from ruvlm.data.scene_graphs import read_scene_graphs
from ruvlm.errors import DataError
from ruvlm.schema import Mention, Region

Objects = dict[str, Region]
_WORD = re.compile(r"\S+")


def objects_by_image(folder: Path, split: str) -> dict[str, Objects]:
    """Regions of every picture of a split by object id; empty where the folder has no scene graphs."""
    return {scene.image_id: dict(scene.objects) for scene in read_scene_graphs(folder, split)}


def mentions_of(question: str, notes: dict[str, Any], objects: Objects) -> tuple[Mention, ...]:
    """The annotated words of a question with their regions; words are counted between spaces, as in GQA."""
    noted = notes.get("question") or ()
    if not noted or not objects:
        return ()
    words = [match.span() for match in _WORD.finditer(question)]
    mentions = []
    for note in noted:
        first, _, end = note["value"].partition(":")
        last = int(end) - 1 if end else int(first)
        if note["objectId"] in objects and last < len(words):
            mentions.append(Mention(words[int(first)][0], words[last][1], objects[note["objectId"]]))
    return tuple(mentions)


def answer_regions_of(notes: dict[str, Any], objects: Objects) -> tuple[Region, ...]:
    """The regions that decide the answer."""
    return tuple(objects[note["objectId"]] for note in notes.get("answer") or () if note["objectId"] in objects)


def read_groundings(folder: Path, split: str) -> dict[int, tuple[str, dict[str, Any]]]:
    """Image id and annotations of each multiple-choice question by index; empty where the folder has none."""
    path = folder / "groundings" / f"{split}.parquet"
    if not path.is_file():
        return {}
    try:
        return {int(row["index"]): (row["imageId"], row["annotations"]) for row in rows_of(open_parquet(path), path)}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"Файл {path} не читается ({error}): скачайте его заново.") from error
