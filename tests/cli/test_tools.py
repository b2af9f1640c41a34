"""Logs of other tools, answers from a file as a model, another question's picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from openpyxl import Workbook

from ruvlm.backends.base import Asked, Backend
from ruvlm.backends.controls import ShuffledBackend
from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import read_bytes
from ruvlm.errors import DataError
from ruvlm.schema import Response
from tests.support.house import Ran

Run = Callable[..., Ran]
RECORD = {
    "index": 1_000_007,
    "question": "Что это?",
    "answer": "B",
    "prediction": "стол",
    "hint": None,
    "category": "ocr",
    "L2-category": "finegrained_perception (instance-level)",
    "A": "стул",
    "B": "стол",
    "C": "nan",
    "D": "nan",
    "E": "nan",
}


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_sample_log_of_lmms_eval(tmp_path: Path, ruvlm: Run) -> None:
    gqa = [
        {"doc_id": 0, "target": "стол", "filtered_resps": ["Стол"], "exact_match": 1.0},
        {"doc_id": 1, "target": "да", "filtered_resps": "нет", "exact_match": 0.0},
        {"doc_id": 2, "target": "да", "resps": [["да."]], "doc": {"id": "77", "imageId": "n1"}},
    ]
    score = json.loads(ruvlm("score", written(tmp_path / "gqa.jsonl", gqa), "--json").out)["scores"]["gqa-ru/lmms"]
    assert (score["correct"], score["n"]) == (2, 3)
    mmbench = [
        {
            "doc_id": 0,
            "target": "A",
            "filtered_resps": "A",
            "gpt_eval_score": {**RECORD, "index": 7, "answer": "A", "prediction": "A"},
        },
        {"doc_id": 1, "target": "B", "filtered_resps": "стол", "gpt_eval_score": RECORD},
    ]
    scores = json.loads(ruvlm("score", written(tmp_path / "mmb.jsonl", mmbench), "--json").out)["scores"]
    assert scores["mmbench-ru/lmms/circular"]["value"] == 100
    assert scores["mmbench-ru/lmms/vanilla"]["n"] == 2
    failed = [{"doc_id": 0, "target": "A", "filtered_resps": []}, {"doc_id": 1, "target": "A", "filtered_resps": "A"}]
    done = json.loads(ruvlm("score", written(tmp_path / "failed.jsonl", failed), "--json").out)
    assert done["scores"]["gqa-ru/lmms"]["n"] == 2
    assert "пустых ответов модели: 1" in done["notes"]


def test_a_spreadsheet_of_vlmevalkit(tmp_path: Path, ruvlm: Run) -> None:
    book = Workbook()
    header = ["index", "question", "A", "B", "C", "answer", "category", "l2-category", "prediction"]
    book.active.append(header)
    book.active.append([7, "Сколько мячей?", 1, 2, None, "B", "ocr", "x", "2"])
    book.active.append([1_000_007, "Сколько мячей?", 2, 1, None, "A", "ocr", "x", "A."])
    book.active.append([8, "Кто это?", "кот", "пёс", "рыба", "C", "ocr", "x", None])
    book.save(tmp_path / "m.xlsx")
    found = json.loads(ruvlm("score", tmp_path / "m.xlsx", "--json").out)["scores"]
    assert found["mmbench-ru/ru/circular"]["n"] == 2
    assert found["mmbench-ru/lmms/vanilla"]["correct"] == 2
    (tmp_path / "no.xlsx").write_bytes(b"PK\x03\x04 torn")
    refused = ruvlm("score", tmp_path / "no.xlsx")
    assert refused.code == 2
    assert "xlsx" in refused.err


def test_a_table_of_vlmevalkit_with_pictures_in_it(tmp_path: Path, ruvlm: Run) -> None:
    picture = "x" * 200_000
    text = f"index\timage\tA\tB\tanswer\tprediction\n7\t{picture}\tкот\tпёс\tA\tA\n8\t{picture}\tкот\tпёс\tB\tA\n"
    (tmp_path / "m.tsv").write_text(text, encoding="utf-8")
    found = json.loads(ruvlm("score", tmp_path / "m.tsv", "--json").out)["scores"]
    assert found["mmbench-ru/lmms/vanilla"]["value"] == 50


def test_a_file_is_a_model_and_what_it_lacks_is_an_error(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    data = open_source(str(world)).load("gqa-ru", "test")
    rows = [{"id": e.id, "prediction": e.answer} for e in data.examples]
    whole = ruvlm(
        "eval",
        f"file:{written(tmp_path / 'a.jsonl', rows)}",
        "--data",
        world,
        "--out",
        tmp_path / "a",
        "--no-controls",
        "--json",
    )
    assert whole.code == 0, whole.err
    (only,) = json.loads(whole.out)
    assert (only["protocol"], only["scores"]["gqa-ru/lmms"]["value"]) == ("gqa-ru/lmms", 100)
    assert "не отвечает на вопросы mmbench-ru" in whole.err
    part = written(tmp_path / "b.jsonl", rows[3:])
    lacking = ruvlm("eval", f"file:{part}", "--data", world, "--out", tmp_path / "b", "--no-controls", "--json")
    assert lacking.code == 1
    (summary,) = (tmp_path / "b").glob("*/summary.json")
    assert json.loads(summary.read_text(encoding="utf-8"))["errors"] == 3
    log = [{"doc_id": n, "target": e.answer, "filtered_resps": "да"} for n, e in enumerate(data.examples)]
    numbered = ruvlm(
        "eval", f"file:{written(tmp_path / 'c.jsonl', log)}", "--data", world, "--out", tmp_path / "c", "--no-controls"
    )
    assert numbered.code == 0, numbered.err
    strange = written(tmp_path / "d.jsonl", [{"id": "ничей", "prediction": "да"}])
    refused = ruvlm("eval", f"file:{strange}", "--data", world, "--out", tmp_path / "d", "--protocol", "gqa-ru/lmms")
    assert refused.code == 2
    assert "ответы на другие вопросы" in refused.err


class Seen(Backend):
    """Says which picture it was shown."""

    name = fingerprint = "seen"

    def answer(self, asked: list[Asked]) -> list[Response]:
        return [Response(str(item.prompt.image)) for item in asked]


@pytest.mark.parametrize("benchmark", ["gqa-ru", "mmbench-ru"])
def test_shuffled_shows_another_picture_always_the_same_one(world: Path, benchmark: str) -> None:
    data = open_source(str(world)).load(benchmark, "test")
    table = protocol_named(f"{benchmark}/lmms")
    asked = [Asked(table.prompt(example), example) for example in data.examples]
    backend = ShuffledBackend(Seen())
    backend.begin(data)
    shown = [response.text for response in backend.answer(asked)]
    for item in asked:
        assert read_bytes(backend.shown(item.example)) != read_bytes(item.example.image)
    for cluster in {e.cluster for e in data.examples}:
        assert len({s for s, e in zip(shown, data.examples, strict=True) if e.cluster == cluster}) == 1
    again = ShuffledBackend(Seen())
    again.begin(data)
    assert [response.text for response in again.answer(asked[5:])] == shown[5:]
    single = replace(data, examples=tuple(e for e in data.examples if e.cluster == data.examples[0].cluster))
    with pytest.raises(DataError, match="об одной картинке"):
        backend.begin(single)
