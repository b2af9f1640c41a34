"""A scene graph (things, attributes, relations) and the seeded sampler that makes one.

Coordinates are fractions of the picture's side, x to the right and y down; a box is (x0, y0, x1, y1).
A relation is three-valued: True, False, or None where an honest person might say either, so nobody is asked.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

from ruvlm.world.kinds import GARMENTS, KINDS, PLACES, Garment, Kind, kinds_of
from ruvlm.world.palette import COLOURS

Box = tuple[float, float, float, float]

FULL_PLACES: MappingProxyType[str, str] = MappingProxyType({**PLACES, "street": "улица", "forest": "лес"})
OUTDOORS = frozenset({"field", "beach", "street", "forest"})
WEATHER: MappingProxyType[str, str] = MappingProxyType(
    {"sunny": "солнечно", "cloudy": "облачно", "rainy": "идёт дождь", "snowy": "идёт снег"}
)
MATERIALS: MappingProxyType[str, str] = MappingProxyType(
    {"wood": "дерево", "metal": "металл", "glass": "стекло", "fabric": "ткань"}
)
PATTERNS: MappingProxyType[str, str] = MappingProxyType(
    {"striped": "полосатый", "checked": "клетчатый", "dotted": "в горошек"}
)
ACTIONS: MappingProxyType[str, str] = MappingProxyType(
    {"stand": "стоит", "run": "бежит", "wave": "машет рукой", "jump": "прыгает", "sit": "сидит"}
)
EMOTIONS: MappingProxyType[str, str] = MappingProxyType(
    {"happy": "радость", "sad": "грусть", "angry": "злость", "surprised": "удивление"}
)
SIGN_WORDS = (
    "АПТЕКА",
    "ХЛЕБ",
    "КАФЕ",
    "СТОП",
    "ШКОЛА",
    "БАНК",
    "ПОЧТА",
    "МУЗЕЙ",
    "КНИГИ",
    "ЦВЕТЫ",
    "ТЕАТР",
    "РЫНОК",
    "КИНО",
    "ОБУВЬ",
    "МЁД",
    "ЧАЙ",
    "РЫБА",
    "МЕТРО",
    "СУП",
    "ЦИРК",
)


@dataclass(frozen=True)
class Thing:
    """One object. Garments and held things are things too: `worn_by` and `held_by` name their person."""

    id: int
    kind: str
    box: Box
    colour: str | None = None
    size: str | None = None
    worn_by: int | None = None
    held_by: int | None = None
    material: str | None = None
    pattern: str | None = None
    action: str | None = None
    emotion: str | None = None
    text: str | None = None

    @property
    def spec(self) -> Kind | Garment:
        return KINDS.get(self.kind) or GARMENTS[self.kind]

    @property
    def anchor(self) -> bool:
        """Stands in the scene by itself, so that relations in space are asked about it."""
        return self.worn_by is None and self.held_by is None

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class SceneGraph:
    """A scene: everything a question may be asked about and everything the pen needs."""

    id: str
    level: str
    place: str
    things: tuple[Thing, ...]
    weather: str | None = None
    finish: str = "plain"
    bars: tuple[tuple[str, int, str], ...] = ()

    @cached_property
    def anchors(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.anchor)

    @cached_property
    def people(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.anchors if KINDS[thing.kind].person)

    def worn(self, person: Thing) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.worn_by == person.id)

    def held(self, person: Thing) -> Thing | None:
        return next((thing for thing in self.things if thing.held_by == person.id), None)


RELATIONS = ("left", "right", "above", "below", "near")
OPPOSITE: MappingProxyType[str, str] = MappingProxyType(
    {"left": "right", "right": "left", "above": "below", "below": "above"}
)
_CLEAR, _LEVEL = 0.15, 0.09


def related(a: Thing, relation: str, b: Thing) -> bool | None:
    """Is `a` in this relation to `b`? None where it is not plain to see."""
    (ax, ay), (bx, by) = a.centre, b.centre
    dx, dy = ax - bx, ay - by
    if relation == "near":
        distance = (dx * dx + dy * dy) ** 0.5
        return True if distance <= 0.36 else False if distance >= 0.46 else None
    if relation in ("left", "right"):
        shift = -dx if relation == "left" else dx
        return True if shift >= _CLEAR else False if shift <= _LEVEL else None
    shift = -dy if relation == "above" else dy
    if shift <= _LEVEL:
        return False
    if shift < _CLEAR or _CLEAR < abs(dx) < 0.3:
        return None
    return abs(dx) <= _CLEAR


def side(thing: Thing) -> str | None:
    """The half of the picture a thing is in, None near the middle."""
    x = thing.centre[0]
    return "left" if x <= 0.38 else "right" if x >= 0.62 else None


def corner(thing: Thing) -> str | None:
    """«слева вверху» and its like, None near either middle line."""
    y = thing.centre[1]
    vertical = "вверху" if y <= 0.38 else "внизу" if y >= 0.62 else None
    horizontal = {"left": "слева", "right": "справа"}.get(side(thing) or "")
    return f"{horizontal} {vertical}" if vertical and horizontal else None


@cache
def held_out_colour(kind: str) -> str | None:
    """The one colour in which this kind never appears in training: the compositional hold-out."""
    spec = KINDS.get(kind) or GARMENTS.get(kind)
    if isinstance(spec, Kind) and (not spec.coloured or spec.colours):
        return None
    if kind not in KINDS and kind not in GARMENTS:
        return None
    names = [key for key, known in KINDS.items() if known.coloured and not known.colours] + list(GARMENTS)
    return list(COLOURS)[(names.index(kind) * 3) % len(COLOURS)]


def is_held_out(thing: Thing) -> bool:
    """Is this a colour–kind pair that training never shows?"""
    return thing.colour is not None and held_out_colour(thing.kind) == thing.colour


_HEIGHTS = {"man": 1.0, "woman": 0.98, "boy": 0.76, "girl": 0.76}
_GARMENT_PARTS: MappingProxyType[str, Box] = MappingProxyType(
    {
        "shirt": (0.05, 0.34, 0.95, 0.64),
        "dress": (0.05, 0.34, 0.95, 0.82),
        "coat": (0.05, 0.34, 0.95, 0.82),
        "hat": (0.1, 0.0, 0.9, 0.16),
        "scarf": (0.25, 0.29, 0.75, 0.4),
    }
)


class SceneSampler:
    """Draws scene graphs of one level from a random generator; `held_out` says which pairs may appear."""

    def __init__(self, level: str, held_out: bool = False) -> None:
        self.level = level
        self.held_out = held_out
        self.kinds = tuple(kind for kind in kinds_of(level) if not kind.person)
        self.people = tuple(kind for kind in kinds_of(level) if kind.person)
        self.holdable = tuple(kind for kind in self.kinds if kind.holdable)
        self.grid = 3 if level == "mini" else 4
        self.full = level == "full"

    def sample(self, scene_id: str, rng: random.Random) -> SceneGraph:
        """One scene. In the held-out world at least one thing is a pair never seen in training."""
        while True:
            scene = self._sample(scene_id, rng)
            if not self.held_out or any(is_held_out(thing) for thing in scene.things):
                return scene

    def _sample(self, scene_id: str, rng: random.Random) -> SceneGraph:
        count = rng.choices((2, 3, 4, 5), (10, 30, 35, 25))[0] if not self.full else rng.randint(3, 7)
        cells = rng.sample(range(self.grid**2), count)
        people = min(rng.choices((0, 1, 2), (20, 45, 35))[0], count - 1)
        specs: list[Kind] = rng.sample(self.people, people)
        while len(specs) < count:
            others = [kind for kind in specs if not kind.person and not kind.colours]
            repeat = others and rng.random() < 0.3
            specs.append(rng.choice(others) if repeat else rng.choice(self.kinds))
        things: list[Thing] = []
        for spec, cell in zip(specs, cells, strict=True):
            self._place(spec, cell, things, rng)
        place = rng.choice(tuple(FULL_PLACES if self.full else PLACES))
        weather = rng.choice(tuple(WEATHER)) if self.full and place in OUTDOORS else None
        return SceneGraph(scene_id, self.level, place, tuple(things), weather)

    def _place(self, spec: Kind, cell: int, things: list[Thing], rng: random.Random) -> None:
        pitch = 1 / self.grid
        jitter = 0.09 * pitch if self.full else 0.13 * pitch
        x = (cell % self.grid + 0.5) * pitch + rng.uniform(-jitter, jitter)
        y = (cell // self.grid + 0.5) * pitch + rng.uniform(-jitter, jitter)
        size = None if spec.person else rng.choice(("large", "small"))
        span = pitch * (0.98 * _HEIGHTS.get(spec.key, 0.95) if spec.person else 0.8 if size == "large" else 0.46)
        box = _box(x, y, span, spec.aspect)
        taken = {(t.kind, t.colour) for t in things}
        thing = Thing(
            len(things),
            spec.key,
            box,
            self._colour(spec.key, spec.colours, taken, rng) if spec.coloured else None,
            size,
        )
        things.append(self._decorated(thing, spec, rng) if self.full else thing)
        if spec.person:
            self._dress(things[-1], things, rng)

    def _colour(
        self, kind: str, allowed: tuple[str, ...], taken: set[tuple[str, str | None]], rng: random.Random
    ) -> str:
        names = [c for c in (allowed or tuple(COLOURS)) if (kind, c) not in taken] or list(allowed or COLOURS)
        banned = held_out_colour(kind)
        if banned in names:
            if self.held_out and rng.random() < 0.5:
                return banned
            if not self.held_out:
                names = [c for c in names if c != banned]
        return rng.choice(names)

    def _dress(self, person: Thing, things: list[Thing], rng: random.Random) -> None:
        wearer = person.kind if person.kind in _HEIGHTS else None
        if wearer is None:  # a profession is told by its uniform
            return
        body = rng.choice([g.key for g in GARMENTS.values() if g.body and wearer in g.wearers])
        worn = [body] + [key for key, chance in (("hat", 0.4), ("scarf", 0.3)) if rng.random() < chance]
        for key in worn:
            taken = {(t.kind, t.colour) for t in things}
            pattern = rng.choice((None, None, *PATTERNS)) if self.full and key == body else None
            colour = self._colour(key, (), taken, rng)
            if pattern and colour == "white":
                pattern = None
            box = _inside(person.box, _GARMENT_PARTS[key])
            things.append(Thing(len(things), key, box, colour, worn_by=person.id, pattern=pattern))
        if rng.random() < 0.5 and person.action in (None, "stand"):
            present = {t.kind for t in things}
            spec = rng.choice([kind for kind in self.holdable if kind.key not in present] or list(self.holdable))
            taken = {(t.kind, t.colour) for t in things}
            box = _box(person.box[2], person.box[1] + 0.56 * (person.box[3] - person.box[1]), 0.13, spec.aspect)
            colour = self._colour(spec.key, spec.colours, taken, rng)
            things.append(Thing(len(things), spec.key, box, colour, held_by=person.id))

    def _decorated(self, thing: Thing, spec: Kind, rng: random.Random) -> Thing:
        if spec.person:
            action = rng.choice(("stand", "stand", "run", "wave", "jump")) if spec.key in _HEIGHTS else "stand"
            return Thing(thing.id, thing.kind, thing.box, action=action, emotion=rng.choice(tuple(EMOTIONS)), size=None)
        material = rng.choice((None, *spec.materials)) if spec.materials else None
        return Thing(thing.id, thing.kind, thing.box, thing.colour, thing.size, material=material)


def _box(x: float, y: float, span: float, aspect: float) -> Box:
    """A box around (x, y) whose longer side is `span`, kept inside the picture, rounded for stable bytes."""
    width, height = (span, span / aspect) if aspect > 1 else (span * aspect, span)
    x = min(max(x, width / 2 + 0.01), 0.99 - width / 2)
    y = min(max(y, height / 2 + 0.01), 0.99 - height / 2)
    return (round(x - width / 2, 4), round(y - height / 2, 4), round(x + width / 2, 4), round(y + height / 2, 4))


def _inside(box: Box, part: Box) -> Box:
    width, height = box[2] - box[0], box[3] - box[1]
    return (
        round(box[0] + part[0] * width, 4),
        round(box[1] + part[1] * height, 4),
        round(box[0] + part[2] * width, 4),
        round(box[1] + part[3] * height, 4),
    )


def held_out_things(things: tuple[Thing, ...]) -> dict[int, bool]:
    """Thing id → is it a colour–kind pair that training never shows."""
    return {thing.id: is_held_out(thing) for thing in things}
