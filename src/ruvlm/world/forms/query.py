"""Open questions (GQA's `query`): what, who, of which kind, where, how many; and the table of them all."""

from __future__ import annotations

from ruvlm.questions.draft import Draft, Form, Reference, about
from ruvlm.questions.entries import FormEntry
from ruvlm.questions.grammar import counted, inflect_adjective, number_word
from ruvlm.world.forms import attributes
from ruvlm.world.forms.asker import Asker, colour_fact, existence, one_related, presence, related_program
from ruvlm.world.kinds import CATEGORY_WORDS, GARMENTS, KINDS
from ruvlm.world.palette import COLOURS
from ruvlm.world.refer import noun_of
from ruvlm.world.scene import ACTIONS, FULL_PLACES, WEATHER, Thing

WHO_WEARS = Form("query.who_wears", "query", "rel", "relS")
WHAT_WORN = Form("query.what_worn", "query", "rel", "relO")
WHO_HOLDS = Form("query.who_holds", "query", "rel", "relS")
WHAT_HELD = Form("query.what_held", "query", "rel", "relO")
RELATED = Form("query.related", "query", "rel", "relS")
RELATED_CATEGORY = Form("query.related_category", "query", "rel", "categoryRelS")
CATEGORY = Form("query.category", "query", "cat", "category")
CATEGORY_ATTR = Form("query.category_color", "query", "cat", "categoryAttr")
PLACE = Form("query.place", "query", "global", "place")
COUNT = Form("query.count", "query", "obj", "count")
ACTION = Form("query.action", "query", "attr", "activity")
WEATHER_FORM = Form("query.weather", "query", "global", "weather")


def _garment(asker: Asker) -> tuple[Thing, Reference, Thing] | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.worn_by is not None))
    if not picked:
        return None
    thing, name = picked
    return thing, name, asker.scene.things[thing.worn_by or 0]


def ask_who_wears(asker: Asker) -> Draft | None:
    picked = _garment(asker)
    if not picked:
        return None
    garment, name, person = picked
    fact = frozenset({("wears", person.id, garment.kind, True)})
    wordings: tuple[str, ...] = ("Кто в {0:loct}?", "Кто носит {0:accs}?", "На ком {0:nomn}?", "Кто одет в {0:accs}?")
    if garment.kind in ("hat", "scarf"):
        wordings = wordings[:3]
    wordings = asker.worded(tuple(one for one in wordings if "носит" not in one), wordings)
    return about(
        WHO_WEARS,
        name,
        wordings=wordings,
        full="В {0:loct} " + KINDS[person.kind].word + ".",
        answer=KINDS[person.kind].word,
        then=(("relate", "person,wearing,s"), ("query", "name")),
        needs=fact,
        also=presence(person) | presence(garment),
        group="person",
        things=(person.id,),
    )


def ask_what_worn(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.people)
    if not picked:
        return None
    person, name = picked
    worn = asker.scene.worn(person)
    if len(worn) != 1:
        return None
    fact = frozenset({("wears", person.id, worn[0].kind, True)})
    return about(
        WHAT_WORN,
        name,
        wordings=("Что надето на {0:loct}?", "Какая одежда на {0:loct}?"),
        full="На {0:loct} надето: " + GARMENTS[worn[0].kind].word + ".",
        answer=GARMENTS[worn[0].kind].word,
        then=(("relate", "clothing,wearing,o"), ("query", "name")),
        needs=fact,
        also=presence(person) | presence(worn[0]),
        group="clothing",
        things=(worn[0].id,),
    )


def ask_who_holds(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.held_by is not None))
    if not picked:
        return None
    thing, name = picked
    person = asker.scene.things[thing.held_by or 0]
    fact = frozenset({("holds", person.id, thing.kind, True)})
    return about(
        WHO_HOLDS,
        name,
        wordings=("Кто держит {0:accs}?", "Кто с {0:ablt} в руке?", "Кто держит в руке {0:accs}?"),
        full="{0:accs} держит " + KINDS[person.kind].word + ".",
        answer=KINDS[person.kind].word,
        then=(("relate", "person,holding,s"), ("query", "name")),
        needs=fact,
        also=presence(person) | presence(thing),
        group="person",
        things=(person.id,),
    )


def ask_what_held(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.people)
    held = asker.scene.held(picked[0]) if picked else None
    if not picked or held is None:
        return None
    person, name = picked
    fact = frozenset({("holds", person.id, held.kind, True)})
    return about(
        WHAT_HELD,
        name,
        wordings=("Что в руке у {0:gent}?", "Какой предмет в руке у {0:gent}?"),
        full="У {0:gent} в руке " + KINDS[held.kind].word + ".",
        answer=KINDS[held.kind].word,
        then=(("relate", "object,holding,o"), ("query", "name")),
        needs=fact,
        also=presence(person) | presence(held),
        group="object",
        things=(held.id,),
    )


def ask_related(asker: Asker) -> Draft | None:
    chosen = one_related(asker)
    if not chosen:
        return None
    thing, related, target = chosen
    who = "Кто" if KINDS[target.kind].living else "Что"
    fact = frozenset({("relation", target.id, related.relation, thing.id, True)})
    word = KINDS[target.kind].word
    return Draft(
        form=RELATED,
        wordings=(who + " {0}?", who + " находится {0}?", who + " на картинке {0}?"),
        full="{0} " + word + ".",
        arguments=(related,),
        answer=word,
        program=related_program(related, "_"),
        needs=fact,
        gives=fact | presence(thing) | presence(target),
        group="object",
        answer_things=(target.id,),
    )


def ask_related_category(asker: Asker) -> Draft | None:
    chosen = one_related(asker)
    if not chosen or asker.category(chosen[2].kind) not in asker.categories:
        return None
    thing, related, target = chosen
    category = KINDS[target.kind].category
    noun, question = _category(category)
    fact = frozenset({("relation", target.id, related.relation, thing.id, True)})
    word = KINDS[target.kind].word
    return Draft(
        form=RELATED_CATEGORY,
        wordings=(f"{question} {noun} {{0}}?", f"{question} {noun} находится {{0}}?"),
        full="{0} " + word + ".",
        arguments=(related,),
        answer=word,
        program=related_program(related, category),
        needs=fact,
        gives=fact | presence(thing) | presence(target),
        group=category,
        answer_things=(target.id,),
    )


def _category(category: str) -> tuple[str, str]:
    noun = CATEGORY_WORDS[category]
    question = {"животное": "Какое", "устройство": "Какое"}.get(noun)
    return noun, question or ("Какая" if noun in ("еда", "посуда", "игрушка") else "Какой")


def _only_of_category(asker: Asker, colour: bool) -> tuple[Thing, str] | None:
    category = asker.rng.choice(asker.categories)
    members = [t for t in asker.scene.things if t.worn_by is None and asker.category(t.kind) == category]
    if colour:
        members = [t for t in members if t.colour]
        counts = {t.id: sum(o.colour == t.colour for o in members) for t in members}
        members = [t for t in members if counts[t.id] == 1] if len(members) > 1 else []
        return (asker.rng.choice(members), category) if members else None
    return (members[0], category) if len(members) == 1 else None


def ask_category(asker: Asker) -> Draft | None:
    chosen = _only_of_category(asker, colour=False)
    if not chosen:
        return None
    thing, category = chosen
    noun, question = _category(category)
    word = KINDS[thing.kind].word
    wordings = (f"{question} {noun} на картинке?", f"{question} {noun} здесь?", f"{question} это {noun}?")
    return Draft(
        form=CATEGORY,
        wordings=wordings[:2] if category == "food" else wordings,
        full="Это " + word + ".",
        arguments=(),
        answer=word,
        program=((("select", f"{category} ({thing.id})"), ()), (("query", "name"), (0,))),
        needs=frozenset({existence(thing.kind, True)}),
        gives=presence(thing),
        group=category,
        answer_things=(thing.id,),
    )


def ask_category_colour(asker: Asker) -> Draft | None:
    chosen = _only_of_category(asker, colour=True)
    if not chosen or chosen[0].colour is None:
        return None
    thing, category = chosen
    noun = CATEGORY_WORDS[category]
    gender = {"животное": "neut", "устройство": "neut", "еда": "femn", "посуда": "femn", "игрушка": "femn"}.get(
        noun, "masc"
    )
    assert thing.colour is not None
    adjective = inflect_adjective(COLOURS[thing.colour].word, gender)
    word = KINDS[thing.kind].word
    fact = frozenset({existence(thing.kind, True, thing.colour)})
    return Draft(
        form=CATEGORY_ATTR,
        wordings=(f"Что это за {adjective} {noun}?", f"Как называется {adjective} {noun}?"),
        full="Это " + word + ".",
        arguments=(),
        answer=word,
        program=((("select", category), ()), (("filter color", thing.colour), (0,)), (("query", "name"), (1,))),
        needs=fact,
        gives=fact | presence(thing) | {colour_fact(thing)},
        group=category,
        answer_things=(thing.id,),
    )


def ask_place(asker: Asker) -> Draft | None:
    word = FULL_PLACES[asker.scene.place]
    fact = frozenset({("place", asker.scene.place, True)})
    wordings = ("Что это за место?", "Какое место на картинке?", "Какое это место?")
    return Draft(
        form=PLACE,
        wordings=wordings,
        full="Это " + word + ".",
        arguments=(),
        answer=word,
        program=((("select", "scene"), ()), (("query", "place"), (0,))),
        needs=fact,
        gives=fact,
        group="place",
    )


def ask_weather(asker: Asker) -> Draft | None:
    if asker.scene.weather is None:
        return None
    fact = frozenset({("weather", asker.scene.weather, True)})
    word = WEATHER[asker.scene.weather]
    return Draft(
        form=WEATHER_FORM,
        wordings=("Какая погода?", "Какая на картинке погода?"),
        full="На картинке " + word + ".",
        arguments=(),
        answer=word,
        program=((("select", "scene"), ()), (("query", "weather"), (0,))),
        needs=fact,
        gives=fact,
        group="weather",
    )


def ask_count(asker: Asker) -> Draft | None:
    kinds = [k for k, things in asker.namer.by_kind.items() if k in KINDS and not KINDS[k].person and len(things) <= 4]
    if not kinds:
        return None
    kind = asker.rng.choice(kinds)
    things = asker.namer.by_kind[kind]
    noun = noun_of(kind)
    fact = frozenset({("count", kind, len(things), True)})
    name = asker.namer.absent(kind)
    return about(
        COUNT,
        name,
        wordings=("Сколько {0:gent/plur} на картинке?", "Сколько здесь {0:gent/plur}?"),
        full="На картинке " + counted(len(things), noun) + ".",
        answer=number_word(len(things), noun),
        then=(("count", ""),),
        needs=fact,
        also={existence(kind, True)},
        group="number",
        things=tuple(t.id for t in things),
    )


def ask_action(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.people if t.action))
    if not picked or asker.scene.held(picked[0]) is not None:
        return None
    person, name = picked
    assert person.action is not None
    fact = frozenset({("action", person.id, person.action, True)})
    word = ACTIONS[person.action]
    return about(
        ACTION,
        name,
        wordings=("Что делает {0:nomn}?",),
        full="{0:nomn} " + word + ".",
        answer=word,
        then=(("query", "activity"),),
        needs=fact,
        also=presence(person),
        group="activity",
        things=(person.id,),
    )


ENTRIES = (
    FormEntry(attributes.COLOUR, 5, attributes.ask_colour),
    FormEntry(attributes.SIZE, 2, attributes.ask_size),
    FormEntry(attributes.POSITION, 2.5, attributes.ask_position),
    FormEntry(attributes.WEAR_COLOUR, 3, attributes.ask_wear_colour),
    FormEntry(attributes.RELATED_COLOUR, 1.5, attributes.ask_related_colour),
    FormEntry(WHO_WEARS, 6, ask_who_wears),
    FormEntry(WHAT_WORN, 2.5, ask_what_worn),
    FormEntry(WHO_HOLDS, 3, ask_who_holds),
    FormEntry(WHAT_HELD, 3, ask_what_held),
    FormEntry(RELATED, 12, ask_related),
    FormEntry(RELATED_CATEGORY, 5.5, ask_related_category),
    FormEntry(CATEGORY, 3.5, ask_category),
    FormEntry(CATEGORY_ATTR, 1.5, ask_category_colour),
    FormEntry(PLACE, 1.5, ask_place),
    FormEntry(COUNT, 1, ask_count),
)
FULL_ENTRIES = (
    FormEntry(attributes.MATERIAL, 1.5, attributes.ask_material),
    FormEntry(attributes.PATTERN, 1, attributes.ask_pattern),
    FormEntry(ACTION, 2, ask_action),
    FormEntry(WEATHER_FORM, 0.7, ask_weather),
)
