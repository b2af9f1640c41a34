"""A data set as one page of HTML: pictures with their questions, filters by type, and plots of questions and answers."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.data.images import load_image
from ruvlm.data.sheet import Card
from ruvlm.errors import DataError
from ruvlm.reporting.shown import types_of
from ruvlm.schema import Dataset, Example

SIDE = 420


def data_page(dataset: Dataset, cards: Sequence[Card], plots: Sequence[tuple[str, bytes]]) -> str:
    """The page's text. Everything that comes from the data is escaped."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    names = sorted({name for card in cards for example in card.examples for name in types_of(example)})
    shown = [
        {"id": card.first.image_id, "picture": _picture(card), "questions": [(e, types_of(e)) for e in card.examples]}
        for card in cards
    ]
    return environment.get_template("data_page.html.j2").render(
        dataset=dataset,
        cards=shown,
        types=names,
        total=len(dataset.examples),
        pictures=len({example.image_id for example in dataset.examples}),
        plots=[(title, base64.b64encode(data).decode()) for title, data in plots],
    )


def _picture(card: Card) -> str | None:
    if not card.first.images:
        return None
    try:
        image = load_image(card.first.image)
    except DataError:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


MOST = 20


def plots(dataset: Dataset) -> list[tuple[str, bytes]]:
    """(title, PNG): types, the most frequent answers or gold letters, length of questions, questions a picture."""
    examples = [example for example in dataset.examples if example.rotation == 0]
    drawn = []
    benchmark = benchmark_named(dataset.name)
    axis = benchmark.axes[0] if benchmark.axes else None
    types = Counter(value for e in examples for value in axis.values(e) or ("без типа",)) if axis else Counter()
    if types:
        drawn.append(("Вопросов по типам", _bars(types.most_common(), share=True)))
    if benchmark.choice:
        letters = Counter(e.answer for e in examples)
        drawn.append(("Верная буква у исходных строк", _bars(sorted(letters.items()), share=True)))
        drawn.append(
            (
                "Вариантов в вопросе",
                _bars(sorted((str(n), c) for n, c in Counter(len(e.options) for e in examples).items())),
            )
        )
    else:
        answers = Counter(e.answer.strip().lower() for e in examples)
        drawn.append(
            (
                f"Самые частые ответы ({min(MOST, len(answers))} из {len(answers)})",
                _bars(answers.most_common(MOST), share=True),
            )
        )
    drawn.append(("Слов в вопросе", _bars(_lengths(examples))))
    pictures = Counter(Counter(e.image_id for e in examples).values())
    if len(pictures) > 1:
        drawn.append(("Вопросов на картинку", _bars([(str(n), pictures[n]) for n in sorted(pictures)])))
    return drawn


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
