"""Every rule by its name: how a short answer is matched, how a letter is read. A protocol says which of them judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType

from ruvlm.rules.match import match_lemma, match_reference, match_russian, match_vlmevalkit
from ruvlm.rules.parse import LETTERS as REFERENCE_LETTERS
from ruvlm.rules.parse import Reading, read_reference
from ruvlm.rules.parse_ru import read_russian
from ruvlm.rules.parse_vlmevalkit import read_vlmevalkit

Matcher = Callable[[str, str], float]
"""(prediction, gold) → 0 to 1."""
Reader = Callable[[str, Sequence[str | None], bool], Reading]
"""(prediction, options, does the answerer write letters а, б, в, г) → the letter. The references know nothing of the last."""

MATCHERS: MappingProxyType[str, Matcher] = MappingProxyType(
    {
        "exact": match_reference,
        "exact-ru": match_russian,
        "lemma": match_lemma,
        "exact-vlmevalkit": match_vlmevalkit,
    }
)
READERS: MappingProxyType[str, Reader] = MappingProxyType(
    {
        "letters-lmms": lambda text, options, cyrillic: read_reference(text, options),
        "letters-ru": read_russian,
        "letters-vlmevalkit": lambda text, options, cyrillic: read_vlmevalkit(text, options),
    }
)


# how many options a reader knows letters of, where that is fewer than there are letters
MOST_OPTIONS: MappingProxyType[str, int] = MappingProxyType({"letters-lmms": len(REFERENCE_LETTERS)})


@lru_cache(maxsize=1 << 16)  # short answers repeat: 12,216 rows hold a few thousand different pairs
def matched(rules: tuple[str, ...], prediction: str, gold: str) -> tuple[float, ...]:
    """The score of a prediction under each rule, 0 to 1."""
    return tuple(float(MATCHERS[rule](prediction, gold)) for rule in rules)


def best_match(rules: tuple[str, ...], prediction: str, golds: Sequence[str]) -> tuple[float, ...]:
    """Under each rule, the score against whichever accepted answer it fits best; 0 where no answer is accepted."""
    scores = [matched(rules, prediction, gold) for gold in golds]
    return tuple(map(max, zip(*scores, strict=True))) if scores else (0.0,) * len(rules)
