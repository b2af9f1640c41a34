"""One question in several translations, each a set of its own: how often the answer changes with the translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from ruvlm.benchmarks.stats import mcnemar, score_columns
from ruvlm.errors import DataError
from ruvlm.evaluation.answers import answers_under
from ruvlm.evaluation.evaluated import Evaluated
from ruvlm.schema import Score, Status, Verdict

# of the smaller set, so many rows must be in the other
COMMON = 0.5


@dataclass(frozen=True, kw_only=True)
class Translated:
    """Two evaluations of one model on two translations, row by row by their ids.

    `a` and `b` are the sets' protocols; `both`, `only_a`, `only_b`, `neither` count rows by who was right under the headline of each;
    `left_out` rows have a failed request on either side; `changed` is the share of rows with another option, `p` that of McNemar's exact test.
    """

    model: str
    a: str
    b: str
    n: int
    left_out: int
    both: int
    only_a: int
    only_b: int
    neither: int
    changed: Score
    p: float


def compare_translations(paths: Sequence[Path]) -> list[Translated]:
    """Every pair of sets that a model was asked on, of evaluations in folders. Raises DataError where no two have rows in common."""
    evaluations = [one for path in paths for one in answers_under(path)]
    own = [one for one in evaluations if not one.measured.control and one.choice]
    rows = [
        _pair(a, b)
        for a, b in combinations(own, 2)
        if a.measured.model == b.measured.model and a.measured.benchmark != b.measured.benchmark and _way(a) == _way(b)
    ]
    pairs = [row for row in rows if row is not None]
    if not pairs:
        raise DataError(
            "Нет двух оценок одной модели на разных переводах одних вопросов: спросите её на каждом (ruvlm eval МОДЕЛЬ --data "
            "набор,набор) и назовите папку с оценками."
        )
    return pairs


def _pair(one: Evaluated, other: Evaluated) -> Translated | None:
    """None where most rows have no fellow: these are no translations of one another."""
    a, b = one.verdicts, other.verdicts
    common = [name for name in a if name in b]
    if len(common) < COMMON * min(len(a), len(b)):
        return None
    # a request that failed is no answer
    ids = [name for name in common if Status.ERROR not in (a[name].status, b[name].status)]
    if not ids:
        return None
    right_a, right_b = ([verdicts[name].right for name in ids] for verdicts in (a, b))
    changed_N1 = np.array([[_said(a[name]) != _said(b[name])] for name in ids], dtype=float)
    clusters = [a[name].cluster for name in ids]
    (changed,) = score_columns(clusters, changed_N1, np.ones_like(changed_N1, dtype=bool))
    pairs = list(zip(right_a, right_b, strict=True))
    return Translated(
        model=one.measured.model,
        a=one.measured.protocol,
        b=other.measured.protocol,
        n=len(ids),
        left_out=len(common) - len(ids),
        both=pairs.count((True, True)),
        only_a=pairs.count((True, False)),
        only_b=pairs.count((False, True)),
        neither=pairs.count((False, False)),
        changed=changed,
        p=mcnemar(right_a, right_b),
    )


def _way(one: Evaluated) -> bool:
    """Are options chosen by their likelihood? Letters are not compared with that."""
    return "likelihood" in one.measured.headline[0]


def _said(verdict: Verdict) -> str:
    """The option that was read, nothing for an answer that was not."""
    return verdict.parsed or ""
