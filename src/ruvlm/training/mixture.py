"""Several sets of training data in one run: each with its weight and limit, drawn by a seed.

Shapes: N pictures of all sets together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ruvlm.benchmarks.catalog import house_benchmarks
from ruvlm.benchmarks.source import open_source
from ruvlm.config import DataSettings, MixSettings
from ruvlm.data import conversations
from ruvlm.errors import ConfigError, DataError
from ruvlm.schema import Dataset

# how many steps' pictures are sorted by length together
SPAN = 50


@dataclass(frozen=True)
class MixturePart:
    """One set of a mixture: its data, and where its scene graphs are if it has any."""

    weight: float
    datasets: tuple[Dataset, ...]
    graphs: tuple[Path, str] | None


def parts_of(data: DataSettings, grounding: bool) -> tuple[MixturePart, ...]:
    """The sets of a run: those of data.mix, or the one of data.path. Raises DataError."""
    if not data.mix:
        return (_folder(data.path, data.train_split, 1.0, None, grounding),)
    parts = tuple(_part(mix, grounding) for mix in data.mix)
    _refuse_namesakes(parts)
    return parts


def _refuse_namesakes(parts: Sequence[MixturePart]) -> None:
    """A card is known by its name: of two the rows of one would be asked in the other's words."""
    marks: dict[str, set[str]] = defaultdict(set)
    for dataset in (dataset for part in parts for dataset in part.datasets if dataset.name not in house_benchmarks()):
        marks[dataset.name].add(dataset.source)
    twice = next((name for name, sources in marks.items() if len(sources) > 1), None)
    if twice is not None:
        raise DataError(
            f"[[data.mix]]: два разных набора зовутся «{twice}»: дайте им разные имена в карточках (benchmark.name)."
        )


def _part(mix: MixSettings, grounding: bool) -> MixturePart:
    if mix.images is not None:
        dataset = conversations.load(Path(mix.path), Path(mix.images), mix.limit)
        return MixturePart(mix.weight, (dataset,), None)
    return _folder(mix.path, mix.split, mix.weight, mix.limit, grounding)


def _learnable(dataset: Dataset) -> Dataset:
    """Without questions whose answers are not published, or that are not about one picture: nothing can be learnt from them."""
    kept = tuple(example for example in dataset.examples if example.answers and len(example.images) == 1)
    return replace(dataset, examples=kept)


def _folder(path: str, split: str, weight: float, limit: int | None, grounding: bool) -> MixturePart:
    source = open_source(path)
    sets = tuple(_learnable(source.load(benchmark, split, grounding, limit=limit)) for benchmark in source.benchmarks)
    if not any(dataset.examples for dataset in sets):
        raise DataError(f"В {source.folder} нет вопросов для обучения: проверьте data.path.")
    return MixturePart(weight, sets, None if source.graphs is None else (source.graphs, split))


class Epochs:
    """Which pictures a step sees. In an epoch each set gives `weight` times its pictures: the fraction by lot.

    Epochs follow one another without a gap: in each every picture of a set of weight 1 is seen once, whatever the size of a
    step. With `lengths_N` the pictures of a step are about as long as one another. A pure function of (seed, step), so a
    resumed run sees what an undisturbed one would.
    """

    def __init__(self, sets_N: np.ndarray, weights: tuple[float, ...], lengths_N: np.ndarray | None = None) -> None:
        self.members = [np.flatnonzero(sets_N == number) for number in range(len(weights))]
        self.counts = [round(weight * len(members)) for weight, members in zip(weights, self.members, strict=True)]
        self.total = sum(self.counts)
        self.lengths = lengths_N
        self._orders: dict[tuple[int, int, int], np.ndarray] = {}

    def steps(self, epochs: float, count: int) -> int:
        """How many steps of `count` pictures so many epochs have."""
        return max(1, math.ceil(epochs * self.total / min(count, self.total)))

    def pictures(self, seed: int, step: int, count: int, part: int = 0, parts: int = 1) -> np.ndarray:
        """The pictures of a part of a step. Raises ConfigError where the set has fewer pictures than the step has parts."""
        count = min(count, self.total)
        if count < parts:
            raise ConfigError(
                f"Картинок для обучения {self.total}, это меньше частей шага ({parts}): уменьшите train.accumulate или train.parts, "
                "запустите меньше процессов или возьмите больше картинок."
            )
        chosen: list[int] = []
        while len(chosen) < count:
            epoch, place = divmod(step * count + len(chosen), self.total)
            chosen += self._order(seed, epoch, count)[place : place + count - len(chosen)].tolist()
        return np.sort(np.array(chosen)[part::parts])

    def _order(self, seed: int, epoch: int, count: int) -> np.ndarray:
        key = (seed, epoch, count if self.lengths is not None else 0)
        if key not in self._orders:
            if len(self._orders) > 4:  # a stage's own, and the epoch a batch ahead is taken from
                self._orders = {}
            pool = self._pool(seed, epoch)
            order = pool[np.random.default_rng((seed, 1, epoch)).permutation(len(pool))]
            self._orders[key] = order if self.lengths is None else self._grouped(order, seed, epoch, count)
        return self._orders[key]

    def _pool(self, seed: int, epoch: int) -> np.ndarray:
        picks = []
        for number, (members, count) in enumerate(zip(self.members, self.counts, strict=True)):
            whole, rest = divmod(count, max(1, len(members)))
            lot = np.random.default_rng((seed, 3, epoch, number)).permutation(members)[:rest] if rest else members[:0]
            picks += [members] * whole + [lot]
        return np.concatenate(picks)

    def _grouped(self, order: np.ndarray, seed: int, epoch: int, count: int) -> np.ndarray:
        """Sorted by length within spans of many steps, then the steps shuffled."""
        assert self.lengths is not None
        spans = [order[start : start + SPAN * count] for start in range(0, len(order), SPAN * count)]
        line = np.concatenate([span[np.argsort(-self.lengths[span], kind="stable")] for span in spans])
        steps = [line[start : start + count] for start in range(0, len(line), count)]
        mixed = np.random.default_rng((seed, 4, epoch)).permutation(len(steps))
        return np.concatenate([steps[number] for number in mixed])
