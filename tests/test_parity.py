"""Our reference rules decide as the reference code did."""

from __future__ import annotations

import json
from pathlib import Path

from ruvlm.evaluation.match import match_reference
from ruvlm.evaluation.parse import read_reference


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_gqa_exact_match(shared: Path) -> None:
    cases = _lines(shared / "parity" / "gqa_scoring_cases.jsonl")
    assert len(cases) > 700
    wrong = [c for c in cases if match_reference(c["pred"], c["gold"]) != bool(c["lmms_eval_exact_match"])]
    assert wrong == []


def test_mmbench_extraction(shared: Path) -> None:
    cases = _lines(shared / "parity" / "mmbench_extract_cases.jsonl")
    assert len(cases) > 300
    read = [read_reference(c["prediction"], [c["options"].get(x) for x in "ABCDE"]).letter for c in cases]
    assert [c["id"] for c, letter in zip(cases, read, strict=True) if letter != c["lmms_eval"]] == []
