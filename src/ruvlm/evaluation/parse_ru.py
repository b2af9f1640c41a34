"""How a free answer is read as an option letter, knowing Russian (PROTOCOLS.md, MMBench-ru, Russian-aware extraction).

A letter counts where it is meant as one; Cyrillic «В», «А», «С» are also a preposition and a conjunction, Latin «a» an
article. Without a letter, an option's text counts by whole words or lemmas. What is not certain is Unparsed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ruvlm.evaluation.match import lemmas, strip_reasoning
from ruvlm.evaluation.parse import Reading
from ruvlm.schema import LETTERS

_LOOKALIKES = {"А": "A", "В": "B", "С": "C", "Е": "E"}
_ALPHABET = {"А": "A", "Б": "B", "В": "C", "Г": "D", "Д": "E"}
_TAGS = re.compile(r"</?[a-z_|]{1,20}\|?>|<\|[^<>|]{1,30}\|>|\[/?INST\]", re.IGNORECASE)
_DECORATION = re.compile("[*_`#~«»„“”‟\"'‘’\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_DASHES = re.compile("[–—‒―−]")
_LATIN = re.compile(r"[a-z]")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_CUES = frozenset(
    {
        "ответ",
        "ответы",
        "ответа",
        "ответом",
        "вариант",
        "варианта",
        "вариантом",
        "вариантов",
        "буква",
        "букву",
        "буквой",
    }
    | {"пункт", "выбор", "выбираю", "выберу", "option", "answer", "choice", "letter"}
)
# words that may stand between a cue and its letter: «правильный ответ на вопрос – B», «answer is B»
_LINKS = frozenset(
    {
        "это",
        "этот",
        "под",
        "буквой",
        "буква",
        "номер",
        "правильный",
        "верный",
        "вариант",
        "на",
        "вопрос",
        "будет",
        "является",
    }
    | {"is", "the", "option", "letter", "correct", "за", "именно", "мой"}
)
_JOINTS = frozenset({"и", "или", "либо", "or", "and"})
_NEGATIONS = frozenset({"не", "ни", "not", "кроме"})
_CORRECT = frozenset(
    {"верно", "верный", "верен", "верна", "правильно", "правильный", "правилен", "correct", "подходит"}
)


@dataclass(frozen=True, slots=True)
class _Word:
    """A word with what stands right before and after it."""

    text: str
    start: int
    end: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class _Letter:
    """A letter read in an answer: is a cue word before it, and is it denied?"""

    letter: str
    place: int
    cued: bool
    denied: bool


def read_russian(prediction: str, options: Sequence[str | None], cyrillic: bool = False) -> Reading:
    """The letter an answer means, or None with the reason.

    Args:
        prediction: the model's text.
        options: the row's options in letter order; None is one that it does not have.
        cyrillic: did the prompt letter its options а, б, в, г?
    """
    there = {letter: text for letter, text in zip(LETTERS, options, strict=False) if text is not None}
    text = _cleaned(prediction)
    if "Failed to obtain answer via API" in text:
        return Reading(None, "сервер не ответил")
    words = _words(text)
    if not words:
        return Reading(None, "пустой ответ")
    if len(words) == 1 and _letter_of(words[0].text, cyrillic, bare=True):
        return _among(_letter_of(words[0].text, cyrillic, bare=True), there)
    spoken = [word.text.lower() for word in words]
    exact = [letter for letter, option in there.items() if _plain(option) == [_folded(word) for word in spoken]]
    if len(exact) == 1:
        return Reading(exact[0])
    spans = _named(spoken, there)
    letters = _letters(words, text, cyrillic, _inside(spans))
    return _by_letter(letters, there) or _by_text(spans, spoken)


def _cleaned(prediction: str) -> str:
    text = unicodedata.normalize("NFC", strip_reasoning(prediction))
    text = _DASHES.sub("-", _DECORATION.sub("", _TAGS.sub(" ", text)))
    return text.strip().rstrip(".!…;, \t\n")


def _words(text: str) -> list[_Word]:
    found = []
    for match in _WORD.finditer(text):
        before = text[: match.start()].rstrip(" \t")[-1:]
        found.append(_Word(match[0], match.start(), match.end(), before, text[match.end() : match.end() + 1]))
    return found


def _letter_of(word: str, cyrillic: bool, bare: bool) -> str | None:
    """The option letter a one-letter word may be; `bare` allows lower case and Cyrillic."""
    if len(word) != 1:
        return None
    upper = word.upper()
    if upper in LETTERS:
        return upper if bare or word == upper else None
    if not bare:
        return None
    if cyrillic:
        return _ALPHABET.get(upper)
    return _LOOKALIKES.get(upper) or None


def _letters(words: Sequence[_Word], text: str, cyrillic: bool, taken: frozenset[int]) -> list[_Letter]:
    """Every word that is meant as a letter."""
    found: list[_Letter] = []
    for place, word in enumerate(words):
        if len(word.text) != 1 or place in taken:
            continue
        cued = _cued(words, place) or _joined(words, place, found)
        bracketed = word.after in (")", "]") or (
            word.after in (".", ":") and place + 1 < len(words) and _listed(words, place)
        )
        letter = _letter_of(word.text, cyrillic, bare=cued or bracketed)
        if letter is None and cued:  # «вариант Б»: the word says that the Russian alphabet is meant
            letter = _ALPHABET.get(word.text.upper())
        if letter is None or (not cued and not bracketed and _is_article(words, place)):
            continue
        found.append(_Letter(letter, place, cued, _denied(words, place)))
    return found


def _listed(words: Sequence[_Word], place: int) -> bool:
    """Does it open the answer, or a line or sentence of it, as «B. стол» does?"""
    return place == 0 or words[place].before in (".", ":", ";", ",", "\n", "-", "(", "")


def _cued(words: Sequence[_Word], place: int) -> bool:
    """Is there «ответ», «вариант» or the like before it, with nothing but link words between?"""
    for back in range(place - 1, max(-1, place - 6), -1):
        word = words[back].text.lower()
        if word in _CUES:
            return True
        if word not in _LINKS and word not in _NEGATIONS:
            return False
    return False


def _joined(words: Sequence[_Word], place: int, found: Sequence[_Letter]) -> bool:
    """«Ответ: A или B»: what is said of the first letter is said of the second."""
    back = place - 1
    if back >= 0 and words[back].text.lower() in _JOINTS:
        back -= 1
    elif words[place].text not in LETTERS:  # «не A, а C»: that «а» is no letter
        return False
    return any(letter.place == back and letter.cued for letter in found)


def _is_article(words: Sequence[_Word], place: int) -> bool:
    """«A man is standing»: a Latin A before a Latin word is no answer."""
    following = words[place + 1].text if place + 1 < len(words) and words[place].after == " " else ""
    return words[place].text in ("A", "a") and bool(_LATIN.match(following))


def _denied(words: Sequence[_Word], place: int) -> bool:
    """«не A», «ни A», «не вариант A»; «A неверно»."""
    back = place - 1
    while back >= 0 and words[back].text.lower() in _CUES | _LINKS:
        back -= 1
    if back >= 0 and words[back].text.lower() in _NEGATIONS:
        return True
    after = [word.text.lower() for word in words[place + 1 : place + 3]]
    return after[:1] in (["неверно"], ["неверный"], ["неправильно"], ["неправильный"]) or (
        len(after) == 2 and after[0] == "не" and after[1] in _CORRECT
    )


def _by_letter(letters: Sequence[_Letter], there: dict[str, str]) -> Reading | None:
    """One letter that is not denied; cued letters go before the others."""
    if not letters:
        return None
    meant = [letter for letter in letters if not letter.denied]
    for chosen in ([letter for letter in meant if letter.cued], meant):
        different = {letter.letter for letter in chosen}
        if len(different) == 1:
            return _among(different.pop(), there)
        if different:
            return Reading(None, "две разные буквы")
    return Reading(None, "только отрицание")


def _among(letter: str | None, there: dict[str, str]) -> Reading:
    if letter in there:
        return Reading(letter)
    return Reading(None, "такой буквы нет среди вариантов")


def _folded(word: str) -> str:
    return word.lower().replace("ё", "е")


@lru_cache(maxsize=1 << 15)  # an option comes back in every rotation of its question
def _plain(option: str) -> list[str]:
    return [_folded(word.text) for word in _words(_cleaned(option))]


def _named(spoken: Sequence[str], there: dict[str, str]) -> list[tuple[str, int, int]]:
    """Where each option's words stand in the answer, whole and in order: (letter, first, past the last)."""
    found = []
    said = [_folded(word) for word in spoken]
    for letter, option in there.items():
        wanted = _plain(option)
        for start in range(len(said) - len(wanted) + 1) if wanted else ():
            if all(_same(a, b) for a, b in zip(said[start : start + len(wanted)], wanted, strict=True)):
                found.append((letter, start, start + len(wanted)))
    # «красный мяч» names that option, not «мяч»
    return [
        (letter, a, b)
        for letter, a, b in found
        if not any(other != letter and x <= a and b <= y and (b - a) < (y - x) for other, x, y in found)
    ]


def _same(said: str, wanted: str) -> bool:
    if said == wanted:
        return True
    if len(said) < 3 or len(wanted) < 3 or said.isdigit():
        return False
    return bool((lemmas(said) - {said}) & (lemmas(wanted) | {wanted}) or lemmas(said) & (lemmas(wanted) - {wanted}))


def _inside(spans: Sequence[tuple[str, int, int]]) -> frozenset[int]:
    """Words inside an option's text of two words or more: the C of «витамин C» is no answer."""
    return frozenset(place for _, a, b in spans if b - a > 1 for place in range(a, b))


def _by_text(spans: Sequence[tuple[str, int, int]], spoken: Sequence[str]) -> Reading:
    if not spans:
        return Reading(None, "нет ни буквы, ни текста варианта")
    meant = {letter for letter, start, _ in spans if not (start and spoken[start - 1] in _NEGATIONS)}
    if len(meant) == 1:
        return Reading(meant.pop())
    if not meant:
        return Reading(None, "только отрицание")
    opening = {letter for letter, start, _ in spans if start == 0 and spoken[0] in ("да", "нет")}
    if len(opening) == 1:  # «Нет, не верно»
        return Reading(opening.pop())
    return Reading(None, "несколько вариантов сразу")
