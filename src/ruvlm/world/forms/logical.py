"""Questions that join or compare two things (GQA's `logical` and `compare`)."""

from __future__ import annotations

from ruvlm.questions.draft import Draft, Fact, Form, Reference, about, chain
from ruvlm.questions.entries import FormEntry, yes_no
from ruvlm.questions.grammar import inflect_adjective, phrase
from ruvlm.world.forms.asker import Asker, colour_fact, existence, presence
from ruvlm.world.kinds import KINDS, SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.scene import Thing

EXIST_AND = Form("logical.exist_and", "logical", "obj", "existAnd")
EXIST_OR = Form("logical.exist_or", "logical", "obj", "existOr")
COLOUR_OR = Form("logical.exist_color_or", "logical", "obj", "existAttrOr")
ATTR_AND = Form("logical.attr_and", "logical", "attr", "verifyAttrs")
BOTH_COLOUR = Form("logical.both_color", "logical", "attr", "verifyAttrAnd")
LARGER = Form("compare.size", "compare", "attr", "comparativeChoose")
SAME = Form("compare.same_color", "compare", "attr", "twoSame")
DIFFERENT = Form("compare.different_color", "compare", "attr", "twoDifferent")


def _two_kinds(asker: Asker, present: tuple[bool, bool]) -> tuple[str, str] | None:
    kinds_there = [k for k in asker.namer.by_kind if k in KINDS]
    kinds: list[str] = []
    for is_there in present:
        pool = [k for k in (kinds_there if is_there else asker.absent_kinds) if k not in kinds]
        if not pool:
            return None
        kinds.append(asker.rng.choice(pool))
    return kinds[0], kinds[1]


def _exist_both(asker: Asker, form: Form, joint: str, present: tuple[bool, bool]) -> Draft | None:
    kinds = _two_kinds(asker, present)
    if not kinds:
        return None
    names = tuple(asker.namer.sought(kind) for kind in kinds)
    facts: frozenset[Fact] = frozenset(existence(kind, shown) for kind, shown in zip(kinds, present, strict=True))
    if joint == "или":
        wordings: tuple[str, ...] = (
            "Есть ли на картинке {0:nomn} или {1:nomn}?",
            "На картинке есть {0:nomn} или {1:nomn}?",
        )
    else:
        wordings = ("Есть ли на картинке {0:nomn} и {1:nomn}?", "На картинке есть и {0:nomn}, и {1:nomn}?")
    decisive = frozenset(f for f in facts if f[3] is (joint == "или")) or facts
    missing = [slot for slot, shown in enumerate(present) if not shown]
    full = f"Да, на картинке есть {{0:nomn}} {joint} {{1:nomn}}."
    if not asker.want:
        full = (
            "Нет, ни {0:gent}, ни {1:gent} на картинке нет."
            if len(missing) == 2
            else f"Нет, {{{missing[0]}:gent}} на картинке нет."
        )
    gives = facts if all(present) or not any(present) else frozenset()
    things = tuple(t.id for kind in kinds for t in asker.namer.by_kind.get(kind, ()))
    program = chain(*names, then=(("and" if joint == "и" else "or", ""),))
    needs = facts if len(decisive) == 2 else decisive
    return Draft(
        form=form,
        wordings=wordings,
        full=full,
        arguments=names,
        answer=yes_no(asker.want),
        program=program,
        needs=needs,
        gives=gives,
        answer_things=things,
    )


def ask_exist_and(asker: Asker) -> Draft | None:
    present = (
        (True, True)
        if asker.want
        else asker.rng.choice(((True, False), (False, True), (True, False), (False, True), (False, False)))
    )
    return _exist_both(asker, EXIST_AND, "и", present)


def ask_exist_or(asker: Asker) -> Draft | None:
    present = (
        asker.rng.choice(((True, False), (False, True), (True, False), (False, True), (True, True)))
        if asker.want
        else (False, False)
    )
    return _exist_both(asker, EXIST_OR, "или", present)


def ask_colour_or(asker: Asker) -> Draft | None:
    """«Есть ли на картинке красный мяч или синяя чашка?» with kinds that are there in some colour."""
    kinds = sorted({t.kind for t in asker.coloured if t.worn_by is None})
    if len(kinds) < 2:
        return None
    chosen = asker.rng.sample(kinds, 2)
    truths = asker.rng.choice(((True, False), (False, True))) if asker.want else (False, False)
    names: list[Reference] = []
    facts: set[Fact] = set()
    things: list[int] = []
    for kind, truth in zip(chosen, truths, strict=True):
        members = asker.namer.by_kind[kind]
        colours = {t.colour for t in members}
        colour = asker.rng.choice([c for c in (COLOURS if truth else asker.palette(kind)) if (c in colours) is truth])
        names.append(asker.namer.sought(kind, colour))
        facts |= {existence(kind, True, colour)} if truth else {colour_fact(t) for t in members}
        things += [t.id for t in members if (truth and t.colour == colour) or not asker.want]
    needs = frozenset(f for f in facts if f[0] == "exists") if asker.want else frozenset(facts)
    full = (
        "Да, на картинке есть {0:nomn} или {1:nomn}."
        if asker.want
        else "Нет, ни {0:gent}, ни {1:gent} на картинке нет."
    )
    return Draft(
        form=COLOUR_OR,
        wordings=("Есть ли на картинке {0:nomn} или {1:nomn}?", "На картинке есть {0:nomn} или {1:nomn}?"),
        full=full,
        arguments=tuple(names),
        answer=yes_no(asker.want),
        program=chain(*names, then=(("or", ""),)),
        needs=needs,
        gives=frozenset(),
        answer_things=tuple(things),
    )


def ask_attr_and(asker: Asker) -> Draft | None:
    """«Мяч красный и большой?»; in a false one exactly one half is false, so both have to be looked at."""
    things = tuple(t for t in asker.sized if t.colour and asker.namer.count(t.kind) == 1)
    if not things:
        return None
    thing = asker.rng.choice(things)
    assert thing.colour is not None
    assert thing.size is not None
    colour, size = thing.colour, thing.size
    if not asker.want:
        if asker.rng.random() < 0.5:
            colour = asker.other_colour(thing)
        else:
            size = "small" if size == "large" else "large"
    name = asker.namer.describe(thing, ())
    words = [phrase((w,), name.noun).rsplit(" ", 1)[0] for w in (COLOURS[colour].word, SIZES[size])]
    if asker.rng.random() < 0.5:
        words.reverse()
    facts = frozenset({colour_fact(thing), ("size", thing.id, thing.size, True)})
    gives = facts if asker.want else frozenset()
    real = [phrase((w,), name.noun).rsplit(" ", 1)[0] for w in (COLOURS[thing.colour].word, SIZES[thing.size])]
    full = "Да, {0:nomn} {1} и {2}." if asker.want else "Нет, {0:nomn} " + " и ".join(real) + "."
    return Draft(
        form=ATTR_AND,
        wordings=("{0:nomn} {1} и {2}?", "Правда ли, что {0:nomn} {1} и {2}?"),
        full=full,
        arguments=(name, *words),
        answer=yes_no(asker.want),
        program=chain(name, then=(("verify attrs", f"{colour}&{size}"),)),
        needs=facts,
        gives=gives | presence(thing),
        answer_things=(thing.id,),
    )


def _plural_colour(colour: str) -> str:
    return inflect_adjective(COLOURS[colour].word, "masc", "nomn", "plur")


def ask_both_colour(asker: Asker) -> Draft | None:
    """«И мяч, и чашка красные?»"""
    pair = _colour_pair(asker, asker.want)
    if not pair:
        return None
    a, name_a, b, name_b = pair
    assert a.colour is not None
    assert b.colour is not None
    fitting = [c for c, other in ((a.colour, b), (b.colour, a)) if asker.want or c in asker.palette(other.kind)]
    if not fitting:
        return None
    colour = asker.rng.choice(fitting)
    real_a, real_b = (
        phrase((COLOURS[t.colour or ""].word,), n.noun).rsplit(" ", 1)[0] for t, n in ((a, name_a), (b, name_b))
    )
    facts = frozenset({colour_fact(a), colour_fact(b)})
    full = (
        "Да, и {0:nomn}, и {1:nomn} {2}." if asker.want else "Нет, {0:nomn} " + real_a + ", а {1:nomn} " + real_b + "."
    )
    return Draft(
        form=BOTH_COLOUR,
        wordings=("И {0:nomn}, и {1:nomn} {2}?", "{0:nomn} и {1:nomn} {2}?"),
        full=full,
        arguments=(name_a, name_b, _plural_colour(colour)),
        answer=yes_no(asker.want),
        program=chain(name_a, name_b, then=(("verify color", colour), ("and", ""))),
        needs=facts,
        gives=(facts if asker.want else frozenset()) | presence(a) | presence(b),
        answer_things=(a.id, b.id),
    )


def _colour_pair(asker: Asker, same: bool) -> tuple[Thing, Reference, Thing, Reference] | None:
    things = [t for t in asker.coloured if asker.namer.count(t.kind) == 1]
    pairs = [(a, b) for a in things for b in things if a.id != b.id and (a.colour == b.colour) is same]
    if not pairs:
        return None
    a, b = asker.rng.choice(pairs)
    return a, asker.namer.describe(a, ()), b, asker.namer.describe(b, ())


def ask_larger(asker: Asker) -> Draft | None:
    pair = asker.pair(asker.sized, avoid="size")
    if not pair or pair[0].size == pair[2].size or pair[0].kind == pair[2].kind:
        return None
    a, name_a, b, name_b = pair
    bigger = asker.rng.random() < 0.5
    winner = a if (a.size == "large") is bigger else b
    word = KINDS[winner.kind].word
    facts: frozenset[Fact] = frozenset({("size", a.id, a.size, True), ("size", b.id, b.size, True)})
    who = "Кто" if KINDS[a.kind].living and KINDS[b.kind].living else "Что"
    degree = "больше" if bigger else "меньше"
    return about(
        LARGER,
        name_a,
        name_b,
        wordings=asker.worded(
            (f"{who} {degree}: {{0:nomn}} или {{1:nomn}}?", f"{who} здесь {degree}: {{0:nomn}} или {{1:nomn}}?"),
            (
                f"{who} {degree}: {{0:nomn}} или {{1:nomn}}?",
                f"{who} {degree} по размеру, {{0:nomn}} или {{1:nomn}}?",
            ),
        ),
        full=degree.capitalize() + " " + word + ".",
        answer=word,
        then=((f"choose {'larger' if bigger else 'smaller'}", ""),),
        needs=facts,
        also=presence(a) | presence(b),
        group="object",
        things=(winner.id,),
    )


def _compare_colour(asker: Asker, form: Form, same: bool, wordings: tuple[str, ...], operation: str) -> Draft | None:
    pair = _colour_pair(asker, same)
    if not pair:
        return None
    a, name_a, b, name_b = pair
    facts = frozenset({colour_fact(a), colour_fact(b)})
    truth = "одного цвета" if same else "разного цвета"
    start = "Да" if asker.want else "Нет"
    return Draft(
        form=form,
        wordings=wordings,
        full=f"{start}, {{0:nomn}} и {{1:nomn}} {truth}.",
        arguments=(name_a, name_b),
        answer=yes_no(asker.want),
        program=chain(name_a, name_b, then=((operation, "color"),)),
        needs=facts,
        gives=presence(a) | presence(b),
        answer_things=(a.id, b.id),
    )


def ask_same(asker: Asker) -> Draft | None:
    wordings = ("{0:nomn} и {1:nomn} одного цвета?", "У {0:gent} и {1:gent} одинаковый цвет?")
    return _compare_colour(asker, SAME, asker.want, wordings, "same")


def ask_different(asker: Asker) -> Draft | None:
    wordings = ("{0:nomn} и {1:nomn} разного цвета?", "У {0:gent} и {1:gent} разные цвета?")
    return _compare_colour(asker, DIFFERENT, not asker.want, wordings, "different")


ENTRIES = (
    FormEntry(EXIST_AND, 2, ask_exist_and),
    FormEntry(EXIST_OR, 2, ask_exist_or),
    FormEntry(COLOUR_OR, 2, ask_colour_or),
    FormEntry(ATTR_AND, 4, ask_attr_and),
    FormEntry(BOTH_COLOUR, 2, ask_both_colour),
    FormEntry(LARGER, 1.4, ask_larger),
    FormEntry(SAME, 1, ask_same),
    FormEntry(DIFFERENT, 0.6, ask_different),
)
