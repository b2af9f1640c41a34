"""Several sets of training data in one run: each with its weight and limit, drawn by a seed.

Shapes: N pictures of all sets together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ruvlm.config import DataSettings, MixSettings
from ruvlm.data import conversations
from ruvlm.data.catalog import open_source
from ruvlm.errors import DataError
from ruvlm.schema import Dataset


@dataclass(frozen=True)
class Part:
    """One set of a mixture: its data, and where its scene graphs are if it has any."""

    weight: float
    datasets: tuple[Dataset, ...]
    graphs: tuple[Path, str] | None


def parts_of(data: DataSettings, grounding: bool) -> tuple[Part, ...]:
    """The sets of a run: those of data.mix, or the one of data.path. Raises DataError."""
    if not data.mix:
        return (_folder(data.path, data.train_split, 1.0, None, grounding),)
    return tuple(_part(mix, grounding) for mix in data.mix)


def _part(mix: MixSettings, grounding: bool) -> Part:
    if mix.images is not None:
        found = conversations.load(Path(mix.path), Path(mix.images), mix.limit)
        return Part(mix.weight, (found,), None)
    return _folder(mix.path, mix.split, mix.weight, mix.limit, grounding)


def _folder(path: str, split: str, weight: float, limit: int | None, grounding: bool) -> Part:
    source = open_source(path)
    sets = tuple(source.load(benchmark, split, grounding, limit=limit) for benchmark in source.folders)
    if not any(dataset.examples for dataset in sets):
        raise DataError(f"В {source.folder} нет вопросов для обучения: проверьте data.path.")
    graphs = (source.folders["gqa-ru"], split) if "gqa-ru" in source.folders else None
    return Part(weight, sets, graphs)


class Epochs:
    """Which pictures a step sees. In an epoch each set gives `weight` times its pictures: the fraction by lot.

    A pure function of (seed, step), so a resumed run sees what an undisturbed one would.
    """

    def __init__(self, sets_N: np.ndarray, weights: tuple[float, ...]) -> None:
        self.members = [np.flatnonzero(sets_N == number) for number in range(len(weights))]
        self.counts = [round(weight * len(some)) for weight, some in zip(weights, self.members, strict=True)]
        self.total = sum(self.counts)
        self._last: tuple[tuple[int, int], np.ndarray] | None = None

    def pictures(self, seed: int, step: int, count: int, part: int = 0, parts: int = 1) -> np.ndarray:
        """The pictures of a part of a step."""
        count = min(count, self.total)
        epoch, place = divmod(step, self.total // count)
        return np.sort(self._order(seed, epoch)[place * count : (place + 1) * count][part::parts])

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if self._last is None or self._last[0] != (seed, epoch):
            picks = []
            for number, (some, count) in enumerate(zip(self.members, self.counts, strict=True)):
                whole, rest = divmod(count, max(1, len(some)))
                lot = np.random.default_rng((seed, 3, epoch, number)).permutation(some)[:rest] if rest else some[:0]
                picks += [some] * whole + [lot]
            pool = np.concatenate(picks)
            self._last = ((seed, epoch), pool[np.random.default_rng((seed, 1, epoch)).permutation(len(pool))])
        return self._last[1]
