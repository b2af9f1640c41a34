"""Score a file of answers: JSONL with gold and prediction, in the common spellings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ruvlm.errors import DataError
from ruvlm.evaluation.jsonl import read_jsonl
from ruvlm.evaluation.judge import disagreements
from ruvlm.evaluation.match import MATCHERS
from ruvlm.evaluation.stats import score_columns
from ruvlm.schema import Result

PREDICTION = ("prediction", "pred", "response", "output")
GOLD = ("gold", "reference", "target", "ground_truth", "answer")
CLUSTER = ("imageId", "image_id", "image")


def score_file(path: Path) -> Result:
    """All three GQA-ru rules over a file. Rows of one image, where it is named, are resampled together.

    Raises DataError naming file, line and field.
    """
    rows = read_jsonl(path)
    predicted = _column(path, rows, PREDICTION, "ответа модели")
    gold = _column(path, rows, GOLD, "верного ответа")
    cluster = next((name for name in CLUSTER if all(name in row for row in rows)), None)
    names = list(MATCHERS)
    right = np.zeros((len(rows), len(names)), dtype=bool)
    for number, row in enumerate(rows):
        for field in (predicted, gold):
            if not isinstance(row.get(field), str):
                raise DataError(f"{path}, строка {number + 1}: поле «{field}» = {row.get(field)!r}, а нужен текст.")
        right[number] = [match(row[predicted], row[gold]) for match in MATCHERS.values()]
    clusters = [str(row[cluster]) if cluster else str(number) for number, row in enumerate(rows)]
    scores = dict(zip(names, score_columns(clusters, right, np.ones_like(right)), strict=True))
    how = f"интервалы – по картинкам (поле {cluster})" if cluster else "картинки не названы: интервалы – по строкам"
    return Result(len(rows), scores, notes=(*disagreements(names, right), how))


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
