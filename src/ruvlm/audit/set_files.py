"""Files of a set: are they all there, readable, of the right columns and types, and what the manifest says they are?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ruvlm.audit.findings import FindingKind, Findings
from ruvlm.data.images import open_parquet, rows_of
from ruvlm.data.manifest import Manifest, read_manifest, record_of, world_sums
from ruvlm.data.split_files import SHARD
from ruvlm.errors import DataError
from ruvlm.files import inside

MISSING = FindingKind("missing-file", "нет файла, который должен быть")
UNREADABLE = FindingKind("unreadable-file", "файл не читается")
NO_COLUMN = FindingKind("missing-column", "нет столбца")
DTYPE = FindingKind("wrong-dtype", "столбец не того типа")
EMPTY = FindingKind("empty-file", "в файле нет строк")
CHANGED = FindingKind("changed-file", "файл не тот, что записан в манифесте")
NO_MANIFEST = FindingKind(
    "no-manifest", "нет manifest.json: суммы файлов и число строк не с чем сверить", serious=False
)
COPY = FindingKind("stray-file", "лишний файл рядом с частями набора (копия?)", serious=False)
_TEXT = ("string", "large_string", "null")
_NESTED = (*_TEXT, "struct", "list", "large_list", "map")
GQA_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": _TEXT,
        "imageId": _TEXT,
        "question": _TEXT,
        "answer": _TEXT,
        "fullAnswer": _TEXT,
        "isBalanced": ("bool", "null"),
        "groups": ("struct", "null"),
        "types": ("struct", "null"),
        "entailed": _NESTED,
        "equivalent": _NESTED,
    }
)
IMAGE_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"id": _TEXT, "image": ("struct", "binary", "large_binary")}
)
MMBENCH_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "index": ("int64", "int32"),
        "image": ("struct", "binary", "large_binary"),
        **dict.fromkeys(("question", "hint", "A", "B", "C", "D", "answer", "category", "l2-category"), _TEXT),
    }
)


def opened(
    path: Path, where: str, types: Mapping[str, tuple[str, ...]], needed: tuple[str, ...], findings: Findings
) -> pq.ParquetFile | None:
    """A parquet file whose needed columns are there and of a type that can be read; None where they are not."""
    try:
        parquet = open_parquet(path)
        schema = parquet.schema_arrow
    except DataError as error:
        findings.add(UNREADABLE, where, str(error))
        return None
    usable = True
    for name in needed:
        if name not in schema.names:
            findings.add(NO_COLUMN, where, name)
            usable = False
    for name, allowed in types.items():
        if name in schema.names and _family(schema.field(name).type) not in allowed:
            findings.add(DTYPE, where, f"{name}: {schema.field(name).type}")
            usable = usable and name not in needed
    if parquet.metadata.num_rows == 0:
        findings.add(EMPTY, where, "0 строк")
        return None
    return parquet if usable else None


def rows_in(parquet: pq.ParquetFile, path: Path, columns: Sequence[str], findings: Findings) -> list[dict[str, Any]]:
    """The rows that can be read; damage on the way is a finding."""
    rows: list[dict[str, Any]] = []
    try:
        for row in rows_of(parquet, path, batch_size=2048, columns=list(columns)):
            rows.append(row)
    except DataError as error:
        findings.add(UNREADABLE, path.name, str(error))
    return rows


def _family(kind: pa.DataType) -> str:
    name = str(kind)
    return name.split("<")[0]


def shards(folder: Path, config: str, split: str, findings: Findings) -> list[Path]:
    """The files of a config's split; a missing one is a finding."""
    files = sorted((folder / config).glob(f"{split}-*.parquet"))
    own = [path for path in files if SHARD.fullmatch(path.stem.removeprefix(split))]
    for path in files if own else ():
        if path not in own:
            findings.add(COPY, f"{config}/{path.name}", "в набор не входит")
    files = own or files
    said = files[0].stem.rsplit("-of-", 1)[-1] if files else ""
    if not files or (said.isdigit() and len(files) != int(said)):
        findings.add(MISSING, config, f"файлов {len(files)}" + (f" из {int(said)}" if said.isdigit() else ""))
    return files


def check_manifest(folder: Path, findings: Findings) -> Manifest | None:
    """Compare every file with the manifest's sums. True manifests make `findings.as_published` so."""
    manifest = read_manifest(folder) or read_manifest(folder.parent)
    base = folder if read_manifest(folder) is not None else folder.parent
    sums = (
        {name: record.sha256 for name, record in manifest.files.items()}
        if manifest is not None
        else _world_sums(folder)
    )
    if manifest is None and not (folder.parent / "world.json").is_file():
        findings.add(NO_MANIFEST, folder.name, "скачанный набор: ruvlm data fetch допишет его")
    prefix = "" if manifest is not None and base == folder else f"{folder.name}/"
    if manifest is None:
        base = folder.parent
    same = True
    for name, sha256 in sums.items():
        if prefix and not name.startswith(prefix) and inside(base, name) is not None:
            continue
        path = inside(base, name)
        if path is None:
            findings.add(CHANGED, folder.name, f"{name[:80]}: путь ведёт из папки набора")
            same = False
            continue
        if not path.is_file():
            findings.add(MISSING, folder.name, name)
            same = False
        elif record_of(path).sha256 != sha256:
            findings.add(CHANGED, folder.name, name)
            same = False
    findings.as_published = manifest is not None and manifest.kind in ("hub", "sample") and same
    return manifest


def _world_sums(folder: Path) -> dict[str, str]:
    path = folder.parent / "world.json"
    return world_sums(path) if path.is_file() else {}
