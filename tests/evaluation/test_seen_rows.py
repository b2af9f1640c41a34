"""Rows one by one: what is shown is what the whole evaluation holds of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.house import Ran

Run = Callable[..., Ran]


def test_rows_are_those_of_the_whole_evaluation(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm("eval", "majority", "--data", world, "--no-controls", "--out", tmp_path / "r", "--json")
    assert ran.code == 0, ran.err
    for folder in (tmp_path / "r").iterdir():
        protocol = json.loads((folder / "identity.json").read_text(encoding="utf-8"))["protocol"]
        lines = (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
        verdicts = {row["id"]: row for row in map(json.loads, lines)}
        stored = {
            row["id"]: row.get("response", row)
            for row in map(json.loads, (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines())
        }
        chosen = list(verdicts)[:3]
        asked = ruvlm("eval", "majority", "--data", world, "--protocol", protocol, "--ids", ",".join(chosen), "--json")
        assert asked.code == 0, asked.err
        (tmp_path / "ids.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
        shown = ruvlm("score", folder, "--data", world, "--ids", f"@{tmp_path / 'ids.txt'}", "--json")
        assert shown.code == 0, shown.err
        assert json.loads(asked.out) == json.loads(shown.out)
        for row in json.loads(shown.out):
            verdict = verdicts[row["id"]]
            assert (row["parsed"], row["scores"]) == (verdict["parsed"], verdict["scores"])
            assert row["answer"] == stored[row["id"]]["text"]
            assert row["text"].startswith("[картинка]")


@pytest.mark.parametrize(
    ("ids", "said"), [("нет-такой", "нет строк нет-такой"), (" , ", "номеров нет"), ("@нет.txt", "не прочитать")]
)
def test_ids_that_are_not_there(ids: str, said: str, world: Path, ruvlm: Run) -> None:
    ran = ruvlm("eval", "random", "--data", world, "--ids", ids)
    assert ran.code == 2
    assert said in ran.err
