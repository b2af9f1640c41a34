"""Damage of files: bits, cuts, values of another type, lost and doubled parts, in the language that each file is written in."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NASTY: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    " ",
    "да",
    "../../../escaped",
    "/etc/hostname",
    "\ud83d",
    "a\x00b",
    "\x1b[2J\x1b]0;x\x07",
    "\u202eкот",
    "<script>alert(1)</script>",
    "=HYPERLINK(1)",
    "[/red]:x:",
    "{{ 7*7 }}",
    "%s{0}{x}",
    "²",
    "１",
    "1e400",
    "nan",
    "x" * 5000,
    0,
    1,
    -1,
    0.5,
    -0.5,
    10**30,
    2**63,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    {"a": None},
    ["а", 1, None],
)
TOML_VALUES = (
    '""',
    '"x"',
    '"../../x"',
    "-1",
    "0",
    "1",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "99999999999999999999",
    "1e300",
    "true",
    "[]",
    "{}",
    "[[1]]",
    '["a"]',
    "{a = 1}",
    "1979-05-27",
    '"\\u0000"',
    '"\\u001b[2J"',
    '"{question} {x} {0} {"',
)


def mutated(data: bytes, name: str, rng: random.Random) -> bytes:
    """A file of this name, damaged once: as bytes, or by the rules of its format where the bytes follow them."""
    by_format = FORMATS.get(name.rpartition(".")[2].lower())
    if by_format is not None and rng.random() < 0.7:
        try:
            return by_format(data, rng)
        except (ValueError, KeyError, IndexError, zipfile.BadZipFile, pa.ArrowException, struct.error, OverflowError):
            pass  # the value does not fit the format, which is then left to the bytes
    return bytes_mutated(data, rng)


def bytes_mutated(data: bytes, rng: random.Random) -> bytes:
    """A bit turned, a cut, zeros, noise, a part lost, doubled or moved."""
    if not data:
        return bytes(rng.randrange(256) for _ in range(rng.randint(1, 64)))
    at = rng.randrange(len(data))
    size = rng.choice((1, 2, 4, 16, 256))
    part = data[at : at + size]
    return rng.choice(
        (
            data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
            data[:at],
            data[:at] + bytes(len(part)) + data[at + len(part) :],
            data[:at] + bytes(rng.randrange(256) for _ in part) + data[at + len(part) :],
            data[:at] + data[at + len(part) :],
            data[:at] + part * rng.choice((2, 100)) + data[at + len(part) :],
            data[:at]
            + rng.choice((b"\x00", b"\xff", b"\xef\xbb\xbf", b"[" * 20_000, b'"', b"\r", b"\xed\xa0\xbd"))
            + data[at:],
            data[at:],
            data + data,
            b"",
        )
    )


def json_mutated(data: bytes, rng: random.Random) -> bytes:
    """One place of a document changed: another value, lost, doubled, renamed, wrapped."""
    return _dumped(_changed(json.loads(data), rng))


def lines_mutated(data: bytes, rng: random.Random) -> bytes:
    """One line of JSON Lines changed, lost or doubled."""
    lines = data.decode().splitlines()
    at = rng.randrange(len(lines))
    how = rng.randrange(4)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    else:
        lines[at] = _dumped(_changed(json.loads(lines[at]), rng)).decode()
    return "\n".join(lines).encode() + b"\n"


def table_mutated(data: bytes, rng: random.Random) -> bytes:
    """A cell or a line of a CSV or TSV."""
    lines = data.decode().split("\n")
    at = rng.randrange(len(lines))
    cells = lines[at].split("\t" if "\t" in data.decode() else ",")
    cell = rng.randrange(len(cells))
    cells[cell] = rng.choice(('"', 'a"b', '"a', "a,b\tc", "", "\r", *(str(v) for v in NASTY if v is not None)))
    how = rng.randrange(5)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, lines[at])
    elif how == 2:
        lines[at] += rng.choice((",", "\t", ";", ",x,y"))
    else:
        lines[at] = ("\t" if "\t" in data.decode() else ",").join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def toml_mutated(data: bytes, rng: random.Random) -> bytes:
    """A value of another kind, a line lost, doubled or unknown."""
    lines = data.decode().splitlines()
    keyed = [n for n, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    at = rng.choice(keyed)
    how = rng.randrange(6)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, lines[at])
    elif how == 2:
        lines.insert(at, f"unknown_{rng.randrange(9)} = {rng.choice(TOML_VALUES)}")
    else:
        lines[at] = f"{lines[at].partition(' = ')[0]} = {rng.choice(TOML_VALUES)}"
    return "\n".join(lines).encode()


def parquet_mutated(data: bytes, rng: random.Random) -> bytes:
    """A column lost, renamed, empty or of another type; a cell with another value; rows lost or doubled."""
    table = pq.read_table(io.BytesIO(data))
    column = rng.choice(table.column_names)
    at = table.column_names.index(column)
    values = table.column(column).to_pylist()
    how = rng.randrange(7)
    if how == 0:
        table = table.drop_columns([column])
    elif how == 1:
        table = table.rename_columns([f"{n}2" if n == column else n for n in table.column_names])
    elif how == 2:
        table = table.set_column(at, column, pa.nulls(len(table)))
    elif how == 3:
        table = table.set_column(at, column, pa.array([str(v) for v in values]))
    elif how == 4:
        table = pa.concat_tables([table, table.slice(rng.randrange(len(table)), 1)])
    elif how == 5:
        table = table.slice(0, rng.randrange(len(table)))
    else:
        values[rng.randrange(len(values))] = rng.choice(NASTY)
        table = table.set_column(at, column, pa.array(values))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def zip_mutated(data: bytes, rng: random.Random) -> bytes:
    """A member of an archive damaged (xlsx)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    if rng.random() < 0.1:
        del members[name]
    else:
        members[name] = _text_mutated(members[name], rng) if rng.random() < 0.5 else bytes_mutated(members[name], rng)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return sink.getvalue()


def safetensors_mutated(data: bytes, rng: random.Random) -> bytes:
    """The header changed: names, types, shapes, offsets."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    name = rng.choice(list(header))
    entry = header[name]
    if "dtype" in entry and rng.random() < 0.6:
        entry[rng.choice(("dtype", "shape", "data_offsets"))] = rng.choice(
            ("F16", "I64", "BOOL", "F8_E4M3", [0], [-1], [1, 1], [2**40], [0, 0], [0, 2**50], [4, 0], None, "x")
        )
    else:
        header = _changed(header, rng)
    text = _dumped(header)
    length = len(text) if rng.random() < 0.9 else rng.choice((0, 2**62, len(data), len(text) - 1))
    return struct.pack("<Q", length) + text + data[8 + size :]


def _text_mutated(data: bytes, rng: random.Random) -> bytes:
    """A tag or an attribute of XML lost, doubled or renamed."""
    parts = data.decode().split("<")
    at = rng.randrange(1, len(parts))
    parts[at] = rng.choice(("", f"{parts[at]}<{parts[at]}", "x" + parts[at], parts[at].replace('"', '"9', 1)))
    return "<".join(parts).encode()


def _places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a value's parts are, by keys and numbers."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    places = [above] if above else []
    for key, part in list(inside)[:60]:
        places += _places(part, (*above, key))
    return places


def _changed(document: Any, rng: random.Random) -> Any:
    places = _places(document)
    if not places or rng.random() < 0.03:
        return rng.choice(NASTY)
    *way, last = rng.choice(places)
    parent = document
    for key in way:
        parent = parent[key]
    how = rng.randrange(10)
    if how == 0:
        del parent[last]
    elif how == 1 and isinstance(parent, dict):
        parent[rng.choice(("x", "", "../x", f"{last} "))] = parent.pop(last)
    elif how == 2 and isinstance(parent, list):
        parent.append(parent[last])
    elif how == 3:
        parent[last] = [parent[last]]
    elif how == 4:
        parent[last] = {"x": parent[last]}
    else:
        parent[last] = rng.choice(NASTY)
    return document


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


Mutator = Callable[[bytes, random.Random], bytes]
FORMATS: dict[str, Mutator] = {
    "json": json_mutated,
    "jsonl": lines_mutated,
    "csv": table_mutated,
    "tsv": table_mutated,
    "toml": toml_mutated,
    "parquet": parquet_mutated,
    "xlsx": zip_mutated,
    "safetensors": safetensors_mutated,
}
