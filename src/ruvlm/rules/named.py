"""Every rule by its name: how a short answer is matched, how a letter is read. A protocol says which of them judge it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType

from ruvlm.rules.match import match_lemma, match_reference, match_russian, match_vlmevalkit
from ruvlm.rules.official import (
    match_any_of,
    match_contains,
    match_contains_authors,
    match_contains_plain,
    match_mera,
    match_numeric,
    match_numeric_near,
    score_anls,
    score_mws,
)
from ruvlm.rules.parse import LETTERS as REFERENCE_LETTERS
from ruvlm.rules.parse import Reading, read_reference
from ruvlm.rules.parse_ru import read_russian
from ruvlm.rules.parse_vlmevalkit import read_vlmevalkit
from ruvlm.rules.read_official import read_first_number, read_kaleidoscope, read_mera, read_pm4bench

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
        "any-of": match_any_of,
        "mera-em": match_mera,
        "contains": match_contains,
        "contains-authors": match_contains_authors,
        "contains-plain": match_contains_plain,
        "anls": score_anls,
        "mws-vqa": score_mws,
        "numeric": match_numeric,
        "numeric-5": match_numeric_near,
    }
)
READERS: MappingProxyType[str, Reader] = MappingProxyType(
    {
        "letters-lmms": lambda text, options, cyrillic: read_reference(text, options),
        "letters-ru": read_russian,
        "letters-vlmevalkit": lambda text, options, cyrillic: read_vlmevalkit(text, options),
        "letters-kaleidoscope": lambda text, options, cyrillic: read_kaleidoscope(text, len(options)),
        "letters-kaleidoscope-cot": lambda text, options, cyrillic: read_kaleidoscope(text, len(options), True),
        "letters-pm4bench": lambda text, options, cyrillic: read_pm4bench(text),
        "mera-em": lambda text, options, cyrillic: read_mera(text, len(options)),
        "number-first": lambda text, options, cyrillic: read_first_number(text, len(options)),
    }
)


# readers that look for letters whatever options there are
OPTIONLESS = frozenset({"letters-pm4bench"})
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
