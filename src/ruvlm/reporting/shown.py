"""Which examples of a data set are shown: a seeded draw of pictures, after filters by type, with their questions."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from types import MappingProxyType

from ruvlm.data.sheet import Card
from ruvlm.errors import ConfigError
from ruvlm.evaluation.blind import OWN_WORDS
from ruvlm.schema import Dataset, Example

# the blind controls in words
BLINDNESS = MappingProxyType(
    {
        "question-only": "одни слова вопроса (учился на train)",
        OWN_WORDS: "одни слова вопроса (учился на соседних строках)",
        "blind": "с серой картинкой",
        "no-picture": "без картинки",
        "guess": "с просьбой угадать",
    }
)
TYPE_FIELDS = ("structural", "semantic", "detailed", "category", "l2")


def types_of(example: Example) -> list[str]:
    """Every type an example may be filtered by."""
    own = [value for field in TYPE_FIELDS if (value := getattr(example, field))]
    return own + [value for values in example.facts.values() for value in values]


def check_types(datasets: Sequence[Dataset], wanted: Sequence[str]) -> None:
    """Raises ConfigError for a type that no example of any of the sets has, listing those that there are."""
    known = sorted({name for dataset in datasets for example in dataset.examples for name in types_of(example)})
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"Типа «{unknown[0]}» здесь нет: есть {', '.join(known)}.")


def cards(dataset: Dataset, count: int, each: int, wanted: Sequence[str] = (), seed: int = 0) -> list[Card]:
    """`count` pictures with up to `each` questions of the wanted types; none where it has no such type."""
    by_picture: dict[str, list[Example]] = defaultdict(list)
    for example in dataset.examples:
        if example.rotation == 0 and (not wanted or set(wanted) & set(types_of(example))):
            by_picture[example.image_id].append(example)
    rng = random.Random(f"ruvlm show {seed}")
    names = list(by_picture)
    drawn = rng.sample(names, min(count, len(names)))
    return [Card(tuple(rng.sample(by_picture[name], min(each, len(by_picture[name]))))) for name in drawn]
