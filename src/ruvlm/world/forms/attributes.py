"""Open questions about what a thing is like: its colour, size, place in the picture, material and pattern."""

from __future__ import annotations

from ruvlm.questions.draft import Argument, Draft, Form, Reference, about, chain
from ruvlm.questions.grammar import phrase
from ruvlm.world.forms.asker import Asker, colour_fact, existence, one_related, presence, related_program
from ruvlm.world.kinds import SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.refer import noun_of
from ruvlm.world.scene import MATERIALS, PATTERNS, Thing, side

COLOUR = Form("query.color", "query", "attr", "directOf")
SIZE = Form("query.size", "query", "attr", "how")
POSITION = Form("query.position", "query", "attr", "positionQuery")
WEAR_COLOUR = Form("query.wear_color", "query", "attr", "directWhich")
RELATED_COLOUR = Form("query.related_color", "query", "attr", "directWhich")
MATERIAL = Form("query.material", "query", "attr", "material")
PATTERN = Form("query.pattern", "query", "attr", "pattern")


def ask_colour(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.coloured if t.worn_by is None), avoid="color")
    if not picked:
        return None
    thing, name = picked
    return _colour_draft(
        asker, COLOUR, thing, name, ("Какого цвета {0:nomn}?", "Какой цвет у {0:gent}?", "Назови цвет {0:gent}.")
    )


def _colour_draft(
    asker: Asker, form: Form, thing: Thing, name: Reference, wordings: tuple[str, ...], *more: Argument
) -> Draft:
    assert thing.colour is not None
    noun = noun_of(thing.kind)
    predicate = phrase((COLOURS[thing.colour].word,), noun).rsplit(" ", 1)[0]
    fact = frozenset({colour_fact(thing)})
    return about(
        form,
        name,
        *more,
        wordings=wordings,
        full="{0:nomn} " + predicate + ".",
        answer=COLOURS[thing.colour].word,
        select=(name,),
        then=(("query", "color"),),
        needs=fact,
        also=presence(thing) | {existence(thing.kind, True, thing.colour)},
        group="color",
        things=(thing.id,),
    )


def ask_size(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.sized, avoid="size")
    if not picked:
        return None
    thing, name = picked
    assert thing.size is not None
    answer = phrase((SIZES[thing.size],), name.noun).rsplit(" ", 1)[0]
    fact = frozenset({("size", thing.id, thing.size, True)})
    return about(
        SIZE,
        name,
        wordings=(
            "Какого размера {0:nomn}?",
            "Какая по размеру {0:nomn}?" if name.noun.gender == "femn" else "Каков размер {0:gent}?",
        ),
        full="{0:nomn} " + answer + ".",
        answer=answer,
        then=(("query", "size"),),
        needs=fact,
        also=presence(thing),
        group="size",
        things=(thing.id,),
    )


def ask_position(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.anchors if side(t)))
    if not picked:
        return None
    thing, name = picked
    answer = "слева" if side(thing) == "left" else "справа"
    fact = frozenset({("side", thing.id, side(thing), True)})
    wordings = asker.worded(
        ("С какой стороны картинки {0:nomn}?", "На какой стороне картинки {0:nomn}?"),
        (
            "С какой стороны картинки {0:nomn}?",
            "На какой стороне картинки находится {0:nomn}?",
            "Где на картинке {0:nomn}: с какой стороны?",
        ),
    )
    return about(
        POSITION,
        name,
        wordings=wordings,
        full="{0:nomn} находится " + answer + ".",
        answer=answer,
        then=(("query", "hPosition"),),
        needs=fact,
        also=presence(thing),
        group="hposition",
        things=(thing.id,),
    )


def ask_wear_colour(asker: Asker) -> Draft | None:
    garments = tuple(t for t in asker.scene.things if t.worn_by is not None)
    if not garments:
        return None
    garment = asker.rng.choice(garments)
    person = asker.namer.name(asker.scene.things[garment.worn_by or 0])
    if person is None:
        return None
    name = asker.namer.describe(garment, ())
    which = {"masc": "который", "femn": "которую", "neut": "которое"}[name.noun.gender]
    wordings = (
        "Какого цвета {0:nomn}, " + which + " носит {1:nomn}?",
        "Какого цвета {0:nomn} на {1:loct}?",
        "Какого цвета {0:nomn} у {1:gent}?",
    )
    draft = _colour_draft(asker, WEAR_COLOUR, garment, name, wordings, person)
    program = chain(person, then=(("relate", f"{garment.kind},wearing,o ({garment.id})"), ("query", "color")))
    return Draft(**{**draft.__dict__, "program": program})


def ask_related_colour(asker: Asker) -> Draft | None:
    chosen = one_related(asker)
    if not chosen or not chosen[2].colour:
        return None
    _thing, related, target = chosen
    name = asker.namer.describe(target, ())
    draft = _colour_draft(
        asker, RELATED_COLOUR, target, name, ("Какого цвета {0:nomn} {1}?", "Какой цвет у {0:gent} {1}?"), related
    )
    program = related_program(related, target.kind)[:-1]
    return Draft(**{**draft.__dict__, "program": (*program, (("query", "color"), (len(program) - 1,)))})


def ask_material(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.anchors if t.material))
    if not picked:
        return None
    thing, name = picked
    assert thing.material is not None
    fact = frozenset({("material", thing.id, thing.material, True)})
    word = MATERIALS[thing.material]
    return about(
        MATERIAL,
        name,
        wordings=("Из какого материала {0:nomn}?", "Какой материал у {0:gent}?"),
        full="Материал – " + word + ".",
        answer=word,
        then=(("query", "material"),),
        needs=fact,
        also=presence(thing),
        group="material",
        things=(thing.id,),
    )


def ask_pattern(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.pattern))
    if not picked:
        return None
    thing, name = picked
    assert thing.pattern is not None
    fact = frozenset({("pattern", thing.id, thing.pattern, True)})
    word = PATTERNS[thing.pattern]
    return about(
        PATTERN,
        name,
        wordings=("Какой узор на {0:loct}?", "С каким рисунком {0:nomn}?"),
        full="Узор – " + word + ".",
        answer=word,
        then=(("query", "pattern"),),
        needs=fact,
        also=presence(thing),
        group="pattern",
        things=(thing.id,),
    )
