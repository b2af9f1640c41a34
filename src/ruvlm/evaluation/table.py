"""Score a file of answers: JSONL with gold and prediction, in the common spellings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ruvlm.errors import DataError
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
    rows = _read(path)
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


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: это не текст в UTF-8 (байт {error.start}): нужен JSONL.") from error
    except OSError as error:
        raise DataError(f"{path} не удалось прочитать ({error.strerror}).") from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}, строка {number}: это не JSON («{line[:60]}»): исправьте строку.") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, строка {number}: «{line[:60]}» – не объект с полями: исправьте строку.")
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: файл пуст, оценивать нечего.")
    return rows


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
