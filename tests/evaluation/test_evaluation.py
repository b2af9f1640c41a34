"""Evaluation end to end: stored answers, resumption, controls, circular arithmetic."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ruvlm.backends.base import Asked, Backend
from ruvlm.backends.controls import RandomBackend
from ruvlm.backends.function import FunctionBackend
from ruvlm.backends.question_only import gold_text
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.circular import groups_of
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import ConfigError, DataError
from ruvlm.evaluation.compare import compare
from ruvlm.evaluation.plan import evaluate_model
from ruvlm.evaluation.stored import verdict_of
from ruvlm.schema import Example, ImageRef, Response
from tests.support.house import Ran
from tests.support.rows import example as example_of

Run = Callable[..., Ran]


@pytest.mark.parametrize("name", ["nano", "cnn_lstm"])
def test_eval_writes_what_it_prints(runs: Path, world: Path, tmp_path: Path, ruvlm: Run, name: str) -> None:
    ran = ruvlm("eval", runs / name, "--data", world, "--out", tmp_path / "e", "--json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)
    assert {row["model"] for row in rows} == {name, "random", "majority", "question-only", f"blind:{name}"}
    assert {row["protocol"] for row in rows} == {"gqa-ru/lmms", "mmbench-ru/lmms", "mmbench-ru/likelihood"}
    assert all(row["source"].startswith("world-mini") for row in rows)
    for folder in (tmp_path / "e").iterdir():
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        lines = (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines()
        assert summary["n"] == len(lines) == len((folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines())
        assert all({"n", "correct", "value", "low", "high"} <= set(score) for score in summary["scores"].values())
    gqa = next(row for row in rows if row["protocol"] == "gqa-ru/lmms" and row["model"] == name)
    assert set(gqa["scores"]) == {"gqa-ru/lmms", "gqa-ru/ru", "gqa-ru/lemma", "gqa-ru/vlmevalkit"}


def test_a_second_evaluation_asks_nothing_and_a_torn_line_is_asked_again(
    runs: Path, world: Path, tmp_path: Path
) -> None:
    arguments = dict(
        model=str(runs / "nano"), data=str(world), split="test", protocols=("gqa-ru/lmms",), controls=False
    )
    first = evaluate_model(**arguments, out=tmp_path)[0]
    assert first.asked == first.result.n
    assert evaluate_model(**arguments, out=tmp_path)[0].asked == 0
    path = first.folder / "responses.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = evaluate_model(**arguments, out=tmp_path)[0]
    assert again.asked == 1
    assert again.result == first.result


def test_another_model_in_the_same_folder_is_refused(runs: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    common = ("--data", world, "--out", tmp_path, "--protocol", "gqa-ru/lmms", "--no-controls")
    assert ruvlm("eval", runs / "nano" / "best_model", *common).code == 0
    (folder,) = tmp_path.iterdir()
    identity = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
    (folder / "identity.json").write_text(json.dumps(identity | {"model": "другая"}), encoding="utf-8")
    ran = ruvlm("eval", runs / "nano" / "best_model", *common)
    assert ran.code == 2
    assert "модель" in ran.err


def test_data_that_change_while_they_are_asked_about_are_refused(little: Path, tmp_path: Path) -> None:
    """A second download in the middle: the same rows under the same names, in another file."""
    data = shutil.copytree(little, tmp_path / "data")
    files = list(data.glob("gqa-ru/testdev*images/*.parquet"))
    asked: list[str] = []

    def model(picture: object, question: str) -> str:
        asked.append(question)
        if len(asked) == 5:
            for file in files:
                shutil.copy(file, tmp_path / "again")
                (tmp_path / "again").replace(file)
        return "да"

    with pytest.raises(DataError, match="изменился, пока шла оценка"):
        evaluate_model(
            FunctionBackend(model), str(data), "test", protocols=("gqa-ru/lmms",), controls=False, out=tmp_path / "e"
        )
    assert len(asked) > 5
    assert not list((tmp_path / "e").rglob("summary.json"))


def test_controls_are_what_they_say(world: Path, tmp_path: Path) -> None:
    data = open_source(str(world)).load("mmbench-ru", "test")
    found = evaluate_model("random", str(world), "test", ("mmbench-ru/lmms",), False, tmp_path)[0].result
    chance = sum(1 / len(example.options) for example in data.examples) / len(data.examples)
    assert abs(found.scores["mmbench-ru/lmms/vanilla"].value / 100 - chance) < 0.12
    assert found.scores["mmbench-ru/lmms/circular"].value < 10


def test_holdout_is_a_split(runs: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm(
        "eval", runs / "nano", "--data", world, "--split", "holdout", "--out", tmp_path, "--no-controls", "--json"
    )
    assert ran.code == 0
    assert {row["split"] for row in json.loads(ran.out)} == {"holdout"}


def example(index: int, count: int, category: str = "c") -> Example:
    base = index % 1_000_000
    return example_of(
        "q",
        "A",
        id=str(index),
        benchmark="mmbench-ru",
        image_id=str(base),
        cluster=str(base),
        options=tuple("abcd"[:count]),
        rotation=index // 1_000_000,
        category=category,
    )


def test_a_group_counts_only_when_every_rotation_is_right() -> None:
    rows = [example(k * 1_000_000 + 7, 4) for k in range(4)] + [example(k * 1_000_000 + 8, 4) for k in (1, 2)]
    groups = {g.base: g for g in groups_of(rows, [True] * 4 + [True, True])}
    assert (groups["7"].right, groups["7"].complete, groups["7"].based) == (True, True, True)
    assert (groups["8"].right, groups["8"].complete, groups["8"].based) == (True, False, False)
    assert not groups_of(rows[:4], [True, True, False, True])[0].right


def test_group_arithmetic_of_the_real_set(shared: Path) -> None:
    lines = (shared / "real/mmbench_ru/dev_rows.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    examples = [example(row["index"], 4, row["category"]) for row in rows]
    groups = groups_of(examples, [True] * len(rows))
    assert (len(rows), len(groups), sum(g.based for g in groups)) == (3910, 1109, 1045)


def test_score_explains_where_rules_differ(tmp_path: Path, ruvlm: Run) -> None:
    rows = [("стол", "стол"), ("Зеленый", "зелёный"), ("столом", "стол"), ("кот", "стол"), ("стол.", "стол")]
    path = tmp_path / "answers.jsonl"
    lines = [json.dumps({"prediction": a, "gold": b}, ensure_ascii=False) for a, b in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = [json.loads(line) for line in ruvlm("score", path, "--explain", "--json").out.splitlines()]
    assert [row["line"] for row in found] == [2, 3, 5]
    assert [row["right_by"] for row in found] == [
        ["gqa-ru/ru", "gqa-ru/lemma"],
        ["gqa-ru/lemma"],
        ["gqa-ru/lmms", "gqa-ru/ru", "gqa-ru/lemma"],
    ]


def test_a_folder_is_scored_again_without_its_model(world: Path, little: Path, tmp_path: Path, ruvlm: Run) -> None:
    common = ("--data", world, "--no-controls", "--out", tmp_path / "e", "--json")
    evaluated = json.loads(ruvlm("eval", "random", *common).out)
    folders = list((tmp_path / "e").iterdir())
    assert len(folders) == 3
    for folder in folders:
        ran = ruvlm("score", folder, "--data", world, "--json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["scores"] in [row["scores"] for row in evaluated]
        refused = ruvlm("score", folder, "--data", little)
        assert refused.code == 2
        assert "на других данных" in refused.err
    assert ruvlm("score", tmp_path / "e").code == 2


def test_a_question_with_options_may_be_asked_for_the_word() -> None:
    short = benchmark_named("gqa-ru").protocols[0]
    row = example_of("Кто это?", "B", options=("кот", "пёс"))
    scores = [short.judge(row, Response(said)).score for said in ("пёс", "B", "кот")]
    assert scores == [1, 0, 0]


def test_a_hidden_answer_teaches_nothing_and_is_never_matched() -> None:
    hidden = replace(example_of("Кто это?", "да"), answers=())
    verdict = benchmark_named("gqa-ru").protocols[0].judge(hidden, Response(""))
    assert set(verdict.scores.values()) == {0}
    with pytest.raises(ValueError, match="no gold answer"):
        gold_text(hidden)


class Deaf(Backend):
    """A model of one picture that has nothing to say."""

    name = fingerprint = "deaf"

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        yield from (Response("") for _ in asked)


@pytest.mark.parametrize("pictures", [0, 2])
def test_not_just_one_picture_is_refused_in_a_sentence(pictures: int) -> None:
    row = replace(example_of("Кто это?", "да"), images=(ImageRef(Path("x")),) * pictures)
    with pytest.raises(ConfigError, match=f"об одной картинке, а у вопроса 1 их {pictures}"):
        Deaf().refuse_unfit([row])
    RandomBackend([]).refuse_unfit([row])


def test_an_evaluation_of_a_benchmark_that_is_gone_is_still_read(world: Path, tmp_path: Path) -> None:
    for name in ("random", "majority"):
        for done in evaluate_model(name, str(world), "test", ("mmbench-ru/lmms",), False, tmp_path / name):
            assert done.folder is not None
            path = done.folder / "identity.json"
            path.write_text(path.read_text(encoding="utf-8").replace("mmbench-ru/lmms", "gone/lmms"), encoding="utf-8")
    folders = [next((tmp_path / name).iterdir()) for name in ("random", "majority")]
    assert {row.rule for row in compare(folders)} >= {"mmbench-ru/lmms/circular"}


def test_verdicts_that_knew_only_right_and_wrong_are_read() -> None:
    row = {
        "id": "7",
        "cluster": "c",
        "parsed": "да",
        "reason": None,
        "correct": {"gqa-ru/lmms": True, "gqa-ru/ru": False},
    }
    assert verdict_of(row).scores == {"gqa-ru/lmms": 1.0, "gqa-ru/ru": 0.0}
