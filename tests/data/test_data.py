"""Reading the hub's layout, with its dirt, and the pixel store."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import load_image
from ruvlm.data.pixels import PixelStore
from ruvlm.errors import DataError
from tests.support.rows import loaded


def test_a_world_is_read_as_the_real_sets_are(world: Path) -> None:
    source = open_source(str(world))
    assert source.label.startswith("world-mini")
    gqa = source.load("gqa-ru", "test")
    assert gqa.examples[0].structural in ("query", "verify", "choose", "logical", "compare")
    assert load_image(gqa.examples[-1].image).size == (128, 128)
    choices = source.load("mmbench-ru", "test").examples
    assert {example.rotation for example in choices} >= {0, 1, 2}
    assert all(example.answer in example.letters for example in choices)


def test_a_benchmark_folder_alone_is_a_source(world: Path) -> None:
    assert set(open_source(str(world / "gqa-ru")).benchmarks) == {"gqa-ru"}
    assert set(open_source(str(world / "mmbench-ru")).benchmarks) == {"mmbench-ru"}


def test_mentions_name_what_they_point_at(world: Path) -> None:
    found = loaded("gqa-ru", world / "gqa-ru", "train", grounding=True)
    mentions = [(e.question[m.start : m.end], m.region.words) for e in found.examples for m in e.mentions]
    assert len(mentions) > 500
    stems = sum(words[0][:3] in text.lower() for text, words in mentions)
    assert stems / len(mentions) > 0.97


def test_column_order_extra_columns_and_lists_do_not_matter(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "gqa-ru", tmp_path / "g")
    path = tmp_path / "g/testdev_balanced_instructions/testdev-00000-of-00001.parquet"
    table = pq.read_table(path)
    plain = loaded("gqa-ru", tmp_path / "g", "testdev").examples
    entailed = pa.array([list(example.entailed) for example in plain])
    table = table.drop(["entailed", "semantic"]).append_column("entailed", entailed)
    table = table.append_column("more", pa.array(["?"] * len(table))).select(table.column_names[::-1])
    pq.write_table(table, path)
    assert loaded("gqa-ru", tmp_path / "g", "testdev").examples == plain


@pytest.mark.parametrize("nothing", [None, "", "nan", "  "])
def test_every_spelling_of_nothing_is_a_missing_option(world: Path, tmp_path: Path, nothing: str | None) -> None:
    table = pq.read_table(world / "mmbench-ru/mmbench_ru_dev.parquet")
    rows = table.to_pylist()
    for row in rows:
        row["hint"] = nothing
        if row["answer"] != "D":
            row["D"] = nothing
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "mmbench_ru_dev.parquet")
    examples = loaded("mmbench-ru", tmp_path, "dev").examples
    assert all(example.hint is None for example in examples)
    assert all(len(example.options) <= 3 for example in examples if example.answer != "D")


def test_a_gold_letter_that_is_no_option_is_refused(world: Path, tmp_path: Path) -> None:
    table = pq.read_table(world / "mmbench-ru/mmbench_ru_dev.parquet")
    rows = table.to_pylist()
    rows[3]["answer"] = "E"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "mmbench_ru_dev.parquet")
    with pytest.raises(DataError, match=r"строка 3.*«E»"):
        loaded("mmbench-ru", tmp_path, "dev")


def test_equal_pictures_are_stored_once_and_a_damaged_cache_is_rebuilt(world: Path, tmp_path: Path) -> None:
    source = open_source(str(world))
    refs = [e.image for b in ("gqa-ru", "mmbench-ru") for e in source.load(b, "train").examples]  # type: ignore[arg-type]
    store = PixelStore.build(refs, 32, tmp_path)
    assert len(store.pixels) == 120
    (cached,) = tmp_path.glob("pixels-32-*.npy")
    pixels = np.array(store.pixels)
    cached.write_bytes(cached.read_bytes()[:1000])
    assert np.array_equal(PixelStore.build(refs, 32, tmp_path).pixels, pixels)
    assert np.array_equal(PixelStore.build(refs, 32, None).pixels, pixels)
