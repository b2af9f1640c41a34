"""The ground: what is written is whole or absent, what is appended survives a kill, a place has one owner at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from ruvlm.errors import OutputError
from ruvlm.files import (
    append_row,
    held,
    picture_mark,
    recover,
    repair,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
)


def _fail(out: Path) -> None:
    with whole_folder(out, over=True) as fresh:
        (fresh / "weights").write_text("new")
        raise RuntimeError("nothing came of it")


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "model"
    with whole_folder(out, over=True) as fresh:
        (fresh / "weights").write_text("old")
    with pytest.raises(RuntimeError, match="nothing"):
        _fail(out)
    assert (out / "weights").read_text() == "old"
    with whole_folder(out, over=True) as fresh:
        (fresh / "other").write_text("new")
    assert [path.name for path in out.iterdir()] == ["other"], "the old folder gives way whole"
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "nothing is left beside it"


def test_a_taken_place_is_kept_without_over(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("1")
    with pytest.raises(OutputError, match="Не удалось записать"), whole_folder(tmp_path / "model") as fresh:
        (fresh / "weights").write_text("new")
    assert (tmp_path / "model" / "mine").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_names_with_signs_of_patterns_sweep_only_their_own(tmp_path: Path) -> None:
    beside = tmp_path / ".ab-12345678"
    beside.mkdir()
    (tmp_path / ".a[b]-87654321").mkdir()
    recover(tmp_path / "a[b]")
    assert [path.name for path in tmp_path.iterdir()] == [beside.name]


def _hold(lock: Path, started: multiprocessing.synchronize.Event, over: multiprocessing.synchronize.Event) -> None:
    with held(lock):
        started.set()
        over.wait(60)


def test_a_lock_is_refused_and_let_go_by_a_killed_process(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    started, over = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_hold, args=(tmp_path / ".lock", started, over))
    process.start()
    assert started.wait(60)
    with pytest.raises(OutputError, match="занято"), held(tmp_path / ".lock", "занято"):
        pass
    process.kill()
    process.join()
    with held(tmp_path / ".lock", "занято"):
        pass


def test_a_torn_row_is_dropped_and_rows_go_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_row(path, {"слово": "да"})
    with path.open("ab") as handle:
        handle.write('{"слово": "н'.encode()[:-1])  # a kill in the middle of a letter
    assert repair(path)
    append_row(path, {"слово": "\ud800"})
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"слово": "да"}, {"слово": "�"}], "half a character is no text"
    assert not repair(path)


@pytest.mark.parametrize(
    "write", [lambda p: append_row(p, {}), lambda p: write_bytes(p, b"1"), lambda p: write_json(p, {})]
)
def test_a_place_that_cannot_be_written_is_a_sentence(write: object, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="Не удалось записать"):
        write(tmp_path / "taken")  # type: ignore[operator]


def test_a_mark_tells_pictures_apart() -> None:
    assert picture_mark(b"one") == picture_mark(b"one") != picture_mark(b"two")
    assert len(picture_mark(b"")) == 16


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "full")])
def test_whatever_comes_in_between_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "a.json").write_text("old")

    def stopped(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        write_text(tmp_path / "a.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"
