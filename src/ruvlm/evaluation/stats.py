"""How sure a figure is: cluster bootstrap, cluster-robust errors, exact McNemar. No torch, no scipy.

Shapes: N rows, C clusters (images or base questions), K figures, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ruvlm.schema import Score

RESAMPLES = 10_000
SEED = 20_240_501


def score_columns(
    clusters: Sequence[str], right_NK: np.ndarray, counted_NK: np.ndarray, resamples: int = RESAMPLES
) -> list[Score]:
    """Scores of K figures over the same rows, each with a 95 % cluster-bootstrap interval.

    Args:
        clusters: the cluster of each row.
        right_NK: bool, is the row right under figure k.
        counted_NK: bool, does the row count for figure k.
        resamples: how many bootstrap resamples.

    All figures share one set of resamples (percentile bootstrap, Efron and Tibshirani 1993, clusters drawn whole).
    """
    names, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    total = len(names)
    figures = right_NK.shape[1]
    sums = np.empty((2, total, figures))
    for k in range(figures):
        sums[0, :, k] = np.bincount(codes, right_NK[:, k] & counted_NK[:, k], total)
        sums[1, :, k] = np.bincount(codes, counted_NK[:, k], total)
    draws = _resampled(sums, resamples) if total > 1 else None
    return [_score(sums[0, :, k], sums[1, :, k], None if draws is None else draws[:, k]) for k in range(figures)]


def _resampled(sums_2CK: np.ndarray, resamples: int) -> np.ndarray:
    """Bootstrap ratios [R, K]; a resample in which a figure has no row is NaN."""
    total, figures = sums_2CK.shape[1:]
    flat = np.concatenate([sums_2CK[0], sums_2CK[1]], axis=1)
    ratios = np.empty((resamples, figures))
    start = 0
    for weights in _weights(total, resamples):
        found = weights.astype(np.float64) @ flat
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios[start : start + len(weights)] = found[:, :figures] / found[:, figures:]
        start += len(weights)
    return ratios


@lru_cache(maxsize=4)
def _weights(total: int, resamples: int) -> tuple[np.ndarray, ...]:
    """How often each of `total` clusters is drawn in each resample, in blocks of resamples; the same for all figures."""
    rng = np.random.default_rng(SEED)
    blocks = []
    step = max(1, 200_000 // total)  # small blocks stay in the cache, and out of the peak memory
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = rng.integers(total, size=(count, total)) + np.arange(count)[:, None] * total
        weights = np.bincount(drawn.ravel(), minlength=count * total).reshape(count, total)
        blocks.append(weights.astype(np.uint8))  # a cluster drawn 256 times in one resample has odds below 1e-300
    return tuple(blocks)


def _score(right_C: np.ndarray, counted_C: np.ndarray, draws_R: np.ndarray | None) -> Score:
    n, correct = int(counted_C.sum()), int(right_C.sum())
    if n == 0:
        return Score(0, 0, float("nan"))
    value = correct / n
    present = counted_C > 0
    clusters = int(present.sum())
    if clusters < 2 or draws_R is None:
        return Score(n, correct, 100 * value)
    residuals = right_C - value * counted_C
    error = math.sqrt(clusters / (clusters - 1) * float(residuals @ residuals)) / n
    usable = draws_R[~np.isnan(draws_R)]
    low, high = np.quantile(usable, (0.025, 0.975))
    return Score(n, correct, 100 * value, 100 * float(low), 100 * float(high), 100 * error)


def score_one(clusters: Sequence[str], right: Sequence[bool], resamples: int = RESAMPLES) -> Score:
    """One figure over all rows."""
    column = np.asarray(right, dtype=bool)[:, None]
    return score_columns(clusters, column, np.ones_like(column), resamples)[0]


def difference(
    clusters: Sequence[str], a: Sequence[bool], b: Sequence[bool], resamples: int = RESAMPLES
) -> tuple[float, float | None, float | None]:
    """Share of `b` minus share of `a` on the same rows, in points, with its 95 % cluster-bootstrap interval.

    The interval is None below two clusters.
    """
    names, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    gains = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    points = 100 * float(gains.mean())
    if len(names) < 2:
        return points, None, None
    sums = np.stack([np.bincount(codes, gains), np.bincount(codes).astype(np.float64)])[:, :, None]
    low, high = np.quantile(_resampled(sums, resamples)[:, 0], (0.025, 0.975))
    return points, 100 * float(low), 100 * float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, n in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[n]))
        corrected[n] = largest
    return corrected


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Exact two-sided McNemar p-value on paired rows: the binomial test of the discordant pairs."""
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    n, k = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * sum(map(math.exp, logs)))
