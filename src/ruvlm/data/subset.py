"""Write a sample of a fetched set as a folder of its own, in the hub's layout: the rows drawn and their pictures."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ruvlm.data.catalog import open_source
from ruvlm.data.files import split_files
from ruvlm.data.hub import pinned
from ruvlm.data.images import batches_of, open_parquet
from ruvlm.data.manifest import Manifest, read_manifest, record_of, write_manifest
from ruvlm.data.sample import SEED, sampled
from ruvlm.errors import DataError, OutputError
from ruvlm.files import whole_folder
from ruvlm.schema import Benchmark

BATCH = 64


def write_sample(folder: Path, benchmark: Benchmark, split: str, limit: int, out: Path) -> int:
    """Draw `limit` rows of a split of `folder` into the new folder `out`; how many rows it has. Raises RuvlmError."""
    origin = read_manifest(folder)
    if origin is None:
        raise DataError(f"В {folder} нет manifest.json: скачайте набор командой ruvlm data fetch.")
    made = f"выборка {split} {limit} зерно {SEED}"
    known = read_manifest(out)
    dataset = sampled(open_source(str(folder)).load(benchmark, split), limit)
    if known is not None and (known.revision, known.made) == (origin.revision, made):
        return len(dataset.examples)
    if out.exists():
        raise OutputError(f"Папка {out} занята: удалите её сами или укажите другую --out.")
    with whole_folder(out) as partial:
        ids = {example.id for example in dataset.examples}
        if benchmark == "mmbench-ru":
            name = f"mmbench_ru_{split}.parquet"
            _copy([folder / name], partial / name, "index", ids)
        else:
            _copy_gqa(folder, partial, split, ids, {example.image_id for example in dataset.examples})
        _describe(partial, pinned(origin, made))
    return len(dataset.examples)


def _copy_gqa(folder: Path, out: Path, split: str, ids: Collection[str], images: Collection[str]) -> None:
    for kind, names in (("instructions", ids), ("images", images)):
        config = f"{split}_balanced_{kind}"
        (out / config).mkdir()
        _copy(split_files(folder, config, split), out / config / f"{split}-00000-of-00001.parquet", "id", names)


def _copy(files: list[Path], target: Path, column: str, wanted: Collection[str]) -> None:
    """Rows whose `column` is among `wanted`, a batch at a time: pictures need not fit into memory."""
    writer: pq.ParquetWriter | None = None
    keep = pa.array(sorted(wanted), pa.string())
    for path in files:
        for batch in batches_of(open_parquet(path), path, batch_size=BATCH):
            some = batch.filter(pc.is_in(pc.cast(batch.column(column), pa.string()), value_set=keep))
            if writer is None:
                writer = pq.ParquetWriter(target, batch.schema, compression="zstd")
            if some.num_rows:
                writer.write_batch(some)
    if writer is not None:
        writer.close()


def _describe(folder: Path, manifest: Manifest) -> None:
    for path in sorted(folder.rglob("*.parquet")):
        manifest.files[str(path.relative_to(folder))] = record_of(path)
    write_manifest(folder, manifest)
