"""Decode once: every picture resized to one size, as uint8 in a memory-mapped file keyed by content."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from ruvlm.data.images import decode, open_parquet, read_bytes
from ruvlm.errors import DataError
from ruvlm.schema import ImageRef


def square(image: Image.Image, size: int) -> np.ndarray:
    """An RGB picture squeezed to `size`×`size`, channels first. uint8 [3, size, size]."""
    resized = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(resized, dtype=np.uint8).transpose(2, 0, 1)


class PixelStore:
    """Pixels of many pictures; equal bytes are stored once, whichever files they came from.

    `pixels` is uint8 [N, 3, size, size]; `index[ref]` is a picture's row in it.
    """

    def __init__(self, pixels: np.ndarray, index: dict[ImageRef, int]) -> None:
        self.pixels = pixels
        self.index = index

    @classmethod
    def build(
        cls, refs: Iterable[ImageRef], size: int, cache: Path | None, progress: Callable[[int, int], None] | None = None
    ) -> PixelStore:
        """Hash every picture, then decode those that `cache` (a folder) does not hold already."""
        wanted = list(dict.fromkeys(refs))
        index: dict[ImageRef, int] = {}
        rows: dict[bytes, int] = {}
        firsts: list[ImageRef] = []
        for ref, data in _all_bytes(wanted):
            key = hashlib.blake2b(data, digest_size=16).digest()
            if key not in rows:
                rows[key] = len(rows)
                firsts.append(ref)
            index[ref] = rows[key]
        name = hashlib.blake2b(b"".join(rows), digest_size=12).hexdigest()
        path = cache / f"pixels-{size}-{name}.npy" if cache else None
        found = _opened(path, (len(rows), 3, size, size))
        if found is None:
            found = _decoded(firsts, size, path, progress)
        return cls(found, index)


def _opened(path: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    if path is None or not path.is_file():
        return None
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found if found.shape == shape and found.dtype == np.uint8 else None


def _decoded(
    refs: list[ImageRef], size: int, path: Path | None, progress: Callable[[int, int], None] | None
) -> np.ndarray:
    pixels = np.empty((len(refs), 3, size, size), dtype=np.uint8)
    for row, (ref, data) in enumerate(_all_bytes(refs)):
        pixels[row] = square(decode(data, str(ref)), size)
        if progress is not None and (row % 256 == 0 or row + 1 == len(refs)):
            progress(row + 1, len(refs))
    if path is None:
        return pixels
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as handle:
            np.save(handle, pixels)
        os.replace(handle.name, path)
    except OSError:  # a read-only or full disk: the pixels stay in memory
        return pixels
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _all_bytes(refs: list[ImageRef]) -> Iterator[tuple[ImageRef, bytes]]:
    """Bytes of many refs, each parquet file read once, in the order of `refs` within a file."""
    by_file: dict[Path, dict[int, ImageRef]] = {}
    for ref in refs:
        if ref.row is None:
            yield ref, read_bytes(ref)
        else:
            by_file.setdefault(ref.path, {})[ref.row] = ref
    for path, rows in by_file.items():
        parquet = open_parquet(path)
        row = 0
        for batch in parquet.iter_batches(batch_size=512, columns=["image"]):
            column = batch.column(0)
            values = column.field("bytes") if pa.types.is_struct(column.type) else column
            for value in values:
                if row in rows:
                    data = value.as_py()
                    if not data:
                        raise DataError(f"В {rows[row]} нет байтов картинки: файл неполон, скачайте его заново.")
                    yield rows[row], data
                row += 1
