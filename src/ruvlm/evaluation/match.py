"""When a short answer is right: the reference exact match, the Russian-aware one, and the match of lemmas.

Specification: PROTOCOLS.md, section GQA-ru. The reference rule is lmms-eval 0.7.x to the letter.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_REASONING = tuple((re.compile(rf"<{tag}>.*?</{tag}>", re.DOTALL), f"</{tag}>") for tag in ("think", "analysis"))


def strip_reasoning(text: str) -> str:
    """Drop closed <think>…</think> and <analysis>…</analysis>; of an unopened one keep what follows its last end."""
    for block, end in _REASONING:
        text = block.sub("", text)
        if end in text:
            text = text.rsplit(end, 1)[1]
    return text


def match_reference(prediction: str, gold: str) -> bool:
    """lmms-eval's exact match: the gold answer is lower-cased and loses punctuation, but is not stripped.

    It compares in numpy arrays of strings, which drop NULs at the end.
    """
    given = strip_reasoning(prediction).strip().lower().translate(_PUNCTUATION)
    return given.rstrip("\0") == gold.lower().translate(_PUNCTUATION).rstrip("\0")


def match_vlmevalkit(prediction: str, gold: str) -> bool:
    """VLMEvalKit's GQA accuracy: both sides stripped and lower-cased; punctuation and reasoning stay."""
    return prediction.strip().lower() == gold.strip().lower()


_QUOTES = re.compile("[«»„“”‟\"'`‘’…–—‒―\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_PREFIX = re.compile(r"^\s*(?:правильный\s+|краткий\s+)?ответ\s*[:\-–—]\s*", re.IGNORECASE)
_MARKDOWN = re.compile(r"[*_#`~]+")
_YES_NO = re.compile(r"^(да|нет)\b")
_SPACES = re.compile(r"\s+")


def normalised(text: str) -> str:
    """The Russian-aware form: NFC, first line, no «Ответ:», quotes, dashes, markdown or closing full stop; ё = е."""
    text = unicodedata.normalize("NFC", text).strip()
    text = next((line for line in text.splitlines() if line.strip()), "")
    text = _PREFIX.sub("", _MARKDOWN.sub("", text))
    text = _SPACES.sub(" ", _QUOTES.sub(" ", text)).strip().lower().replace("ё", "е")
    text = text.rstrip(" .").lstrip(" ")
    return _SPACES.sub(" ", text.translate(_PUNCTUATION)).strip()


def match_russian(prediction: str, gold: str) -> bool:
    """Equal after `normalised`; «да, …» and «нет, …» are reduced to да and нет when the gold answer is one of them."""
    wanted = normalised(gold)
    given = normalised(strip_reasoning(prediction))
    if wanted in ("да", "нет"):
        found = _YES_NO.match(given)
        if found is not None:
            given = found[1]
    return given == wanted


_RUSSIAN = re.compile("[а-яё-]+", re.IGNORECASE)


@lru_cache(maxsize=65536)
def lemmas(word: str) -> frozenset[str]:
    """All normal forms of a word over all of pymorphy3's parses, ё = е."""
    from ruvlm.morphology import analyser

    known = _LEMMA_OVERRIDES.get(word)
    if known is not None:
        return known
    if not _RUSSIAN.fullmatch(word):  # nothing to know of it, and some characters pymorphy3 fails on
        return frozenset({word})
    return frozenset(parse.normal_form.replace("ё", "е") for parse in analyser().parse(word)) | {word}


# pymorphy3 takes these for other words' forms
_LEMMA_OVERRIDES: MappingProxyType[str, frozenset[str]] = MappingProxyType(
    {word: frozenset({"большой"}) for word in ("большим", "большими", "больших", "большому", "большого", "большом")}
    | {"стоит": frozenset({"стоить", "стоять"}), "стоят": frozenset({"стоить", "стоять"})}
)
_PREPOSITIONS = frozenset(
    [
        "в",
        "во",
        "на",
        "над",
        "под",
        "за",
        "из",
        "у",
        "от",
        "с",
        "со",
        "перед",
        "при",
        "по",
        "к",
        "ко",
        "около",
        "возле",
        "рядом",
        "между",
        "через",
    ]
)


def match_lemma(prediction: str, gold: str) -> bool:
    """Word by word, the sets of lemmas meet; a leading preposition may be there on one side only."""
    if match_russian(prediction, gold):
        return True
    given, wanted = (_content(normalised(strip_reasoning(text))) for text in (prediction, gold))
    if not given or len(given) != len(wanted):
        return False
    return all(lemmas(a) & lemmas(b) for a, b in zip(given, wanted, strict=True))


def _content(text: str) -> list[str]:
    words = text.split()
    while len(words) > 1 and words[0] in _PREPOSITIONS:
        words = words[1:]
    return words


Matcher = Callable[[str, str], bool]

MATCHERS: MappingProxyType[str, Matcher] = MappingProxyType(
    {
        "gqa-ru/lmms": match_reference,
        "gqa-ru/ru": match_russian,
        "gqa-ru/lemma": match_lemma,
        "gqa-ru/vlmevalkit": match_vlmevalkit,
    }
)


@lru_cache(maxsize=1 << 16)
def match_all(prediction: str, gold: str) -> tuple[bool, ...]:
    """Every rule's verdict, in the table's order. Short answers repeat: 12,216 rows hold a few thousand different pairs."""
    return tuple(match(prediction, gold) for match in MATCHERS.values())
