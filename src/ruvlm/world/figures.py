"""How people are drawn: a stroke list and pens from who it is, what is worn, the pose and the face."""

from __future__ import annotations

from ruvlm.world.palette import COLOURS, RGB, shade
from ruvlm.world.scene import Thing

_HAIR: dict[str, RGB] = {"man": (70, 44, 26), "woman": (150, 84, 34), "boy": (226, 168, 70), "girl": (196, 104, 40)}
_UNIFORMS: dict[str, tuple[RGB, RGB]] = {
    "doctor": ((250, 250, 250), (250, 250, 250)),
    "cook": ((244, 244, 238), (252, 252, 252)),
    "builder": ((244, 140, 30), (250, 210, 40)),
    "police_officer": ((40, 56, 110), (40, 56, 110)),
}
_ARMS = {
    "stand": ("L s .07 .2 .4 .1 .62", "L s .07 .8 .4 .9 .62"),
    "run": ("L s .07 .2 .4 .02 .52", "L s .07 .8 .42 .98 .36"),
    "wave": ("L s .07 .2 .4 .1 .62", "L s .07 .8 .4 .96 .12"),
    "jump": ("L s .07 .2 .4 .02 .14", "L s .07 .8 .4 .98 .14"),
}
_LEGS = {
    "stand": ("L {leg} .1 .38 .62 .36 .96", "L {leg} .1 .62 .62 .64 .96"),
    "wave": ("L {leg} .1 .38 .62 .36 .96", "L {leg} .1 .62 .62 .64 .96"),
    "run": ("L {leg} .1 .38 .62 .1 .9", "L {leg} .1 .62 .62 .94 .84"),
    "jump": ("L {leg} .1 .38 .62 .12 .8 .3 .86", "L {leg} .1 .62 .62 .88 .8 .7 .86"),
}
_MOUTHS = {
    "happy": "a r .36 .16 .64 .28 0 180",
    "sad": "a k .38 .24 .62 .34 180 360",
    "angry": "l k .02 .3 .12 .46 .17;l k .02 .7 .12 .54 .17;l k .025 .4 .26 .6 .26",
    "surprised": "e k .44 .21 .56 .3",
}


def figure_drawing(person: Thing, worn: tuple[Thing, ...]) -> str:
    """The stroke list of a person; pens c d l are the body garment's, H the hat's, F the scarf's, X the hair's."""
    keys = {garment.kind for garment in worn}
    pose = person.action or "stand"
    female = person.kind in ("woman", "girl")
    bare = "dress" in keys or person.kind in ("boy", "girl") or female
    legs = [leg.format(leg="s" if bare else "t") for leg in _LEGS[pose]]
    parts = [*legs, *_ARMS[pose]]
    if person.kind == "woman":
        parts.append("E X .2 .02 .8 .46")
    elif person.kind == "girl":
        parts += ["E X .02 .1 .3 .3", "E X .7 .1 .98 .3"]
    parts += _body(person.kind, keys, female)
    parts.append("E s .28 .06 .72 .32")
    parts.append("A X .26 .02 .74 .28 180 360")
    if person.kind == "man":
        parts.append("a X .28 .1 .72 .34 20 160")
    parts += ["e k .38 .15 .44 .19", "e k .56 .15 .62 .19"]
    if person.emotion:
        parts.append(_MOUTHS[person.emotion])
    if "scarf" in keys:
        parts += ["R F .28 .29 .72 .37", "R F .56 .34 .72 .54"]
    if "hat" in keys:
        parts += ["R H .27 0 .73 .09", "R H .1 .075 .9 .13"]
    return ";".join(parts + _uniform(person.kind))


def _body(kind: str, keys: set[str], female: bool) -> list[str]:
    if kind in _UNIFORMS:
        return ["R c .14 .34 .86 .66" if kind != "doctor" else "P c .18 .34 .82 .34 .9 .82 .1 .82"]
    if "dress" in keys:
        return ["P c .3 .34 .7 .34 .74 .5 1 .82 0 .82 .26 .5"]
    if "coat" in keys:
        return ["R c .12 .34 .88 .82", "l d .05 .5 .36 .5 .8", "e d .56 .44 .64 .5", "e d .56 .58 .64 .64"]
    skirt = ["P g .26 .6 .74 .6 .82 .78 .18 .78"] if female else ["R t .24 .6 .76 .72"]
    return [*skirt, "R c .12 .34 .88 .62", "P w .42 .34 .58 .34 .5 .42"]


def _uniform(kind: str) -> list[str]:
    if kind == "doctor":
        return ["r r .46 .44 .54 .58", "r r .38 .48 .62 .54"]
    if kind == "cook":
        return ["R w .32 .04 .68 .12", "E w .24 -.04 .76 .08"]
    if kind == "builder":
        return ["A H .22 0 .78 .26 180 360", "R H .16 .11 .84 .14", "r y .14 .46 .86 .5", "r y .14 .56 .86 .6"]
    if kind == "police_officer":
        return ["R H .22 .02 .78 .1", "R k .2 .09 .8 .12", "e y .44 .03 .56 .09", "e y .24 .4 .36 .46"]
    return []


def figure_pens(person: Thing, worn: tuple[Thing, ...]) -> tuple[tuple[str, RGB], ...]:
    """Pens for figure_drawing."""
    by_kind = {garment.kind: COLOURS[garment.colour or "white"].rgb for garment in worn}
    body, cap = _UNIFORMS.get(person.kind, ((200, 200, 200), (200, 200, 200)))
    body = next((by_kind[key] for key in ("shirt", "dress", "coat") if key in by_kind), body)
    return (
        ("c", body),
        ("d", shade(body, 0.68)),
        ("l", shade(body, 1.4)),
        ("H", by_kind.get("hat", cap)),
        ("F", by_kind.get("scarf", body)),
        ("X", _HAIR.get(person.kind, (70, 44, 26))),
    )
