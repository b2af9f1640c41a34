"""Open questions (GQA's `query`): what, who, which colour, where, how many."""

from __future__ import annotations

from ruvlm.world.forms.asker import Asker, FormEntry, colour_fact, existence, presence
from ruvlm.world.grammar import counted, inflect_adjective, number_word, phrase
from ruvlm.world.kinds import CATEGORY_WORDS, GARMENTS, KINDS, SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.questions import Draft, Form, chain
from ruvlm.world.refer import RELATION_WORDS, Reference, Related, noun_of
from ruvlm.world.scene import ACTIONS, FULL_PLACES, MATERIALS, PATTERNS, RELATIONS, WEATHER, Thing, side

COLOUR = Form("query.color", "query", "attr", "directOf")
SIZE = Form("query.size", "query", "attr", "how")
POSITION = Form("query.position", "query", "attr", "positionQuery")
WEAR_COLOUR = Form("query.wear_color", "query", "attr", "directWhich")
RELATED_COLOUR = Form("query.related_color", "query", "attr", "directWhich")
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
MATERIAL = Form("query.material", "query", "attr", "material")
PATTERN = Form("query.pattern", "query", "attr", "pattern")
ACTION = Form("query.action", "query", "attr", "activity")
WEATHER_FORM = Form("query.weather", "query", "global", "weather")


def ask_colour(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.coloured if t.worn_by is None), avoid="color")
    if not picked:
        return None
    thing, name = picked
    return _colour_draft(asker, COLOUR, thing, name, ("Какого цвета {0:nomn}?", "Какой цвет у {0:gent}?", "Назови цвет {0:gent}."))


def _colour_draft(asker: Asker, form: Form, thing: Thing, name: Reference, wordings: tuple[str, ...], *more: object) -> Draft:
    assert thing.colour is not None
    noun = noun_of(thing.kind)
    predicate = phrase((COLOURS[thing.colour].word,), noun).rsplit(" ", 1)[0]
    fact = frozenset({colour_fact(thing)})
    return Draft(
        form, wordings, "{0:nomn} " + predicate + ".", (name, *more),  # type: ignore[arg-type]
        COLOURS[thing.colour].word, chain(name, then=(("query", "color"),)), fact,
        fact | presence(thing) | {existence(thing.kind, True, thing.colour)}, "color", (thing.id,),
    )  # fmt: skip


def ask_size(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.sized, avoid="size")
    if not picked:
        return None
    thing, name = picked
    assert thing.size is not None
    answer = phrase((SIZES[thing.size],), name.noun).rsplit(" ", 1)[0]
    fact = frozenset({("size", thing.id, thing.size, True)})
    return Draft(
        SIZE, ("Какого размера {0:nomn}?", "Какая по размеру {0:nomn}?" if name.noun.gender == "femn" else "Каков размер {0:gent}?"),
        "{0:nomn} " + answer + ".", (name,), answer, chain(name, then=(("query", "size"),)), fact,
        fact | presence(thing), "size", (thing.id,),
    )  # fmt: skip


def ask_position(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.anchors if side(t)))
    if not picked:
        return None
    thing, name = picked
    answer = "слева" if side(thing) == "left" else "справа"
    fact = frozenset({("side", thing.id, side(thing), True)})
    wordings = ("С какой стороны картинки {0:nomn}?", "На какой стороне картинки находится {0:nomn}?", "Где на картинке {0:nomn}: с какой стороны?")
    return Draft(
        POSITION, wordings, "{0:nomn} находится " + answer + ".", (name,), answer,
        chain(name, then=(("query", "hPosition"),)), fact, fact | presence(thing), "hposition", (thing.id,),
    )  # fmt: skip


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
    return Draft(
        WHO_WEARS, wordings, "В {0:loct} " + KINDS[person.kind].word + ".", (name,), KINDS[person.kind].word,
        chain(name, then=(("relate", "person,wearing,s"), ("query", "name"))), fact,
        fact | presence(person) | presence(garment), "person", (person.id,),
    )  # fmt: skip


def ask_what_worn(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.people)
    if not picked:
        return None
    person, name = picked
    worn = asker.scene.worn(person)
    if len(worn) != 1:
        return None
    fact = frozenset({("wears", person.id, worn[0].kind, True)})
    return Draft(
        WHAT_WORN, ("Что надето на {0:loct}?", "Какая одежда на {0:loct}?"),
        "На {0:loct} надето: " + GARMENTS[worn[0].kind].word + ".", (name,), GARMENTS[worn[0].kind].word,
        chain(name, then=(("relate", "clothing,wearing,o"), ("query", "name"))), fact,
        fact | presence(person) | presence(worn[0]), "clothing", (worn[0].id,),
    )  # fmt: skip


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
    wordings = ("Какого цвета {0:nomn}, " + which + " носит {1:nomn}?", "Какого цвета {0:nomn} на {1:loct}?", "Какого цвета {0:nomn} у {1:gent}?")
    draft = _colour_draft(asker, WEAR_COLOUR, garment, name, wordings, person)
    program = chain(person, then=(("relate", f"{garment.kind},wearing,o ({garment.id})"), ("query", "color")))
    return Draft(**{**draft.__dict__, "program": program})


def ask_who_holds(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.held_by is not None))
    if not picked:
        return None
    thing, name = picked
    person = asker.scene.things[thing.held_by or 0]
    fact = frozenset({("holds", person.id, thing.kind, True)})
    return Draft(
        WHO_HOLDS, ("Кто держит {0:accs}?", "Кто с {0:ablt} в руке?", "Кто держит в руке {0:accs}?"),
        "{0:accs} держит " + KINDS[person.kind].word + ".", (name,), KINDS[person.kind].word,
        chain(name, then=(("relate", "person,holding,s"), ("query", "name"))), fact,
        fact | presence(person) | presence(thing), "person", (person.id,),
    )  # fmt: skip


def ask_what_held(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.people)
    held = asker.scene.held(picked[0]) if picked else None
    if not picked or held is None:
        return None
    person, name = picked
    fact = frozenset({("holds", person.id, held.kind, True)})
    return Draft(
        WHAT_HELD, ("Что в руке у {0:gent}?", "Какой предмет в руке у {0:gent}?"),
        "У {0:gent} в руке " + KINDS[held.kind].word + ".", (name,), KINDS[held.kind].word,
        chain(name, then=(("relate", "object,holding,o"), ("query", "name"))), fact,
        fact | presence(person) | presence(held), "object", (held.id,),
    )  # fmt: skip


def _one_related(asker: Asker) -> tuple[Thing, Related, Thing] | None:
    """A relation that exactly one anchor has to a named thing: (the named, the relation, the one)."""
    for _ in range(8):
        thing = asker.rng.choice(asker.scene.anchors)
        relation = asker.rng.choice(RELATIONS)
        found = asker.in_relation(relation, thing)
        if found is None or len(found) != 1 or asker.companions(found[0]) or asker.companions(thing):
            continue
        name = asker.namer.name(thing)
        if name is not None and found[0].kind != thing.kind:
            return thing, Related(relation, name), found[0]
    return None


def _related_program(related: Related, target: str) -> tuple[tuple[tuple[str, str], tuple[int, ...]], ...]:
    english = RELATION_WORDS[related.relation][2]
    return chain(related.reference, then=(("relate", f"{target},{english},s"), ("query", "name")))


def ask_related(asker: Asker) -> Draft | None:
    found = _one_related(asker)
    if not found:
        return None
    thing, related, target = found
    who = "Кто" if KINDS[target.kind].living else "Что"
    fact = frozenset({("relation", target.id, related.relation, thing.id, True)})
    word = KINDS[target.kind].word
    return Draft(
        RELATED, (who + " {0}?", who + " находится {0}?", who + " на картинке {0}?"), "{0} " + word + ".", (related,), word,
        _related_program(related, "_"), fact, fact | presence(thing) | presence(target), "object", (target.id,),
    )  # fmt: skip


def ask_related_category(asker: Asker) -> Draft | None:
    found = _one_related(asker)
    if not found or KINDS[found[2].kind].category not in asker.categories:
        return None
    thing, related, target = found
    category = KINDS[target.kind].category
    noun, question = _category(category)
    fact = frozenset({("relation", target.id, related.relation, thing.id, True)})
    word = KINDS[target.kind].word
    return Draft(
        RELATED_CATEGORY, (f"{question} {noun} {{0}}?", f"{question} {noun} находится {{0}}?"), "{0} " + word + ".", (related,), word,
        _related_program(related, category), fact, fact | presence(thing) | presence(target), category, (target.id,),
    )  # fmt: skip


def _category(category: str) -> tuple[str, str]:
    noun = CATEGORY_WORDS[category]
    question = {"животное": "Какое", "устройство": "Какое"}.get(noun)
    return noun, question or ("Какая" if noun in ("еда", "посуда", "игрушка") else "Какой")


def ask_related_colour(asker: Asker) -> Draft | None:
    found = _one_related(asker)
    if not found or not found[2].colour:
        return None
    _thing, related, target = found
    name = asker.namer.describe(target, ())
    draft = _colour_draft(asker, RELATED_COLOUR, target, name, ("Какого цвета {0:nomn} {1}?", "Какой цвет у {0:gent} {1}?"), related)
    program = _related_program(related, target.kind)[:-1]
    return Draft(**{**draft.__dict__, "program": (*program, (("query", "color"), (len(program) - 1,)))})


def _only_of_category(asker: Asker, colour: bool) -> tuple[Thing, str] | None:
    category = asker.rng.choice(asker.categories)
    members = [t for t in asker.scene.things if t.worn_by is None and KINDS[t.kind].category == category]
    if colour:
        members = [t for t in members if t.colour]
        counts = {t.id: sum(o.colour == t.colour for o in members) for t in members}
        members = [t for t in members if counts[t.id] == 1] if len(members) > 1 else []
        return (asker.rng.choice(members), category) if members else None
    return (members[0], category) if len(members) == 1 else None


def ask_category(asker: Asker) -> Draft | None:
    found = _only_of_category(asker, colour=False)
    if not found:
        return None
    thing, category = found
    noun, question = _category(category)
    word = KINDS[thing.kind].word
    wordings = (f"{question} {noun} на картинке?", f"{question} {noun} здесь?", f"{question} это {noun}?")
    return Draft(
        CATEGORY, wordings[:2] if category == "food" else wordings, "Это " + word + ".", (), word,
        ((("select", f"{category} ({thing.id})"), ()), (("query", "name"), (0,))),
        frozenset({existence(thing.kind, True)}), presence(thing), category, (thing.id,),
    )  # fmt: skip


def ask_category_colour(asker: Asker) -> Draft | None:
    found = _only_of_category(asker, colour=True)
    if not found or found[0].colour is None:
        return None
    thing, category = found
    noun = CATEGORY_WORDS[category]
    gender = {"животное": "neut", "устройство": "neut", "еда": "femn", "посуда": "femn", "игрушка": "femn"}.get(noun, "masc")
    assert thing.colour is not None
    adjective = inflect_adjective(COLOURS[thing.colour].word, gender)
    word = KINDS[thing.kind].word
    fact = frozenset({existence(thing.kind, True, thing.colour)})
    return Draft(
        CATEGORY_ATTR, (f"Что это за {adjective} {noun}?", f"Как называется {adjective} {noun}?"), "Это " + word + ".", (), word,
        ((("select", category), ()), (("filter color", thing.colour), (0,)), (("query", "name"), (1,))),
        fact, fact | presence(thing) | {colour_fact(thing)}, category, (thing.id,),
    )  # fmt: skip


def ask_place(asker: Asker) -> Draft | None:
    word = FULL_PLACES[asker.scene.place]
    fact = frozenset({("place", asker.scene.place, True)})
    wordings = ("Что это за место?", "Какое место на картинке?", "Какое это место?")
    return Draft(
        PLACE, wordings, "Это " + word + ".", (), word, ((("select", "scene"), ()), (("query", "place"), (0,))), fact, fact, "place"
    )


def ask_weather(asker: Asker) -> Draft | None:
    if asker.scene.weather is None:
        return None
    fact = frozenset({("weather", asker.scene.weather, True)})
    word = WEATHER[asker.scene.weather]
    return Draft(
        WEATHER_FORM, ("Какая погода?", "Какая на картинке погода?"), "На картинке " + word + ".", (), word,
        ((("select", "scene"), ()), (("query", "weather"), (0,))), fact, fact, "weather",
    )  # fmt: skip


def ask_count(asker: Asker) -> Draft | None:
    kinds = [k for k, things in asker.namer.by_kind.items() if k in KINDS and not KINDS[k].person and len(things) <= 4]
    if not kinds:
        return None
    kind = asker.rng.choice(kinds)
    things = asker.namer.by_kind[kind]
    noun = noun_of(kind)
    fact = frozenset({("count", kind, len(things), True)})
    name = asker.namer.absent(kind)
    return Draft(
        COUNT, ("Сколько {0:gent/plur} на картинке?", "Сколько здесь {0:gent/plur}?"), "На картинке " + counted(len(things), noun) + ".",
        (name,), number_word(len(things), noun), chain(name, then=(("count", ""),)), fact,
        fact | {existence(kind, True)}, "number", tuple(t.id for t in things),
    )  # fmt: skip


def ask_material(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.anchors if t.material))
    if not picked:
        return None
    thing, name = picked
    assert thing.material is not None
    fact = frozenset({("material", thing.id, thing.material, True)})
    word = MATERIALS[thing.material]
    return Draft(
        MATERIAL, ("Из какого материала {0:nomn}?", "Какой материал у {0:gent}?"), "Материал – " + word + ".", (name,), word,
        chain(name, then=(("query", "material"),)), fact, fact | presence(thing), "material", (thing.id,),
    )  # fmt: skip


def ask_pattern(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.pattern))
    if not picked:
        return None
    thing, name = picked
    assert thing.pattern is not None
    fact = frozenset({("pattern", thing.id, thing.pattern, True)})
    word = PATTERNS[thing.pattern]
    return Draft(
        PATTERN, ("Какой узор на {0:loct}?", "С каким рисунком {0:nomn}?"), "Узор – " + word + ".", (name,), word,
        chain(name, then=(("query", "pattern"),)), fact, fact | presence(thing), "pattern", (thing.id,),
    )  # fmt: skip


def ask_action(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.scene.people if t.action))
    if not picked or asker.scene.held(picked[0]) is not None:
        return None
    person, name = picked
    assert person.action is not None
    fact = frozenset({("action", person.id, person.action, True)})
    word = ACTIONS[person.action]
    return Draft(
        ACTION, ("Что делает {0:nomn}?",), "{0:nomn} " + word + ".", (name,), word,
        chain(name, then=(("query", "activity"),)), fact, fact | presence(person), "activity", (person.id,),
    )  # fmt: skip


ENTRIES = (
    FormEntry(COLOUR, 5, ask_colour),
    FormEntry(SIZE, 2, ask_size),
    FormEntry(POSITION, 2.5, ask_position),
    FormEntry(WEAR_COLOUR, 3, ask_wear_colour),
    FormEntry(RELATED_COLOUR, 1.5, ask_related_colour),
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
    FormEntry(MATERIAL, 1.5, ask_material),
    FormEntry(PATTERN, 1, ask_pattern),
    FormEntry(ACTION, 2, ask_action),
    FormEntry(WEATHER_FORM, 0.7, ask_weather),
)
