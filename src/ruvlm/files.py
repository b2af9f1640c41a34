"""The ground under everything that writes: a folder whole or not at all, and paths that never leave their folder."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from ruvlm.errors import OutputError, because


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A fresh folder beside `out`; when the block ends without an error it is put in `out`'s place, which must be free.

    One process at a time; what a killed one had begun is swept up by the next. Raises OutputError if `out` cannot be written
    or is being written by another process.
    """
    lock = FileLock(out.parent / f".{out.name}.lock", timeout=0)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputError(f"В {out} уже пишет другой процесс: дождитесь его или укажите другую --out.") from error
    except OSError as error:
        raise OutputError(f"В {out.parent} нельзя писать ({because(error)}): укажите другую --out.") from error
    partial: Path | None = None
    try:
        for left in out.parent.glob(f".{_quoted(out.name)}-????????"):
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        yield partial
        partial.chmod(0o755)
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    except OSError as error:
        raise OutputError(
            f"Не удалось записать {out} ({because(error)}): освободите место или укажите другую --out."
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            Path(lock.lock_file).unlink()  # while it is held: who waits for it finds another file, not this one let go
        lock.release()


# what the place that is written to is to blame for, and not what is read
_OF_THE_PLACE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTEMPTY,
    errno.EIO,
)


def _quoted(name: str) -> str:
    """A name in which a pattern's signs stand for themselves."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


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
