"""Where things are in a photograph, where they are to one another, and which of two takes up more of it."""

from __future__ import annotations

from ruvlm.photos.asker import PhotoAsker, be, name, presence
from ruvlm.photos.scene import PhotoThing, beside, half, larger, stacked
from ruvlm.questions.draft import Draft, Form, about
from ruvlm.questions.entries import shuffled, yes_no

SIDE = Form("photo.side", "choose", "attr", "positionChoose")
SIDE_VERIFY = Form("photo.side_verify", "verify", "attr", "positionVerify")
BESIDE = Form("photo.beside", "choose", "rel", "relChooser")
STACKED = Form("photo.stacked", "choose", "rel", "relChooser")
BESIDE_VERIFY = Form("photo.beside_verify", "verify", "rel", "relVerify")
STACKED_VERIFY = Form("photo.stacked_verify", "verify", "rel", "relVerify")
LARGER = Form("photo.larger", "compare", "attr", "comparativeChoose")
SIDES = (("слева", "справа"), ("вверху", "внизу"))
PLACED = {"left": "левее", "right": "правее", "above": "выше", "below": "ниже"}
OTHER = {"left": "right", "right": "left", "above": "below", "below": "above"}


def ask_side(asker: PhotoAsker) -> Draft | None:
    things = [(t, axis) for t in asker.scene.named for axis in (0, 1) if half(t, axis) is not None]
    if not things:
        return None
    thing, axis = asker.rng.choice(things)
    place = half(thing, axis) or 0
    right, wrong = SIDES[axis][place], SIDES[axis][1 - place]
    first, second = shuffled(asker, right, wrong)
    reference = name(thing)
    fact = frozenset({("side", thing.id, right, True)})
    verb = be(thing.kind)
    return about(
        SIDE,
        reference,
        first,
        second,
        wordings=("{0:nomn} на снимке {1} или {2}?", "Где на снимке {0:nomn}: {1} или {2}?"),
        full="{0:nomn} " + verb + " " + right + ".",
        answer=right,
        then=(("choose position", f"{first}|{second}"),),
        needs=fact,
        also=presence(thing),
        group=f"position{axis}",
        things=(thing.id,),
    )


_HALVES = (("в левой половине", "в правой половине"), ("в верхней половине", "в нижней половине"))


def ask_side_verify(asker: PhotoAsker) -> Draft | None:
    things = [(t, axis) for t in asker.scene.named for axis in (0, 1) if half(t, axis) is not None]
    if not things:
        return None
    thing, axis = asker.rng.choice(things)
    place = half(thing, axis) or 0
    said = place if asker.want else 1 - place
    reference = name(thing)
    fact = frozenset({("side", thing.id, SIDES[axis][place], True)})
    verb = be(thing.kind)
    full = ("Да, " if asker.want else "Нет, ") + "{0:nomn} " + verb + " " + _HALVES[axis][place] + " снимка."
    return about(
        SIDE_VERIFY,
        reference,
        _HALVES[axis][said],
        wordings=("{0:nomn} " + verb + " {1} снимка?", "Верно ли, что {0:nomn} " + verb + " {1} снимка?"),
        full=full,
        answer=yes_no(asker.want),
        then=(("verify position", _HALVES[axis][said]),),
        needs=fact,
        also=presence(thing),
        things=(thing.id,),
    )


def _related(asker: PhotoAsker, measure: str) -> tuple[PhotoThing, PhotoThing, str] | None:
    """Two objects whose relation by this measure is sure."""
    pair = asker.pair()
    relation = (beside if measure == "beside" else stacked)(*pair) if pair else None
    return (*pair, relation) if pair and relation is not None else None


def _choose_relation(asker: PhotoAsker, form: Form, measure: str) -> Draft | None:
    sure = _related(asker, measure)
    if sure is None:
        return None
    a, b, relation = sure
    right, wrong = PLACED[relation], PLACED[OTHER[relation]]
    first, second = shuffled(asker, right, wrong)
    names = (name(a), name(b))
    fact = frozenset({("relation", a.id, relation, b.id, True)})
    verb = be(a.kind)
    return about(
        form,
        *names,
        first,
        second,
        wordings=("На снимке {0:nomn} " + verb + " {2} или {3} {1:gent}?", "{0:nomn} на снимке {2} или {3} {1:gent}?"),
        full="{0:nomn} " + verb + " " + right + " {1:gent}.",
        answer=right,
        select=(names[1], names[0]),
        then=(("choose rel", f"{first}|{second}"),),
        needs=fact,
        also=presence(a, b),
        group=measure,
        things=(a.id,),
    )


def ask_beside(asker: PhotoAsker) -> Draft | None:
    return _choose_relation(asker, BESIDE, "beside")


def ask_stacked(asker: PhotoAsker) -> Draft | None:
    return _choose_relation(asker, STACKED, "stacked")


def _verify_relation(asker: PhotoAsker, form: Form, measure: str) -> Draft | None:
    sure = _related(asker, measure)
    if sure is None:
        return None
    a, b, relation = sure
    said = relation if asker.want else OTHER[relation]
    names = (name(a), name(b))
    fact = frozenset({("relation", a.id, relation, b.id, True)})
    verb = be(a.kind)
    wordings = (
        "На снимке {0:nomn} " + verb + " {2} {1:gent}?",
        "Верно ли, что на снимке {0:nomn} " + verb + " {2} {1:gent}?",
    )
    full = ("Да, " if asker.want else "Нет, ") + "{0:nomn} " + verb + " " + PLACED[relation] + " {1:gent}."
    return about(
        form,
        *names,
        PLACED[said],
        wordings=wordings,
        full=full,
        answer=yes_no(asker.want),
        select=(names[1], names[0]),
        then=(("verify rel", PLACED[said]),),
        needs=fact,
        also=presence(a, b),
        things=(a.id,),
    )


def ask_beside_verify(asker: PhotoAsker) -> Draft | None:
    return _verify_relation(asker, BESIDE_VERIFY, "beside")


def ask_stacked_verify(asker: PhotoAsker) -> Draft | None:
    return _verify_relation(asker, STACKED_VERIFY, "stacked")


def ask_larger(asker: PhotoAsker) -> Draft | None:
    pair = asker.pair()
    big = larger(*pair) if pair else None
    if not pair or big is None:
        return None
    a, b = pair
    names = (name(a), name(b))
    who = "Кто" if a.kind.living and b.kind.living else "Что"
    fact = frozenset({("larger", big.id, (b if big is a else a).id, True)})
    return about(
        LARGER,
        *names,
        wordings=(who + " занимает на снимке больше места: {0:nomn} или {1:nomn}?",),
        full="Больше места занимает " + big.kind.word + ".",
        answer=big.kind.word,
        select=(*names,),
        then=(("choose larger", ""),),
        needs=fact,
        also=presence(a, b),
        group="larger",
        things=(big.id,),
    )
