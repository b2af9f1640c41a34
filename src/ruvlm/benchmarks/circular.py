"""CircularEval: a question counts if every rotation of its options is answered right; and as the reference codes count it."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ruvlm.schema import Example, LetterUse

# copy k of a question has its index and k times this
ROTATION = 1_000_000


@dataclass(frozen=True)
class RotationGroup:
    """All rows of one base question. `complete` has every rotation, `based` has the copy with k = 0.

    `first` is its row of the lowest rotation, whose category is the group's.
    """

    base: str
    right: bool
    complete: bool
    based: bool
    first: Example


def groups_of(examples: Sequence[Example], right: Sequence[bool]) -> list[RotationGroup]:
    """Rows → groups, in order of first appearance."""
    members: dict[str, list[tuple[Example, bool]]] = defaultdict(list)
    for example, verdict in zip(examples, right, strict=True):
        members[example.cluster].append((example, verdict))
    groups = []
    for base, rows in members.items():
        rotations = {example.rotation for example, _ in rows}
        first = min(rows, key=lambda row: row[0].rotation)[0]
        complete = rotations == set(range(len(first.options) or len(rows)))
        groups.append(RotationGroup(base, all(verdict for _, verdict in rows), complete, 0 in rotations, first))
    return groups


def letter_use(examples: Sequence[Example], parsed: Sequence[str | None], right: Sequence[bool]) -> list[LetterUse]:
    """Position bias: one entry a letter."""
    chosen = Counter(letter for letter in parsed if letter)
    gold = Counter(example.answer for example in examples if example.answers)
    hits = Counter(
        example.answer for example, verdict in zip(examples, right, strict=True) if verdict and example.answers
    )
    return [LetterUse(letter, chosen[letter], gold[letter], hits[letter]) for letter in sorted(set(chosen) | set(gold))]


REFERENCE_SEED = 2680
_DRAWN = "ABCDE"


@dataclass(frozen=True)
class ReferenceFigures:
    """Hits by base index in ascending order, and shares, 0 to 1, overall and by the base row's category and L2."""

    hits: dict[str, bool]
    overall: float
    category: dict[str, float]
    l2: dict[str, float]


def reference_figures(
    examples: Sequence[Example], letters: Sequence[str | None], draw: bool = False
) -> ReferenceFigures:
    """Group verdicts and figures of lmms-eval 0.7.x, and of VLMEvalKit where its letters are given.

    Args:
        examples: rows, in any order.
        letters: what was read from each row's answer, None for nothing.
        draw: lmms-eval with its judge down: a random letter of ABCDE for what was not read (PROTOCOLS, step 4).
    """
    rows: dict[int, list[tuple[Example, str | None]]] = defaultdict(list)
    for example, letter in zip(examples, letters, strict=True):
        rows[int(example.cluster)].append((example, letter))
    generator = random.Random(REFERENCE_SEED) if draw else None
    hits: dict[str, bool] = {}
    bases: list[Example] = []
    for base in sorted(rows):
        group = sorted(rows[base], key=lambda row: row[0].rotation)
        if group[0][0].rotation == 0:
            hits[str(base)] = _hit(group, generator)
            bases.append(group[0][0])
    return ReferenceFigures(
        hits,
        sum(hits.values()) / len(hits) if hits else float("nan"),
        _shares(bases, hits, [example.category for example in bases]),
        _shares(bases, hits, [example.l2 for example in bases]),
    )


def _hit(group: Sequence[tuple[Example, str | None]], generator: random.Random | None) -> bool:
    """A wrong letter ends a group before anything is drawn for its other rows."""
    if any(letter is not None and letter not in example.answers for example, letter in group):
        return False
    for example, letter in group:
        if letter is None:
            drawn = _DRAWN[generator.randint(0, 4)] if generator is not None else None
            if drawn not in example.answers:
                return False
    return True


def _shares(bases: Sequence[Example], hits: dict[str, bool], names: Sequence[str | None]) -> dict[str, float]:
    hits_of: dict[str, list[bool]] = defaultdict(list)
    for example, name in zip(bases, names, strict=True):
        if name is not None:
            hits_of[name].append(hits[example.cluster])
    return {name: sum(values) / len(values) for name, values in sorted(hits_of.items())}
