"""Parquet files of a split in the hub's layout: finding them, their columns, their fingerprint."""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ruvlm.errors import DataError, MissingSplitError
from ruvlm.files import FileState, state_of

SHARD = re.compile(r"-\d+-of-\d+")


def split_files(folder: Path, config: str, split: str) -> list[Path]:
    """The files of a config's split, in order. Raises DataError if there are none or some of them are missing."""
    files = sorted((folder / config).glob(f"{split}-*.parquet"))
    if not files:
        known = sorted(p.name.split("_balanced")[0] for p in folder.glob("*_balanced_instructions"))
        hint = f" Есть: {', '.join(known)}." if known else ""
        raise MissingSplitError(f"В {folder / config} нет файлов {split}-*.parquet: проверьте --data и --split.{hint}")
    # «… (1).parquet» is what a browser calls a second download: it is none of the parts
    files = [path for path in files if SHARD.fullmatch(path.stem.removeprefix(split))] or files
    expected = files[0].stem.rsplit("-of-", 1)[-1]
    if expected.isdigit() and len(files) != int(expected):
        raise DataError(f"В {folder / config} файлов {len(files)} из {int(expected)}: докачайте недостающие.")
    return files


def missing(value: Any) -> bool:
    """None, NaN, '' and the string 'nan' all mean that a field says nothing."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value).strip() in ("", "nan")


def require_columns(parquet: pq.ParquetFile, path: Path, required: tuple[str, ...]) -> set[str]:
    """The file's column names. Raises DataError naming the ones that are missing."""
    names = set(parquet.schema_arrow.names)
    missing = [name for name in required if name not in names]
    if missing:
        raise DataError(
            f"В файле {path} нет столбц{'а' if len(missing) == 1 else 'ов'} {', '.join(missing)} "
            f"(есть: {', '.join(sorted(names))}): это не тот набор данных или не та версия."
        )
    return names


def fingerprint(files: list[Path]) -> str:
    """A short hash of the files' contents: what a figure was measured on."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """A file's SHA-256, computed once until it changes."""
    return _sha256(path, state_of(path))


@lru_cache(maxsize=1024)
def _sha256(path: Path, state: FileState) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
