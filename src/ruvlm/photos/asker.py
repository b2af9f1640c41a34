"""What the forms about photographs work with: one picture, its random generator, the names of its things."""

from __future__ import annotations

import random

from ruvlm.photos.names import COCO, PhotoKind
from ruvlm.photos.scene import PhotoScene, PhotoThing
from ruvlm.questions.draft import Fact, Reference


class PhotoAsker:
    """One photograph being asked about. `want` is the answer a yes/no form should aim at."""

    def __init__(self, scene: PhotoScene, rng: random.Random) -> None:
        self.scene = scene
        self.rng = rng
        self.want = True
        self.present = tuple(
            kind
            for things in scene.by_kind.values()
            if any(thing.shown for thing in things)
            for kind in (things[0].kind,)
        )
        self.missing = tuple(kind for kind in COCO.values() if scene.absent(kind))

    def pair(self) -> tuple[PhotoThing, PhotoThing] | None:
        """Two different things that may be named."""
        if len(self.scene.named) < 2:
            return None
        a, b = self.rng.sample(self.scene.named, 2)
        return a, b

    def some_missing(self, near: PhotoKind | None = None) -> PhotoKind | None:
        """A class that is not there, more often than not of the group of something that is."""
        groups = {near.group} if near is not None else {kind.group for kind in self.present}
        close = [kind for kind in self.missing if kind.group in groups]
        pool = close if close and self.rng.random() < 0.6 else list(self.missing)
        return self.rng.choice(pool) if pool else None


def name(thing: PhotoThing) -> Reference:
    """The noun phrase of a thing, and how a program selects it."""
    plain = kind_name(thing.kind)
    return Reference(plain.noun, plain.adjectives, (("select", f"{thing.kind.key} ({thing.id})"),), thing)


def kind_name(kind: PhotoKind) -> Reference:
    """The noun phrase of a class that need not be there."""
    return Reference(kind.noun, kind.adjectives, (("select", f"{kind.key} (-)"),))


def exists(kind: PhotoKind, present: bool) -> Fact:
    return ("exists", kind.key, None, present)


def presence(*things: PhotoThing) -> frozenset[Fact]:
    """What every question that names things states."""
    return frozenset(exists(thing.kind, True) for thing in things)


def be(kind: PhotoKind) -> str:
    return "находятся" if kind.noun.plural_only else "находится"
