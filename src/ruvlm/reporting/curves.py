"""Training curves as lines in a box of 600 by 240: points, ticks and labels; the page draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ruvlm.reporting.gathered import RunHistory

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 600, 240, 48, 30, 12
MOST_POINTS = 400


@dataclass(frozen=True)
class Line:
    """One run's values: an SVG points attribute, and the last value in words."""

    name: str
    points: str
    last: str


@dataclass(frozen=True)
class Chart:
    """Lines over minutes. Ticks are (position, label); `text` says the same for those who do not see it."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    text: str


def charts(histories: Sequence[RunHistory]) -> list[Chart]:
    """Loss (on a logarithmic scale) and validation scores of all runs."""
    wanted = (
        ("Потери на ответах при обучении", "train", "answers", True),
        ("GQA на проверке при обучении, %", "validation", "gqa", False),
        (
            "MMBench (circular; без перестановок – по строкам) на проверке при обучении, %",
            "validation",
            "mmbench",
            False,
        ),
    )
    found = (_chart(title, histories, kind, key, log) for title, kind, key, log in wanted)
    return [chart for chart in found if chart is not None]


def _chart(title: str, histories: Sequence[RunHistory], kind: str, key: str, log: bool) -> Chart | None:
    series = {}
    for history in histories:
        points = [(r["seconds"] / 60, r[key]) for r in history.records if r["kind"] == kind and r.get(key) is not None]
        points = points[:: max(1, len(points) // MOST_POINTS)]
        if log:
            points = [(x, y) for x, y in points if y > 0]
        if points:
            series[history.name] = points
    if not series:
        return None
    everything = [point for points in series.values() for point in points]
    x_most = max(x for x, _ in everything) or 1.0
    values = [_scaled(y, log) for _, y in everything]
    low, high = (min(values), max(values)) if log else (0.0, max(100.0 if max(values) > 50 else 50.0, max(values)))
    high = high if high > low else low + 1

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - 8) * x / x_most
        return f"{across:.1f},{_height((_scaled(y, log) - low) / (high - low)):.1f}"

    lines = tuple(
        Line(name, " ".join(place(x, y) for x, y in points), _short(points[-1][1])) for name, points in series.items()
    )
    x_ticks = tuple((LEFT + (WIDTH - LEFT - 8) * n / 4, f"{_short(x_most * n / 4)} мин") for n in range(5))
    steps = [low + (high - low) * n / 4 for n in range(5)]
    y_ticks = tuple((_height(n / 4), _short(math.exp(value) if log else value)) for n, value in enumerate(steps))
    text = "; ".join(f"{line.name}: в конце {line.last}" for line in lines)
    return Chart(title, lines, x_ticks, y_ticks, text)


def _scaled(value: float, log: bool) -> float:
    return math.log(value) if log else value


def _short(value: float) -> str:
    return f"{value:.3g}".replace(".", ",")


def _height(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)
