"""How sure a figure is: cluster bootstrap, score intervals at the edges, cluster-robust errors, exact McNemar. No torch, no scipy.

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
    """Scores of K figures over the same rows, each with a 95 % interval.

    Args:
        clusters: the cluster of each row.
        right_NK: what the row scores under figure k, 0 to 1, or bool.
        counted_NK: bool, does the row count for figure k.
        resamples: how many bootstrap resamples.

    The interval is a percentile bootstrap of whole clusters (Efron and Tibshirani 1993), all figures sharing one set of
    resamples; where too few clusters tell right from wrong for that, `edge_interval`.
    """
    names, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    total = len(names)
    figures = right_NK.shape[1]
    sums = np.empty((2, total, figures))
    for k in range(figures):
        sums[0, :, k] = np.bincount(codes, right_NK[:, k] * counted_NK[:, k], total)
        sums[1, :, k] = np.bincount(codes, counted_NK[:, k], total)
    telling = [k for k in range(figures) if _telling(sums[0, :, k], sums[1, :, k]) >= TELLING]
    draws = dict(zip(telling, _resampled(sums[:, :, telling], resamples).T, strict=True)) if telling else {}
    full_K = ((right_NK == 1) & counted_NK).sum(axis=0)
    return [_score(sums[0, :, k], sums[1, :, k], int(full_K[k]), draws.get(k)) for k in range(figures)]


def _resampled(sums_2CK: np.ndarray, resamples: int) -> np.ndarray:
    """Bootstrap ratios [R, K]; a resample in which a figure has no row is NaN."""
    total, figures = sums_2CK.shape[1:]
    flat = np.concatenate([sums_2CK[0], sums_2CK[1]], axis=1)
    ratios = np.empty((resamples, figures))
    start = 0
    for weights in _weights(total, resamples):
        sums_R2K = weights.astype(np.float64) @ flat
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios[start : start + len(weights)] = sums_R2K[:, :figures] / sums_R2K[:, figures:]
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


def _score(right_C: np.ndarray, counted_C: np.ndarray, correct: int, draws_R: np.ndarray | None) -> Score:
    n = int(counted_C.sum())
    if n == 0:
        return Score(0, 0, float("nan"))
    value = float(right_C.sum()) / n
    present = counted_C > 0
    clusters = int(present.sum())
    if clusters < 2:
        return Score(n, correct, 100 * value)
    residuals = right_C - value * counted_C
    error = math.sqrt(clusters / (clusters - 1) * float(residuals @ residuals)) / n
    if draws_R is None:
        low, high = edge_interval(right_C[present], counted_C[present])
    else:
        low, high = np.quantile(draws_R[~np.isnan(draws_R)], (0.025, 0.975))
    return Score(n, correct, 100 * value, 100 * float(low), 100 * float(high), 100 * error)


def mean_of_means(clusters: Sequence[str], scores_N: np.ndarray, values: Sequence[tuple[str, ...]]) -> Score:
    """The mean over values of an axis of each value's own mean, every value weighing the same (a table's macro average).

    The interval resamples whole clusters, as those of `score_columns`: rows of one cluster under several values stay together.
    Where too few clusters of some value tell right from wrong, the values' own intervals are put together (MOVER, Zou and
    Donner 2008). A row of several values counts with each.
    """
    names = sorted({value for row in values for value in row})
    counted_NV = np.array([[name in row for name in names] for row in values])
    scores_NV = np.repeat(np.asarray(scores_N, dtype=np.float64)[:, None], len(names), axis=1)
    own = score_columns(clusters, scores_NV, counted_NV)
    rows_N = counted_NV.any(axis=1)
    n, correct = int(rows_N.sum()), int(((np.asarray(scores_N) == 1) & rows_N).sum())
    value = float(np.mean([score.value for score in own]))
    if any(score.low is None or score.high is None for score in own):
        return Score(n, correct, value)
    _, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    sums_2CV = np.stack(
        [
            np.stack([np.bincount(codes, column) for column in (weights_NV * counted_NV).T], axis=1)
            for weights_NV in (scores_NV, np.ones_like(scores_NV))
        ]
    )
    if min(_telling(sums_2CV[0, :, v], sums_2CV[1, :, v]) for v in range(len(names))) >= TELLING:
        draws_R = 100 * _resampled(sums_2CV, RESAMPLES).mean(axis=1)
        low, high = np.nanquantile(draws_R, (0.025, 0.975))
        return Score(n, correct, value, float(low), float(high), float(np.nanstd(draws_R)))
    below = math.sqrt(sum((score.value - (score.low or 0.0)) ** 2 for score in own)) / len(own)
    above = math.sqrt(sum(((score.high or 0.0) - score.value) ** 2 for score in own)) / len(own)
    return Score(n, correct, value, max(0.0, value - below), min(100.0, value + above), (below + above) / (2 * Z))


# fewer clusters with a right row, or with a wrong one, and resampling them says too little of how they differ
TELLING = 20
Z = 1.959963984540054
# what is assumed of rows of one cluster until enough clusters tell: their correlation, and the weight of that assumption
ALIKE, ALIKE_WEIGHT = 0.15, 2.0
# exact lower bounds of a Poisson mean after 0, 1, 2, 3 events at 5 %: half the chi-square quantile of twice as many degrees
_RARE = (0.0, 0.0513, 0.3554, 0.8177)


def _telling(right_C: np.ndarray, counted_C: np.ndarray) -> int:
    """Of the clusters with any right row and those with any wrong one, the rarer kind's number."""
    return min(int((right_C > 0).sum()), int((right_C < counted_C).sum()))


def edge_interval(right_C: np.ndarray, counted_C: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a share near 0 or 1, or over few clusters: Wilson's on the effective number of rows.

    n is divided by the design effect (Kish 1965), estimated from the clusters and, as far as too few of them tell, assumed;
    the quantile is Student's; next to 0 and 1 the bound is Poisson's (Brown, Cai and DasGupta 2001). It is never of no width.
    """
    n, value = float(counted_C.sum()), float(right_C.sum() / counted_C.sum())
    clusters, telling = len(counted_C), _telling(right_C, counted_C)
    assumed = 1 + (float(counted_C @ counted_C) / n - 1) * ALIKE
    effect = assumed
    if 0 < value < 1:
        residuals = right_C - value * counted_C
        estimated = clusters / (clusters - 1) * float(residuals @ residuals) / (n * value * (1 - value))
        effect = (telling * estimated + ALIKE_WEIGHT * assumed) / (telling + ALIKE_WEIGHT)
    size = max(1.0, n / max(1.0, effect))
    low, high = wilson(value, size, Z if telling < 3 else student(clusters + 7))
    rare_low, rare_high = _rare(value * size), _rare((1 - value) * size)
    if rare_low is not None:
        low = min(low, rare_low / size)
    if rare_high is not None:
        high = max(high, 1 - rare_high / size)
    return low, high


def _rare(events: float) -> float | None:
    """The lower bound of a Poisson mean after so few events, between whole numbers by line; None from three on."""
    if events >= len(_RARE) - 1:
        return None
    whole = int(events)
    return _RARE[whole] + (events - whole) * (_RARE[whole + 1] - _RARE[whole])


def wilson(value: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score interval of a share (1927)."""
    scale = 1 + z * z / n
    middle = (value + z * z / (2 * n)) / scale
    half = z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, by the first terms of its expansion (Abramowitz and Stegun 26.7.5)."""
    z = Z
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return z + sum(term / float(degrees ** (power + 1)) for power, term in enumerate(terms))


def difference(
    clusters: Sequence[str], a: Sequence[float], b: Sequence[float], resamples: int = RESAMPLES
) -> tuple[float, float | None, float | None]:
    """Share of `b` minus share of `a` on the same rows, in points, with its 95 % interval: of resampled clusters, or,
    where fewer than `TELLING` clusters tell the two apart, `edge_difference`. None below two clusters.
    """
    names, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    gains = right - left
    points = 100 * float(gains.mean())
    if len(names) < 2:
        return points, None, None
    counts = np.bincount(codes).astype(np.float64)
    if int((np.bincount(codes, np.abs(gains)) > 0).sum()) < TELLING:
        low, high = edge_difference(left, right, counts)
    else:
        sums = np.stack([np.bincount(codes, gains), counts])[:, :, None]
        low, high = np.quantile(_resampled(sums, resamples)[:, 0], (0.025, 0.975))
    return points, 100 * float(low), 100 * float(high)


def edge_difference(a_N: np.ndarray, b_N: np.ndarray, counts_C: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a paired difference of shares where few rows differ: Newcombe's method 10 (1998).

    Wilson's intervals of the two shares are put together by their correlation, over the number of rows that clusters of
    such sizes are worth if their rows are as alike as is assumed elsewhere here. It is never of no width.
    """
    n = float(len(a_N))
    size = max(2.0, n / (1 + (float(counts_C @ counts_C) / n - 1) * ALIKE))
    both, neither = float((a_N * b_N).sum()), float(((1 - a_N) * (1 - b_N)).sum())
    only_a, only_b = float((a_N * (1 - b_N)).sum()), float(((1 - a_N) * b_N).sum())
    scale = size / n
    product = both * neither * scale**2 - only_a * only_b * scale**2
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither) * scale**4
    # Newcombe's correction keeps a table without a single difference from a correlation of one
    correlation = (max(product - size / 2, 0.0) if product > 0 else product) / math.sqrt(margins) if margins else 0.0
    p, q = float(a_N.mean()), float(b_N.mean())
    (low_p, high_p), (low_q, high_q) = wilson(p, size, Z), wilson(q, size, Z)

    def apart(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down**2 - 2 * correlation * down * up + up**2))

    return max(-1.0, q - p - apart(q - low_q, high_p - p)), min(1.0, q - p + apart(high_q - q, p - low_p))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda n: p_values[n])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, n in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[n]))
        corrected[n] = largest
    return corrected


def paired_p(clusters: Sequence[str], a: Sequence[float], b: Sequence[float], resamples: int = RESAMPLES) -> float:
    """Two-sided p-value of a paired difference: McNemar's exact test of rows that are right or wrong, else the cluster
    bootstrap's, the share of resampled differences on the other side of nought, twice (Efron and Tibshirani 1993, 15.4).

    Where fewer than `TELLING` clusters differ, every way of swapping the two within clusters instead (Fisher's randomisation).
    """
    if all(score in (0, 1) for score in (*a, *b)):
        return mcnemar([score == 1 for score in a], [score == 1 for score in b])
    names, codes = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    gains = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    if len(names) < 2 or not gains.any():
        return 1.0
    gains_C = np.bincount(codes, gains)
    differing = gains_C[gains_C != 0]
    if len(differing) < TELLING:
        return _swapped_p(differing)
    sums = np.stack([gains_C, np.bincount(codes).astype(np.float64)])[:, :, None]
    draws_R = _resampled(sums, resamples)[:, 0]
    rarer = min(int((draws_R <= 0).sum()), int((draws_R >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (resamples + 1))


def _swapped_p(gains_C: np.ndarray) -> float:
    """The share of all signings of the clusters' gains that give a sum as far from nought as theirs."""
    totals = np.zeros(1)
    for gain in gains_C:  # below TELLING clusters: at most half a million sums
        totals = np.concatenate([totals + gain, totals - gain])
    return float((np.abs(totals) >= abs(gains_C.sum()) - 1e-9).mean())


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Exact two-sided McNemar p-value on paired rows: the binomial test of the discordant pairs."""
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    n, k = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * sum(map(math.exp, logs)))
