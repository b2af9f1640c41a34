"""An annotated photograph, and the guards that decide what may honestly be asked about it.

Boxes are fractions of the picture's sides, (x0, y0, x1, y1), y down. Areas are fractions of the picture.

The guards, and what each keeps out:
- crowd: a box around a heap names nothing and counts nothing;
- shown: a class is said to be there only by a thing of at least 2, 4 or 6 % of the picture, by its trust; of a person a
  hand at the edge is not enough, nor of a refrigerator a strip wider than high;
- mirrored: people are not counted in a room with a sink or a toilet: mirrors show them twice;
- clear: a thing under 1 % of the picture, or narrower than 5 % of a side, is never named: one has to hunt for it;
- doubled: two boxes of one class that cover each other may be one thing twice;
- sure: a class with any crowd, unclear or doubled box is not counted, and none of its things is «the» one;
- alone: a thing is named without more only if it is the one of its class, nothing it may be taken for is annotated, and
  it is the larger the less its class can be trusted (names.PhotoKind.trust);
- apart: «левее» and «выше» need a clear distance of the centres and boxes that hardly overlap on that axis;
- spread: a table's box holds all that hides it, so tables are not compared by size;
- absent: «нет» needs a trusted class that the annotators looked for, no annotation of it of any size, and nothing it may be
  taken for; a picture with a broken or unknown annotation gets no «нет» and no count at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ruvlm.photos.names import COCO, PhotoKind

Box = tuple[float, float, float, float]

CLEAR_AREA, CLEAR_SIDE = 0.01, 0.05
# the least area of a thing that may be «the» one of its class, by how far the class is trusted
ALONE_AREA = (0.10, 0.05, 0.02)
SHOWN_AREA = (0.06, 0.04, 0.02)
COUNTED_AREA, COUNTED_MOST = 0.02, 4
PERSON_HEIGHT, PERSON_FILL = 0.3, 0.4
UPRIGHT = ("refrigerator",)
MIRRORS = ("sink", "toilet")
DOUBLED = 0.5
# of the picture's side between centres; of the smaller box, how much the two may overlap on the axis
APART, OVERLAP = 0.15, 0.10
LARGER = 2.5
SPREAD = ("dining table",)


@dataclass(frozen=True)
class PhotoThing:
    """One annotated object. `wears`, `holds` and `rides` name other things of the picture by id."""

    id: int
    kind: PhotoKind
    box: Box
    area: float
    crowd: bool = False
    colours: tuple[str, ...] = ()
    material: str | None = None
    wears: tuple[int, ...] = ()
    holds: tuple[int, ...] = ()
    rides: tuple[int, ...] = ()

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def clear(self) -> bool:
        """Can one see it without hunting for it?"""
        return not self.crowd and self.area >= CLEAR_AREA and min(self.width, self.height) >= CLEAR_SIDE

    @property
    def shown(self) -> bool:
        """Is it large and whole enough to say that its class is there?"""
        kind = self.kind
        return kind.trust >= 0 and self.clear and self._whole and self.area >= SHOWN_AREA[kind.trust]

    @property
    def _whole(self) -> bool:
        """Is it more than the edge of a thing, which only its annotator could name?"""
        if self.kind.key in UPRIGHT:
            return self.height >= self.width
        if self.kind.key != "person":
            return True
        if self.width > 1.2 * self.height and self.height < 0.5:
            return False  # sleeves and hands over a table
        cut = min(self.box[0], self.box[1]) <= 0.01 or max(self.box[2], self.box[3]) >= 0.99
        thin = self.area < PERSON_FILL * self.width * self.height
        return self.height >= PERSON_HEIGHT and not (cut and thin)


@dataclass(frozen=True)
class PhotoScene:
    """A picture file with its things; `path` is None where it was not found under its `name`. `exhaustive`: every object of the known classes is meant to be annotated.

    `strangers` are names of annotated objects that have no Russian name: nothing is asked about them. `classes` are the
    keys of those that the annotators looked for: of no other may it be said that it is not there.
    """

    id: str
    path: Path | None
    width: int
    height: int
    things: tuple[PhotoThing, ...]
    exhaustive: bool = True
    strangers: tuple[str, ...] = ()
    classes: frozenset[str] = frozenset(COCO)
    name: str = ""

    @cached_property
    def by_kind(self) -> dict[str, list[PhotoThing]]:
        things: dict[str, list[PhotoThing]] = {}
        for thing in self.things:
            things.setdefault(thing.kind.key, []).append(thing)
        return things

    @cached_property
    def _words(self) -> Counter[str]:
        return Counter(thing.kind.word for thing in self.things)

    def sure(self, key: str) -> bool:
        """Is every box of a class one whole thing that is plain to see?"""
        things = self.by_kind.get(key, [])
        pairs = ((a, b) for n, a in enumerate(things) for b in things[:n])
        return all(t.clear for t in things) and not any(_covered(a.box, b.box) > DOUBLED for a, b in pairs)

    def alone(self, thing: PhotoThing) -> bool:
        """May it be named by its class alone?"""
        kind = thing.kind
        return (
            self._words[kind.word] == 1
            and thing.shown
            and thing.area >= ALONE_AREA[kind.trust]
            and not self._has_like(kind)
        )

    @cached_property
    def named(self) -> tuple[PhotoThing, ...]:
        """The things that may be named by their class alone."""
        return tuple(thing for thing in self.things if self.alone(thing))

    def absent(self, kind: PhotoKind) -> bool:
        """May it be said that nothing of this class is in the picture?"""
        looked_for = self.exhaustive and kind.key in self.classes
        return looked_for and kind.trust == 2 and kind.key not in self.by_kind and not self._has_like(kind)

    def counted(self, kind: PhotoKind) -> int | None:
        """How many there are; None where that is not plain."""
        things = self.by_kind.get(kind.key, [])
        plain = self.exhaustive and self.sure(kind.key) and all(t.area >= COUNTED_AREA for t in things)
        mirrored = kind.living and any(key in self.by_kind for key in MIRRORS)
        trusted = kind.trust == 2 or (kind.key == "person" and all(t.shown for t in things))
        return (
            len(things)
            if plain and trusted and not mirrored and 0 < len(things) <= COUNTED_MOST and not kind.noun.plural_only
            else None
        )

    def _has_like(self, kind: PhotoKind) -> bool:
        """Is anything here that it may be taken for, or that may be taken for it?"""
        names = {*self.by_kind, *self.strangers}
        return not names.isdisjoint(kind.like) or any(kind.key in thing.kind.like for thing in self.things)


def _covered(a: Box, b: Box) -> float:
    """The part of the smaller box that lies in the other."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    least = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(0.0, w) * max(0.0, h) / least if least else 1.0


def beside(a: PhotoThing, b: PhotoThing) -> str | None:
    """«left» or «right» where `a` is plainly to that side of `b` in the picture."""
    return _apart(a, b, 0, ("left", "right"))


def stacked(a: PhotoThing, b: PhotoThing) -> str | None:
    """«above» or «below» where `a` is plainly so in the picture."""
    return _apart(a, b, 1, ("above", "below"))


def _apart(a: PhotoThing, b: PhotoThing, axis: int, words: tuple[str, str]) -> str | None:
    shift = a.centre[axis] - b.centre[axis]
    overlap = min(a.box[axis + 2], b.box[axis + 2]) - max(a.box[axis], b.box[axis])
    smaller = min(a.box[axis + 2] - a.box[axis], b.box[axis + 2] - b.box[axis])
    if abs(shift) < APART or overlap > OVERLAP * smaller:
        return None
    return words[0] if shift < 0 else words[1]


def half(thing: PhotoThing, axis: int) -> int | None:
    """0 where it lies in the left or upper half (with 5 % to spare), 1 in the other, None across the middle."""
    start, end = thing.box[axis], thing.box[axis + 2]
    return 0 if end <= 0.45 else 1 if start >= 0.55 else None


def larger(a: PhotoThing, b: PhotoThing) -> PhotoThing | None:
    """The one that takes up plainly more of the picture, by its box and by its area."""
    if a.kind.key in SPREAD or b.kind.key in SPREAD:
        return None
    big, small = (a, b) if a.area >= b.area else (b, a)
    by_area = big.area >= LARGER * small.area
    by_box = big.width * big.height >= LARGER * small.width * small.height
    return big if by_area and by_box else None
