"""Every picture of a set decoded once: can it be read, what are its bytes, what does it look like?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, final

import numpy as np
import pyarrow as pa
from PIL import Image

from ruvlm.audit.findings import FindingKind, Findings
from ruvlm.data.images import batches_of, decode, open_parquet
from ruvlm.errors import DataError
from ruvlm.files import picture_mark
from ruvlm.workers import WorkerPool

NO_BYTES = FindingKind("image-missing", "у картинки нет байтов")
BROKEN = FindingKind("image-unreadable", "картинка не читается")
SMALL = FindingKind("image-tiny", "картинка меньше 16 пикселей", serious=False)
FLAT = FindingKind("image-blank", "картинка одного цвета: на ней нечего видеть")
THUMB, HASH = 16, 32
BATCH = 64
# so few pictures are looked at without other processes
FEW = 2000


@dataclass(frozen=True, slots=True)
class Picture:
    """One row's picture: its name, a hash of its bytes, a perceptual hash and a thumbnail; or what is wrong with it.

    `again`: its bytes were met before, so all but the first two is left out.
    """

    name: str
    mark: bytes = b""
    phash: int = 0
    thumb: bytes = b""
    problem: str = ""
    case: str = ""
    again: bool = False


@final
class Scanner:
    """Looks at the pictures of parquet files, with processes beside this one where they are many; a context manager.

    A picture whose bytes were met before, in whatever file, is not decoded again.
    """

    def __init__(self, workers: int, progress: Callable[[int], None] | None = None) -> None:
        self._workers, self._progress = workers, progress
        self._known: dict[bytes, Picture] = {}
        self._pool: WorkerPool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.__exit__(kind, error, trace)

    def pictures(self, files: list[Path], column: str) -> Iterator[Picture]:
        """In order, named by a column. A file is read a few rows at a time; other processes begin at once."""
        met = frozenset(self._known)
        tasks = [(path, group, column, met) for path in files for group in range(open_parquet(path).num_row_groups)]
        rows = sum(open_parquet(path).metadata.num_rows for path in files)
        if self._workers <= 1 or rows < FEW:
            return self._whole(map(_scan_group, tasks))
        if self._pool is None:
            self._pool = WorkerPool(self._workers)
        return self._whole(self._pool.map(_scan_group, tasks))

    def _whole(self, groups: Iterator[list[Picture]]) -> Iterator[Picture]:
        for group in groups:
            if self._progress is not None:
                self._progress(len(group))
            for picture in group:
                if picture.again:
                    yield replace(self._known[picture.mark], name=picture.name)
                    continue
                if picture.mark and not picture.problem:
                    self._known.setdefault(picture.mark, picture)
                yield picture


def _scan_group(task: tuple[Path, int, str, frozenset[bytes]]) -> list[Picture]:
    path, group, column, met = task
    here: set[bytes] = set()
    parquet = open_parquet(path)
    pictures: list[Picture] = []
    try:
        for batch in batches_of(parquet, path, batch_size=BATCH, row_groups=[group], columns=[column, "image"]):
            images = batch.column("image")
            values = images.field("bytes") if pa.types.is_struct(images.type) else images
            for name, value in zip(batch.column(column).to_pylist(), values, strict=True):
                pictures.append(_look_once(str(name), value.as_py(), met, here))
    except DataError:  # what follows in this group cannot be read: a finding, like a picture that is none
        pictures.append(look(f"{path.name}, группа строк {group}, строка {len(pictures)} и дальше", b""))
    return pictures


def _look_once(name: str, data: bytes | None, met: frozenset[bytes], here: set[bytes]) -> Picture:
    """As `look`, but a sound picture that was met before, or is in the same group of rows, only says so."""
    mark = picture_mark(data) if data else b""
    if mark in met or mark in here:
        return Picture(name, mark, again=True)
    picture = look(name, data)
    if picture.mark and not picture.problem:
        here.add(picture.mark)
    return picture


def look(name: str, data: bytes | None) -> Picture:
    """Hash and decode one picture."""
    if not data:
        return Picture(name, problem=NO_BYTES.code, case=name)
    mark = picture_mark(data)
    try:
        image = decode(data, f"«{name}»")
    except DataError as error:
        return Picture(name, mark, problem=BROKEN.code, case=str(error))
    thumb = image.resize((THUMB, THUMB), Image.Resampling.BOX)
    problem = SMALL.code if min(image.size) < 16 else ""
    if not problem and len(image.getcolors(1) or ()) == 1:
        problem = FLAT.code
    return Picture(name, mark, _phash(image), thumb.tobytes(), problem, f"{name}, {image.size[0]}×{image.size[1]}")


def _phash(image: Image.Image) -> int:
    """64 signs of the low frequencies of a 32×32 grey copy (Zauner 2010)."""
    grey = np.asarray(image.convert("L").resize((HASH, HASH), Image.Resampling.BOX), dtype=np.float64)
    low = (_cosines() @ grey @ _cosines().T).ravel()
    bits = low > np.sort(low[1:])[31]  # the median of 63
    return int(np.packbits(bits).view(">u8")[0])


@cache
def _cosines() -> np.ndarray:
    k, n = np.arange(8), np.arange(HASH)
    cosines: np.ndarray = np.cos(np.pi * k[:, None] * (2 * n[None, :] + 1) / (2 * HASH))
    return cosines


PROBLEMS = {kind.code: kind for kind in (NO_BYTES, BROKEN, SMALL, FLAT)}


def report(pictures: list[Picture], where: str, findings: Findings) -> None:
    """What is wrong with single pictures."""
    for picture in pictures:
        if picture.problem:
            findings.add(PROBLEMS[picture.problem], where, picture.case)
