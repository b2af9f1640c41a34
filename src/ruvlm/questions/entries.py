"""A form of question as a table's line: how often it is asked and by what function; and multiple choices, put together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from ruvlm.questions.draft import NO, YES, Argument, Draft, Form, Naming, worded


class Asking(Protocol):
    """A picture being asked about, however it is described; `want` is the answer a yes/no form should aim at."""

    rng: random.Random
    want: bool


AskerT = TypeVar("AskerT", bound=Asking)


@dataclass(frozen=True)
class FormEntry(Generic[AskerT]):
    """A form with its share of the questions, per cent, and the function that asks so of a picture, or gives None."""

    form: Form
    share: float
    ask: Callable[[AskerT], Draft | None]


def yes_no(want: bool) -> str:
    """The answer that a yes/no form aims at."""
    return YES if want else NO


def shuffled(asker: Asking, right: str, wrong: str) -> tuple[str, str]:
    """Two offered answers in an order drawn by lot."""
    return (right, wrong) if asker.rng.random() < 0.5 else (wrong, right)


# what «Сколько» is filed under. MMBench itself counts under object_localization: a next version of the world will too
COUNTING = "attribute_recognition"


L2: MappingProxyType[str, str] = MappingProxyType(
    {
        "function_reasoning": "attribute_reasoning",
        "physical_property_reasoning": "attribute_reasoning",
        "identity_reasoning": "attribute_reasoning",
        "image_scene": "coarse_perception",
        "image_style": "coarse_perception",
        "image_emotion": "coarse_perception",
        "image_quality": "coarse_perception",
        "image_topic": "coarse_perception",
        "action_recognition": "finegrained_perception (cross-instance)",
        "spatial_relationship": "finegrained_perception (cross-instance)",
        "attribute_comparison": "finegrained_perception (cross-instance)",
        "object_localization": "finegrained_perception (instance-level)",
        "attribute_recognition": "finegrained_perception (instance-level)",
        "ocr": "finegrained_perception (instance-level)",
        "structuralized_imagetext_understanding": "logic_reasoning",
        "physical_relation": "relation_reasoning",
    }
)


@dataclass(frozen=True)
class Choice:
    """A multiple-choice question: `options[answer]` is right; 2 to 4 different options."""

    category: str
    text: str
    options: tuple[str, ...]
    answer: int
    mentions: tuple[Naming, ...] = ()
    answer_things: tuple[int, ...] = ()


def choice_of(
    asker: Asking,
    category: str,
    letter: int,
    wordings: tuple[str, ...],
    arguments: tuple[Argument, ...],
    right: str,
    wrong: list[str],
    things: tuple[int, ...] = (),
) -> Choice | None:
    """Put the right option at `letter` (modulo the number of options) among up to three wrong ones."""
    wrong = [word for word in dict.fromkeys(wrong) if word != right][:3]
    if not wrong:
        return None
    asker.rng.shuffle(wrong)
    place = letter % (len(wrong) + 1)
    options = (*wrong[:place], right, *wrong[place:])
    text, mentions = worded(asker.rng.choice(wordings), arguments)
    return Choice(category, text, options, place, mentions, things)


@dataclass(frozen=True)
class ChoiceEntry(Generic[AskerT]):
    """A form of choice with its share; `prepare` names what the scene must be prepared as, if anything."""

    ask: Callable[[AskerT, int], Choice | None]
    share: float
    prepare: str = ""
