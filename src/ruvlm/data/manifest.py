"""manifest.json of a fetched or derived data set: where every file came from and what is in it, written last."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ruvlm.data.files import write_bytes
from ruvlm.errors import DataError

NAME = "manifest.json"


@dataclass(frozen=True)
class FileRecord:
    """One file of a set: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder of data holds: the set, the hub's revision, and each of its files.

    `kind` is «hub» for files as published, «sample» for a part of them, «photos» for questions made here. `made` says
    how the last two came about.
    """

    kind: str
    name: str
    repo: str = ""
    revision: str = ""
    made: str = ""
    files: dict[str, FileRecord] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What figures on it are called."""
        origin = f"{self.repo}@{self.revision[:8]}" if self.repo else self.name
        return f"{origin} ({self.made})" if self.made else origin


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, None where there is none. Raises DataError if it is damaged."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(**{**found, "files": {name: FileRecord(**record) for name, record in found["files"].items()}})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"Файл {path} повреждён ({error}): удалите его и сделайте набор заново (ruvlm data fetch или from-coco)."
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all. Raises OutputError."""
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n"
    write_bytes(folder / NAME, text.encode())


def record_of(path: Path) -> FileRecord:
    """Size and SHA-256 of a file."""
    with path.open("rb") as handle:
        return FileRecord(path.stat().st_size, hashlib.file_digest(handle, "sha256").hexdigest())
