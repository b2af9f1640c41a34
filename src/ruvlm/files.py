"""The ground under everything that writes: files and folders whole or not at all, locks, lines appended and repaired, and paths
that never leave their folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout

from ruvlm.errors import OutputError, because

# the name of the lock in a folder that one process holds at a time
LOCK = ".lock"
# how a file ends that is not whole yet
PARTIAL = ".tmp"


FileState = tuple[int, int, int, int]


def state_of(path: Path) -> FileState:
    """What tells a file from another that came to stand under its name: device, inode, bytes, nanoseconds of its last change.

    Whatever is remembered of a file is remembered by this too: a path alone means another file after a rewrite, or from
    another working folder. Raises OSError.
    """
    about = path.stat()
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


# --- one process at a time


@contextmanager
def held(lock: Path, busy: str = "") -> Iterator[None]:
    """Hold a lock file; the system lets go of it however the process ends. Without `busy` it is waited for.

    Raises OutputError(busy) if another process holds it, OSError if it cannot be made.
    """
    try:
        taken = FileLock(lock, timeout=0 if busy else -1).acquire()
    except Timeout as error:
        raise OutputError(busy) from error
    with taken:
        yield


# --- files, whole or not at all


def write_bytes(path: Path, data: bytes) -> None:
    """A file, whole or not at all, also where a signal comes in between. Raises OutputError on a full or read-only disk."""
    partial = path.with_name(f"{secrets.token_hex(6)}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            f"Не удалось записать {path} ({because(error)}): освободите место или смените папку."
        ) from error


def sweep(folder: Path) -> None:
    """Take away the halves of files that a killed process has left; for whoever holds the folder."""
    for path in folder.glob(f"{'[0-9a-f]' * 12}{PARTIAL}"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all. Raises OutputError on a full or read-only disk."""
    write_bytes(path, sound(text).encode())


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def sound(text: str) -> str:
    """Text that can be written: half of a character (a lone surrogate) becomes �."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- lines that are appended


def json_line(row: Mapping[str, Any]) -> str:
    """A row as a line of JSONL."""
    return sound(json.dumps(row, ensure_ascii=False)) + "\n"


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """A line at the end of a JSONL file. Raises OutputError on a full or read-only disk."""
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json_line(row))
    except OSError as error:
        raise OutputError(f"Не удалось записать {path} ({because(error)}): освободите место.") from error


def repair(path: Path) -> bool:
    """Drop a last line that a killed process left half-written. Was there one?"""
    if not path.is_file():
        return False
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole == len(data):
        return False
    with path.open("r+b") as handle:
        handle.truncate(whole)
    return True


# --- folders, whole or not at all


@contextmanager
def whole_folder(out: Path, over: bool = False) -> Iterator[Path]:
    """A fresh folder beside `out`; when the block ends without an error it is put in `out`'s place.

    The place must be free or an empty folder; with `over` what stood there gives way, and stays if anything goes wrong. One
    process at a time; what a killed one had begun is swept up by the next. Raises OutputError if `out` cannot be written or is
    being written by another process.
    """
    advice = "освободите место" if over else "освободите место или укажите другую --out"
    lock = out.parent / f".{out.name}.lock"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with held(
            lock, f"В {out} уже пишет другой процесс: дождитесь его{'' if over else ' или укажите другую --out'}."
        ):
            try:
                with _fresh(out) as partial:
                    yield partial
                    _put(partial, out, over)
            finally:
                with suppress(OSError):
                    lock.unlink()  # while it is held: who waits for it finds another file, not this one let go
    except OSError as error:
        raise OutputError(f"Не удалось записать {out} ({because(error)}): {advice}.") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # no OSError, also when the disk is full
            raise
        raise OutputError(f"Не удалось записать {out} ({error}): {advice}.") from error


@contextmanager
def _fresh(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is gone afterwards, unless it has been renamed."""
    _sweep(out)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(fresh: Path, out: Path, over: bool) -> None:
    for path in fresh.rglob("*"):
        _to_disk(path)
    fresh.chmod(0o755)
    old = _moved_away(out)
    if over and out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    elif out.exists():
        out.rmdir()
    os.replace(fresh, out)
    shutil.rmtree(old, ignore_errors=True)


def recover(out: Path) -> None:
    """Put back what `whole_folder(over=True)` had moved away when it was killed, and sweep up what it had begun."""
    old = _moved_away(out)
    if old.is_dir() and not out.exists():
        os.replace(old, out)
    shutil.rmtree(old, ignore_errors=True)
    _sweep(out)


def _moved_away(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def _sweep(out: Path) -> None:
    for left in out.parent.glob(f".{_quoted(out.name)}-????????"):
        shutil.rmtree(left, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """What a power failure after the renaming must find."""
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def _quoted(name: str) -> str:
    """A name in which a pattern's signs stand for themselves."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


# --- names and marks


def picture_mark(data: bytes) -> bytes:
    """A hash of a picture's bytes, 16 of them: what tells pictures apart, whichever rows they are stored in."""
    return hashlib.blake2b(data, digest_size=16).digest()


def plain_parts(name: str) -> PurePosixPath | None:
    """A relative path as data name it; None for one that is absolute, goes up, or holds signs that no name needs."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not name.strip() or path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]:
        return None
    return None if any(ord(sign) < 32 or ord(sign) == 127 for sign in name) else path


def inside(folder: Path, name: str) -> Path | None:
    """The path that a name from data means in a folder; None for one that leads out of it, through a link too."""
    plain = plain_parts(name)
    if plain is None:
        return None
    path = folder / plain
    try:
        return path if path.resolve().is_relative_to(folder.resolve()) else None
    except (OSError, RuntimeError, ValueError):
        return None
