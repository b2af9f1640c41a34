"""Score a file of answers, against its own gold answers or those of another file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ruvlm.data.predictions import Line, read_lines
from ruvlm.errors import DataError
from ruvlm.evaluation.circular_reference import reference_figures
from ruvlm.evaluation.judge import disagreements, judge, score_mmbench
from ruvlm.evaluation.match import MATCHERS, match_all
from ruvlm.evaluation.stats import score_columns
from ruvlm.schema import LETTERS, Example, ImageRef, Response, Result, Score

ROTATION = 1_000_000


@dataclass(frozen=True)
class Answered:
    """One answer beside its gold answer, from one file or two. `number` is its line among the predictions."""

    number: int
    identity: str
    prediction: str
    gold: str
    cluster: str | None
    options: tuple[str | None, ...]
    category: str | None
    l2: str | None


@dataclass(frozen=True)
class Dispute:
    """A line on which rules differ: its number from 1, and which rules take it for right."""

    line: int
    predicted: str
    gold: str
    right_by: tuple[str, ...]


def score_file(path: Path, gold: Path | None = None, reference_random: bool = False) -> Result:
    """Scores of a file under every rule; multiple choice where the gold answers are letters and options are known.

    With `reference_random`, also lmms-eval's circular figure with a random letter for what it could not read. Rows of one image, where it is named, are resampled together. Raises DataError naming file, line and field.
    """
    rows, notes = answered(path, gold)
    if _is_choice(path, rows):
        result = _score_choices(path, rows, reference_random)
        return Result(
            result.n, result.scores, result.breakdowns, result.unparsed, result.errors, (*result.notes, *notes)
        )
    right = _matched(rows)
    named = all(row.cluster is not None for row in rows)
    clusters = [row.cluster or "" if named else str(row.number) for row in rows]
    scores = score_columns(clusters, right, np.ones_like(right))
    how = "интервалы – по картинкам" if named else "картинки не названы: интервалы – по строкам"
    names = list(MATCHERS)
    return Result(len(rows), dict(zip(names, scores, strict=True)), notes=(*disagreements(names, right), how, *notes))


def disputes(path: Path, gold: Path | None = None) -> list[Dispute]:
    """The lines of a file on which its rules differ."""
    rows, _ = answered(path, gold)
    if _is_choice(path, rows):
        verdicts = [judge("mmbench-ru/lmms", _example(path, row), Response(row.prediction)).correct for row in rows]
    else:
        verdicts = [dict(zip(MATCHERS, values, strict=True)) for values in _matched(rows).tolist()]
    return [
        Dispute(row.number, row.prediction, row.gold, tuple(itertools.compress(right, right.values())))
        for row, right in zip(rows, verdicts, strict=True)
        if len(set(right.values())) > 1
    ]


def answered(path: Path, gold: Path | None) -> tuple[list[Answered], tuple[str, ...]]:
    """Predictions joined to gold answers, and what was left out. Raises DataError if a gold answer has no prediction."""
    lines = read_lines(path)
    if gold is None:
        return [_own(path, line) for line in lines], ()
    wanted = read_lines(gold, predicted=False)
    for file, some in ((path, lines), (gold, wanted)):
        if some[0].identity is None:
            raise DataError(
                f"{file}: нет поля id, index или question_id, по которому сопоставить ответы: добавьте его."
            )
    given = {line.identity: line for line in lines}
    missing = [line.identity for line in wanted if line.identity not in given]
    if missing:
        raise DataError(
            f"{path}: нет ответов на {len(missing)} из {len(wanted)} вопросов {gold} (первый – {missing[0]}): "
            "дополните файл."
        )
    joined = [_joined(gold, given[line.identity], line) for line in wanted]
    extra = len(lines) - len(wanted)
    return joined, ((f"лишних ответов, которых нет в {gold.name}: {extra}",) if extra else ())


def _own(path: Path, line: Line) -> Answered:
    if line.gold is None:
        raise DataError(f"{path}: нет поля верного ответа (gold, answer…): добавьте его или укажите --gold ФАЙЛ.")
    return Answered(
        line.number, line.identity or str(line.number), line.prediction or "", line.gold, line.cluster, line.options,
        line.category, line.l2,
    )  # fmt: skip


def _joined(gold: Path, given: Line, wanted: Line) -> Answered:
    if wanted.gold is None:
        raise DataError(f"{gold}: нет поля верного ответа (gold, answer…): добавьте его.")
    return Answered(
        given.number, wanted.identity or "", given.prediction or "", wanted.gold, wanted.cluster,
        wanted.options or given.options, wanted.category or given.category, wanted.l2 or given.l2,
    )  # fmt: skip


def _is_choice(path: Path, rows: Sequence[Answered]) -> bool:
    """Are the gold answers letters of options? Raises DataError for a file that is a choice in some of its rows only."""
    for row in rows:
        if not row.gold.strip():
            raise DataError(f"{path}, строка {row.number}: верный ответ пуст: впишите его или удалите строку.")
    if not any(row.options and _is_letter(row.gold) for row in rows):
        return False
    for row in rows:
        if not row.options:
            raise DataError(
                f"{path}, строка {row.number}: нет вариантов, а в других строках они есть: оцените эти строки отдельным файлом."
            )
        letters = [letter for letter, option in zip(LETTERS, row.options, strict=False) if option is not None]
        if row.gold not in letters:
            raise DataError(
                f"{path}, строка {row.number}: верный ответ «{row.gold}» не входит в варианты {', '.join(letters)}: "
                "исправьте строку."
            )
    return True


def _is_letter(text: str) -> bool:
    return len(text) == 1 and text in LETTERS


def _matched(rows: Sequence[Answered]) -> np.ndarray:
    return np.array([match_all(row.prediction, row.gold) for row in rows], dtype=bool)


def _score_choices(path: Path, rows: Sequence[Answered], reference_random: bool) -> Result:
    examples = [_example(path, row) for row in rows]
    verdicts = [
        judge("mmbench-ru/lmms", example, Response(row.prediction)) for example, row in zip(examples, rows, strict=True)
    ]
    result = score_mmbench("mmbench-ru/lmms", examples, verdicts)
    if not reference_random:
        return result
    hits = list(reference_figures(examples, [verdict.parsed for verdict in verdicts], draw=True).hits.values())
    if not hits:  # no group has its first row: the reference counts nothing
        return result
    drawn = Score(len(hits), sum(hits), 100 * sum(hits) / len(hits))
    return replace(result, scores={**result.scores, "mmbench-ru/lmms/circular-reference-random": drawn})


def _example(path: Path, row: Answered) -> Example:
    if not row.identity.isdigit():
        raise DataError(f"{path}, строка {row.number}: id «{row.identity}», а у MMBench-ru это число (index).")
    index = int(row.identity)
    base = str(index % ROTATION)
    return Example(
        str(index), "mmbench-ru", "", row.gold, ImageRef(path), base, base, tuple(option or "" for option in row.options),
        rotation=index // ROTATION, category=row.category, l2=row.l2,
    )  # fmt: skip
