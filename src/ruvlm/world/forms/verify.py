"""Yes/no questions about one claim (GQA's `verify`). `asker.want` says which answer is needed."""

from __future__ import annotations

from ruvlm.questions.draft import RELATION_WORDS, Draft, Form, Related, about, chain
from ruvlm.questions.entries import FormEntry, yes_no
from ruvlm.questions.grammar import phrase
from ruvlm.world.forms.asker import Asker, colour_fact, existence, presence
from ruvlm.world.kinds import GARMENTS, KINDS, SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.scene import FULL_PLACES, OPPOSITE, related

EXIST = Form("verify.exist", "verify", "obj", "exist")
EXIST_ATTR = Form("verify.exist_color", "verify", "attr", "existAttr")
COLOUR = Form("verify.color", "verify", "attr", "verifyAttr")
SIZE = Form("verify.size", "verify", "attr", "verifyAttrThis")
RELATION = Form("verify.relation", "verify", "rel", "relVerify")
WEARS = Form("verify.wears", "verify", "rel", "relVerifyCo")
HOLDS = Form("verify.holds", "verify", "rel", "relVerifyCo")
EXIST_RELATED = Form("verify.exist_related", "verify", "rel", "existRelS")
PLACE = Form("verify.place", "verify", "global", "placeVerify")


def ask_exist(asker: Asker) -> Draft | None:
    if asker.want:
        kind = asker.rng.choice([k for k in asker.namer.by_kind if k in KINDS])
    else:
        kind = asker.rng.choice(asker.absent_kinds)
    name = asker.namer.sought(kind)
    fact = frozenset({existence(kind, asker.want)})
    wordings = ("Есть ли на картинке {0:nomn}?", "На картинке есть {0:nomn}?", "Здесь есть {0:nomn}?")
    full = "Да, на картинке есть {0:nomn}." if asker.want else "Нет, {0:gent} на картинке нет."
    things = tuple(t.id for t in asker.namer.by_kind.get(kind, ()))
    return about(
        EXIST,
        name,
        wordings=wordings,
        full=full,
        answer=yes_no(asker.want),
        then=(("exist", "?"),),
        needs=fact,
        things=things,
    )


def ask_exist_colour(asker: Asker) -> Draft | None:
    picked = asker.pick(tuple(t for t in asker.coloured if t.worn_by is None))
    if not picked or picked[0].colour is None:
        return None
    kind = picked[0].kind
    colours = {t.colour for t in asker.namer.by_kind[kind]}
    colour = picked[0].colour if asker.want else asker.rng.choice([c for c in asker.palette(kind) if c not in colours])
    name = asker.namer.sought(kind, colour)
    members = asker.namer.by_kind[kind]
    fact = frozenset({existence(kind, asker.want, colour)})
    needs = fact if asker.want else frozenset(colour_fact(t) for t in members)
    wordings = ("Есть ли на картинке {0:nomn}?", "На картинке есть {0:nomn}?", "Здесь есть {0:nomn}?")
    full = "Да, на картинке есть {0:nomn}." if asker.want else "Нет, {0:gent} на картинке нет."
    gives = fact | ({existence(kind, True)} if asker.want else set())
    return Draft(
        form=EXIST_ATTR,
        wordings=wordings,
        full=full,
        arguments=(name,),
        answer=yes_no(asker.want),
        program=chain(name, then=(("exist", "?"),)),
        needs=needs,
        gives=gives,
        answer_things=tuple(t.id for t in members if t.colour == colour or not asker.want),
    )


def ask_colour(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.coloured, avoid="color")
    if not picked or picked[0].colour is None:
        return None
    thing, name = picked
    colour = thing.colour if asker.want else asker.other_colour(thing)
    assert colour is not None
    assert thing.colour is not None
    claimed = phrase((COLOURS[colour].word,), name.noun).rsplit(" ", 1)[0]
    real = phrase((COLOURS[thing.colour].word,), name.noun).rsplit(" ", 1)[0]
    needs = frozenset({colour_fact(thing)})
    gives = needs if asker.want else frozenset({colour_fact(thing, colour, False)})
    full = "Да, {0:nomn} {1}." if asker.want else "Нет, {0:nomn} " + real + "."
    return Draft(
        form=COLOUR,
        wordings=("{0:nomn} {1}?", "Правда ли, что {0:nomn} {1}?", "Верно ли, что {0:nomn} {1}?"),
        full=full,
        arguments=(name, claimed),
        answer=yes_no(asker.want),
        program=chain(name, then=(("verify color", colour),)),
        needs=needs,
        gives=gives | presence(thing),
        answer_things=(thing.id,),
    )


def ask_size(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.sized, avoid="size")
    if not picked or picked[0].size is None:
        return None
    thing, name = picked
    assert thing.size is not None
    size = thing.size if asker.want else ("small" if thing.size == "large" else "large")
    claimed = phrase((SIZES[size],), name.noun).rsplit(" ", 1)[0]
    fact = frozenset({("size", thing.id, thing.size, True)})
    real = phrase((SIZES[thing.size],), name.noun).rsplit(" ", 1)[0]
    full = "Да, {0:nomn} {1}." if asker.want else "Нет, {0:nomn} " + real + "."
    return about(
        SIZE,
        name,
        claimed,
        wordings=("{0:nomn} {1}?", "Правда ли, что {0:nomn} {1}?"),
        full=full,
        answer=yes_no(asker.want),
        then=(("verify size", size),),
        needs=fact,
        also=presence(thing),
        things=(thing.id,),
    )


def ask_relation(asker: Asker) -> Draft | None:
    pair = asker.pair(asker.scene.anchors)
    if not pair:
        return None
    a, name_a, b, name_b = pair
    truths = {r: related(a, r, b) for r in RELATION_WORDS}
    fitting = [r for r, truth in truths.items() if truth is asker.want]
    if not asker.want:  # a false claim whose opposite holds is the plain one
        fitting = [r for r in fitting if truths.get(OPPOSITE.get(r, "")) or r == "near"]
    if not fitting:
        return None
    relation = asker.rng.choice(fitting)
    english = RELATION_WORDS[relation][2]
    fact = frozenset({("relation", a.id, relation, b.id, asker.want)})
    needs = fact
    if not asker.want and relation in OPPOSITE:
        needs = frozenset({("relation", a.id, OPPOSITE[relation], b.id, True)})
    wordings = ("{0:nomn} {1}?", "{0:nomn} находится {1}?", "Находится ли {0:nomn} {1}?")
    full = "Да, {0:nomn} {1}." if asker.want else "Нет, {0:nomn} не {1}."
    return Draft(
        form=RELATION,
        wordings=wordings,
        full=full,
        arguments=(name_a, Related(relation, name_b)),
        answer=yes_no(asker.want),
        program=chain(name_b, name_a, then=(("verify rel", f"{a.kind},{english},s ({a.id})"),)),
        needs=needs,
        gives=fact | presence(a) | presence(b),
        answer_things=(a.id,),
    )


def ask_wears(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.people)
    if not picked:
        return None
    person, name = picked
    worn = {t.kind: t for t in asker.scene.worn(person)}
    options = [g.key for g in GARMENTS.values() if (g.key in worn) is asker.want and person.kind in g.wearers]
    if not options or not worn:
        return None
    garment = asker.namer.absent(asker.rng.choice(options))
    key = garment.steps[0][1].split(" ")[0]
    decisive = (worn[key],) if asker.want else tuple(worn.values())
    fact = frozenset({("wears", person.id, key, asker.want)})
    full = "Да, {0:nomn} в {1:loct}." if asker.want else "Нет, {0:nomn} не в {1:loct}."
    return about(
        WEARS,
        name,
        garment,
        wordings=("{0:nomn} в {1:loct}?", "Носит ли {0:nomn} {1:accs}?", "На {0:loct} {1:nomn}?"),
        full=full,
        answer=yes_no(asker.want),
        select=(name,),
        then=(("verify rel", f"{key},wearing,o"),),
        needs=fact,
        also=presence(person),
        things=tuple(t.id for t in decisive),
    )


def ask_holds(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.people)
    if not picked:
        return None
    person, name = picked
    held = asker.scene.held(person)
    if asker.want:
        kind = held.kind if held else None
    else:
        present = [t.kind for t in asker.scene.things if t.worn_by is None and t.held_by != person.id]
        choices = [k for k in present if KINDS[k].holdable and (held is None or k != held.kind)]
        choices += [k for k in asker.absent_kinds if KINDS[k].holdable][:2]
        kind = asker.rng.choice(choices) if choices else None
    if kind is None:
        return None
    thing = asker.namer.absent(kind)
    fact = frozenset({("holds", person.id, kind, asker.want)})
    needs = frozenset({("holds", person.id, held.kind, True)}) if held else fact
    full = "Да, {0:nomn} держит {1:accs}." if asker.want else "Нет, {0:nomn} не держит {1:accs}."
    return Draft(
        form=HOLDS,
        wordings=("{0:nomn} держит {1:accs}?", "Держит ли {0:nomn} {1:accs}?", "У {0:gent} в руке {1:nomn}?"),
        full=full,
        arguments=(name, thing),
        answer=yes_no(asker.want),
        program=chain(name, then=(("verify rel", f"{kind},holding,o"),)),
        needs=needs,
        gives=fact | presence(person),
        answer_things=(held.id if held else person.id,),
    )


def ask_exist_related(asker: Asker) -> Draft | None:
    picked = asker.pick(asker.scene.anchors)
    if not picked:
        return None
    thing, name = picked
    relation = asker.rng.choice(tuple(RELATION_WORDS))
    things = asker.in_relation(relation, thing)
    if things is None:
        return None
    inside = {t.kind for t in things}
    outside = {t.kind for t in asker.scene.anchors} - inside - {thing.kind}
    pool = sorted(inside - {thing.kind} if asker.want else outside)
    if not pool:
        return None
    kind = asker.rng.choice(pool)
    if not asker.want and any(t.held_by is not None and t.kind == kind for t in asker.scene.things):
        return None
    other = asker.namer.absent(kind)
    fact = frozenset({("exists_related", kind, relation, thing.id, asker.want)})
    targets = [t for t in things if t.kind == kind]
    needs = frozenset({("relation", targets[0].id, relation, thing.id, True)}) if targets else fact
    full = "Да, {0} есть {1:nomn}." if asker.want else "Нет, {0} нет {1:gent}."
    return Draft(
        form=EXIST_RELATED,
        wordings=("Есть ли {0} {1:nomn}?", "{0} есть {1:nomn}?"),
        full=full,
        arguments=(Related(relation, name), other),
        answer=yes_no(asker.want),
        program=chain(name, then=(("relate", f"{kind},{RELATION_WORDS[relation][2]},s"), ("exist", "?"))),
        needs=needs,
        gives=fact | presence(thing),
        answer_things=tuple(t.id for t in targets or things) or (thing.id,),
    )


def ask_place(asker: Asker) -> Draft | None:
    places = [p for p in FULL_PLACES if asker.scene.level == "full" or p in ("room", "field", "beach")]
    place = asker.scene.place if asker.want else asker.rng.choice([p for p in places if p != asker.scene.place])
    real = frozenset({("place", asker.scene.place, True)})
    gives = real if asker.want else frozenset({("place", place, False)})
    full = "Да, это {0}." if asker.want else "Нет, это " + FULL_PLACES[asker.scene.place] + "."
    return Draft(
        form=PLACE,
        wordings=("Это {0}?", "На картинке {0}?"),
        full=full,
        arguments=(FULL_PLACES[place],),
        answer=yes_no(asker.want),
        program=((("select", "scene"), ()), (("verify place", place), (0,))),
        needs=real,
        gives=gives,
    )


ENTRIES = (
    FormEntry(EXIST, 5, ask_exist),
    FormEntry(EXIST_ATTR, 3, ask_exist_colour),
    FormEntry(COLOUR, 2.5, ask_colour),
    FormEntry(SIZE, 1, ask_size),
    FormEntry(RELATION, 4, ask_relation),
    FormEntry(WEARS, 2, ask_wears),
    FormEntry(HOLDS, 1, ask_holds),
    FormEntry(EXIST_RELATED, 2, ask_exist_related),
    FormEntry(PLACE, 0.7, ask_place),
)
