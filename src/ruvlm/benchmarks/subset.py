"""Write a sample of a fetched set as a folder of its own, in the hub's layout: the rows drawn and their pictures."""

from __future__ import annotations

from pathlib import Path

from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.sample import SEED
from ruvlm.benchmarks.source import open_source
from ruvlm.data.hub import pinned
from ruvlm.data.manifest import Manifest, read_manifest, record_of, write_manifest
from ruvlm.errors import DataError, OutputError
from ruvlm.files import whole_folder


def write_sample(folder: Path, benchmark: str, split: str, limit: int, out: Path) -> int:
    """Draw `limit` rows of a split of `folder` into the new folder `out`; how many rows it has. Raises RuvlmError."""
    origin = read_manifest(folder)
    if origin is None:
        raise DataError(f"В {folder} нет manifest.json: скачайте набор командой ruvlm data fetch.")
    made = f"выборка {split} {limit} зерно {SEED}"
    known = read_manifest(out)
    dataset = open_source(str(folder)).load(benchmark, split, limit=limit)
    if known is not None and (known.revision, known.made) == (origin.revision, made):
        return len(dataset.examples)
    if out.exists():
        raise OutputError(f"Папка {out} занята: удалите её сами или укажите другую --out.")
    with whole_folder(out) as partial:
        benchmark_named(benchmark).rows.copy(folder, dataset.split, dataset.examples, partial)
        _describe(partial, pinned(origin, made))
    return len(dataset.examples)


def _describe(folder: Path, manifest: Manifest) -> None:
    for path in sorted(folder.rglob("*.parquet")):
        manifest.files[str(path.relative_to(folder))] = record_of(path)
    write_manifest(folder, manifest)
