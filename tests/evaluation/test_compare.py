"""Comparing stored evaluations: pairs, words, and what may not be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.house import Ran

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def stored(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Evaluations of three controls, by «protocol model»."""
    from ruvlm.evaluation.plan import evaluate_model

    out = tmp_path_factory.mktemp("compared")
    found = {}
    for model in ("random", "majority", "question-only"):
        for done in evaluate_model(model, str(world), "test", ("gqa-ru/lmms", "mmbench-ru/lmms"), False, out):
            assert done.folder is not None
            found[f"{done.protocol} {model}"] = done.folder
    return found


def test_pairs_with_words(stored: dict[str, Path], ruvlm: Run) -> None:
    names = ("random", "majority", "question-only")
    folders = [stored[f"gqa-ru/lmms {name}"] for name in names]
    ran = ruvlm("compare", *folders, "--json")
    assert ran.code == 0, ran.err
    rows = [row for row in json.loads(ran.out) if row["rule"] == "gqa-ru/lmms"]
    assert [(row["a"], row["b"]) for row in rows] == [names[:2], (names[0], names[2]), names[1:]]
    best = next(row for row in rows if (row["a"], row["b"]) == ("random", "question-only"))
    scores = [
        json.loads((f / "summary.json").read_text(encoding="utf-8"))["scores"]["gqa-ru/lmms"]["value"] for f in folders
    ]
    assert best["points"] == pytest.approx(scores[2] - scores[0], abs=0.01)
    assert best["low"] < best["points"] < best["high"]
    assert best["words"] == "различие значимо: лучше question-only"
    assert best["p_holm"] >= best["p"]


def test_circular_is_compared_by_groups(stored: dict[str, Path], ruvlm: Run) -> None:
    ran = ruvlm("compare", stored["mmbench-ru/lmms random"], stored["mmbench-ru/lmms majority"], "--json")
    row = next(row for row in json.loads(ran.out) if row["rule"] == "mmbench-ru/lmms/circular")
    summary = json.loads((stored["mmbench-ru/lmms random"] / "summary.json").read_text(encoding="utf-8"))
    assert row["n"] == summary["scores"]["mmbench-ru/lmms/circular"]["n"] < summary["n"]


def test_a_model_does_not_differ_from_itself(stored: dict[str, Path], ruvlm: Run) -> None:
    folder = stored["gqa-ru/lmms random"]
    rows = json.loads(ruvlm("compare", folder, folder, "--json").out)
    assert {row["words"] for row in rows} == {"неотличимы"}
    assert {row["points"] for row in rows} == {0.0}


def test_what_may_not_be_compared(stored: dict[str, Path], tmp_path: Path, ruvlm: Run) -> None:
    a, b = stored["gqa-ru/lmms random"], stored["mmbench-ru/lmms random"]
    for arguments, said in (((a, b), "протокол"), ((a,), "две"), ((a, tmp_path), "нет законченной оценки")):
        ran = ruvlm("compare", *arguments)
        assert (ran.code, said in ran.err) == (2, True), ran.err
