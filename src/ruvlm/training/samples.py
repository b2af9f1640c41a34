"""What a model in training says at each validation: the same few questions every time, with their pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ruvlm.data.sheet import Card, contact_sheet, png
from ruvlm.files import write_bytes, write_text
from ruvlm.schema import Dataset, Example, Response, Verdict

PICTURES, EACH = 8, 3


@dataclass(frozen=True)
class Sample:
    """A question, what the model said, and whether that is right under the first rule."""

    example: Example
    said: str
    right: bool


def samples(dataset: Dataset, responses: Sequence[Response], verdicts: Sequence[Verdict]) -> list[Sample]:
    """The first questions of the first pictures; responses and verdicts in the data set's order."""
    kept: dict[str, int] = {}
    shown = []
    for example, response, verdict in zip(dataset.examples, responses, verdicts, strict=True):
        if example.rotation or (example.image_id not in kept and len(kept) == PICTURES):
            continue
        kept[example.image_id] = kept.get(example.image_id, 0) + 1
        if kept[example.image_id] <= EACH:
            shown.append(Sample(example, response.text.strip(), verdict.right))
    return shown


def sheet(shown: Sequence[Sample]) -> Image.Image:
    """The pictures with questions, gold answers and what was said."""
    by_picture: dict[str, list[Sample]] = {}
    for sample in shown:
        by_picture.setdefault(sample.example.image_id, []).append(sample)
    said = {sample.example.id: (sample.said, sample.right) for sample in shown}
    return contact_sheet([Card(tuple(s.example for s in group)) for group in by_picture.values()], said=said)


def write_samples(target: Path, shown: Sequence[Sample], image: Image.Image) -> None:
    """`target`, a JSONL file, and a PNG beside it. Raises OutputError."""
    lines = [
        {
            "id": s.example.id,
            "image": s.example.image_id,
            "question": s.example.question,
            "gold": s.example.answer,
            "said": s.said,
            "right": s.right,
        }
        for s in shown
    ]
    write_text(target, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    write_bytes(target.with_suffix(".png"), png(image))
