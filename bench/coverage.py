"""Do our 95 % intervals hold the truth 95 times of 100, and the naive ones not?

    python bench/coverage.py [--quick]

Runs are drawn with a known true score: each picture has a difficulty of its own, so its questions go together. For
every drawn run the interval of `ruvlm` (cluster bootstrap; at the edges a score interval), the cluster-robust one (± 1.96 errors) and the naive
binomial one are asked whether they hold the truth. Prints a table and, as its last line, the shares as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass

import numpy as np

from ruvlm.benchmarks.stats import Z, score_columns

RESAMPLES = 2000


@dataclass(frozen=True)
class Design:
    """A data set's shape: `spread` is how much pictures differ (Beta(mean·c, (1−mean)·c) with c = 1/spread − 1)."""

    name: str
    clusters: int
    rows: int
    mean: float
    spread: float


DESIGNS = (
    Design("rows apart (400 × 1)", 400, 1, 0.6, 0.0),
    Design("like GQA-ru testdev (398 × 30)", 398, 30, 0.5, 0.15),
    Design("few pictures (60 × 30)", 60, 30, 0.7, 0.15),
    Design("uneven pictures (200 × 1–60)", 200, 0, 0.5, 0.15),
    Design("hard questions (300 × 10)", 300, 10, 0.1, 0.2),
)


EDGES = tuple(
    Design(f"{mean:.1%} of {clusters} × {rows}" + (", alike" if spread else ""), clusters, rows, mean, spread)
    for mean in (0.005, 0.05, 0.95, 0.995)
    for clusters in (8, 20, 50)
    for rows, spread in ((1, 0.0), (5, 0.0), (5, 0.15), (30, 0.15))
)


def drawn(design: Design, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """The cluster of each row, and whether it is right."""
    if design.spread:
        concentration = 1 / design.spread - 1
        chances = rng.beta(design.mean * concentration, (1 - design.mean) * concentration, design.clusters)
    else:
        chances = np.full(design.clusters, design.mean)
    sizes = np.full(design.clusters, design.rows) if design.rows else rng.integers(1, 61, design.clusters)
    owner = np.repeat(np.arange(design.clusters), sizes)
    return [str(n) for n in owner], rng.random(len(owner)) < chances[owner]


def covered(design: Design, runs: int) -> dict[str, float]:
    """Shares of runs, in per cent, in which each kind of interval holds the truth."""
    rng = np.random.default_rng(20_260_501)
    truth = 100 * design.mean
    held = {"ours": 0, "robust": 0, "naive": 0}
    for _ in range(runs):
        clusters, right = drawn(design, rng)
        score = score_columns(clusters, right[:, None], np.ones_like(right)[:, None], RESAMPLES)[0]
        assert score.low is not None
        assert score.high is not None
        assert score.error is not None
        naive = 100 * Z * math.sqrt(max(1e-9, score.value / 100 * (1 - score.value / 100)) / score.n)
        held["ours"] += score.low <= truth <= score.high
        held["robust"] += abs(score.value - truth) <= 1.96 * score.error
        held["naive"] += abs(score.value - truth) <= naive
    return {name: round(100 * count / runs, 2) for name, count in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="200 runs a design instead of 2000")
    runs = 200 if parser.parse_args().quick else 2000
    figures = {}
    print(f"Shares of {runs} drawn runs whose 95 % interval holds the true score, %")
    print("| design | ours | cluster-robust | naive binomial |\n|---|---|---|---|")
    for design in (*DESIGNS, *EDGES):
        found = covered(design, runs)
        print(f"| {design.name} | {found['ours']} | {found['robust']} | {found['naive']} |", flush=True)
        figures[design.name] = found
    edges = [figures[design.name]["ours"] for design in EDGES]
    inside = sum(93 <= share <= 98 for share in edges)
    print(
        f"At the edges: mean {np.mean(edges):.1f}, least {min(edges)}, most {max(edges)}; {inside} of {len(edges)} within 93–98."
    )
    print(
        json.dumps(
            {
                "runs": runs,
                "coverage": figures,
                "edges": {
                    "mean": round(float(np.mean(edges)), 2),
                    "min": min(edges),
                    "max": max(edges),
                    "inside": inside,
                    "of": len(edges),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
