"""The pictures that a row of a card names or holds: told apart by what a value is, never by its column's name."""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.raw_rows import LONGEST_REFERENCE, RawRow, missing, texts_of
from ruvlm.errors import DataError, OutputError, because
from ruvlm.files import inside, picture_mark, write_bytes
from ruvlm.schema import ImageRef

# no disk holds a longer one
LONGEST_NAME = 255
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class RowFault(Exception):
    """What is wrong with one row."""

    said: str


class PictureFinder:
    """Where the pictures are that rows name by a path: beside the table, then in `source.images`, a folder or an archive.

    Raises DataError for an archive that cannot be read.
    """

    def __init__(self, card: BenchmarkCard, beside: Path, base: Path) -> None:
        source = card.source
        root = base if base.is_dir() else base.parent
        self.folders, self.inner = [beside], source.images_root
        self._known: dict[str, ImageRef] = {}
        self.archive: ZipFile | None = None
        self.archived: frozenset[str] = frozenset()
        if source.images.endswith(".zip"):
            try:
                self.archive = ZipFile(root / source.images)
                self.archived = frozenset(self.archive.namelist())
            except (OSError, BadZipFile) as error:
                raise DataError(
                    f"Карточка {card.path}, source.images: архив {root / source.images} не читается ({error}): скачайте его."
                ) from error
        elif source.images:
            self.folders.append(root / source.images / source.images_root)

    def find(self, text: str) -> ImageRef:
        """Looked for once, however many rows name it. Raises RowFault."""
        if text not in self._known:
            self._known[text] = self._looked_for(text)
        return self._known[text]

    def _looked_for(self, text: str) -> ImageRef:
        if "://" in text:
            raise RowFault(f"«{text[:60]}» – адрес: скачайте картинки, ruvlm не ходит по адресам из таблиц")
        if any(len(part.encode()) > LONGEST_NAME for part in text.split("/")) or text.startswith("data:"):
            raise RowFault(f"«{text[:40]}…» ({len(text)} знаков) – не путь и не картинка, которую можно прочесть")
        for folder in self.folders:
            place = inside(folder, text)
            if place is None:
                raise RowFault(f"«{text[:60]}» ведёт из папки набора")
            named = next((one for one in _with_endings(place) if one.is_file()), None)
            if named is not None:
                return ImageRef(named)
        if self.archive is not None and self.inner + text in self.archived:
            try:
                return _unpacked(self.archive.read(self.inner + text))
            except (BadZipFile, OSError, zlib.error, NotImplementedError, RuntimeError) as error:
                raise RowFault(f"картинка «{text[:60]}» в архиве не читается ({error})") from error
        places = [*map(str, self.folders), *([str(self.archive.filename)] if self.archive is not None else [])]
        raise RowFault(f"картинки «{text[:60]}» нет ни в {', ни в '.join(places)}")


def _with_endings(place: Path) -> Iterator[Path]:
    """What a name may mean: itself, else a picture of its stem."""
    yield place
    for ending in (*ENDINGS, *(one.upper() for one in ENDINGS)):
        yield place.with_name(place.name + ending)
        if place.suffix.lower() in ENDINGS:
            yield place.with_suffix(ending)


def pictures_of(card: BenchmarkCard, raw: RawRow, name: str, finder: PictureFinder) -> tuple[ImageRef, ...]:
    pictures: list[ImageRef] = []
    for path in card.columns.images:
        value = raw.get(path)
        for one in value if isinstance(value, list) else [value]:
            try:
                picture = picture_of(one, finder)
            except RowFault as fault:
                raise RowFault(f"строка {name}, {path}: {fault.said}") from fault
            if picture is not None:
                pictures.append(picture)
    return tuple(pictures)


def picture_of(value: Any, finder: PictureFinder) -> ImageRef | None:
    """Told by what the value is, never by its column's name."""
    if isinstance(value, ImageRef):
        return value
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if missing(value) or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    held = picture_bytes(value)
    if held is not None:
        return _unpacked(held)
    return finder.find(texts_of([value])[0].strip())


def _unpacked(data: bytes) -> ImageRef:
    """A picture that a table of text holds, as a file of the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ruvlm" / "pictures"
    path = home / f"{picture_mark(data).hex()}.img"
    try:
        if not path.is_file():
            home.mkdir(parents=True, exist_ok=True)
            write_bytes(path, data)
    except OSError as error:
        raise OutputError(
            f"В {home} нельзя писать ({because(error)}): картинки таблицы негде распаковать, задайте XDG_CACHE_HOME."
        ) from error
    return ImageRef(path)


_HEADERS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def picture_bytes(value: Any) -> bytes | None:
    """Bytes that a value of a text table holds: base64 of a picture, with or without a data: prefix; None for anything else."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or len(value) <= LONGEST_REFERENCE:
        return None
    text = value.split(";base64,", 1)[-1] if value.startswith("data:image/") else value
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if data.startswith(_HEADERS) else None
