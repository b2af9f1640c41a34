"""The words of an answer, and where they name its options: whole, in order, by lemmas, and not denied."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ruvlm.rules.cleaning import plain
from ruvlm.rules.cue_words import MARKS, NEGATIONS, WRONG
from ruvlm.rules.match import lemmas
from ruvlm.rules.parse import Reading

_TAGS = re.compile(r"</?[a-z_|]{1,20}\|?>|<\|[^<>|]{1,30}\|>|\[/?INST\]", re.IGNORECASE)
_ANGLED = re.compile(r"<([A-ZА-Я])>")
_CLOSED = re.compile(r"</([A-ZА-Я])>")
_IDEOGRAPHS = re.compile("([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+)")
_DECORATION = re.compile("[*_`#~«»„“”‟\"'‘’\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_DASHES = re.compile("[–—‒―−]")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Word:
    """A word with what stands right before and after it."""

    text: str
    start: int
    end: int
    before: str
    after: str


def tidied(text: str, alphabet: str = "ABCDE") -> str:
    """Without marks, tags and decoration; `alphabet` holds the letters that options may have."""
    text = text.translate(MARKS)
    tags = set(_CLOSED.findall(text))  # «<B>» is a letter, unless it opens a tag that is closed

    def bared(angled: re.Match[str]) -> str:
        meant = angled[1] in alphabet or angled[1] in "АБВГДЕ"
        return f" {angled[1]}) " if meant and angled[1] not in tags else angled[0]

    text = _ANGLED.sub(bared, text)
    text = _DASHES.sub("-", _DECORATION.sub("", _TAGS.sub(" ", text)))
    return _IDEOGRAPHS.sub(r" \1 ", text).strip().rstrip(".!…;, \t\n")


def words_of(text: str) -> list[Word]:
    words = []
    for match in _WORD.finditer(text):
        before = match.start() - 1
        while before >= 0 and text[before] in " \t":
            before -= 1
        sign = text[before] if before >= 0 else ""
        words.append(Word(match[0], match.start(), match.end(), sign, text[match.end() : match.end() + 1]))
    return words


def folded(word: str) -> str:
    return word.lower().replace("ё", "е")


@lru_cache(maxsize=1 << 15)  # an option comes back in every rotation of its question
def option_words(option: str) -> list[str]:
    return [folded(word.text) for word in words_of(tidied(plain(option)))]


def named_options(spoken: Sequence[str], options: dict[str, str]) -> list[tuple[str, int, int]]:
    """Where each option's words stand in the answer, whole and in order: (letter, first, past the last)."""
    said = [folded(word) for word in spoken]
    starts: dict[str, list[int]] = {}
    lengths: dict[str, int] = {}
    for letter, option in options.items():
        wanted = option_words(option)
        lengths[letter] = len(wanted)
        starts[letter] = [
            start
            for start in (range(len(said) - len(wanted) + 1) if wanted else ())
            if all(_same(said[start + n], word) for n, word in enumerate(wanted))
        ]
    spans = []
    for letter, places in starts.items():
        longer = [other for other in starts if lengths[other] > lengths[letter]]
        for start in places:
            # «красный мяч» names that option, not «мяч»
            if not any(_holds(starts[other], lengths[other], start, lengths[letter]) for other in longer):
                spans.append((letter, start, start + lengths[letter]))
    return spans


def _holds(places: Sequence[int], length: int, start: int, inner: int) -> bool:
    """Does a span of `length` words at one of `places` (ascending) hold the `inner` words at `start`?"""
    first = bisect_left(places, start + inner - length)
    return first < len(places) and places[first] <= start


def _same(said: str, wanted: str) -> bool:
    if said == wanted:
        return True
    if len(said) < 3 or len(wanted) < 3 or said.isdigit():
        return False
    return bool((lemmas(said) - {said}) & (lemmas(wanted) | {wanted}) or lemmas(said) & (lemmas(wanted) - {wanted}))


def inside_options(spans: Sequence[tuple[str, int, int]]) -> frozenset[int]:
    """Words inside an option's text of two words or more: the C of «витамин C» is no answer."""
    return frozenset(place for _, a, b in spans if b - a > 1 for place in range(a, b))


def read_by_text(spans: Sequence[tuple[str, int, int]], words: Sequence[Word]) -> Reading:
    if not spans:
        return Reading(None, "нет ни буквы, ни текста варианта")
    alone = len({letter for letter, _, _ in spans}) == 1  # «собаки нет, это кошка» is not certain
    meant = {letter for letter, start, end in spans if not _text_denied(words, start, end, alone)}
    if len(meant) == 1:
        return Reading(meant.pop())
    if not meant:
        return Reading(None, "только отрицание")
    opening = {letter for letter, start, _ in spans if start == 0 and words[0].text.lower() in ("да", "нет")}
    if len(opening) == 1:  # «Нет, не верно»
        return Reading(opening.pop())
    return Reading(None, "несколько вариантов сразу")


def _text_denied(words: Sequence[Word], start: int, end: int, alone: bool) -> bool:
    """«не кошка», «нет кошки», «без кошки»; «кошка не видна», «кошка – неверно», «кошки на снимке нет»."""
    if (
        start
        and words[start - 1].text.lower() in _DENYING
        and words[start].before not in (",", ".", ":", ";", "\n", "-")
    ):
        return True
    clause = []
    for word in words[end : end + 6]:
        if word.before in (",", ".", ";", "\n", "?", "!"):
            break
        clause.append(word.text.lower())
    if not clause:
        return False
    return clause[0] in WRONG or (alone and clause[-1] == "нет") or (clause[0] in NEGATIONS and len(clause) > 1)


_DENYING = NEGATIONS | {"нет", "без", "no", "without"}
