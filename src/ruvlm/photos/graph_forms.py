"""Questions that only a scene graph with attributes and relations can answer: colours, materials, who wears and holds what.

A graph of Visual Genome does not name everything: nothing here counts, or says that something is absent.
"""

from __future__ import annotations

from collections.abc import Sequence

from ruvlm.photos import forms
from ruvlm.photos.asker import NO, YES, PhotoAsker, name, presence
from ruvlm.photos.lexicon import COLOURS, CONFUSED
from ruvlm.photos.scene import PhotoThing
from ruvlm.world.forms.asker import FormEntry
from ruvlm.world.grammar import inflect_adjective
from ruvlm.world.questions import Draft, Form, chain

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
    return Draft(
        COLOUR, ("Какого цвета {0:nomn}?", "Какой цвет у {0:gent}?"), "{0:nomn} " + _agreed(answer, thing) + ".", (reference,), answer,
        chain(reference, then=(("query", "color"),)), fact, fact | presence(thing), "color", (thing.id,),
    )  # fmt: skip


def ask_colour_verify(asker: PhotoAsker) -> Draft | None:
    thing = _coloured(asker)
    if thing is None:
        return None
    real = thing.colours[0]
    said = real if asker.want else _other_colour(asker, real)
    reference = name(thing)
    fact = frozenset({("color", thing.id, real, True)})
    full = ("Да" if asker.want else "Нет") + ", {0:nomn} " + _agreed(real, thing) + "."
    return Draft(
        COLOUR_VERIFY, ("{0:nomn} на снимке {1}?", "Верно ли, что {0:nomn} {1}?"), full, (reference, _agreed(said, thing)), YES if asker.want else NO,
        chain(reference, then=(("verify color", said),)), fact, fact | presence(thing), None, (thing.id,),
    )  # fmt: skip


def ask_colour_choose(asker: PhotoAsker) -> Draft | None:
    thing = _coloured(asker)
    if thing is None:
        return None
    right, wrong = _agreed(thing.colours[0], thing), _agreed(_other_colour(asker, thing.colours[0]), thing)
    first, second = (right, wrong) if asker.rng.random() < 0.5 else (wrong, right)
    reference = name(thing)
    fact = frozenset({("color", thing.id, thing.colours[0], True)})
    return Draft(
        COLOUR_CHOOSE, ("{0:nomn} {1} или {2}?",), "{0:nomn} " + right + ".", (reference, first, second), right,
        chain(reference, then=(("choose color", f"{first}|{second}"),)), fact, fact | presence(thing), "color", (thing.id,),
    )  # fmt: skip


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
    return Draft(
        MATERIAL, ("Из какого материала " + be + " {0:nomn}?", "Какой материал у {0:gent}?"), "Материал: " + str(thing.material) + ".", (reference,),
        str(thing.material), chain(reference, then=(("query", "material"),)), fact, fact | presence(thing), "material", (thing.id,),
    )  # fmt: skip


def _pairs(asker: PhotoAsker, relation: str) -> list[tuple[PhotoThing, PhotoThing]]:
    """(who, what) in a relation, where nobody else is in it to a thing of that name."""
    by_id = {thing.id: thing for thing in asker.scene.things}
    found = [
        (who, by_id[other])
        for who in asker.scene.things
        if who.kind.group == "person"
        for other in getattr(who, relation)
    ]
    return [
        pair
        for pair in found
        if sum(what.kind.word == pair[1].kind.word for _, what in found) == 1 and asker.scene.alone(pair[1])
    ]


def _ask_who(asker: PhotoAsker, form: Form, relation: str, wordings: tuple[str, ...]) -> Draft | None:
    pairs = _pairs(asker, relation)
    if not pairs:
        return None
    who, what = asker.rng.choice(pairs)
    reference = name(what)
    fact = frozenset({(relation, who.id, what.kind.key, True)})
    return Draft(
        form, wordings, "Это " + who.kind.word + ".", (reference,), who.kind.word,
        chain(reference, then=(("relate", f"person,{relation},s"), ("query", "name"))), fact, fact | presence(who, what), "person", (who.id,),
    )  # fmt: skip


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
    return Draft(
        WHAT_HELD, ("Что держит {0:nomn}?",), "{0:nomn} держит " + answer + ".", (reference,), answer,
        chain(reference, then=(("relate", "_,holding,o"), ("query", "name"))), fact, fact | presence(who, what), "object", (what.id,),
    )  # fmt: skip


GRAPH_ENTRIES: Sequence[FormEntry] = (
    FormEntry(COLOUR, 10, ask_colour),
    FormEntry(COLOUR_VERIFY, 6, ask_colour_verify),
    FormEntry(COLOUR_CHOOSE, 5, ask_colour_choose),
    FormEntry(MATERIAL, 4, ask_material),
    FormEntry(WHO_WEARS, 8, ask_who_wears),
    FormEntry(WHO_HOLDS, 6, ask_who_holds),
    FormEntry(WHAT_HELD, 6, ask_what_held),
    FormEntry(forms.SIDE, 6, forms.ask_side),
    FormEntry(forms.SIDE_VERIFY, 4, forms.ask_side_verify),
    FormEntry(forms.BESIDE, 8, forms.ask_beside),
    FormEntry(forms.STACKED, 4, forms.ask_stacked),
    FormEntry(forms.BESIDE_VERIFY, 6, forms.ask_beside_verify),
    FormEntry(forms.STACKED_VERIFY, 3, forms.ask_stacked_verify),
)
