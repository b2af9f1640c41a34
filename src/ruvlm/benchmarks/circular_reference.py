"""CircularEval as the reference codes count it: groups with a base row only, unread answers wrong or drawn at random."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ruvlm.schema import Example

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
    if any(letter is not None and letter != example.answer for example, letter in group):
        return False
    for example, letter in group:
        if letter is None:
            drawn = _DRAWN[generator.randint(0, 4)] if generator is not None else None
            if drawn != example.answer:
                return False
    return True


def _shares(bases: Sequence[Example], hits: dict[str, bool], names: Sequence[str | None]) -> dict[str, float]:
    found: dict[str, list[bool]] = defaultdict(list)
    for example, name in zip(bases, names, strict=True):
        if name is not None:
            found[name].append(hits[example.cluster])
    return {name: sum(values) / len(values) for name, values in sorted(found.items())}
