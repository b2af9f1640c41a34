"""Training data of a run: examples grouped by picture, so that one look at it serves all its questions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ruvlm.config import RunConfig
from ruvlm.data.catalog import Source, open_source
from ruvlm.data.pixels import PixelStore
from ruvlm.errors import DataError
from ruvlm.schema import Example
from ruvlm.training.task import Report


@dataclass(frozen=True)
class Pictures:
    """`pixels` uint8 [N, 3, S, S]; questions and choices of each of the N pictures; `graph_ids` its GQA image id."""

    pixels: np.ndarray
    questions: tuple[tuple[Example, ...], ...]
    choices: tuple[tuple[Example, ...], ...]
    graph_ids: tuple[str | None, ...]
    source: Source
    fingerprints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def examples(self) -> list[Example]:
        return [example for group in (*self.questions, *self.choices) for example in group]


def training_pictures(config: RunConfig, size: int, report: Report, grounding: bool) -> Pictures:
    """Read the training split of every benchmark the data folder has. Raises DataError."""
    source = open_source(config.data.path)
    report("читаю вопросы")
    sets = [source.load(benchmark, config.data.train_split, grounding) for benchmark in source.folders]
    report("готовлю картинки")
    refs = [example.image for dataset in sets for example in dataset.examples]
    store = PixelStore.build(refs, size, Path(config.results) / ".cache")
    questions: dict[int, list[Example]] = defaultdict(list)
    choices: dict[int, list[Example]] = defaultdict(list)
    ids: dict[int, str] = {}
    for dataset in sets:
        for example in dataset.examples:
            row = store.index[example.image]
            (choices if example.options else questions)[row].append(example)
            if not example.options:
                ids[row] = example.image_id
    rows = sorted(set(questions) | set(choices))[: config.data.limit_images]
    if not rows:
        raise DataError(f"В {source.folder} нет вопросов для обучения: проверьте data.path.")
    return Pictures(
        store.pixels[rows[0] : rows[-1] + 1] if rows == list(range(rows[0], rows[-1] + 1)) else store.pixels[rows],
        tuple(tuple(questions[row]) for row in rows),
        tuple(tuple(choices[row]) for row in rows),
        tuple(ids.get(row) for row in rows),
        source,
        tuple(dataset.fingerprint for dataset in sets),
    )


def pictures_of_step(seed: int, step: int, count: int, total: int, part: int = 0, parts: int = 1) -> np.ndarray:
    """Which pictures a part of a step sees: an epoch is a permutation keyed by (seed, epoch).

    A pure function of its arguments, so a resumed run sees what an undisturbed one would.
    """
    count = min(count, total)
    per_epoch = total // count
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, 1, epoch)).permutation(total)
    return np.sort(order[place * count : (place + 1) * count][part::parts])


def generator_of(seed: int, step: int, picture: int) -> np.random.Generator:
    """The generator that chooses and words a picture's questions in a step."""
    return np.random.default_rng((seed, 2, step, picture))
