"""Multiple-choice questions about photographs, under MMBench's category names."""

from __future__ import annotations

from collections.abc import Sequence

from ruvlm.photos.asker import PhotoAsker, kind_name, name
from ruvlm.photos.names import GROUP_QUESTIONS
from ruvlm.photos.position_forms import PLACED
from ruvlm.photos.scene import beside, half, larger, stacked
from ruvlm.questions.entries import COUNTING, Choice, ChoiceEntry, choice_of
from ruvlm.questions.grammar import number_word


def corner(asker: PhotoAsker, letter: int) -> Choice | None:
    """In which quarter of the picture a thing lies as a whole."""
    things = [t for t in asker.scene.named if half(t, 0) is not None and half(t, 1) is not None]
    if not things:
        return None
    thing = asker.rng.choice(things)
    places = [[f"{side} {height}" for height in ("вверху", "внизу")] for side in ("слева", "справа")]
    right = places[half(thing, 0) or 0][half(thing, 1) or 0]
    wrong = [place for row in places for place in row if place != right]
    wordings = ("В какой части снимка {0:nomn}?", "Где на снимке {0:nomn}?")
    return choice_of(asker, "object_localization", letter, wordings, (name(thing),), right, wrong, (thing.id,))


def count(asker: PhotoAsker, letter: int) -> Choice | None:
    kinds = [kind for kind in asker.present if asker.scene.counted(kind)]
    if not kinds:
        return None
    kind = asker.rng.choice(kinds)
    words = [number_word(n, kind.noun) for n in (1, 2, 3, 4)]
    right = words[(asker.scene.counted(kind) or 1) - 1]
    things = tuple(t.id for t in asker.scene.by_kind[kind.key])
    wordings = ("Сколько {0:gent/plur} на снимке?",)
    return choice_of(
        asker, COUNTING, letter, wordings, (kind_name(kind),), right, [w for w in words if w != right], things
    )


def relation(asker: PhotoAsker, letter: int) -> Choice | None:
    """Where one thing is to another: only where it is apart on one axis and level with it on the other."""
    pair = asker.pair()
    if not pair:
        return None
    a, b = pair
    across, along = beside(a, b), stacked(a, b)
    plain = across or along
    level = abs(a.centre[1 if across else 0] - b.centre[1 if across else 0]) <= 0.1
    if plain is None or (across and along) or not level:
        return None
    wrong = [word for key, word in PLACED.items() if key != plain]
    verb = "находятся" if a.kind.noun.plural_only else "находится"
    wordings = ("Где на снимке " + verb + " {0:nomn} по отношению к {1:datv}?",)
    return choice_of(asker, "spatial_relationship", letter, wordings, (name(a), name(b)), PLACED[plain], wrong, (a.id,))


def what(asker: PhotoAsker, letter: int) -> Choice | None:
    """Which of four is in the picture: the others of its group are certainly not."""
    kinds = [kind for kind in asker.present if kind.trust > 0]
    asker.rng.shuffle(kinds)
    for kind in kinds:
        others = [other.word for other in asker.missing if other.group == kind.group]
        far = [other.word for other in asker.missing if other.living == kind.living and other.group != kind.group]
        asker.rng.shuffle(others)
        others += asker.rng.sample(far, min(3, len(far)))
        if len(others) < 3:
            continue
        who = "Кто" if kind.living else "Что"
        wordings = (
            who + " из перечисленного есть на снимке?" if who == "Что" else "Кто из перечисленных есть на снимке?",
        )
        things = tuple(t.id for t in asker.scene.by_kind[kind.key] if t.clear)
        return choice_of(asker, "attribute_recognition", letter, wordings, (), kind.word, others[:3], things)
    return None


def group(asker: PhotoAsker, letter: int) -> Choice | None:
    """«Какое животное на снимке?» among those that are certainly not there."""
    for key in asker.rng.sample(tuple(GROUP_QUESTIONS), len(GROUP_QUESTIONS)):
        kinds = [kind for kind in asker.present if kind.group == key and kind.trust == 2]
        others = [other.word for other in asker.missing if other.group == key]
        if (
            len(kinds) == 1
            and len(others) >= 3
            and len([k for k in asker.scene.by_kind.values() if k[0].kind.group == key]) == 1
        ):
            wrong = asker.rng.sample(others, 3)
            things = tuple(t.id for t in asker.scene.by_kind[kinds[0].key] if t.clear)
            wordings = (GROUP_QUESTIONS[key] + " на снимке?",)
            return choice_of(asker, "attribute_recognition", letter, wordings, (), kinds[0].word, wrong, things)
    return None


def largest(asker: PhotoAsker, letter: int) -> Choice | None:
    """Which of the named things takes up most of the picture, plainly more than any other of them."""
    named = sorted(asker.scene.named, key=lambda t: -t.area)
    rest = [t for t in named[1:] if larger(named[0], t) is named[0]][:3]
    if len(rest) < 1:
        return None
    wordings = ("Что из перечисленного занимает на снимке больше всего места?",)
    return choice_of(
        asker,
        "attribute_comparison",
        letter,
        wordings,
        (),
        named[0].kind.word,
        [t.kind.word for t in rest],
        (named[0].id,),
    )


CHOICE_ENTRIES: Sequence[ChoiceEntry[PhotoAsker]] = (
    ChoiceEntry(corner, 14),
    ChoiceEntry(count, 10),
    ChoiceEntry(relation, 10),
    ChoiceEntry(what, 12),
    ChoiceEntry(group, 8),
    ChoiceEntry(largest, 8),
)
