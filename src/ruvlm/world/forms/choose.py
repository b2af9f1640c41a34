"""Questions that offer two answers (GQA's `choose`); which of the two comes first is drawn by lot."""

from __future__ import annotations

from ruvlm.questions.draft import RELATION_WORDS, Draft, Form, Related, about, chain
from ruvlm.questions.entries import FormEntry, shuffled
from ruvlm.questions.grammar import phrase
from ruvlm.world.forms.asker import Asker, colour_fact, existence, presence
from ruvlm.world.forms.query import _category
from ruvlm.world.kinds import KINDS, SIZES, kinds_of
from ruvlm.world.palette import COLOURS
from ruvlm.world.scene import FULL_PLACES, related, side

COLOUR = Form("choose.color", "choose", "attr", "chooseAttr")
SIZE = Form("choose.size", "choose", "attr", "chooseAttr")
POSITION = Form("choose.position", "choose", "attr", "positionChoose")
RELATION = Form("choose.relation", "choose", "rel", "relChooser")
OBJECT = Form("choose.related", "choose", "rel", "categoryRelOChoose")
WEARER = Form("choose.wearer", "choose", "rel", "relChooser")
CATEGORY = Form("choose.category", "choose", "cat", "categoryThatChoose")
PLACE = Form("choose.place", "choose", "global", "placeChoose")


_WHICH = {"masc": "Какой", "femn": "Какая", "neut": "Какое"}


def ask_colour(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.coloured, avoid="color")
    if not picked or picked[0].colour is None:
        return None
    thing, name = picked
    assert thing.colour is not None
    right, wrong = (
        phrase((COLOURS[c].word,), name.noun).rsplit(" ", 1)[0] for c in (thing.colour, asker.other_colour(thing))
    )
    first, second = shuffled(asker, right, wrong)
    fact = frozenset({colour_fact(thing)})
    return about(
        COLOUR,
        name,
        first,
        second,
        wordings=("{0:nomn} {1} или {2}?", _WHICH[name.noun.gender] + " {0:nomn}: {1} или {2}?"),
        full="{0:nomn} " + right + ".",
        answer=right,
        then=(("choose color", f"{first}|{second}"),),
        needs=fact,
        also=presence(thing),
        group="color",
        things=(thing.id,),
    )


def ask_size(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.sized, avoid="size")
    if not picked or picked[0].size is None:
        return None
    thing, name = picked
    assert thing.size is not None
    wrong_size = "small" if thing.size == "large" else "large"
    right, wrong = (phrase((SIZES[s],), name.noun).rsplit(" ", 1)[0] for s in (thing.size, wrong_size))
    first, second = shuffled(asker, right, wrong)
    fact = frozenset({("size", thing.id, thing.size, True)})
    return about(
        SIZE,
        name,
        first,
        second,
        wordings=("{0:nomn} {1} или {2}?", _WHICH[name.noun.gender] + " {0:nomn}: {1} или {2}?"),
        full="{0:nomn} " + right + ".",
        answer=right,
        then=(("choose size", f"{first}|{second}"),),
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
    right, wrong = ("слева", "справа") if side(thing) == "left" else ("справа", "слева")
    first, second = shuffled(asker, right, wrong)
    fact = frozenset({("side", thing.id, side(thing), True)})
    wordings = ("{0:nomn} {1} или {2} на картинке?", "Где на картинке {0:nomn}: {1} или {2}?")
    return about(
        POSITION,
        name,
        first,
        second,
        wordings=wordings,
        full="{0:nomn} находится " + right + ".",
        answer=right,
        then=(("choose hPosition", f"{first}|{second}"),),
        needs=fact,
        also=presence(thing),
        group="hposition",
        things=(thing.id,),
    )


def ask_relation(asker: Asker) -> Draft | None:
    pair = asker.pair(asker.scene.anchors)
    if not pair:
        return None
    a, name_a, b, name_b = pair
    axes = [
        axis for axis in (("left", "right"), ("above", "below")) if related(a, axis[0], b) or related(a, axis[1], b)
    ]
    if not axes:
        return None
    axis = asker.rng.choice(axes)
    relation = axis[0] if related(a, axis[0], b) else axis[1]
    words = {"left": "слева", "right": "справа", "above": "над", "below": "под"}
    words |= {"above": "выше", "below": "ниже"} if asker.plain else {}
    other = axis[1] if relation == axis[0] else axis[0]
    first, second = shuffled(asker, words[relation], words[other])
    tail = "от {1:gent}" if axis[0] == "left" else "{1:gent}" if asker.plain else "{1:ablt}"
    fact = frozenset({("relation", a.id, relation, b.id, True)})
    english = RELATION_WORDS[relation][2]
    return about(
        RELATION,
        name_a,
        name_b,
        first,
        second,
        wordings=asker.worded(
            ("{0:nomn} {2} или {3} " + tail + "?",),
            ("{0:nomn} {2} или {3} " + tail + "?", "{0:nomn} находится {2} или {3} " + tail + "?"),
        ),
        full="{0:nomn} " + words[relation] + " " + tail + ".",
        answer=words[relation],
        select=(name_b, name_a),
        then=(("choose rel", f"{a.kind},{english}|{RELATION_WORDS[other][2]},s ({a.id})"),),
        needs=fact,
        also=presence(a) | presence(b),
        group="relation",
        things=(a.id,),
    )


def ask_object(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.anchors)
    if not picked:
        return None
    thing, name = picked
    relation = asker.rng.choice(tuple(RELATION_WORDS))
    things = asker.in_relation(relation, thing)
    if not things or any(asker.companions(t) for t in (*things, thing)):
        return None
    if asker.plain and any(t.kind == thing.kind for t in things):
        return None  # «Что слева от лопаты: лопата или зонт?»
    target = asker.rng.choice(things)
    living = KINDS[target.kind].living
    inside = {t.kind for t in things}
    seen = [
        t.kind
        for t in asker.scene.anchors
        if t.kind not in inside and t.kind != thing.kind and KINDS[t.kind].living is living
    ]
    absent = [k for k in asker.absent_kinds if KINDS[k].living is living]
    pool = seen or absent
    if not pool:
        return None
    right, wrong = KINDS[target.kind].word, KINDS[asker.rng.choice(pool)].word
    first, second = shuffled(asker, right, wrong)
    who = "Кто" if living else "Что"
    fact = frozenset({("exists_related", target.kind, relation, thing.id, True)})
    needs = frozenset({("relation", target.id, relation, thing.id, True)})
    return Draft(
        form=OBJECT,
        wordings=(who + " {0}: {1} или {2}?", who + " находится {0}: {1} или {2}?"),
        full="{0} " + right + ".",
        arguments=(Related(relation, name), first, second),
        answer=right,
        program=chain(
            name, then=(("relate", f"_,{RELATION_WORDS[relation][2]},s"), ("choose name", f"{first}|{second}"))
        ),
        needs=needs,
        gives=fact | needs | presence(thing) | presence(target),
        group="object",
        answer_things=(target.id,),
    )


def ask_wearer(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.worn_by is not None))
    if not picked:
        return None
    garment, name = picked
    person = asker.scene.things[garment.worn_by or 0]
    others = [t.kind for t in asker.scene.people if t.id != person.id]
    others = others or [k.key for k in kinds_of(asker.scene.level) if k.person and k.key != person.kind]
    right, wrong = KINDS[person.kind].word, KINDS[asker.rng.choice(others)].word
    first, second = shuffled(asker, right, wrong)
    fact = frozenset({("wears", person.id, garment.kind, True)})
    return about(
        WEARER,
        name,
        first,
        second,
        wordings=asker.worded(
            ("Кто в {0:loct}: {1} или {2}?", "На ком {0:nomn}: {1} или {2}?"),
            ("Кто в {0:loct}: {1} или {2}?", "Кто носит {0:accs}: {1} или {2}?"),
        ),
        full="В {0:loct} " + right + ".",
        answer=right,
        then=(("relate", "person,wearing,s"), ("choose name", f"{first}|{second}")),
        needs=fact,
        also=presence(person) | presence(garment),
        group="person",
        things=(person.id,),
    )


def ask_category(asker: Asker) -> Draft | None:
    category = asker.rng.choice(asker.categories)
    members = [t for t in asker.scene.things if t.worn_by is None and asker.category(t.kind) == category]
    absent = [k for k in asker.absent_kinds if asker.category(k) == category]
    if not members or not absent:
        return None
    thing = asker.rng.choice(members)
    right, wrong = KINDS[thing.kind].word, KINDS[asker.rng.choice(absent)].word
    first, second = shuffled(asker, right, wrong)
    noun, question = _category(category)
    fact = frozenset({existence(thing.kind, True)})
    return Draft(
        form=CATEGORY,
        wordings=(f"{question} {noun} на картинке: {{0}} или {{1}}?", "На картинке {0} или {1}?"),
        full="На картинке " + right + ".",
        arguments=(first, second),
        answer=right,
        program=((("select", f"{category} ({thing.id})"), ()), (("choose name", f"{first}|{second}"), (0,))),
        needs=fact,
        gives=fact,
        group=category,
        answer_things=(thing.id,),
    )


def ask_place(asker: Asker) -> Draft | None:
    places = [p for p in FULL_PLACES if asker.scene.level == "full" or p in ("room", "field", "beach")]
    right = FULL_PLACES[asker.scene.place]
    wrong = FULL_PLACES[asker.rng.choice([p for p in places if p != asker.scene.place])]
    first, second = shuffled(asker, right, wrong)
    fact = frozenset({("place", asker.scene.place, True)})
    return Draft(
        form=PLACE,
        wordings=("Это {0} или {1}?", "На картинке {0} или {1}?"),
        full="Это " + right + ".",
        arguments=(first, second),
        answer=right,
        program=((("select", "scene"), ()), (("choose place", f"{first}|{second}"), (0,))),
        needs=fact,
        gives=fact,
        group="place",
    )


ENTRIES = (
    FormEntry(COLOUR, 1.5, ask_colour),
    FormEntry(SIZE, 0.5, ask_size),
    FormEntry(POSITION, 1, ask_position),
    FormEntry(RELATION, 4.5, ask_relation),
    FormEntry(OBJECT, 2, ask_object),
    FormEntry(WEARER, 1.5, ask_wearer),
    FormEntry(CATEGORY, 2, ask_category),
    FormEntry(PLACE, 0.8, ask_place),
)
