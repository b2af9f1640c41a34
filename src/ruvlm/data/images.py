"""Read a picture's bytes and decode them safely: right side up, RGB, no bombs."""

from __future__ import annotations

import io
import re
import stat
import struct
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, ImageOps, UnidentifiedImageError

from ruvlm.errors import DataError, because
from ruvlm.files import FileState, state_of
from ruvlm.schema import Example, ImageRef

PART = 64
# where a picture is, and the file that stands there
PictureKey = tuple[ImageRef, FileState | None]
MAX_PIXELS = 64_000_000
MAX_BYTES = 100_000_000


@lru_cache(maxsize=32)
def _file(path: Path, state: FileState) -> tuple[pq.ParquetFile, tuple[int, ...]]:
    parquet = open_parquet(path)
    ends, total = [], 0
    for number in range(parquet.num_row_groups):
        total += parquet.metadata.row_group(number).num_rows
        ends.append(total)
    return parquet, tuple(ends)


class _Window:
    """The last few rows read of one file: neighbours come from memory, whatever the size of a row group."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[pq.ParquetFile, int, str] | None = None
        self._part = -1
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._column: pa.Array | None = None

    def value(self, parquet: pq.ParquetFile, path: Path, group: int, row: int, column: str) -> Any:
        """Row `row` of a row group's column, which may be a field of another."""
        part, place = divmod(row, PART)
        with self._lock:
            if self._key != (parquet, group, column) or part < self._part:
                self._key, self._part = (parquet, group, column), -1
                self._batches = batches_of(parquet, path, batch_size=PART, row_groups=[group], columns=[column])
            while self._part < part:
                self._column = _inner(next(self._batches), column)
                self._part += 1
            assert self._column is not None
            return self._column[place].as_py()


def _inner(batch: pa.RecordBatch, column: str) -> pa.Array:
    """A column, or the field of a column that a dotted name leads to."""
    outer, *fields = column.split(".")
    values = batch.column(outer)
    for name in fields:
        values = values.field(name)
    return values


_window = _Window()


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a parquet file. Raises DataError if it is missing or damaged."""
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataError(f"Файл {path} не найден: проверьте папку с данными.") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"Файл {path} повреждён или это не parquet ({str(error)[:100]}): скачайте его заново."
        ) from error


def batches_of(parquet: pq.ParquetFile, path: Path, **settings: Any) -> Iterator[pa.RecordBatch]:
    """A file's batches. Raises DataError where the file is damaged inside."""
    try:
        yield from parquet.iter_batches(**settings)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"Файл {path} повреждён внутри ({str(error)[:100]}): скачайте его заново.") from error


def rows_of(parquet: pq.ParquetFile, path: Path, **settings: Any) -> Iterator[dict[str, Any]]:
    """A file's rows, a batch in memory at a time. Raises DataError where the file is damaged inside."""
    for batch in batches_of(parquet, path, **settings):
        try:
            rows = batch.to_pylist()
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"Файл {path} повреждён внутри ({str(error)[:100]}): скачайте его заново.") from error
        yield from rows


def read_bytes(ref: ImageRef) -> bytes:
    """The encoded picture. Raises DataError if the file or the row has none."""
    if ref.row is None:
        try:
            mode = ref.path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise DataError(f"Картинку {ref.path} не удалось прочитать (это папка, а не файл): проверьте путь.")
            if not stat.S_ISREG(mode):  # a pipe would be waited for, a device read for ever
                raise DataError(f"{ref.path} – не файл картинки: проверьте путь.")
            with ref.path.open("rb") as handle:
                content = handle.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise DataError(f"Картинка {ref.path} больше {MAX_BYTES // 1_000_000} МБ: уменьшите её.")
            return content
        except FileNotFoundError as error:
            raise DataError(f"Картинка {ref.path} не найдена: проверьте путь.") from error
        except OSError as error:
            raise DataError(f"Картинку {ref.path} не удалось прочитать ({because(error)}): проверьте путь.") from error
    try:
        parquet, ends = _file(ref.path, state_of(ref.path))
    except OSError as error:
        raise DataError(f"Файл {ref.path} не читается ({because(error)}): проверьте папку с данными.") from error
    group = bisect_right(ends, ref.row)
    start = ends[group - 1] if group else 0
    try:
        value = _window.value(parquet, ref.path, group, ref.row - start, ref.column)
    except (OSError, pa.ArrowException, StopIteration, ValueError) as error:
        raise DataError(
            f"Файл {ref.path} повреждён (строка {ref.row}: {str(error)[:80]}): скачайте его заново."
        ) from error
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes) or not data:
        raise DataError(f"В {ref} нет байтов картинки: файл неполон, скачайте его заново.")
    return data


def remembered_by(ref: ImageRef) -> PictureKey:
    """What a picture may be remembered by: where it is, and the file that stands there now; reading says what is wrong with it."""
    return ref, _state(ref.path)


def picture_files(examples: Iterable[Example]) -> dict[Path, FileState | None]:
    """The files of some questions' pictures as they are now; None for one that is not there, which reading will say."""
    return {path: _state(path) for path in {image.path for example in examples for image in example.images}}


def refuse_changed(files: Mapping[Path, FileState | None]) -> None:
    """Raise DataError if a file is another than it was: its pictures are not the ones that the questions are about."""
    for path, state in files.items():
        if _state(path) != state:
            raise DataError(
                f"Файл {path} изменился, пока шла оценка: часть вопросов могла быть задана о других картинках. Удалите папку этой оценки и "
                "повторите команду, когда данные будут на месте."
            )


def _state(path: Path) -> FileState | None:
    try:
        return state_of(path)
    except OSError:
        return None


def decode(data: bytes, where: str) -> Image.Image:
    """Bytes → right-side-up RGB picture. Raises DataError for what is no picture, is cut short or is a bomb."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, which are measured here, and of damaged EXIF
            image = Image.open(io.BytesIO(data))
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"Картинка {where} заявляет {width}×{height} пикселей, это больше {MAX_PIXELS // 1_000_000} млн: "
                    "уменьшите её."
                )
            image.load()
            return _rgb(ImageOps.exif_transpose(_eight_bits(image)))
    except Image.DecompressionBombError as error:
        claimed = re.search(r"\d+", str(error))
        raise DataError(
            f"Картинка {where} заявляет пикселей: {claimed[0] if claimed else 'слишком много'}, можно не больше "
            f"{MAX_PIXELS // 1_000_000} млн: уменьшите её."
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(f"Файл {where} не похож на картинку: нужен JPEG, PNG или WebP.") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        TypeError,
        AttributeError,
        NotImplementedError,
        LookupError,
        ArithmeticError,
    ) as error:
        raise DataError(
            f"Картинка {where} повреждена или обрезана ({str(error)[:80]}): возьмите целый файл."
        ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greys of 16 and 32 bits and of fractions as 0…255: a TIFF of 32 bits says nothing of its scale but its values."""
    if image.mode not in ("I;16", "I;16B", "I;16L", "I", "F"):
        return image
    low, high = (float(value) for value in image.convert("F").getextrema() if not isinstance(value, tuple))
    scale = 256.0 if image.format != "TIFF" or image.mode.startswith("I;16") else 1.0
    if scale == 1.0 and high > 255:
        scale = 256.0 if high <= 65_535 else high / 255
    if image.mode == "F" and low >= 0 and high <= 1:
        scale = 1 / 255
    return image.convert("F").point(lambda v: v * (1 / scale) + 0).convert("L")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def sized(image: Image.Image, side: int) -> Image.Image:
    """A picture as a square of a side, whatever its own shape; as it is where the side is 0."""
    return image.resize((side, side)) if side else image


def load_image(ref: ImageRef) -> Image.Image:
    """Read and decode: RGB, right side up."""
    return decode(read_bytes(ref), str(ref))


def copy_rows(files: list[Path], target: Path, column: str, wanted: Collection[str]) -> None:
    """Rows whose `column` is among `wanted`, a batch at a time: pictures need not fit into memory."""
    writer: pq.ParquetWriter | None = None
    keep = pa.array(sorted(wanted), pa.string())
    for path in files:
        for batch in batches_of(open_parquet(path), path, batch_size=64):
            kept = batch.filter(pc.is_in(pc.cast(batch.column(column), pa.string()), value_set=keep))
            if writer is None:
                writer = pq.ParquetWriter(target, batch.schema, compression="zstd")
            if kept.num_rows:
                writer.write_batch(kept)
    if writer is not None:
        writer.close()
