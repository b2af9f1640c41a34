"""The forms of question about photographs, in GQA's types; each asks one random thing, or gives None."""

from __future__ import annotations

from collections.abc import Sequence

from ruvlm.photos.asker import NO, YES, PhotoAsker, exists, kind_name, name, presence
from ruvlm.photos.names import GROUP_QUESTIONS, PhotoKind
from ruvlm.photos.scene import PhotoThing, beside, half, larger, stacked
from ruvlm.world.forms.asker import FormEntry
from ruvlm.world.grammar import number_word
from ruvlm.world.questions import Draft, Fact, Form, chain

EXIST = Form("photo.exist", "verify", "obj", "exist")
EXIST_AND = Form("photo.exist_and", "logical", "obj", "existAnd")
EXIST_OR = Form("photo.exist_or", "logical", "obj", "existOr")
COUNT = Form("photo.count", "query", "obj", "count")
GROUP = Form("photo.group", "query", "cat", "categoryThis")
WHICH = Form("photo.which", "choose", "cat", "categoryThatChoose")
SIDE = Form("photo.side", "choose", "attr", "positionChoose")
SIDE_VERIFY = Form("photo.side_verify", "verify", "attr", "positionVerify")
BESIDE = Form("photo.beside", "choose", "rel", "relChooser")
STACKED = Form("photo.stacked", "choose", "rel", "relChooser")
BESIDE_VERIFY = Form("photo.beside_verify", "verify", "rel", "relVerify")
STACKED_VERIFY = Form("photo.stacked_verify", "verify", "rel", "relVerify")
LARGER = Form("photo.larger", "compare", "attr", "comparativeChoose")
MORE = Form("photo.more", "compare", "obj", "comparativeChoose")

SIDES = (("слева", "справа"), ("вверху", "внизу"))
RELATION_WORDS = {"left": "левее", "right": "правее", "above": "выше", "below": "ниже"}
OTHER = {"left": "right", "right": "left", "above": "below", "below": "above"}


def _answer(want: bool) -> str:
    return YES if want else NO


def _be(kind: PhotoKind) -> str:
    return "находятся" if kind.noun.plural_only else "находится"


def _shuffled(asker: PhotoAsker, right: str, wrong: str) -> tuple[str, str]:
    return (right, wrong) if asker.rng.random() < 0.5 else (wrong, right)


def ask_exist(asker: PhotoAsker) -> Draft | None:
    kind = asker.rng.choice(asker.present) if asker.want and asker.present else None
    if not asker.want:
        kind = asker.some_missing()
    if kind is None:
        return None
    reference = kind_name(kind)
    fact = frozenset({exists(kind, asker.want)})
    things = tuple(t.id for t in asker.scene.by_kind.get(kind.key, ()) if t.clear)
    wordings = ("Есть ли на снимке {0:nomn}?", "На снимке есть {0:nomn}?", "Видно ли на снимке {0:accs}?")
    full = "Да, на снимке есть {0:nomn}." if asker.want else "Нет, {0:gent} на снимке нет."
    return Draft(
        EXIST,
        wordings,
        full,
        (reference,),
        _answer(asker.want),
        chain(reference, then=(("exist", "?"),)),
        fact,
        fact,
        None,
        things,
    )


def _two(asker: PhotoAsker, present: tuple[bool, bool]) -> tuple[PhotoKind, PhotoKind] | None:
    kinds: list[PhotoKind] = []
    for there in present:
        pool = [k for k in asker.present if k not in kinds]
        found = (asker.rng.choice(pool) if pool else None) if there else asker.some_missing()
        if found is None or found in kinds:
            return None
        kinds.append(found)
    return kinds[0], kinds[1]


def _joined(asker: PhotoAsker, form: Form, joint: str, present: tuple[bool, bool]) -> Draft | None:
    kinds = _two(asker, present)
    if not kinds:
        return None
    names = (kind_name(kinds[0]), kind_name(kinds[1]))
    facts: frozenset[Fact] = frozenset(exists(kind, there) for kind, there in zip(kinds, present, strict=True))
    if joint == "или":
        wordings: tuple[str, ...] = (
            "Есть ли на снимке {0:nomn} или {1:nomn}?",
            "На снимке есть {0:nomn} или {1:nomn}?",
        )
    else:
        wordings = ("Есть ли на снимке и {0:nomn}, и {1:nomn}?", "На снимке есть и {0:nomn}, и {1:nomn}?")
    missing = [slot for slot, there in enumerate(present) if not there]
    if asker.want:
        full = f"Да, на снимке есть {{0:nomn}} {joint} {{1:nomn}}."
    elif len(missing) == 2:
        full = "Нет, ни {0:gent}, ни {1:gent} на снимке нет."
    else:
        full = f"Нет, {{{missing[0]}:gent}} на снимке нет."
    things = tuple(t.id for kind in kinds for t in asker.scene.by_kind.get(kind.key, ()) if t.clear)
    program = chain(*names, then=(("and" if joint == "и" else "or", ""),))
    gives = facts if all(present) or not any(present) else frozenset()
    return Draft(form, wordings, full, names, _answer(asker.want), program, facts, gives, None, things)


def ask_exist_and(asker: PhotoAsker) -> Draft | None:
    one = asker.rng.random() < 0.5
    return _joined(asker, EXIST_AND, "и", (True, True) if asker.want else (one, not one))


def ask_exist_or(asker: PhotoAsker) -> Draft | None:
    one = asker.rng.random() < 0.5
    return _joined(asker, EXIST_OR, "или", (one, not one) if asker.want else (False, False))


def ask_count(asker: PhotoAsker) -> Draft | None:
    kinds = [kind for kind in asker.present if asker.scene.counted(kind)]
    if not kinds:
        return None
    kind = asker.rng.choice(kinds)
    count = asker.scene.counted(kind) or 0
    reference = kind_name(kind)
    answer = number_word(count, kind.noun)
    fact = frozenset({("count", kind.key, count, True)})
    return Draft(
        COUNT, ("Сколько {0:gent/plur} на снимке?", "Сколько на снимке {0:gent/plur}?"), "Ответ: " + answer + ".", (reference,), answer,
        chain(reference, then=(("count", ""),)), fact, fact | {exists(kind, True)}, "number",
        tuple(t.id for t in asker.scene.by_kind[kind.key]),
    )  # fmt: skip


def _only(asker: PhotoAsker, group: str) -> PhotoKind | None:
    """The one class of its group in the picture, plain and large; None where there are several or none."""
    kinds = {thing.kind.key: thing.kind for thing in asker.scene.things if thing.kind.group == group}
    if len(kinds) != 1 or not asker.scene.exhaustive:
        return None
    kind = next(iter(kinds.values()))
    things = asker.scene.by_kind[kind.key]
    return (
        kind if kind.trust == 2 and not any(t.crowd for t in things) and max(t.area for t in things) >= 0.04 else None
    )


def ask_group(asker: PhotoAsker) -> Draft | None:
    """«Какое животное на снимке?»: the answer is the only class of the group."""
    group = asker.rng.choice(tuple(GROUP_QUESTIONS))
    kind = _only(asker, group)
    if kind is None:
        return None
    fact = frozenset({exists(kind, True)})
    words = GROUP_QUESTIONS[group]
    return Draft(
        GROUP, (f"{words} на снимке?", f"{words} изображено на снимке?" if group == "animal" else f"{words} изображён на снимке?"),
        "На снимке " + kind.word + ".", (), kind.word,
        ((("select", f"{group} (-)"), ()), (("query", "name"), (0,))), fact, fact, group,
        tuple(t.id for t in asker.scene.by_kind[kind.key]),
    )  # fmt: skip


def ask_which(asker: PhotoAsker) -> Draft | None:
    """«Кто на снимке: кошка или собака?»: one of them is there, the other of its group is not."""
    kinds = [
        kind for kind in asker.present if kind.group in ("animal", "transport", "sport", "furniture", "food", "device")
    ]
    if not kinds:
        return None
    kind = asker.rng.choice(kinds)
    others = [other for other in asker.missing if other.group == kind.group]
    if not others:
        return None
    first, second = _shuffled(asker, kind.word, asker.rng.choice(others).word)
    fact = frozenset({exists(kind, True)})
    who = "Кто" if kind.living else "Что"
    return Draft(
        WHICH, (who + " на снимке: {0} или {1}?", who + " есть на снимке: {0} или {1}?"), "На снимке " + kind.word + ".", (first, second), kind.word,
        ((("select", f"{kind.group} (-)"), ()), (("choose name", f"{first}|{second}"), (0,))), fact, fact, kind.group,
        tuple(t.id for t in asker.scene.by_kind[kind.key] if t.clear),
    )  # fmt: skip


def ask_side(asker: PhotoAsker) -> Draft | None:
    things = [(t, axis) for t in asker.scene.named for axis in (0, 1) if half(t, axis) is not None]
    if not things:
        return None
    thing, axis = asker.rng.choice(things)
    place = half(thing, axis) or 0
    right, wrong = SIDES[axis][place], SIDES[axis][1 - place]
    first, second = _shuffled(asker, right, wrong)
    reference = name(thing)
    fact = frozenset({("side", thing.id, right, True)})
    be = _be(thing.kind)
    return Draft(
        SIDE, ("{0:nomn} на снимке {1} или {2}?", "Где на снимке {0:nomn}: {1} или {2}?"), "{0:nomn} " + be + " " + right + ".",
        (reference, first, second), right, chain(reference, then=(("choose position", f"{first}|{second}"),)), fact,
        fact | presence(thing), f"position{axis}", (thing.id,),
    )  # fmt: skip


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
    be = _be(thing.kind)
    full = ("Да, " if asker.want else "Нет, ") + "{0:nomn} " + be + " " + _HALVES[axis][place] + " снимка."
    return Draft(
        SIDE_VERIFY, ("{0:nomn} " + be + " {1} снимка?", "Верно ли, что {0:nomn} " + be + " {1} снимка?"), full,
        (reference, _HALVES[axis][said]), _answer(asker.want), chain(reference, then=(("verify position", _HALVES[axis][said]),)), fact,
        fact | presence(thing), None, (thing.id,),
    )  # fmt: skip


def _related(asker: PhotoAsker, measure: str) -> tuple[PhotoThing, PhotoThing, str] | None:
    """Two objects whose relation by this measure is sure."""
    pair = asker.pair()
    relation = (beside if measure == "beside" else stacked)(*pair) if pair else None
    return (*pair, relation) if pair and relation is not None else None


def _choose_relation(asker: PhotoAsker, form: Form, measure: str) -> Draft | None:
    found = _related(asker, measure)
    if found is None:
        return None
    a, b, relation = found
    right, wrong = RELATION_WORDS[relation], RELATION_WORDS[OTHER[relation]]
    first, second = _shuffled(asker, right, wrong)
    names = (name(a), name(b))
    fact = frozenset({("relation", a.id, relation, b.id, True)})
    be = _be(a.kind)
    return Draft(
        form, ("На снимке {0:nomn} " + be + " {2} или {3} {1:gent}?", "{0:nomn} на снимке {2} или {3} {1:gent}?"),
        "{0:nomn} " + be + " " + right + " {1:gent}.", (*names, first, second), right,
        chain(names[1], names[0], then=(("choose rel", f"{first}|{second}"),)), fact, fact | presence(a, b), measure, (a.id,),
    )  # fmt: skip


def ask_beside(asker: PhotoAsker) -> Draft | None:
    return _choose_relation(asker, BESIDE, "beside")


def ask_stacked(asker: PhotoAsker) -> Draft | None:
    return _choose_relation(asker, STACKED, "stacked")


def _verify_relation(asker: PhotoAsker, form: Form, measure: str) -> Draft | None:
    found = _related(asker, measure)
    if found is None:
        return None
    a, b, relation = found
    said = relation if asker.want else OTHER[relation]
    names = (name(a), name(b))
    fact = frozenset({("relation", a.id, relation, b.id, True)})
    be = _be(a.kind)
    wordings = (
        "На снимке {0:nomn} " + be + " {2} {1:gent}?",
        "Верно ли, что на снимке {0:nomn} " + be + " {2} {1:gent}?",
    )
    full = ("Да, " if asker.want else "Нет, ") + "{0:nomn} " + be + " " + RELATION_WORDS[relation] + " {1:gent}."
    return Draft(
        form, wordings, full, (*names, RELATION_WORDS[said]), _answer(asker.want),
        chain(names[1], names[0], then=(("verify rel", RELATION_WORDS[said]),)), fact, fact | presence(a, b), None, (a.id,),
    )  # fmt: skip


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
    return Draft(
        LARGER, (who + " занимает на снимке больше места: {0:nomn} или {1:nomn}?",), "Больше места занимает " + big.kind.word + ".", names, big.kind.word,
        chain(*names, then=(("choose larger", ""),)), fact, fact | presence(a, b), "larger", (big.id,),
    )  # fmt: skip


def ask_more(asker: PhotoAsker) -> Draft | None:
    counts = [(kind, asker.scene.counted(kind)) for kind in asker.present]
    pairs = [(a, b) for a, m in counts for b, n in counts if m and n and m - n >= 2]
    if not pairs:
        return None
    many, few = asker.rng.choice(pairs)
    names = [kind_name(many), kind_name(few)]
    asker.rng.shuffle(names)
    answer = kind_name(many).text("gent", "plur")
    fact = frozenset({("more", many.key, few.key, True)})
    who = "Кого" if many.living and few.living else "Чего"
    return Draft(
        MORE, (who + " на снимке больше: {0:gent/plur} или {1:gent/plur}?",), "Больше " + answer + ".",
        tuple(names), answer, chain(*names, then=(("choose more", ""),)), fact, fact, "more",
        tuple(t.id for kind in (many, few) for t in asker.scene.by_kind[kind.key]),
    )  # fmt: skip


BOX_ENTRIES: Sequence[FormEntry] = (
    FormEntry(EXIST, 4, ask_exist),
    FormEntry(EXIST_AND, 2, ask_exist_and),
    FormEntry(EXIST_OR, 2, ask_exist_or),
    FormEntry(COUNT, 6, ask_count),
    FormEntry(GROUP, 4, ask_group),
    FormEntry(WHICH, 4, ask_which),
    FormEntry(SIDE, 6, ask_side),
    FormEntry(SIDE_VERIFY, 4, ask_side_verify),
    FormEntry(BESIDE, 8, ask_beside),
    FormEntry(STACKED, 6, ask_stacked),
    FormEntry(BESIDE_VERIFY, 6, ask_beside_verify),
    FormEntry(STACKED_VERIFY, 4, ask_stacked_verify),
    FormEntry(LARGER, 5, ask_larger),
    FormEntry(MORE, 2, ask_more),
)
