"""Predictions as people bring them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.house import Ran

Run = Callable[..., Ran]


def test_a_llava_log_against_the_rows_that_mmbench_ru_keeps(shared: Path, ruvlm: Run) -> None:
    log = shared / "real/llava15_en/mmbench_dev_llava15_13b.jsonl"
    ran = ruvlm("score", log, "--gold", shared / "real/mmbench_ru/dev_rows.jsonl", "--json")
    assert ran.code == 0, ran.err
    scores = json.loads(ran.out)["scores"]
    rows, groups = scores["mmbench-ru/lmms/vanilla"], scores["mmbench-ru/lmms/circular"]
    assert (rows["correct"], rows["n"]) == (3013, 3910)
    assert (groups["correct"], groups["n"]) == (770, 1109)
    assert scores["mmbench-ru/lmms/circular-reference"]["n"] == 1045
    assert scores["mmbench-ru/lmms/circular-complete"]["n"] == 908


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"id": 1, "pred": "стол", "gold": "стол"}\n{"id": 2, "pred": "стул", "gold": "стол"}\n'),
        ("a.csv", "index,prediction,answer\n1,стол,стол\n2,стул,стол\n"),
        ("a.tsv", "question_id\tresponse\ttarget\n1\tстол\tстол\n2\tстул\tстол\n"),
        ("bom.csv", "\ufeffid,output,reference\n1,стол,стол\n2,стул,стол\n"),
    ],
)
def test_common_spellings(tmp_path: Path, ruvlm: Run, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    ran = ruvlm("score", tmp_path / name, "--json")
    assert ran.code == 0, ran.err
    score = json.loads(ran.out)["scores"]["gqa-ru/lmms"]
    assert (score["correct"], score["n"]) == (1, 2)


def test_choices_of_one_file(tmp_path: Path, ruvlm: Run) -> None:
    rows = [
        {"index": 7, "A": "стол", "B": "стул", "answer": "A", "prediction": "**A**"},
        {"index": 1_000_007, "A": "стул", "B": "стол", "answer": "B", "prediction": "стол"},
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    scores = json.loads(ruvlm("score", path, "--json").out)["scores"]
    assert scores["mmbench-ru/ru/circular"]["value"] == 100


@pytest.mark.parametrize(
    ("answers", "gold", "said"),
    [
        ('{"id": 1, "prediction": "а", "pred": "б", "gold": "в"}', None, "несколько"),
        ('{"id": 1, "prediction": "а"}', None, "--gold"),
        ('{"id": 1, "prediction": "а"}\n{"id": 1, "prediction": "б"}', '{"id": 1, "gold": "а"}', "не раз"),
        ('{"id": 1, "prediction": "а"}', '{"id": 2, "gold": "а"}', "нет ответов на 1 из 1"),
        ('{"prediction": "а"}', '{"id": 2, "gold": "а"}', "сопоставить"),
        ('{"id": 1, "prediction": ["а"]}', '{"id": 1, "gold": "а"}', "нужен текст"),
        ('{"id": 1, "ответ": "а"}', None, "нет поля ответа модели"),
    ],
)
def test_what_is_not_certain_is_asked(tmp_path: Path, ruvlm: Run, answers: str, gold: str | None, said: str) -> None:
    (tmp_path / "a.jsonl").write_text(answers, encoding="utf-8")
    arguments = []
    if gold is not None:
        (tmp_path / "g.jsonl").write_text(gold, encoding="utf-8")
        arguments = ["--gold", tmp_path / "g.jsonl"]
    ran = ruvlm("score", tmp_path / "a.jsonl", *arguments)
    assert ran.code == 2
    assert said in ran.err


def test_the_reference_with_random_letters(shared: Path, tmp_path: Path, ruvlm: Run) -> None:
    case = json.loads((shared / "parity/mmbench_circular_cases.json").read_text(encoding="utf-8"))["uninferable"]
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in case["rows"]), encoding="utf-8")
    ran = ruvlm("score", path, "--reference-random", "--json")
    assert ran.code == 0, ran.err
    scores = json.loads(ran.out)["scores"]
    drawn = scores["mmbench-ru/lmms/circular-reference-random"]["value"]
    assert drawn == pytest.approx(100 * case["lmms_openai_api_down_seed2680"]["overall"], abs=1e-3)
    plain = scores["mmbench-ru/lmms/circular-reference"]["value"]
    assert plain == pytest.approx(100 * case["lmms_static"]["overall"], abs=1e-3)
