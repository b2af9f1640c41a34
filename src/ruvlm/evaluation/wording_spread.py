"""The same rows in several wordings: how much of a score is the wording's, and whether the order of two models survives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ruvlm.benchmarks.stats import Z, holm
from ruvlm.errors import DataError
from ruvlm.evaluation.answers import answers_under
from ruvlm.evaluation.asking import Evaluation
from ruvlm.evaluation.compare import LEVEL, compare
from ruvlm.evaluation.evaluated import Evaluated
from ruvlm.schema import Score, Status, Verdict


@dataclass(frozen=True, kw_only=True)
class PromptSpread:
    """A model under several wordings of one question: its headline under each, and how far they lie apart.

    `wording` is the standard deviation between wordings and `sampling` the mean error of one figure, both in points; `changed` is
    the share of rows answered under all, in per cent, that score unlike under some of them.
    """

    model: str
    scores: dict[str, Score]
    wording: float
    sampling: float | None
    changed: float

    @property
    def lowest(self) -> float:
        return min(score.value for score in self.scores.values())

    @property
    def highest(self) -> float:
        return max(score.value for score in self.scores.values())


@dataclass(frozen=True, kw_only=True)
class OrderSpread:
    """Two models under the same wordings: the headline of each by wording, and whose the differences are.

    `model`, `wording` and `together` (a wording that suits one model better, and chance) are shares of the sum of squares of a
    two-way table without repetitions, in per cent; they add up to 100, or are all nought where nothing differs. `p` is that of the
    paired difference under each wording, corrected for their number.
    """

    a: str
    b: str
    scores: dict[str, tuple[float, float]]
    model: float
    wording: float
    together: float
    p: dict[str, float]

    @property
    def ahead(self) -> tuple[int, int]:
        """Under how many wordings each is ahead of the other for certain."""
        sure = [(x, y) for name, (x, y) in self.scores.items() if self.p[name] < LEVEL]
        return sum(x > y for x, y in sure), sum(y > x for x, y in sure)

    @property
    def words(self) -> str:
        """Does the order survive? Only differences that are significant count (paired, Holm over the wordings)."""
        (first, second), count = self.ahead, len(self.scores)
        if first and second:
            return (
                f"порядок моделей не переживает смену просьбы: {self.a} значимо впереди под {first} из {count}, "
                f"{self.b} – под {second}"
            )
        if not first and not second:
            return f"модели неотличимы под каждой из {count} просьб"
        best, times = (self.a, first) if first else (self.b, second)
        if times == count:
            return f"порядок моделей переживает смену просьбы: {best} значимо впереди под каждой из {count}"
        return f"порядок моделей просьба не обращает: {best} значимо впереди под {times} из {count}, под остальными неотличимы"


def prompt_spreads(evaluations: Sequence[Evaluation]) -> list[PromptSpread]:
    """Of one model's evaluations: those on the same rows by the same rule that were asked in several wordings."""
    alike: dict[tuple[str, str], list[Evaluation]] = {}
    for one in evaluations:
        if one.result.scores:
            alike.setdefault((one.dataset.fingerprint, one.result.headline[0]), []).append(one)
    return [
        _spread(
            group[0].model, {one.protocol: one.result.headline[1] for one in group}, [one.verdicts for one in group]
        )
        for group in alike.values()
        if len(group) > 1
    ]


def _spread(model: str, scores: dict[str, Score], verdicts: Sequence[Sequence[Verdict]]) -> PromptSpread:
    values = np.array([score.value for score in scores.values()])
    # an interval is never of no width, the error of rows that are all alike is
    errors = [(s.high - s.low) / (2 * Z) for s in scores.values() if s.low is not None and s.high is not None]
    answered = [rows for rows in zip(*verdicts, strict=True) if all(row.status is not Status.ERROR for row in rows)]
    changed = sum(len({row.score for row in rows}) > 1 for rows in answered) / max(1, len(answered))
    return PromptSpread(
        model=model,
        scores=scores,
        wording=float(values.std(ddof=1)),
        sampling=math.sqrt(sum(error**2 for error in errors) / len(errors)) if errors else None,
        changed=100 * changed,
    )


def compare_prompts(a: Path, b: Path) -> list[OrderSpread]:
    """Evaluations in two folders by the wordings that both were asked in, one result a benchmark's kind of question.

    Raises DataError where there are no two wordings that both have.
    """
    one, other = _by_wording(a), _by_wording(b)
    kinds: dict[tuple[str, ...], dict[str, tuple[Evaluated, Evaluated]]] = {}
    for key, first in one.items():
        if key in other:
            *kind, protocol = key
            kinds.setdefault(tuple(kind), {})[protocol] = (first, other[key])
    orders = [_order(pairs) for pairs in kinds.values() if len(pairs) > 1]
    if not orders:
        raise DataError(
            f"В {a} и {b} нет двух просьб, под которыми спрошены обе модели на одних строках: ruvlm eval МОДЕЛЬ --prompts 4 для каждой."
        )
    return orders


def _by_wording(folder: Path) -> dict[tuple[str, ...], Evaluated]:
    """Evaluations of a model, not of its controls, by data, split, headline rule and, last, protocol.

    Raises DataError where one protocol is there twice.
    """
    known: dict[tuple[str, ...], Evaluated] = {}
    whole = [(one, one.identity) for one in answers_under(folder)]
    models = [pair for pair in whole if not pair[0].measured.control] or whole
    for one, identity in models:
        if identity is None:
            continue
        key = (one.measured.benchmark, identity.data, identity.split, one.measured.headline[0], identity.protocol)
        if key in known:
            raise DataError(
                f"В {folder} две оценки по протоколу {identity.protocol}: оставьте одной модели одну папку."
            )
        known[key] = one
    return known


def _order(pairs: Mapping[str, tuple[Evaluated, Evaluated]]) -> OrderSpread:
    first, second = next(iter(pairs.values()))
    # the headline's difference comes first; rows that one of the two did not answer are in neither figure
    differences = {name: compare([one.path, other.path])[0] for name, (one, other) in pairs.items()}
    scores = {name: (row.value_a, row.value_b) for name, row in differences.items()}
    names = (first.model, second.model)
    if names[0] == names[1]:
        names = (f"{names[0]} ({first.path.parent})", f"{names[1]} ({second.path.parent})")
    model, wording, together = shares_of(np.array(list(scores.values())))
    corrected = dict(zip(pairs, holm([row.p for row in differences.values()]), strict=True))
    return OrderSpread(
        a=names[0], b=names[1], scores=scores, model=model, wording=wording, together=together, p=corrected
    )


def shares_of(values_KM: np.ndarray) -> tuple[float, float, float]:
    """Shares of the sum of squares by column (model), by row (wording) and what neither explains, in per cent (two-way table)."""
    mean = values_KM.mean()
    columns, rows = values_KM.mean(axis=0), values_KM.mean(axis=1)
    total = float(((values_KM - mean) ** 2).sum())
    if total < 1e-12:
        return 0.0, 0.0, 0.0
    of_model = float(len(rows) * ((columns - mean) ** 2).sum())
    of_wording = float(len(columns) * ((rows - mean) ** 2).sum())
    return 100 * of_model / total, 100 * of_wording / total, 100 * max(0.0, total - of_model - of_wording) / total
