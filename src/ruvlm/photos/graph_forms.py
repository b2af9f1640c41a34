"""Questions that only a scene graph with attributes and relations can answer: colours, materials, who wears and holds what.

A graph of Visual Genome does not name everything: nothing here counts, or says that something is absent.
"""

from __future__ import annotations

from collections.abc import Sequence

from ruvlm.photos import position_forms as position
from ruvlm.photos.asker import PhotoAsker, name, presence
from ruvlm.photos.lexicon import COLOURS, CONFUSED
from ruvlm.photos.scene import PhotoThing
from ruvlm.questions.draft import Draft, Form, about
from ruvlm.questions.entries import FormEntry, shuffled, yes_no
from ruvlm.questions.grammar import inflect_adjective

COLOUR = Form("graph.color", "query", "attr", "directOf")
COLOUR_VERIFY = Form("graph.color_verify", "verify", "attr", "verifyAttr")
COLOUR_CHOOSE = Form("graph.color_choose", "choose", "attr", "chooseAttr")
MATERIAL = Form("graph.material", "query", "attr", "material")
WHO_WEARS = Form("graph.who_wears", "query", "rel", "relS")
WHO_HOLDS = Form("graph.who_holds", "query", "rel", "relS")
WHAT_HELD = Form("graph.what_held", "query", "rel", "relO")


def _agreed(colour: str, thing: PhotoThing) -> str:
    noun = thing.kind.noun
    return inflect_adjective(colour, noun.gender, "nomn", "plur" if noun.plural_only else "sing")


def _coloured(asker: PhotoAsker) -> PhotoThing | None:
    """A named thing of one colour. Of people and animals the colour of what they wear or of a coat is not asked."""
    things = [t for t in asker.scene.named if len(t.colours) == 1 and not t.kind.living]
    return asker.rng.choice(things) if things else None


def _other_colour(asker: PhotoAsker, colour: str) -> str:
    return asker.rng.choice([c for c in dict.fromkeys(COLOURS.values()) if c != colour and c not in CONFUSED[colour]])


def ask_colour(asker: PhotoAsker) -> Draft | None:
    thing = _coloured(asker)
    if thing is None:
        return None
    answer = thing.colours[0]
    reference = name(thing)
    fact = frozenset({("color", thing.id, answer, True)})
    return about(
        COLOUR,
        reference,
        wordings=("Какого цвета {0:nomn}?", "Какой цвет у {0:gent}?"),
        full="{0:nomn} " + _agreed(answer, thing) + ".",
        answer=answer,
        then=(("query", "color"),),
        needs=fact,
        also=presence(thing),
        group="color",
        things=(thing.id,),
    )


def ask_colour_verify(asker: PhotoAsker) -> Draft | None:
    thing = _coloured(asker)
    if thing is None:
        return None
    real = thing.colours[0]
    said = real if asker.want else _other_colour(asker, real)
    reference = name(thing)
    fact = frozenset({("color", thing.id, real, True)})
    full = ("Да" if asker.want else "Нет") + ", {0:nomn} " + _agreed(real, thing) + "."
    return about(
        COLOUR_VERIFY,
        reference,
        _agreed(said, thing),
        wordings=("{0:nomn} на снимке {1}?", "Верно ли, что {0:nomn} {1}?"),
        full=full,
        answer=yes_no(asker.want),
        select=(reference,),
        then=(("verify color", said),),
        needs=fact,
        also=presence(thing),
        things=(thing.id,),
    )


def ask_colour_choose(asker: PhotoAsker) -> Draft | None:
    thing = _coloured(asker)
    if thing is None:
        return None
    right, wrong = _agreed(thing.colours[0], thing), _agreed(_other_colour(asker, thing.colours[0]), thing)
    first, second = shuffled(asker, right, wrong)
    reference = name(thing)
    fact = frozenset({("color", thing.id, thing.colours[0], True)})
    return about(
        COLOUR_CHOOSE,
        reference,
        first,
        second,
        wordings=("{0:nomn} {1} или {2}?",),
        full="{0:nomn} " + right + ".",
        answer=right,
        select=(reference,),
        then=(("choose color", f"{first}|{second}"),),
        needs=fact,
        also=presence(thing),
        group="color",
        things=(thing.id,),
    )


def ask_material(asker: PhotoAsker) -> Draft | None:
    things = [t for t in asker.scene.named if t.material]
    if not things:
        return None
    thing = asker.rng.choice(things)
    reference = name(thing)
    fact = frozenset({("material", thing.id, thing.material, True)})
    be = (
        "сделаны"
        if thing.kind.noun.plural_only
        else {"masc": "сделан", "femn": "сделана", "neut": "сделано"}[thing.kind.noun.gender]
    )
    return about(
        MATERIAL,
        reference,
        wordings=("Из какого материала " + be + " {0:nomn}?", "Какой материал у {0:gent}?"),
        full="Материал: " + str(thing.material) + ".",
        answer=str(thing.material),
        then=(("query", "material"),),
        needs=fact,
        also=presence(thing),
        group="material",
        things=(thing.id,),
    )


def _pairs(asker: PhotoAsker, relation: str) -> list[tuple[PhotoThing, PhotoThing]]:
    """(who, what) in a relation, where nobody else is in it to a thing of that name."""
    by_id = {thing.id: thing for thing in asker.scene.things}
    pairs = [
        (who, by_id[other])
        for who in asker.scene.things
        if who.kind.group == "person"
        for other in getattr(who, relation)
    ]
    return [
        pair
        for pair in pairs
        if sum(what.kind.word == pair[1].kind.word for _, what in pairs) == 1 and asker.scene.alone(pair[1])
    ]


def _ask_who(asker: PhotoAsker, form: Form, relation: str, wordings: tuple[str, ...]) -> Draft | None:
    pairs = _pairs(asker, relation)
    if not pairs:
        return None
    who, what = asker.rng.choice(pairs)
    reference = name(what)
    fact = frozenset({(relation, who.id, what.kind.key, True)})
    return about(
        form,
        reference,
        wordings=wordings,
        full="Это " + who.kind.word + ".",
        answer=who.kind.word,
        then=(("relate", f"person,{relation},s"), ("query", "name")),
        needs=fact,
        also=presence(who, what),
        group="person",
        things=(who.id,),
    )


def ask_who_wears(asker: PhotoAsker) -> Draft | None:
    return _ask_who(asker, WHO_WEARS, "wears", ("Кто на снимке в {0:loct}?", "На ком {0:nomn}?"))


def ask_who_holds(asker: PhotoAsker) -> Draft | None:
    return _ask_who(asker, WHO_HOLDS, "holds", ("Кто держит {0:accs}?", "У кого в руках {0:nomn}?"))


def ask_what_held(asker: PhotoAsker) -> Draft | None:
    pairs = [(who, what) for who, what in _pairs(asker, "holds") if len(who.holds) == 1 and asker.scene.alone(who)]
    if not pairs:
        return None
    who, what = asker.rng.choice(pairs)
    reference = name(who)
    fact = frozenset({("holds", who.id, what.kind.key, True)})
    answer = name(what).text("accs")
    return about(
        WHAT_HELD,
        reference,
        wordings=("Что держит {0:nomn}?",),
        full="{0:nomn} держит " + answer + ".",
        answer=answer,
        then=(("relate", "_,holding,o"), ("query", "name")),
        needs=fact,
        also=presence(who, what),
        group="object",
        things=(what.id,),
    )


GRAPH_ENTRIES: Sequence[FormEntry[PhotoAsker]] = (
    FormEntry(COLOUR, 10, ask_colour),
    FormEntry(COLOUR_VERIFY, 6, ask_colour_verify),
    FormEntry(COLOUR_CHOOSE, 5, ask_colour_choose),
    FormEntry(MATERIAL, 4, ask_material),
    FormEntry(WHO_WEARS, 8, ask_who_wears),
    FormEntry(WHO_HOLDS, 6, ask_who_holds),
    FormEntry(WHAT_HELD, 6, ask_what_held),
    FormEntry(position.SIDE, 6, position.ask_side),
    FormEntry(position.SIDE_VERIFY, 4, position.ask_side_verify),
    FormEntry(position.BESIDE, 8, position.ask_beside),
    FormEntry(position.STACKED, 4, position.ask_stacked),
    FormEntry(position.BESIDE_VERIFY, 6, position.ask_beside_verify),
    FormEntry(position.STACKED_VERIFY, 3, position.ask_stacked_verify),
)
