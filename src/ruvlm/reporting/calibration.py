"""Does a model know when it is right? Its probabilities against how often it was, in bins (Guo et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers given with about the same probability: the bin's edges, how many, mean probability and share right, per cent."""

    low: float
    high: float
    n: int
    said: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """`error` is the expected calibration error, in points."""

    n: int
    error: float
    bins: tuple[Bin, ...]


def calibration(probabilities: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Ten bins of equal width; empty ones are left out. Probabilities in [0, 1]."""
    said_N, right_N = np.asarray(probabilities, dtype=float), np.asarray(right, dtype=float)
    place_N = np.minimum((said_N * BINS).astype(int), BINS - 1)
    bins = []
    for number in range(BINS):
        inside = place_N == number
        if inside.any():
            bins.append(
                Bin(
                    number / BINS,
                    (number + 1) / BINS,
                    int(inside.sum()),
                    100 * float(said_N[inside].mean()),
                    100 * float(right_N[inside].mean()),
                )
            )
    error = sum(b.n * abs(b.said - b.right) for b in bins) / max(1, len(said_N))
    return Calibration(len(said_N), error, tuple(bins))
