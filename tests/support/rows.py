"""Examples, prompts and verdicts for tests that care about a field or two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruvlm.backends.base import Asked
from ruvlm.benchmarks.base import Place
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.source import open_source
from ruvlm.schema import Dataset, Example, Generation, ImageRef, Prompt

NOWHERE = ImageRef(Path("x"))


def example(question: str = "?", answer: str = "да", image: ImageRef = NOWHERE, **fields: Any) -> Example:
    """A row of GQA-ru, or of another benchmark where the fields say so."""
    plain = {"id": "1", "benchmark": "gqa-ru", "image_id": "1", "cluster": "1"}
    return Example(question=question, answers=(answer,), images=(image,), **(plain | fields))


def prompt(text: str = "?", image: ImageRef = NOWHERE, tokens: int = 16, **fields: Any) -> Prompt:
    """A prompt of no protocol."""
    stop = fields.pop("stop", ())
    return Prompt(
        **({"protocol": "x", "text": text, "images": (image,), "generation": Generation(tokens, stop)} | fields)
    )


def asked(text: str, image: ImageRef, tokens: int, **fields: Any) -> Asked:
    """A question as a backend gets it."""
    return Asked(prompt(text, image, tokens, **fields), example(text, "", image))


def loaded(benchmark: str, folder: Path, split: str, grounding: bool = False) -> Dataset:
    """A split in a benchmark's own folder, by its own name for it."""
    place = Place(folder=folder, label="x", graphs=folder)
    return benchmark_named(benchmark).rows.load(place, split, grounding, False)


def refs_of(world: Path, split: str = "train") -> list[ImageRef]:
    return [e.image for e in open_source(str(world)).load("gqa-ru", split).examples]
