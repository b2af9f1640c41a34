"""The parquet schemas of both benchmarks and a writer for one split's files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ruvlm.world.rows import Row

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
IMAGES = pa.schema([("id", pa.string()), ("image", IMAGE)])
_MENTION = pa.list_(pa.struct([("objectId", pa.string()), ("value", pa.string())]))
_ANNOTATIONS = pa.struct([("question", _MENTION), ("answer", _MENTION), ("fullAnswer", _MENTION)])
INSTRUCTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("imageId", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("fullAnswer", pa.string()),
        ("isBalanced", pa.bool_()),
        ("groups", pa.struct([("global", pa.string()), ("local", pa.string())])),
        ("entailed", pa.string()),
        ("equivalent", pa.string()),
        ("types", pa.struct([("structural", pa.string()), ("semantic", pa.string()), ("detailed", pa.string())])),
        ("annotations", _ANNOTATIONS),
        (
            "semantic",
            pa.list_(
                pa.struct(
                    [("operation", pa.string()), ("argument", pa.string()), ("dependencies", pa.list_(pa.int32()))]
                )
            ),
        ),
        ("semanticStr", pa.string()),
    ]
)
_RELATION = pa.struct([("name", pa.string()), ("object", pa.string())])
_OBJECT = pa.struct(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("w", pa.int32()),
        ("h", pa.int32()),
        ("attributes", pa.list_(pa.string())),
        ("relations", pa.list_(_RELATION)),
    ]
)
SCENES = pa.schema(
    [
        ("imageId", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("location", pa.string()),
        ("weather", pa.string()),
        ("objects", pa.list_(_OBJECT)),
    ]
)
_TEXTS = ("question", "hint", "A", "B", "C", "D", "answer", "category")
CHOICES = pa.schema(
    [
        ("index", pa.int64()),
        *((name, pa.string()) for name in _TEXTS),
        ("image", IMAGE),
        *((name, pa.string()) for name in ("source", "l2-category", "comment", "split")),
    ]
)


GROUNDINGS = pa.schema([("index", pa.int64()), ("imageId", pa.string()), ("annotations", _ANNOTATIONS)])


class SplitWriter:
    """Streams one split into its files, a row group a chunk; file names are the hub's, but for the groundings."""

    def __init__(self, folder: Path, split: str) -> None:
        gqa, mmbench = folder / "gqa-ru", folder / "mmbench-ru"
        name = f"{split}-00000-of-00001.parquet"
        dev = "dev" if split == "testdev" else split
        self._targets = (
            (gqa / f"{split}_balanced_images" / name, IMAGES),
            (gqa / f"{split}_balanced_instructions" / name, INSTRUCTIONS),
            (gqa / f"{split}_scene_graphs" / name, SCENES),
            (mmbench / f"mmbench_ru_{dev}.parquet", CHOICES),
            (mmbench / "groundings" / f"{dev}.parquet", GROUNDINGS),
        )
        self._writers: dict[Path, pq.ParquetWriter] = {}

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.abandon()

    def add(self, *tables: list[Row]) -> None:
        """Append one chunk's rows: images, instructions, scenes, choices, groundings."""
        for (path, schema), rows in zip(self._targets, tables, strict=True):
            if not rows:
                continue
            if path not in self._writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._writers[path] = pq.ParquetWriter(path, schema, compression="zstd")
            self._writers[path].write_table(pa.Table.from_pylist(rows, schema=schema))

    def close(self) -> None:
        """Finish the files. Raises OSError where the disk is full."""
        try:
            for writer in self._writers.values():
                writer.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of files that will not be finished: a writer that is left open finishes itself when it is forgotten."""
        for writer in self._writers.values():
            with suppress(OSError, pa.ArrowException):
                writer.close()
            writer.is_open = False
