"""GQA-style scene graphs beside the images: boxes and the words that describe them, for training only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.data.images import open_parquet, rows_of
from ruvlm.errors import DataError
from ruvlm.schema import Region


@dataclass(frozen=True)
class ImageGraph:
    """One picture's things by object id, each with its box and words, and the word of the place."""

    image_id: str
    objects: tuple[tuple[str, Region], ...]
    place: str | None

    @property
    def regions(self) -> tuple[Region, ...]:
        return tuple(region for _, region in self.objects)


def read_scene_graphs(folder: Path, split: str) -> Iterator[ImageGraph]:
    """Every scene graph of a split; nothing where the folder has none."""
    for path in sorted((folder / f"{split}_scene_graphs").glob(f"{split}-*.parquet")):
        for row in rows_of(open_parquet(path), path, batch_size=512):
            yield _graph(path, row)


def _graph(path: Path, row: dict[str, Any]) -> ImageGraph:
    """One row. Raises DataError if it is not of the graphs' shape."""
    try:
        width, height = row["width"], row["height"]
        objects = []
        for thing in row["objects"] or ():
            x, y, w, h = thing["x"], thing["y"], thing["w"], thing["h"]
            box = (x / width, y / height, (x + w) / width, (y + h) / height)
            objects.append((thing["id"], Region(box, (thing["name"], *(thing["attributes"] or ())))))
        return ImageGraph(row["imageId"], tuple(objects), row.get("location"))
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise DataError(
            f"{path}: граф картинки {row.get('imageId')} не читается ({error}): скачайте файл заново."
        ) from error
