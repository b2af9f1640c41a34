"""Statistics against closed forms and simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from ruvlm.benchmarks.stats import (
    RESAMPLES,
    Z,
    difference,
    edge_interval,
    holm,
    mcnemar,
    mean_of_means,
    paired_p,
    score_columns,
    student,
    wilson,
)
from ruvlm.schema import Score


def score_one(clusters: list[str], right: Sequence[bool], resamples: int = RESAMPLES) -> Score:
    """One figure over all rows."""
    column = np.asarray(right, dtype=bool)[:, None]
    return score_columns(clusters, column, np.ones_like(column), resamples)[0]


def test_single_row_clusters_give_the_binomial_error() -> None:
    right = [True] * 60 + [False] * 40
    score = score_one([str(n) for n in range(100)], right)
    expected = math.sqrt(0.6 * 0.4 / 100) * math.sqrt(100 / 99) * 100
    assert score.error == pytest.approx(expected)
    assert score.low == pytest.approx(60 - 1.96 * expected, abs=1)
    assert score.high == pytest.approx(60 + 1.96 * expected, abs=1)


def test_one_cluster_has_no_interval() -> None:
    score = score_one(["a"] * 5, [True, False, True, True, False])
    assert (score.value, score.low, score.high, score.error) == (60, None, None, None)


def test_identical_rows_of_a_cluster_widen_the_interval_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(100) < 0.5
    clusters = np.repeat(np.arange(100), 10).astype(str).tolist()
    clustered = score_one(clusters, np.repeat(truth, 10).tolist())
    naive = score_one([str(n) for n in range(1000)], np.repeat(truth, 10).tolist())
    assert clustered.error / naive.error == pytest.approx(math.sqrt(10), rel=0.01)


@pytest.mark.slow
def test_intervals_cover_the_truth_on_clustered_data_and_naive_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    covered = naive = 0
    for _ in range(200):
        chance = np.clip(rng.normal(0.5, 0.25, 120), 0.02, 0.98)
        right = (rng.random((120, 12)) < chance[:, None]).ravel()
        clusters = np.repeat(np.arange(120), 12).astype(str).tolist()
        one = score_one(clusters, right.tolist(), resamples=800)
        other = score_one([str(n) for n in range(right.size)], right.tolist(), resamples=800)
        covered += one.low <= 50 <= one.high
        naive += other.low <= 50 <= other.high
    assert 0.91 <= covered / 200 <= 0.99
    assert naive / 200 < 0.85


def test_no_interval_is_of_no_width() -> None:
    for right in ([True] * 8, [False] * 8):
        score = score_one([str(n) for n in range(8)], right)
        assert (score.low, score.high) != (score.value, score.value)
        assert score.low <= score.value <= score.high
        assert score.high - score.low > 20
    points, low, high = difference([str(n) for n in range(8)], [True] * 8, [True] * 8)
    assert low < points == 0 < high


def test_wilson_against_its_published_example() -> None:
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    assert wilson(81 / 263, 263, Z) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0.0, 20, Z) == pytest.approx((0.0, 0.1611), abs=1e-4)


@pytest.mark.parametrize(("degrees", "quantile"), [(7, 2.3646), (15, 2.1314), (60, 2.0003)])
def test_students_quantile_against_tables(degrees: int, quantile: float) -> None:
    assert student(degrees) == pytest.approx(quantile, abs=2e-3)


@pytest.mark.parametrize("share", [0.005, 0.05, 0.95, 0.995])
@pytest.mark.parametrize("clusters", [8, 20, 50])
def test_intervals_hold_the_truth_at_the_edges(share: float, clusters: int) -> None:
    rng = np.random.default_rng(clusters)
    held = 0
    for _ in range(400):
        chances = rng.beta(share * 9, (1 - share) * 9, clusters)
        low, high = edge_interval(rng.binomial(5, chances).astype(float), np.full(clusters, 5.0))
        held += low <= share <= high
    assert held / 400 >= 0.92


def test_columns_share_rows_but_not_counts() -> None:
    right = np.array([[True, True], [False, True], [True, False]])
    counted = np.array([[True, True], [True, False], [True, True]])
    both = score_columns(["a", "b", "c"], right, counted)
    assert [(score.n, score.correct) for score in both] == [(3, 2), (2, 1)]


@pytest.mark.parametrize(("only_a", "only_b", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (8, 2, 0.109375), (3, 3, 1.0)])
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int, p: float) -> None:
    a = [True] * only_a + [False] * only_b + [True] * 7
    b = [False] * only_a + [True] * only_b + [True] * 7
    assert mcnemar(a, b) == pytest.approx(p)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_difference_of_single_rows_has_the_normal_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(2000) < 0.5, rng.random(2000) < 0.6
    points, low, high = difference([str(n) for n in range(2000)], a.tolist(), b.tolist())
    gains = b.astype(float) - a.astype(float)
    half = 196 * gains.std() / math.sqrt(2000)
    assert points == pytest.approx(100 * gains.mean())
    assert low == pytest.approx(points - half, abs=0.3)
    assert high == pytest.approx(points + half, abs=0.3)
    assert difference(["a", "a"], [True, False], [True, True]) == (50.0, None, None)


def test_parts_of_one_over_few_clusters_are_swapped_within_them() -> None:
    a, b = [0.5] * 9, [0.75] * 9
    # three clusters that all gain: of eight signings two are as far from nought
    assert paired_p(list("aaabbbccc"), a, b) == pytest.approx(2 / 8)
    mixed = [0.9, 0.1, 0.5, 0.4]
    assert paired_p(list("abcd"), [0.5] * 4, mixed) > 0.5
    assert paired_p(["a"] * 3, [0.5] * 3, [0.7] * 3) == 1


def test_parts_of_one_over_many_clusters_are_resampled() -> None:
    rng = np.random.default_rng(0)
    clusters = [str(n) for n in range(200)]
    a = rng.random(200)
    assert paired_p(clusters, a.tolist(), a.tolist()) == 1
    assert paired_p(clusters, a.tolist(), np.clip(a + 0.3, 0, 1).tolist()) < 0.01
    assert paired_p(clusters, a.tolist(), rng.permutation(a).tolist()) > 0.05


def test_a_score_of_parts_is_their_mean_and_counts_only_whole_ones() -> None:
    column = np.array([[1.0], [0.5], [0.0], [0.25]])
    (score,) = score_columns(list("abcd"), column, np.ones_like(column, dtype=bool))
    assert (score.n, score.correct, score.value) == (4, 1, 43.75)


def test_a_mean_of_means_is_that_of_a_short_reference() -> None:
    """Values of unlike size, rows of one dish under several: the reference resamples dishes one by one."""
    rng = np.random.default_rng(3)
    rows = [
        (dish, kind, float(rng.random() < (0.3 + 0.1 * kind)))
        for dish in range(150)
        for kind in range(4)
        if dish % (kind + 1) == 0
    ]
    score = mean_of_means(
        [str(d) for d, _, _ in rows], np.array([s for *_, s in rows]), [(str(k),) for _, k, _ in rows]
    )

    def macro(weights: np.ndarray) -> float:
        return float(
            np.mean(
                [
                    np.average(
                        [s for _, k, s in rows if k == kind], weights=[weights[d] for d, k, _ in rows if k == kind]
                    )
                    for kind in range(4)
                ]
            )
        )

    drawn = [macro(np.bincount(rng.integers(150, size=150), minlength=150)) for _ in range(400)]
    assert score.value == pytest.approx(100 * macro(np.ones(150)))
    assert score.low == pytest.approx(100 * np.quantile(drawn, 0.025), abs=2)
    assert score.high == pytest.approx(100 * np.quantile(drawn, 0.975), abs=2)


def test_a_mean_of_means_at_the_edge_has_a_width() -> None:
    values = [("a",), ("a",), ("b",), ("b",)] * 10
    score = mean_of_means([str(n) for n in range(40)], np.ones(40), values)
    assert score.value == 100
    assert score.low is not None
    assert 80 < score.low < 100
