"""What every form works with: one scene, its names, its random generator and a few draws that forms share."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

from ruvlm.questions.draft import RELATION_WORDS, Fact, Reference, Related, chain
from ruvlm.world.kinds import CATEGORY_WORDS, KINDS, kinds_of
from ruvlm.world.palette import COLOURS
from ruvlm.world.refer import Namer
from ruvlm.world.scene import RELATIONS, SceneGraph, Thing, held_out_colour, related


class Asker:
    """One scene being asked about. `want` is the answer a yes/no form should aim at.

    `plain`: the words are those of version 3, which no longer asks what nobody would say; version 2 stays as it was, to the byte.
    """

    def __init__(self, scene: SceneGraph, rng: random.Random, held_out: bool, version: str) -> None:
        self.scene = scene
        self.rng = rng
        self.namer = Namer(scene, rng)
        self.held_out = held_out
        self.want = True
        self.plain = int(version) >= 3
        self.coloured = tuple(t for t in scene.things if t.colour and t.text is None)
        self.sized = tuple(t for t in scene.anchors if t.size)
        self.categories = tuple(c for c in categories_of(scene.level) if not self.plain or self._has_several(c))
        self.absent_kinds = tuple(k.key for k in kinds_of(scene.level) if k.key not in self.namer.by_kind)

    def _has_several(self, category: str) -> bool:
        """With fewer than three kinds in it a category would give the answer away."""
        return sum(self.category(kind.key) == category for kind in kinds_of(self.scene.level)) >= 3

    def worded(self, now: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
        """The wordings of the world's version: `now` those of version 3, `before` those of version 2."""
        return now if self.plain else before

    def category(self, kind: str) -> str:
        """What a kind is one of: in version 3 nobody takes a snowman for a toy."""
        return "" if self.plain and kind == "snowman" else KINDS[kind].category

    def pick(self, things: tuple[Thing, ...], avoid: str = "") -> tuple[Thing, Reference] | None:
        """A random thing with a name of its own."""
        if not things:
            return None
        thing = self.rng.choice(things)
        reference = self.namer.name(thing, avoid)
        return (thing, reference) if reference else None

    def pair(self, things: tuple[Thing, ...], avoid: str = "") -> tuple[Thing, Reference, Thing, Reference] | None:
        """Two different things, each with a name of its own."""
        if len(things) < 2:
            return None
        a, b = self.rng.sample(things, 2)
        name_a, name_b = self.namer.name(a, avoid), self.namer.name(b, avoid)
        return (a, name_a, b, name_b) if name_a and name_b else None

    def palette(self, kind: str) -> list[str]:
        """The colours a question may name with this kind.

        Outside the held-out world a held-out pair is not even named: it could only ever be a wrong answer there, and
        a model would learn that.
        """
        spec = KINDS.get(kind)
        allowed = spec.colours if spec is not None and len(spec.colours) > 1 else tuple(COLOURS)
        banned = None if self.held_out else held_out_colour(kind)
        return [key for key in allowed if key != banned]

    def other_colour(self, thing: Thing) -> str:
        """A colour that the thing does not have."""
        return self.rng.choice([key for key in self.palette(thing.kind) if key != thing.colour])

    def in_relation(self, relation: str, to: Thing) -> tuple[Thing, ...] | None:
        """The anchors in a relation to `to`; None if for any of them it is not plain to see."""
        things = []
        for thing in self.scene.anchors:
            if thing.id == to.id:
                continue
            holds = related(thing, relation, to)
            if holds is None:
                return None
            if holds:
                things.append(thing)
        return tuple(things)

    def companions(self, thing: Thing) -> bool:
        """Does the thing carry something that «что» might also mean?"""
        return KINDS[thing.kind].person and self.scene.held(thing) is not None


@cache
def categories_of(level: str) -> tuple[str, ...]:
    """The categories with at least three kinds at a level: with fewer the question would give the answer away."""
    sizes: Counter[str] = Counter(kind.category for kind in kinds_of(level))
    return tuple(category for category in CATEGORY_WORDS if sizes[category] >= 3)


def colour_fact(thing: Thing, colour: str | None = None, holds: bool = True) -> Fact:
    return ("color", thing.id, colour or thing.colour, holds)


def existence(kind: str, present: bool, colour: str | None = None) -> Fact:
    return ("exists", kind, colour, present)


def presence(thing: Thing) -> frozenset[Fact]:
    """That a thing is there: what every question that names it states."""
    facts: set[Fact] = {existence(thing.kind, True)}
    return frozenset(facts)


def one_related(asker: Asker) -> tuple[Thing, Related, Thing] | None:
    """A relation that exactly one anchor has to a named thing: (the named, the relation, the one)."""
    for _ in range(8):
        thing = asker.rng.choice(asker.scene.anchors)
        relation = asker.rng.choice(RELATIONS)
        related_things = asker.in_relation(relation, thing)
        if (
            related_things is None
            or len(related_things) != 1
            or asker.companions(related_things[0])
            or asker.companions(thing)
        ):
            continue
        name = asker.namer.name(thing)
        if name is not None and related_things[0].kind != thing.kind:
            return thing, Related(relation, name), related_things[0]
    return None


def related_program(related: Related, target: str) -> tuple[tuple[tuple[str, str], tuple[int, ...]], ...]:
    english = RELATION_WORDS[related.relation][2]
    return chain(related.reference, then=(("relate", f"{target},{english},s"), ("query", "name")))
