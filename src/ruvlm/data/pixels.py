"""Decode once: every picture resized to one size, as uint8 in a memory-mapped file keyed by content.

`pixels-SIZE-KEY.npy` holds uint8 [N, 3, SIZE, SIZE], `….sums` a CRC-32 of every row; KEY is a hash of the pictures'
hashes, in order. A file is built by one process while others wait, put in place whole, checked when opened, and the least
recently used ones go when the folder outgrows its limit.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from ruvlm.data.images import batches_of, decode, open_parquet, read_bytes
from ruvlm.errors import ConfigError, DataError
from ruvlm.files import held, picture_mark
from ruvlm.schema import ImageRef

# of all files of a cache folder together; RUVLM_CACHE_GB sets another
LIMIT_GB = 20.0
BATCH = 64


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
        """Hash every picture, then decode them unless `cache` (a folder) holds them already.

        A read-only or full disk is no error: the pixels stay in memory. Raises DataError for a picture that cannot be read.
        """
        wanted = list(dict.fromkeys(refs))
        index: dict[ImageRef, int] = {}
        rows: dict[bytes, int] = {}
        firsts: list[ImageRef] = []
        for ref, mark in marks_of(wanted, cache):
            if mark not in rows:
                rows[mark] = len(rows)
                firsts.append(ref)
            index[ref] = rows[mark]
        name = hashlib.blake2b(b"".join(rows), digest_size=12).hexdigest()
        path = cache / f"pixels-{size}-{name}.npy" if cache else None
        return cls(_cached(path, firsts, size, progress), index)


def _cached(
    path: Path | None, refs: list[ImageRef], size: int, progress: Callable[[int, int], None] | None
) -> np.ndarray:
    shape = (len(refs), 3, size, size)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with held(path.with_suffix(".lock")):
                stored = opened(path, shape)
                if stored is None:
                    _write(path, refs, shape, progress)
                    stored = opened(path, shape)
                _evict(path)
            if stored is not None:
                return stored
        except OSError:  # a read-only or full disk
            path.with_suffix(".tmp").unlink(missing_ok=True)
    pixels = np.empty(shape, dtype=np.uint8)
    _fill(pixels, refs, progress)
    return pixels


def opened(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """A cache file, memory-mapped; None if it is not there or any of its rows is damaged."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        sums: np.ndarray = np.load(_sums_of(path), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if array.shape != shape or array.dtype != np.uint8 or sums.shape != shape[:1]:
        return None
    if any(zlib.crc32(row) != int(known) for row, known in zip(array, sums, strict=True)):
        return None
    os.utime(path)
    return array


def _write(
    path: Path, refs: list[ImageRef], shape: tuple[int, ...], progress: Callable[[int, int], None] | None
) -> None:
    """Decode straight into the file: the pixels need not fit into memory."""
    partial = path.with_suffix(".tmp")
    try:
        pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(partial)
        sums = _fill(pixels, refs, progress)
        pixels.flush()
        with _sums_of(path).open("wb") as handle:
            np.save(handle, sums)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _reserve(path: Path) -> None:
    """Take a file's blocks now: a page that the disk has no room for would end the process by SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)


def _sums_of(path: Path) -> Path:
    return path.with_suffix(".sums")


def _fill(pixels: np.ndarray, refs: list[ImageRef], progress: Callable[[int, int], None] | None) -> np.ndarray:
    """Decode into `pixels`, a few pictures at a time on every core; the CRC-32 of each row."""
    sums = np.zeros(len(refs), dtype=np.uint32)
    size = pixels.shape[-1]

    def decoded(item: tuple[ImageRef, bytes]) -> np.ndarray:
        ref, data = item
        return np.ascontiguousarray(square(decode(data, str(ref)), size))

    place = {ref: row for row, ref in enumerate(refs)}
    stream = all_bytes(refs)
    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(stream, BATCH)):
            for (ref, _), picture in zip(batch, pool.map(decoded, batch), strict=True):
                pixels[place[ref]] = picture
                sums[place[ref]] = zlib.crc32(picture.data)
            done += len(batch)
            if progress is not None:
                progress(done, len(refs))
    return sums


def _evict(newest: Path) -> None:
    """Drop the least recently used files until the folder is within its limit; never the one just used."""
    limit = _limit_gb() * 1e9
    files = sorted(newest.parent.glob("pixels-*.npy"), key=lambda p: p.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files:
        if total <= limit:
            return
        if path != newest:
            total -= path.stat().st_size
            path.unlink(missing_ok=True)
            _sums_of(path).unlink(missing_ok=True)


def _limit_gb() -> float:
    """RUVLM_CACHE_GB. Raises ConfigError for what is no size."""
    said = os.environ.get("RUVLM_CACHE_GB", "")
    try:
        limit = float(said) if said.strip() else float(LIMIT_GB)
    except ValueError as error:
        raise ConfigError(f"RUVLM_CACHE_GB={said}: нужно число гигабайтов, например 20.") from error
    if not limit >= 0:
        raise ConfigError(f"RUVLM_CACHE_GB={said}: нужно число не меньше нуля.")
    return limit


def marks_of(refs: list[ImageRef], cache: Path | None) -> Iterator[tuple[ImageRef, bytes]]:
    """A 16-byte hash of every picture's bytes. What a parquet file gave is kept in `cache` until the file changes."""
    by_file: dict[Path, list[ImageRef]] = {}
    for ref in refs:
        if ref.row is None:
            yield ref, picture_mark(read_bytes(ref))
        else:
            by_file.setdefault(ref.path, []).append(ref)
    for path, rows in by_file.items():
        marks = _file_marks(path, cache)
        for ref in rows:
            mark = marks[ref.row or 0].tobytes()
            if not any(mark):
                raise DataError(f"В {ref} нет байтов картинки: файл неполон, скачайте его заново.")
            yield ref, mark


def _file_marks(path: Path, cache: Path | None) -> np.ndarray:
    """uint8 [rows, 16]: a hash of each row's picture, zeros where there is none."""
    parquet = open_parquet(path)
    rows = parquet.metadata.num_rows
    about = path.stat()
    key = f"{path.resolve()} {about.st_size} {about.st_mtime_ns}".encode()
    kept = cache / f"marks-{hashlib.blake2b(key, digest_size=12).hexdigest()}.npy" if cache else None
    if kept is not None:
        try:
            known: np.ndarray = np.load(kept, allow_pickle=False)
            if known.shape == (rows, 16) and known.dtype == np.uint8:
                return known
        except (OSError, ValueError, EOFError):
            pass
    marks = np.zeros((rows, 16), dtype=np.uint8)
    for row, data in enumerate(_column_bytes(path)):
        if data:
            marks[row] = np.frombuffer(picture_mark(data), dtype=np.uint8)
    if kept is not None:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(f".{os.getpid()}.tmp")
            with partial.open("wb") as handle:
                np.save(handle, marks)
            os.replace(partial, kept)
        except OSError:  # a read-only or full disk: hashed again next time
            pass
    return marks


def _column_bytes(path: Path) -> Iterator[bytes | None]:
    """The pictures of a parquet file in order, a few rows in memory at a time."""
    for batch in batches_of(open_parquet(path), path, batch_size=BATCH, columns=["image"]):
        column = batch.column(0)
        for value in column.field("bytes") if pa.types.is_struct(column.type) else column:
            yield value.as_py()


def all_bytes(refs: list[ImageRef]) -> Iterator[tuple[ImageRef, bytes]]:
    """Bytes of many refs, each parquet file read once from its start to its end."""
    by_file: dict[Path, dict[int, ImageRef]] = {}
    for ref in refs:
        if ref.row is None:
            yield ref, read_bytes(ref)
        else:
            by_file.setdefault(ref.path, {})[ref.row] = ref
    for path, rows in by_file.items():
        for row, data in enumerate(_column_bytes(path)):
            if row not in rows:
                continue
            if not data:
                raise DataError(f"В {rows[row]} нет байтов картинки: файл неполон, скачайте его заново.")
            yield rows[row], data
