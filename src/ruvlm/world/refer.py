"""How a thing is named in a question: the shortest noun phrases that fit it and nothing else in the scene."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from ruvlm.questions.draft import Reference, Step
from ruvlm.questions.grammar import Noun
from ruvlm.world.kinds import GARMENTS, KINDS, SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.scene import SceneGraph, Thing


@cache
def noun_of(kind: str) -> Noun:
    """The noun of a kind or garment key."""
    spec = KINDS.get(kind)
    if spec is not None:
        return Noun(spec.word, spec.gender, spec.animate)
    garment = GARMENTS[kind]
    return Noun(garment.word, garment.gender)


class Namer:
    """Names the things of one scene."""

    def __init__(self, scene: SceneGraph, rng: random.Random) -> None:
        self.scene = scene
        self.rng = rng
        self.by_kind: dict[str, list[Thing]] = {}
        for thing in scene.things:
            self.by_kind.setdefault(thing.kind, []).append(thing)

    def count(self, kind: str) -> int:
        return len(self.by_kind.get(kind, ()))

    def name(self, thing: Thing, avoid: str = "") -> Reference | None:
        """A phrase that fits only `thing` and does not mention the attribute `avoid`; None where there is none."""
        same = self.by_kind[thing.kind]
        choices: list[tuple[str, ...]] = []
        if len(same) == 1:
            choices.append(())
        spare = len(same) > 1 or self.rng.random() < 0.3
        if spare and thing.colour and avoid != "color" and sum(t.colour == thing.colour for t in same) == 1:
            choices.append(("color",))
        if spare and thing.size and avoid != "size" and sum(t.size == thing.size for t in same) == 1:
            choices.append(("size",))
        if not choices:
            return None
        return self.describe(thing, self.rng.choice(choices))

    def describe(self, thing: Thing, attributes: tuple[str, ...]) -> Reference:
        """The phrase that mentions exactly these attributes."""
        steps: list[Step] = [("select", f"{thing.kind.replace('_', ' ')} ({thing.id})")]
        words = []
        for attribute in attributes:
            key = thing.colour if attribute == "color" else thing.size
            words.append(COLOURS[key].word if attribute == "color" else SIZES[key])  # type: ignore[index]
            steps.append((f"filter {attribute}", key or ""))
        return Reference(noun_of(thing.kind), tuple(words), tuple(steps), thing)

    def sought(self, kind: str, colour: str | None = None) -> Reference:
        """As `absent`, but if exactly one such thing is there the phrase mentions it."""
        things = [t for t in self.by_kind.get(kind, ()) if colour in (None, t.colour)]
        return replace(self.absent(kind, colour), thing=things[0] if len(things) == 1 else None)

    def absent(self, kind: str, colour: str | None = None) -> Reference:
        """A phrase for a kind, or a coloured kind, that need not be in the scene."""
        steps: list[Step] = [("select", f"{kind.replace('_', ' ')} (-)")]
        if colour is None:
            return Reference(noun_of(kind), (), tuple(steps))
        steps.append(("filter color", colour))
        return Reference(noun_of(kind), (COLOURS[colour].word,), tuple(steps))
