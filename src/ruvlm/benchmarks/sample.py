"""A smaller set that stands for a larger one: seeded, stratified by type, rotation groups kept whole."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Example

SEED = 0
Unit = tuple[Example, ...]


def sampled(dataset: Dataset, limit: int, seed: int = SEED) -> Dataset:
    """At most `limit` rows in their order, whole units: questions, or base questions with all their rotations.

    Every type (structural and semantic; category; the first axis of a card) keeps its share of the units. The draw depends on the ids and the seed
    alone, so a smaller sample of the same set is part of a larger one wherever their shares allow. Raises DataError for
    a limit that not one unit fits into.
    """
    if limit >= len(dataset.examples):
        return dataset
    units = _units(dataset.examples, benchmark_named(dataset.name).unit)
    chosen = _drawn(units, limit, seed)
    if not chosen:
        raise DataError(f"--limit {limit}: в {dataset.name} меньше одного вопроса со всеми его копиями: увеличьте его.")
    kept = {example.id for unit in chosen for example in unit}
    examples = tuple(example for example in dataset.examples if example.id in kept)
    mark = hashlib.sha256(f"{dataset.fingerprint} limit {limit} seed {seed}".encode()).hexdigest()[:16]
    note = f"выборка: {len(examples)} строк из {len(dataset.examples)}, зерно {seed}"
    return replace(
        dataset,
        source=f"{dataset.source} sample {limit}",
        fingerprint=mark,
        examples=examples,
        notes=(*dataset.notes, note),
        sample=limit,
    )


def _units(examples: Sequence[Example], unit: Callable[[Example], str]) -> list[Unit]:
    members: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        members[unit(example)].append(example)
    return [tuple(rows) for rows in members.values()]


def _drawn(units: Sequence[Unit], limit: int, seed: int) -> list[Unit]:
    """Fill the limit type by type in turn, always the type furthest behind its share of the rows."""
    strata: dict[tuple[str | None, ...], list[Unit]] = defaultdict(list)
    for unit in units:
        first = unit[0]
        facts = tuple(next(iter(first.facts.values()), ()))
        strata[first.structural, first.semantic, first.category, *facts].append(unit)
    rows = {kind: sum(map(len, members)) for kind, members in strata.items()}
    for members in strata.values():
        members.sort(key=lambda unit: _lot(unit[0].id, seed), reverse=True)
    taken = dict.fromkeys(strata, 0)
    order = {kind: number for number, kind in enumerate(sorted(strata, key=str))}
    chosen: list[Unit] = []
    left = limit
    while True:
        fitting = [kind for kind, members in strata.items() if members and len(members[-1]) <= left]
        if not fitting:
            return chosen
        kind = min(fitting, key=lambda k: ((taken[k] + len(strata[k][-1]) / 2) / rows[k], order[k]))
        unit = strata[kind].pop()
        chosen.append(unit)
        taken[kind] += len(unit)
        left -= len(unit)


def _lot(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
