"""The forms of question about photographs, in GQA's types; each asks one random thing, or gives None."""

from __future__ import annotations

from collections.abc import Sequence

from ruvlm.photos import position_forms as position
from ruvlm.photos.asker import PhotoAsker, exists, kind_name
from ruvlm.photos.names import GROUP_QUESTIONS, PhotoKind
from ruvlm.questions.draft import Draft, Fact, Form, about, chain
from ruvlm.questions.entries import FormEntry, shuffled, yes_no
from ruvlm.questions.grammar import number_word

EXIST = Form("photo.exist", "verify", "obj", "exist")
EXIST_AND = Form("photo.exist_and", "logical", "obj", "existAnd")
EXIST_OR = Form("photo.exist_or", "logical", "obj", "existOr")
COUNT = Form("photo.count", "query", "obj", "count")
GROUP = Form("photo.group", "query", "cat", "categoryThis")
WHICH = Form("photo.which", "choose", "cat", "categoryThatChoose")
MORE = Form("photo.more", "compare", "obj", "comparativeChoose")


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
    return about(
        EXIST,
        reference,
        wordings=wordings,
        full=full,
        answer=yes_no(asker.want),
        then=(("exist", "?"),),
        needs=fact,
        things=things,
    )


def _two(asker: PhotoAsker, present: tuple[bool, bool]) -> tuple[PhotoKind, PhotoKind] | None:
    kinds: list[PhotoKind] = []
    for wanted in present:
        pool = [k for k in asker.present if k not in kinds]
        kind = (asker.rng.choice(pool) if pool else None) if wanted else asker.some_missing()
        if kind is None or kind in kinds:
            return None
        kinds.append(kind)
    return kinds[0], kinds[1]


def _joined(asker: PhotoAsker, form: Form, joint: str, present: tuple[bool, bool]) -> Draft | None:
    kinds = _two(asker, present)
    if not kinds:
        return None
    names = (kind_name(kinds[0]), kind_name(kinds[1]))
    facts: frozenset[Fact] = frozenset(exists(kind, shown) for kind, shown in zip(kinds, present, strict=True))
    if joint == "или":
        wordings: tuple[str, ...] = (
            "Есть ли на снимке {0:nomn} или {1:nomn}?",
            "На снимке есть {0:nomn} или {1:nomn}?",
        )
    else:
        wordings = ("Есть ли на снимке и {0:nomn}, и {1:nomn}?", "На снимке есть и {0:nomn}, и {1:nomn}?")
    missing = [slot for slot, shown in enumerate(present) if not shown]
    if asker.want:
        full = f"Да, на снимке есть {{0:nomn}} {joint} {{1:nomn}}."
    elif len(missing) == 2:
        full = "Нет, ни {0:gent}, ни {1:gent} на снимке нет."
    else:
        full = f"Нет, {{{missing[0]}:gent}} на снимке нет."
    things = tuple(t.id for kind in kinds for t in asker.scene.by_kind.get(kind.key, ()) if t.clear)
    program = chain(*names, then=(("and" if joint == "и" else "or", ""),))
    gives = facts if all(present) or not any(present) else frozenset()
    return Draft(
        form=form,
        wordings=wordings,
        full=full,
        arguments=names,
        answer=yes_no(asker.want),
        program=program,
        needs=facts,
        gives=gives,
        answer_things=things,
    )


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
    return about(
        COUNT,
        reference,
        wordings=("Сколько {0:gent/plur} на снимке?", "Сколько на снимке {0:gent/plur}?"),
        full="Ответ: " + answer + ".",
        answer=answer,
        then=(("count", ""),),
        needs=fact,
        also={exists(kind, True)},
        group="number",
        things=tuple(t.id for t in asker.scene.by_kind[kind.key]),
    )


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
        form=GROUP,
        wordings=(
            f"{words} на снимке?",
            f"{words} изображено на снимке?" if group == "animal" else f"{words} изображён на снимке?",
        ),
        full="На снимке " + kind.word + ".",
        arguments=(),
        answer=kind.word,
        program=((("select", f"{group} (-)"), ()), (("query", "name"), (0,))),
        needs=fact,
        gives=fact,
        group=group,
        answer_things=tuple(t.id for t in asker.scene.by_kind[kind.key]),
    )


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
    first, second = shuffled(asker, kind.word, asker.rng.choice(others).word)
    fact = frozenset({exists(kind, True)})
    who = "Кто" if kind.living else "Что"
    return Draft(
        form=WHICH,
        wordings=(who + " на снимке: {0} или {1}?", who + " есть на снимке: {0} или {1}?"),
        full="На снимке " + kind.word + ".",
        arguments=(first, second),
        answer=kind.word,
        program=((("select", f"{kind.group} (-)"), ()), (("choose name", f"{first}|{second}"), (0,))),
        needs=fact,
        gives=fact,
        group=kind.group,
        answer_things=tuple(t.id for t in asker.scene.by_kind[kind.key] if t.clear),
    )


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
    return about(
        MORE,
        *names,
        wordings=(who + " на снимке больше: {0:gent/plur} или {1:gent/plur}?",),
        full="Больше " + answer + ".",
        answer=answer,
        select=(*names,),
        then=(("choose more", ""),),
        needs=fact,
        group="more",
        things=tuple(t.id for kind in (many, few) for t in asker.scene.by_kind[kind.key]),
    )


BOX_ENTRIES: Sequence[FormEntry[PhotoAsker]] = (
    FormEntry(EXIST, 4, ask_exist),
    FormEntry(EXIST_AND, 2, ask_exist_and),
    FormEntry(EXIST_OR, 2, ask_exist_or),
    FormEntry(COUNT, 6, ask_count),
    FormEntry(GROUP, 4, ask_group),
    FormEntry(WHICH, 4, ask_which),
    FormEntry(position.SIDE, 6, position.ask_side),
    FormEntry(position.SIDE_VERIFY, 4, position.ask_side_verify),
    FormEntry(position.BESIDE, 8, position.ask_beside),
    FormEntry(position.STACKED, 6, position.ask_stacked),
    FormEntry(position.BESIDE_VERIFY, 6, position.ask_beside_verify),
    FormEntry(position.STACKED_VERIFY, 4, position.ask_stacked_verify),
    FormEntry(position.LARGER, 5, position.ask_larger),
    FormEntry(MORE, 2, ask_more),
)
