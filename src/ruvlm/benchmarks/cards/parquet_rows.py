"""Rows of a parquet file as plain values, with references where it holds pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from ruvlm.data.images import open_parquet, rows_of
from ruvlm.schema import ImageRef


def parquet_rows(path: Path, optional: bool) -> Iterator[dict[str, Any]]:
    """Rows whose pictures stay in the file: in place of bytes stands where they are.

    A row without bytes names its picture by a path, or, where pictures are `optional`, has none; else whoever reads it is told.
    """
    parquet = open_parquet(path)
    held = list(_held(parquet.schema_arrow))
    leaves = [parquet.schema.column(n).path for n in range(len(parquet.schema.names))]
    columns = [leaf for leaf in leaves if not any(leaf == f"{name}.bytes" or leaf == name for name in held)]
    empty = {name: _without_bytes(parquet, name) for name in held}
    for number, values in enumerate(rows_of(parquet, path, batch_size=1024, columns=columns)):
        for name in held:
            if number in empty[name] and (optional or _path_at(values, name.split("."))):
                continue
            _put(values, name.split("."), ImageRef(path, number, name))
        yield values


def _path_at(values: Mapping[str, Any], parts: Sequence[str]) -> str | None:
    """The path that stands beside a picture's bytes, if any."""
    inner: Any = values
    for part in parts:
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    return inner.get("path") if isinstance(inner, Mapping) else None


def _without_bytes(parquet: Any, name: str) -> frozenset[int]:
    """The rows without a picture's bytes: known from the file's own counts where there is none, else read."""
    leaves = [parquet.schema.column(n).path for n in range(len(parquet.schema.names))]
    place = next((n for n, leaf in enumerate(leaves) if leaf in (f"{name}.bytes", name)), None)
    if place is None:
        return frozenset()
    groups = [parquet.metadata.row_group(g).column(place).statistics for g in range(parquet.num_row_groups)]
    if all(counts is not None and counts.has_null_count and counts.null_count == 0 for counts in groups):
        return frozenset()
    rows: set[int] = set()
    start = 0
    for batch in parquet.iter_batches(batch_size=256, columns=[leaves[place]]):
        values = batch.column(0)
        for field in leaves[place].split(".")[1:]:
            values = values.field(field)
        rows |= {start + n for n, there in enumerate(values.is_valid().to_pylist()) if not there}
        start += len(values)
    return frozenset(rows)


def _held(schema: pa.Schema) -> Iterator[str]:
    """The columns that hold pictures: bytes, or a struct of bytes and a path; at any depth of structs."""

    def walk(name: str, kind: pa.DataType) -> Iterator[str]:
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            yield name
        elif pa.types.is_struct(kind):
            names = [kind.field(n).name for n in range(kind.num_fields)]
            if "bytes" in names and set(names) <= {"bytes", "path"}:
                yield name
            else:
                for n, inner in enumerate(names):
                    yield from walk(f"{name}.{inner}", kind.field(n).type)

    for field in schema:
        yield from walk(field.name, field.type)


def _put(values: dict[str, Any], parts: list[str], ref: ImageRef) -> None:
    *outer, last = parts
    for part in outer:
        inner = values.get(part)
        if not isinstance(inner, dict):
            return
        values = inner
    # a struct that is null has no picture; of bare bytes only reading tells
    if last in values and values[last] is None:
        return
    values[last] = ref
