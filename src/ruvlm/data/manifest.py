"""manifest.json of a fetched or derived data set: where every file came from and what is in it, written last."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ruvlm.errors import DataError
from ruvlm.files import write_bytes

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
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(**{**fields, "files": {name: FileRecord(**record) for name, record in fields["files"].items()}})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"Файл {path} повреждён ({error}): удалите его и сделайте набор заново (ruvlm data fetch или from-coco)."
        ) from error


def recorded_sums(folder: Path) -> tuple[Path, dict[str, str]]:
    """SHA-256 of the files of a set as they were made or fetched, by name, and the folder that the names start from.

    Nothing where neither the folder nor the one above has a manifest.json or a world.json. Raises DataError.
    """
    for place in (folder, folder.parent):
        manifest = read_manifest(place)
        if manifest is not None:
            return place, {name: record.sha256 for name, record in manifest.files.items()}
        world = place / "world.json"
        if world.is_file():
            return place, world_sums(world)
    return folder, {}


def world_sums(path: Path) -> dict[str, str]:
    """`files` of a world.json. Raises DataError if it is damaged."""
    try:
        sums = json.loads(path.read_text(encoding="utf-8"))["files"]
        if not isinstance(sums, dict) or not all(isinstance(value, str) for value in sums.values()):
            raise ValueError("files – не объект с суммами")
        return dict(sums)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"Файл {path} повреждён ({error}): нарисуйте мир заново.") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all. Raises OutputError."""
    text = json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n"
    write_bytes(folder / NAME, text.encode())


def record_of(path: Path) -> FileRecord:
    """Size and SHA-256 of a file."""
    with path.open("rb") as handle:
        return FileRecord(path.stat().st_size, hashlib.file_digest(handle, "sha256").hexdigest())
