"""Every picture of a set decoded once: can it be read, what are its bytes, what does it look like?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from ruvlm.audit.findings import FindingKind, Findings
from ruvlm.data.images import batches_of, decode, open_parquet
from ruvlm.errors import DataError
from ruvlm.files import picture_mark

NO_BYTES = FindingKind("image-missing", "у картинки нет байтов")
BROKEN = FindingKind("image-unreadable", "картинка не читается")
SMALL = FindingKind("image-tiny", "картинка меньше 16 пикселей", serious=False)
FLAT = FindingKind("image-blank", "картинка одного цвета: на ней нечего видеть")
THUMB, HASH = 16, 32
BATCH = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """One row's picture: its name, a hash of its bytes, a perceptual hash and a thumbnail; or what is wrong with it."""

    name: str
    mark: bytes = b""
    phash: int = 0
    thumb: bytes = b""
    problem: str = ""
    case: str = ""


def scan(
    files: list[Path], column: str, workers: int, progress: Callable[[int], None] | None = None
) -> Iterator[Picture]:
    """Pictures of parquet files in order, named by a column. A file is read a few rows at a time."""
    tasks = [(path, group, column) for path in files for group in range(open_parquet(path).num_row_groups)]
    rows = sum(open_parquet(path).metadata.num_rows for path in files)
    if workers <= 1 or rows < 2000:
        results: Iterator[list[Picture]] = map(_scan_group, tasks)
        yield from _flat(results, progress)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from _flat(pool.map(_scan_group, tasks), progress)


def _flat(groups: Iterator[list[Picture]], progress: Callable[[int], None] | None) -> Iterator[Picture]:
    for group in groups:
        if progress is not None:
            progress(len(group))
        yield from group


def _scan_group(task: tuple[Path, int, str]) -> list[Picture]:
    path, group, column = task
    parquet = open_parquet(path)
    pictures = []
    try:
        for batch in batches_of(parquet, path, batch_size=BATCH, row_groups=[group], columns=[column, "image"]):
            images = batch.column("image")
            values = images.field("bytes") if pa.types.is_struct(images.type) else images
            for name, value in zip(batch.column(column).to_pylist(), values, strict=True):
                pictures.append(look(str(name), value.as_py()))
    except DataError:  # what follows in this group cannot be read: a finding, like a picture that is none
        pictures.append(look(f"{path.name}, группа строк {group}, строка {len(pictures)} и дальше", b""))
    return pictures


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
    dct = _cosines() @ grey @ _cosines().T
    low = dct[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int(np.packbits(bits).view(">u8")[0])


@cache
def _cosines() -> np.ndarray:
    k = np.arange(HASH)
    cosines: np.ndarray = np.cos(np.pi * k[:, None] * (2 * k[None, :] + 1) / (2 * HASH))
    return cosines


PROBLEMS = {kind.code: kind for kind in (NO_BYTES, BROKEN, SMALL, FLAT)}


def report(pictures: list[Picture], where: str, findings: Findings) -> None:
    """What is wrong with single pictures."""
    for picture in pictures:
        if picture.problem:
            findings.add(PROBLEMS[picture.problem], where, picture.case)
