"""What takes an evaluation takes a file of answers too: compare, report, leaderboard; their oracle is our own folder's figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ruvlm.errors import DataError
from ruvlm.evaluation.answers import answers_under, open_answers
from ruvlm.evaluation.compare import compare
from ruvlm.evaluation.folder import EvaluationFolder, evaluations_in
from ruvlm.evaluation.plan import evaluate_model
from tests.support.house import Ran

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def evaluated(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The controls' evaluations of the embedded world's testdev."""
    out = tmp_path_factory.mktemp("evaluated")
    for model in ("majority", "random"):
        evaluate_model(model, str(world), "testdev", controls=False, out=out / model)
    return out


def folder_of(evaluated: Path, model: str, benchmark: str) -> EvaluationFolder:
    return next(f for f in evaluations_in(evaluated / model) if f.measured.benchmark == benchmark)


def as_somebody_writes(folder: EvaluationFolder, world: Path, path: Path) -> Path:
    """The same answers as a table of another tool: id, prediction, gold and picture, no word of ours."""
    rows = {}
    for part in sorted((world / "gqa-ru/testdev_balanced_instructions").glob("*.parquet")):
        rows |= {
            row["id"]: row for row in pq.read_table(part, columns=["id", "imageId", "question", "answer"]).to_pylist()
        }
    lines = [
        {
            "id": name,
            "question": rows[name]["question"],
            "prediction": said.text,
            "gold": rows[name]["answer"],
            "imageId": rows[name]["imageId"],
        }
        for name, said in folder.responses.items()
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_of_the_same_answers_is_the_same_evaluation(evaluated: Path, world: Path, tmp_path: Path) -> None:
    folder = folder_of(evaluated, "majority", "gqa-ru")
    file = open_answers(as_somebody_writes(folder, world, tmp_path / "other tool.jsonl"))
    assert list(file.measured.scores) == list(folder.measured.scores)
    for rule, score in folder.measured.scores.items():
        assert (file.measured.scores[rule].n, file.measured.scores[rule].correct) == (score.n, score.correct)
    assert {n: v.scores for n, v in file.verdicts.items()} == {n: v.scores for n, v in folder.verdicts.items()}
    assert {n: r.text for n, r in file.responses.items()} == {n: r.text for n, r in folder.responses.items()}
    rows = compare([folder.path, file.path])
    assert {row.rule for row in rows} == set(folder.measured.scores)
    assert all(row.points == 0 and row.p_holm == 1 for row in rows)


def test_a_file_and_a_folder_differ_as_two_folders_do(evaluated: Path, world: Path, tmp_path: Path) -> None:
    one, other = (folder_of(evaluated, name, "gqa-ru") for name in ("majority", "random"))
    file = as_somebody_writes(other, world, tmp_path / "random.jsonl")
    expected, found = compare([one.path, other.path]), compare([one.path, file])
    assert [(r.rule, r.points, r.low, r.high, r.p_holm) for r in found] == [
        (r.rule, r.points, r.low, r.high, r.p_holm) for r in expected
    ]
    assert [row.b for row in found] == ["random"] * len(found)


def test_other_rows_are_no_match(evaluated: Path, world: Path, tmp_path: Path) -> None:
    folder = folder_of(evaluated, "majority", "gqa-ru")
    path = as_somebody_writes(folder, world, tmp_path / "short.jsonl")
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match="наборы строк"):
        compare([folder.path, path])
    with pytest.raises(DataError, match="нет: проверьте путь"):
        compare([folder.path, tmp_path / "absent.jsonl"])
    with pytest.raises(DataError, match="укажите папку запуска, оценку или файл ответов"):
        answers_under(tmp_path / "absent")


def test_the_commands_take_files(evaluated: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    folder = folder_of(evaluated, "majority", "gqa-ru")
    file = as_somebody_writes(folder_of(evaluated, "random", "gqa-ru"), world, tmp_path / "theirs.jsonl")
    ran = ruvlm("compare", folder.path, file, "--json")
    assert ran.code == 0, ran.err
    assert {row["b"] for row in json.loads(ran.out)} == {"theirs"}
    page = tmp_path / "report.html"
    for paths in ((folder.path, file), (file, folder.path)):
        ran = ruvlm("report", *paths, "--data", world, "--out", page)
        assert ran.code == 0, ran.err
        text = page.read_text(encoding="utf-8")
        assert "theirs" in text
        assert text.count("<h2") == 3, "what it comes to, one section for both, and where the figures come from"
        assert "часть testdev" in text, "it is called what the evaluation's rows are called"
    ran = ruvlm("report", file, "--out", page)
    assert "короткие ответы" in page.read_text(encoding="utf-8"), "nobody has said that these are GQA-ru's rows"
    assert "файл ответов" in ran.err
    ran = ruvlm("leaderboard", folder.path, file, "--out", tmp_path / "site", "--json")
    assert ran.code == 0, ran.err
    assert any({"theirs", "majority"} & {e["model"] for e in board["entries"]} for board in json.loads(ran.out))
