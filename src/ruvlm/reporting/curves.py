"""Training curves as lines in a box of 600 by 240: points, ticks and labels; the page draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ruvlm.numerals import decimal
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
    """Loss (on a logarithmic scale) and validation scores of all runs, a chart a benchmark."""
    losses = {
        run.name: [(r.minutes, r.losses["answers"]) for r in run.records if r.kind == "train" and "answers" in r.losses]
        for run in histories
    }
    names = dict.fromkeys(name for run in histories for record in run.records for name in record.scores)
    drawn = [_chart("Потери на ответах при обучении", losses, True)]
    for name in names:
        scores = {run.name: [(r.minutes, r.scores[name]) for r in run.records if name in r.scores] for run in histories}
        drawn.append(_chart(f"{name}: балл на малой проверке при обучении, %", scores, False))
    return [chart for chart in drawn if chart is not None]


def _chart(title: str, runs: Mapping[str, list[tuple[float, float]]], log: bool) -> Chart | None:
    """Points (minutes, value) of each run."""
    series = {}
    for name, line in runs.items():
        points = [(x, y) for x, y in line[:: max(1, len(line) // MOST_POINTS)] if y > 0 or not log]
        if len(points) > 1:  # one point is no line
            series[name] = points
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
    x_ticks = tuple((LEFT + (WIDTH - LEFT - 8) * n / 4, _time(x_most * n / 4)) for n in range(5))
    steps = [low + (high - low) * n / 4 for n in range(5)]
    y_ticks = tuple((_height(n / 4), _short(math.exp(value) if log else value)) for n, value in enumerate(steps))
    text = "; ".join(f"{line.name}: в конце {line.last}" for line in lines)
    return Chart(title, lines, x_ticks, y_ticks, text)


def _time(minutes: float) -> str:
    return f"{decimal(minutes)} мин" if minutes >= 1 else f"{decimal(60 * minutes, 0)} с"


def _scaled(value: float, log: bool) -> float:
    return math.log(value) if log else value


def _short(value: float) -> str:
    return f"{value:.3g}".replace(".", ",")


def _height(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)
