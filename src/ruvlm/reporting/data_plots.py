"""Plots of a data set's questions and answers, as SVG text for a page or PNG files."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.schema import Dataset, Example

MOST = 20


def plots(dataset: Dataset) -> list[tuple[str, bytes]]:
    """(title, PNG): types, the most frequent answers or gold letters, length of questions, questions a picture."""
    examples = [example for example in dataset.examples if example.rotation == 0]
    found = []
    benchmark = benchmark_named(dataset.name)
    axis = benchmark.axes[0] if benchmark.axes else None
    types = Counter(axis.value(e) or "без типа" for e in examples) if axis else Counter()
    if types:
        found.append(("Вопросов по типам", _bars(types.most_common(), share=True)))
    if benchmark.choice:
        letters = Counter(e.answer for e in examples)
        found.append(("Верная буква у исходных строк", _bars(sorted(letters.items()), share=True)))
        found.append(
            (
                "Вариантов в вопросе",
                _bars(sorted((str(n), c) for n, c in Counter(len(e.options) for e in examples).items())),
            )
        )
    else:
        answers = Counter(e.answer.strip().lower() for e in examples)
        found.append((f"Самые частые ответы ({MOST} из {len(answers)})", _bars(answers.most_common(MOST), share=True)))
    found.append(("Слов в вопросе", _bars(_lengths(examples))))
    pictures = Counter(Counter(e.image_id for e in examples).values())
    if len(pictures) > 1:
        found.append(("Вопросов на картинку", _bars([(str(n), pictures[n]) for n in sorted(pictures)])))
    return found


def _lengths(examples: Sequence[Example]) -> list[tuple[str, int]]:
    counts = Counter(min(15, len(e.question.split())) for e in examples)
    return [(f"{n}" if n < 15 else "15+", counts[n]) for n in sorted(counts)]


def _bars(counts: Sequence[tuple[str, int]], share: bool = False) -> bytes:
    """Horizontal bars, the first on top; with `share` in per cent of all."""
    from matplotlib.figure import Figure

    total = sum(count for _, count in counts)
    values = [100 * count / total if share else count for _, count in counts]
    figure = Figure(figsize=(6, 0.28 * len(counts) + 0.7), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    places = range(len(counts))
    axes.barh(list(places), values, color="#2a6f97")
    axes.set_yticks(list(places), [name[:28] for name, _ in counts], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("%" if share else "сколько", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
