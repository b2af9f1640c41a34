"""CircularEval: a multiple-choice question counts only if every rotation of its options is answered right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ruvlm.schema import Example, LetterUse


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
    gold = Counter(example.answer for example in examples)
    hits = Counter(example.answer for example, verdict in zip(examples, right, strict=True) if verdict)
    return [LetterUse(letter, chosen[letter], gold[letter], hits[letter]) for letter in sorted(set(chosen) | set(gold))]
