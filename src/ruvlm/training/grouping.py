"""Training data of a run: examples grouped by picture, so that one look at it serves all its questions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ruvlm.config import RunConfig
from ruvlm.data.pixels import PixelStore
from ruvlm.data.scene_graphs import ImageGraph, read_scene_graphs
from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Example
from ruvlm.training.learner import Report
from ruvlm.training.mixture import MixturePart, parts_of


@dataclass(frozen=True)
class Pictures:
    """Questions and choices of each of the N pictures; `graph_ids` its GQA image id, `sets` which set it comes from.

    `take` gives pixels, uint8 [n, 3, S, S]: row `rows[k]` of `pixels` is picture k, which may be memory-mapped.
    """

    pixels: np.ndarray
    rows: np.ndarray
    questions: tuple[tuple[Example, ...], ...]
    choices: tuple[tuple[Example, ...], ...]
    graph_ids: tuple[str | None, ...]
    sets: np.ndarray
    parts: tuple[MixturePart, ...]

    def __len__(self) -> int:
        return len(self.questions)

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """Pixels of some pictures, in memory."""
        return np.ascontiguousarray(self.pixels[self.rows[chosen]])

    @property
    def examples(self) -> list[Example]:
        return [example for group in (*self.questions, *self.choices) for example in group]

    @property
    def weights(self) -> tuple[float, ...]:
        return tuple(part.weight for part in self.parts)

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        return tuple(dataset for part in self.parts for dataset in part.datasets)

    @property
    def label(self) -> str:
        """What the sets are called."""
        return ", ".join(dict.fromkeys(dataset.source for dataset in self.datasets))

    @property
    def notes(self) -> tuple[str, ...]:
        """What each set of a mixture gives."""
        if len(self.parts) == 1:
            return ()
        return tuple(
            f"{part.datasets[0].source}: картинок {int((self.sets == number).sum())}, вес {part.weight:g}"
            for number, part in enumerate(self.parts)
        )

    def graphs(self) -> dict[tuple[int, str], ImageGraph]:
        """Scene graphs by set and image id."""
        return {
            (number, graph.image_id): graph
            for number, part in enumerate(self.parts)
            if part.graphs is not None
            for graph in read_scene_graphs(*part.graphs)
        }


def training_pictures(config: RunConfig, size: int, report: Report, grounding: bool) -> Pictures:
    """Read the training split of every benchmark of every set. Raises DataError."""
    report("читаю вопросы")
    parts = parts_of(config.data, grounding)
    report("готовлю картинки")
    refs = [example.image for part in parts for dataset in part.datasets for example in dataset.examples]
    store = PixelStore.build(refs, size, Path(config.results) / ".cache")
    questions: dict[tuple[int, int], list[Example]] = defaultdict(list)
    choices: dict[tuple[int, int], list[Example]] = defaultdict(list)
    ids: dict[tuple[int, int], str] = {}
    for number, part in enumerate(parts):
        for example in (example for dataset in part.datasets for example in dataset.examples):
            key = (number, store.index[example.image])
            (choices if example.options else questions)[key].append(example)
            if not example.options:
                ids[key] = example.image_id
    keys = sorted(set(questions) | set(choices))[: config.data.limit_images]
    if not keys:
        raise DataError("В данных нет вопросов для обучения: проверьте data.path.")
    return Pictures(
        store.pixels,
        np.array([row for _, row in keys]),
        tuple(tuple(questions[key]) for key in keys),
        tuple(tuple(choices[key]) for key in keys),
        tuple(ids.get(key) for key in keys),
        np.array([number for number, _ in keys]),
        parts,
    )


def generator_of(seed: int, step: int, picture: int) -> np.random.Generator:
    """The generator that chooses and words a picture's questions in a step."""
    return np.random.default_rng((seed, 2, step, picture))
