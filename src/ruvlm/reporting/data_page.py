"""One self-contained HTML page of a data set: pictures with their questions, a filter by type, plots. No network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from ruvlm.data.images import load_image
from ruvlm.data.sheet import Card
from ruvlm.errors import DataError
from ruvlm.reporting.shown import types_of
from ruvlm.schema import Dataset

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
    try:
        image = load_image(card.first.image)
    except DataError:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()
