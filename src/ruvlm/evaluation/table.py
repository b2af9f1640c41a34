"""Score a file of answers: JSONL with gold and prediction, in the common spellings."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ruvlm.errors import DataError
from ruvlm.evaluation.jsonl import read_jsonl, text_field
from ruvlm.evaluation.judge import disagreements
from ruvlm.evaluation.match import MATCHERS
from ruvlm.evaluation.stats import score_columns
from ruvlm.schema import Result

PREDICTION = ("prediction", "pred", "response", "output")
GOLD = ("gold", "reference", "target", "ground_truth", "answer")
CLUSTER = ("imageId", "image_id", "image")


@dataclass(frozen=True)
class JudgedFile:
    """Answers of a file with every rule's verdict. `right` is bool [N, rules], rules in the order of MATCHERS."""

    predicted: tuple[str, ...]
    gold: tuple[str, ...]
    clusters: tuple[str, ...]
    right: np.ndarray
    note: str


@dataclass(frozen=True)
class Dispute:
    """A line on which rules differ: its number from 1, and which rules take it for right."""

    line: int
    predicted: str
    gold: str
    right_by: tuple[str, ...]


def judge_file(path: Path) -> JudgedFile:
    """All GQA-ru rules over a file. Raises DataError naming file, line and field."""
    rows = read_jsonl(path)
    predicted = _column(path, rows, PREDICTION, "ответа модели")
    gold = _column(path, rows, GOLD, "верного ответа")
    cluster = next((name for name in CLUSTER if all(name in row for row in rows)), None)
    texts = [
        tuple(text_field(path, number, row, (field,)) for field in (predicted, gold))
        for number, row in enumerate(rows, 1)
    ]
    right = np.array([[match(given, wanted) for match in MATCHERS.values()] for given, wanted in texts], dtype=bool)
    clusters = tuple(str(row[cluster]) if cluster else str(number) for number, row in enumerate(rows))
    note = f"интервалы – по картинкам (поле {cluster})" if cluster else "картинки не названы: интервалы – по строкам"
    return JudgedFile(tuple(a for a, _ in texts), tuple(b for _, b in texts), clusters, right, note)


def score_file(path: Path) -> Result:
    """Scores of a file under every rule. Rows of one image, where it is named, are resampled together."""
    judged = judge_file(path)
    names = list(MATCHERS)
    scores = score_columns(judged.clusters, judged.right, np.ones_like(judged.right))
    notes = (*disagreements(names, judged.right), judged.note)
    return Result(len(judged.gold), dict(zip(names, scores, strict=True)), notes=notes)


def disputes(path: Path) -> list[Dispute]:
    """The lines of a file on which its rules differ."""
    judged = judge_file(path)
    names = list(MATCHERS)
    return [
        Dispute(n + 1, judged.predicted[n], judged.gold[n], tuple(itertools.compress(names, verdicts)))
        for n, verdicts in enumerate(judged.right)
        if len(set(verdicts.tolist())) > 1
    ]


def _column(path: Path, rows: list[dict[str, Any]], names: tuple[str, ...], what: str) -> str:
    there = [name for name in names if name in rows[0]]
    if not there:
        fields = ", ".join(rows[0]) or "никаких"
        raise DataError(
            f"{path}: нет поля {what} (ищу {', '.join(names)}; в строке 1 есть {fields}): переименуйте поле."
        )
    if len(there) > 1 and len({str(rows[0][name]) for name in there}) > 1:
        raise DataError(f"{path}: полей {what} несколько ({', '.join(there)}): оставьте одно.")
    return there[0]
