"""The difference of two scores as stairs: from the one score to the other, a step a cause."""

from __future__ import annotations

import io
from dataclasses import asdict

from ruvlm.evaluation.causes import CAUSES, Explanation
from ruvlm.numerals import decimal

UP, DOWN, WHOLE = "#2a9d6f", "#c8553d", "#2a6f97"


def waterfall(explanation: Explanation) -> bytes:
    """A PNG: the first score, a step for every cause that has a part, the second score; points beside each."""
    from matplotlib.figure import Figure

    e = explanation
    steps = [(CAUSES[cause], points) for cause, points in asdict(e.parts).items() if abs(points) > 1e-9]
    figure = Figure(figsize=(1.2 * (len(steps) + 2) + 1, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    names, at = [e.a[:22]], e.value_a
    axes.bar(0, e.value_a, color=WHOLE)
    axes.text(0, e.value_a, decimal(e.value_a), ha="center", va="bottom", fontsize=8)
    for place, (name, points) in enumerate(steps, 1):
        axes.bar(place, points, bottom=at, color=UP if points > 0 else DOWN)
        axes.plot([place - 1.4, place + 0.4], [at, at], color="#888888", linewidth=0.7)
        axes.text(place, max(at, at + points), decimal(points, 1, signed=True), ha="center", va="bottom", fontsize=8)
        at += points
        names.append(name)
    axes.bar(len(steps) + 1, e.value_b, color=WHOLE)
    axes.text(len(steps) + 1, e.value_b, decimal(e.value_b), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(steps) + 2), [*names, e.b[:22]], fontsize=8)
    axes.set_ylabel("верно, %", fontsize=8)
    axes.set_ylim(0, max(e.value_a, e.value_b, 1) * 1.15 + 5)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
