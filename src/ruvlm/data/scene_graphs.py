"""GQA-style scene graphs beside the images: boxes and the words that describe them, for training only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruvlm.data.images import open_parquet
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
        for batch in open_parquet(path).iter_batches(batch_size=512):
            for row in batch.to_pylist():
                width, height = row["width"], row["height"]
                objects = []
                for thing in row["objects"] or ():
                    x, y, w, h = thing["x"], thing["y"], thing["w"], thing["h"]
                    box = (x / width, y / height, (x + w) / width, (y + h) / height)
                    objects.append((thing["id"], Region(box, (thing["name"], *(thing["attributes"] or ())))))
                yield ImageGraph(row["imageId"], tuple(objects), row.get("location"))
