"""Multiple-choice questions about a scene, under MMBench's category names.

A drawing can honestly carry sixteen of the twenty categories. Four it cannot: celebrity_recognition (there is nobody
famous to draw), social_relation and nature_relation (a drawing of two people or two animals does not show how they
are related), future_prediction (a still scene without physics has no one future).
"""

from __future__ import annotations

from types import MappingProxyType

from ruvlm.questions.entries import COUNTING, Choice, ChoiceEntry, choice_of
from ruvlm.questions.grammar import inflect_noun, number_word
from ruvlm.world.forms.asker import Asker
from ruvlm.world.kinds import KINDS, PLACES, kinds_of
from ruvlm.world.palette import COLOURS
from ruvlm.world.refer import noun_of
from ruvlm.world.scene import ACTIONS, EMOTIONS, FULL_PLACES, SIGN_WORDS, Thing, corner, related


def _sampled(asker: Asker, pool: list[str], count: int = 3) -> list[str]:
    return asker.rng.sample(pool, min(count, len(pool)))


def colour(asker: Asker, letter: int) -> Choice | None:
    picked = asker.pick(asker.coloured, avoid="color")
    if not picked or picked[0].colour is None:
        return None
    thing, name = picked
    assert thing.colour is not None
    colours = [c for c in dict.fromkeys(t.colour for t in asker.coloured) if c and c != thing.colour]
    others = [c for c in asker.palette(thing.kind) if c != thing.colour and c not in colours]
    colours = [c for c in colours if c in asker.palette(thing.kind)][:2]
    wrong = [COLOURS[c].word for c in colours + _sampled(asker, others)]
    wordings = ("Какого цвета {0:nomn}?", "Какой цвет у {0:gent}?")
    return choice_of(
        asker, "attribute_recognition", letter, wordings, (name,), COLOURS[thing.colour].word, wrong, (thing.id,)
    )


def wearer(asker: Asker, letter: int) -> Choice | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.worn_by is not None))
    if not picked:
        return None
    thing, name = picked
    person = asker.scene.things[thing.worn_by or 0]
    wrong = [KINDS[k].word for k in ("man", "woman", "boy", "girl") if k != person.kind]
    return choice_of(
        asker,
        "attribute_recognition",
        letter,
        asker.worded(("Кто в {0:loct}?", "На ком {0:nomn}?"), ("Кто в {0:loct}?", "Кто носит {0:accs}?")),
        (name,),
        KINDS[person.kind].word,
        wrong,
        (person.id,),
    )


def same_colour(asker: Asker, letter: int) -> Choice | None:
    things = [t for t in asker.coloured if asker.namer.count(t.kind) == 1]
    asker.rng.shuffle(things)
    for thing in things:
        same = [t for t in things if t.id != thing.id and t.colour == thing.colour]
        different = [t for t in things if t.colour != thing.colour]
        if len(same) == 1 and len(different) >= 2:
            wrong = [noun_of(t.kind).word for t in different[:3]]
            name = asker.namer.describe(thing, ())
            wordings = ("Что такого же цвета, как {0:nomn}?", "Что одного цвета с {0:ablt}?")
            return choice_of(
                asker,
                "attribute_comparison",
                letter,
                wordings,
                (name,),
                noun_of(same[0].kind).word,
                wrong,
                (same[0].id,),
            )
    return None


def localisation(asker: Asker, letter: int) -> Choice | None:
    picked = asker.pick(tuple(t for t in asker.scene.anchors if corner(t)))
    if not picked:
        return None
    thing, name = picked
    right = corner(thing)
    assert right is not None
    wrong = [f"{x} {y}" for x in ("слева", "справа") for y in ("вверху", "внизу")]
    wordings = ("В какой части картинки {0:nomn}?", "Где на картинке {0:nomn}?")
    return choice_of(
        asker, "object_localization", letter, wordings, (name,), right, [w for w in wrong if w != right], (thing.id,)
    )


def spatial(asker: Asker, letter: int) -> Choice | None:
    pair = asker.pair(asker.scene.anchors)
    if not pair:
        return None
    a, name_a, b, name_b = pair
    words = {"left": "слева", "right": "справа", "above": "сверху", "below": "снизу"}
    holding = [r for r in words if related(a, r, b)]
    vertical = abs(a.centre[1] - b.centre[1])
    if len(holding) != 1 or (holding[0] in ("left", "right") and vertical > 0.1):
        return None
    wordings = asker.worded(
        ("Где {0:nomn} относительно {1:gent}?",),
        ("Где {0:nomn} относительно {1:gent}?", "Где находится {0:nomn} по отношению к {1:datv}?"),
    )
    wrong = [word for key, word in words.items() if key != holding[0]]
    return choice_of(
        asker, "spatial_relationship", letter, wordings, (name_a, name_b), words[holding[0]], wrong, (a.id,)
    )


def holding(asker: Asker, letter: int) -> Choice | None:
    people = tuple(p for p in asker.scene.people if asker.scene.held(p))
    picked = asker.pick(people)
    if not picked:
        return None
    person, name = picked
    held = asker.scene.held(person)
    assert held is not None
    pool = [k.key for k in kinds_of(asker.scene.level) if k.holdable and k.key != held.kind]
    near = [k for k in pool if asker.namer.count(k)]
    kinds = (near + _sampled(asker, [k for k in pool if k not in near]))[:3]
    words = [f"держит {inflect_noun(KINDS[k].word, 'accs')}" for k in (held.kind, *kinds)]
    return choice_of(
        asker, "action_recognition", letter, ("Что делает {0:nomn}?",), (name,), words[0], words[1:], (held.id,)
    )


def holder(asker: Asker, letter: int) -> Choice | None:
    picked = asker.pick(tuple(t for t in asker.scene.things if t.held_by is not None))
    if not picked:
        return None
    thing, name = picked
    person = asker.scene.things[thing.held_by or 0]
    wrong = [KINDS[k].word for k in ("man", "woman", "boy", "girl") if k != person.kind]
    return (
        choice_of(
            asker,
            "physical_relation",
            letter,
            ("Кто держит {0:accs}?", "У кого {0:nomn}?"),
            (name,),
            KINDS[person.kind].word,
            wrong,
            (person.id,),
        )
        if thing.kind != person.kind
        else None
    )


def place(asker: Asker, letter: int) -> Choice | None:
    pool = FULL_PLACES if asker.scene.level == "full" else PLACES
    wrong = [word for key, word in pool.items() if key != asker.scene.place]
    wordings = ("Что это за место?", "Какое место на картинке?")
    return choice_of(asker, "image_scene", letter, wordings, (), FULL_PLACES[asker.scene.place], _sampled(asker, wrong))


_TOPICS: MappingProxyType[str, str] = MappingProxyType(
    {"person": "люди", "animal": "животные", "transport": "транспорт", "furniture": "мебель"}
)


def topic(asker: Asker, letter: int) -> Choice | None:
    counts = {c: sum(KINDS[t.kind].category == c for t in asker.scene.anchors) for c in _TOPICS}
    others = sum(KINDS[t.kind].category not in _TOPICS for t in asker.scene.anchors)
    best = max(counts, key=lambda c: counts[c])
    if sorted(counts.values())[-2] >= counts[best] or counts[best] < 2 or others >= counts[best]:
        return None
    wordings = asker.worded(
        ("Чего на картинке больше всего?",), ("Чего на картинке больше всего?", "Что здесь главное?")
    )
    things = tuple(t.id for t in asker.scene.anchors if KINDS[t.kind].category == best)
    return choice_of(
        asker, "image_topic", letter, wordings, (), _TOPICS[best], [w for c, w in _TOPICS.items() if c != best], things
    )


_FUNCTIONS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "transport": ("На чём из нарисованного можно ехать или плыть?",),
        "furniture": ("Что из нарисованного ставят в комнату как мебель?",),
        "food": ("Что из нарисованного можно съесть?",),
        "tool": ("Чем из нарисованного работают?",),
        "dishes": ("Что из нарисованного подают на стол как посуду?",),
    }
)


# the same in words that people say
PLAINER = MappingProxyType({"furniture": ("Что из нарисованного – мебель?",), "dishes": ("Что здесь – посуда?",)})


def function(asker: Asker, letter: int) -> Choice | None:
    """Every option has the function; only one of them is in the picture, so it has to be looked at."""
    category = asker.rng.choice([c for c in _FUNCTIONS if c in asker.categories])
    kinds_there = {t.kind for t in asker.scene.things if t.worn_by is None and asker.category(t.kind) == category}
    if len(kinds_there) != 1:
        return None
    kind = next(iter(kinds_there))
    wrong = [KINDS[k].word for k in asker.absent_kinds if asker.category(k) == category]
    things = tuple(t.id for t in asker.namer.by_kind[kind])
    wordings = asker.worded(PLAINER.get(category, _FUNCTIONS[category]), _FUNCTIONS[category])
    return choice_of(
        asker, "function_reasoning", letter, wordings, (), KINDS[kind].word, _sampled(asker, wrong), things
    )


def action(asker: Asker, letter: int) -> Choice | None:
    people = tuple(p for p in asker.scene.people if p.action and not asker.scene.held(p))
    picked = asker.pick(people)
    if not picked or picked[0].action is None:
        return None
    person, name = picked
    assert person.action is not None
    wrong = [word for key, word in ACTIONS.items() if key != person.action]
    wordings = ("Что делает {0:nomn}?",)
    return choice_of(
        asker,
        "action_recognition",
        letter,
        wordings,
        (name,),
        ACTIONS[person.action],
        _sampled(asker, wrong),
        (person.id,),
    )


def emotion(asker: Asker, letter: int) -> Choice | None:
    picked = asker.pick(tuple(p for p in asker.scene.people if p.emotion))
    if not picked or picked[0].emotion is None:
        return None
    person, name = picked
    assert person.emotion is not None
    wrong = [word for key, word in EMOTIONS.items() if key != person.emotion]
    wordings = ("Какое чувство на лице у {0:gent}?",)
    return choice_of(asker, "image_emotion", letter, wordings, (name,), EMOTIONS[person.emotion], wrong, (person.id,))


_PROFESSIONS = ("doctor", "cook", "builder", "police_officer")


def profession(asker: Asker, letter: int) -> Choice | None:
    people = [p for p in asker.scene.people if p.kind in _PROFESSIONS]
    if len(people) != 1:
        return None
    wrong = [KINDS[k].word for k in _PROFESSIONS if k != people[0].kind]
    wordings = ("Кем работает человек в форме?", "Какая профессия у человека в форме?")
    return choice_of(
        asker, "identity_reasoning", letter, wordings, (), KINDS[people[0].kind].word, wrong, (people[0].id,)
    )


def fragile(asker: Asker, letter: int) -> Choice | None:
    glass = [t for t in asker.scene.anchors if t.material == "glass"]
    solid = [t for t in asker.scene.anchors if t.material in ("wood", "metal", "fabric")]
    words = list(dict.fromkeys(KINDS[t.kind].word for t in solid if not glass or t.kind != glass[0].kind))
    if len(glass) != 1 or asker.namer.count(glass[0].kind) != 1 or not words:
        return None
    wordings = ("Что из нарисованного разобьётся, если упадёт?", "Какой предмет из стекла?")
    return choice_of(
        asker, "physical_property_reasoning", letter, wordings, (), KINDS[glass[0].kind].word, words, (glass[0].id,)
    )


def read_sign(asker: Asker, letter: int) -> Choice | None:
    signs = [t for t in asker.scene.things if t.text]
    if not signs or signs[0].text is None:
        return None
    wrong = _sampled(asker, [w for w in SIGN_WORDS if w != signs[0].text])
    wordings = ("Какое слово написано на вывеске?", "Что написано на вывеске?")
    return choice_of(asker, "ocr", letter, wordings, (), signs[0].text, wrong)


def chart(asker: Asker, letter: int) -> Choice | None:
    bars = asker.scene.bars
    if not bars:
        return None
    labels = [label for label, _, _ in bars]
    if asker.rng.random() < 0.5:
        best = asker.rng.choice(("самое большое", "самое маленькое"))
        pick = (max if best == "самое большое" else min)(bars, key=lambda bar: bar[1])
        text = f"У какого столбца {best} значение?"
        wrong = [label for label in labels if label != pick[0]]
        return choice_of(asker, "structuralized_imagetext_understanding", letter, (text,), (), pick[0], wrong)
    label, value, _ = asker.rng.choice(bars)
    wrong = _sampled(asker, [str(v) for v in range(1, 11) if abs(v - value) >= 2])
    return choice_of(
        asker,
        "structuralized_imagetext_understanding",
        letter,
        (f"Какое значение у столбца «{label}»?",),
        (),
        str(value),
        wrong,
    )


_STYLES: MappingProxyType[str, str] = MappingProxyType(
    {
        "plain": "цветной рисунок",
        "outline": "контурный рисунок",
        "pixel": "пиксельный рисунок",
        "greyscale": "чёрно-белый рисунок",
    }
)
_QUALITIES: MappingProxyType[str, str] = MappingProxyType(
    {"plain": "чёткая", "blurred": "размытая", "dark": "тёмная", "noisy": "с шумом"}
)


def style(asker: Asker, letter: int) -> Choice | None:
    if asker.scene.finish not in _STYLES:
        return None
    wrong = [word for key, word in _STYLES.items() if key != asker.scene.finish]
    return choice_of(
        asker,
        "image_style",
        letter,
        ("В каком стиле картинка?", "Какой это рисунок?"),
        (),
        _STYLES[asker.scene.finish],
        wrong,
    )


def quality(asker: Asker, letter: int) -> Choice | None:
    if asker.scene.finish not in _QUALITIES:
        return None
    wrong = [word for key, word in _QUALITIES.items() if key != asker.scene.finish]
    wordings = asker.worded(("Что с качеством этой картинки?",), ("Какая это картинка по качеству?",))
    return choice_of(asker, "image_quality", letter, wordings, (), _QUALITIES[asker.scene.finish], wrong)


def count(asker: Asker, letter: int) -> Choice | None:
    """A small count, for the picture's main kind."""
    kinds = [k for k, things in asker.namer.by_kind.items() if k in KINDS and not KINDS[k].person and len(things) <= 4]
    if not kinds:
        return None
    kind = max(kinds, key=asker.namer.count)
    noun = noun_of(kind)
    words = [number_word(n, noun) for n in (1, 2, 3, 4)]
    right = words[asker.namer.count(kind) - 1]
    name = asker.namer.absent(kind)
    things = tuple(t.id for t in asker.namer.by_kind[kind])
    return choice_of(
        asker,
        "object_localization" if asker.plain else COUNTING,  # as MMBench itself files it
        letter,
        ("Сколько {0:gent/plur} на картинке?",),
        (name,),
        right,
        [w for w in words if w != right],
        things,
    )


MINI: tuple[ChoiceEntry[Asker], ...] = (
    ChoiceEntry(colour, 20),
    ChoiceEntry(wearer, 12),
    ChoiceEntry(count, 4),
    ChoiceEntry(same_colour, 8),
    ChoiceEntry(localisation, 16),
    ChoiceEntry(spatial, 12),
    ChoiceEntry(holding, 8),
    ChoiceEntry(holder, 6),
    ChoiceEntry(place, 8),
    ChoiceEntry(topic, 5),
    ChoiceEntry(function, 5),
)
FULL: tuple[ChoiceEntry[Asker], ...] = (
    *MINI,
    ChoiceEntry(action, 8),
    ChoiceEntry(emotion, 8),
    ChoiceEntry(profession, 6),
    ChoiceEntry(fragile, 5),
    ChoiceEntry(read_sign, 8, "sign"),
    ChoiceEntry(chart, 8, "chart"),
    ChoiceEntry(style, 7, "style"),
    ChoiceEntry(quality, 6, "quality"),
)


def choice_entries(level: str) -> tuple[ChoiceEntry[Asker], ...]:
    """The forms of multiple choice at a level."""
    return MINI if level == "mini" else FULL


def held_out_choice(choice: Choice, things: tuple[Thing, ...], unseen: dict[int, bool]) -> bool:
    """Does the question touch a colour–kind pair that training never shows?"""
    return any(unseen.get(m.thing, False) for m in choice.mentions) or any(
        unseen.get(t, False) for t in choice.answer_things
    )
