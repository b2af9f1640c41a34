"""How a free answer is read as an option letter, knowing Russian (PROTOCOLS.md, MMBench-ru, Russian-aware extraction).

A letter counts where it is meant as one; Cyrillic «В», «А», «С» are also a preposition and a conjunction, Latin «a» an
article. Without a letter, an option's text counts by whole words or lemmas. What is not certain is Unparsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ruvlm.rules.cleaning import cleaned
from ruvlm.rules.cue_words import (
    BETWEEN,
    CORRECT,
    CORRECTIONS,
    CUES,
    DANGLING,
    DECLARING,
    EITHER,
    JOINTS,
    LINKS,
    MUSING,
    NEGATIONS,
    QUALIFIERS,
    SKIPPED,
    WRONG,
)
from ruvlm.rules.match import normalised, reply
from ruvlm.rules.option_texts import (
    Word,
    folded,
    inside_options,
    named_options,
    option_words,
    read_by_text,
    tidied,
    words_of,
)
from ruvlm.rules.parse import Reading
from ruvlm.schema import LETTERS, RUSSIAN_LETTERS, Absent

_LOOKALIKES = {"А": "A", "В": "B", "С": "C", "Е": "E"}
_ALPHABET = dict(zip(RUSSIAN_LETTERS, LETTERS, strict=True))
# letters that are read as such even where a row has fewer options: «E» of four is a wrong letter, «I» is a word
_FEWEST = 5
# letters that a Latin one looks like, and «И», which is a conjunction
_LATIN_ALIKE = frozenset("АВЕИКМНОРСТУХ")
_LATIN = re.compile(r"[a-z]")
# how much a letter weighs: declared; alone on a line or opening the answer; mentioned by a cue; any other
DECLARED, ALONE, MENTIONED, OTHER = 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class _Letter:
    """A letter read in an answer: how much it weighs, and is it denied?"""

    letter: str
    place: int
    weight: int
    denied: bool


def read_russian(prediction: str, options: Sequence[str | None], cyrillic: bool = False) -> Reading:
    """The letter an answer means, or None with the reason. Time is linear in the answer's length.

    Args:
        prediction: the model's text.
        options: the row's options in letter order; None is one that it does not have.
        cyrillic: are letters а, б, в, г written: in the prompt, or by this answerer elsewhere (see `writes_cyrillic`)?
    """
    by_letter = {letter: text for letter, text in zip(LETTERS, options, strict=False) if text is not None}
    whole = cleaned(prediction)
    if whole.unfinished:
        return Reading(None, Absent.THOUGHT)
    alphabet = LETTERS[: max(_FEWEST, len(options))]
    text = tidied(whole.text, alphabet)
    if "Failed to obtain answer via API" in text:
        return Reading(None, "сервер не ответил")
    words = words_of(text)
    if not words:
        return Reading(None, "пустой ответ")
    cyrillic = cyrillic or _alphabet_shown(words, len(options))
    if len(words) == 1 and (lone := _letter_of(words[0].text, alphabet, cyrillic, bare=True)):
        return _among(lone, by_letter)
    spoken = [word.text.lower() for word in words]
    exact = [
        letter for letter, option in by_letter.items() if option_words(option) == [folded(word) for word in spoken]
    ]
    if len(exact) != 1 and len(text) < 200:  # signs that words have not: «-5», «1 000»
        said = normalised(text)
        exact = [letter for letter, option in by_letter.items() if said and normalised(option) == said]
    if len(exact) == 1:
        return Reading(exact[0])
    if spoken[0] in ("да", "нет") and sorted(map(normalised, by_letter.values())) == ["да", "нет"]:
        answer = reply(text)
        taken_back = (
            len(words) > 1 and spoken[1] in ("да", "нет") and words[1].before == ","
        )  # «Нет, да»: the first stands
        if answer:
            return Reading(next(letter for letter, option in by_letter.items() if normalised(option) == answer))
        if not taken_back:
            return Reading(None, "ни да, ни нет")
    spans = named_options(spoken, by_letter)
    letters = _letters(words, text, alphabet, cyrillic, spans)
    if letters is None:
        return Reading(None, "буква и текст варианта спорят")
    dangling = spoken[-1] in DANGLING or MUSING.match(text) is not None
    reading = _by_letter(letters, by_letter, dangling)
    if reading is None:
        return read_by_text(spans, words)
    if reading.letter is not None and len(words) <= 6:
        named = {letter for letter, _, _ in spans}
        if len(named) == 1 and reading.letter not in named:
            return Reading(None, "буква и текст варианта спорят")
    return reading


def writes_cyrillic(predictions: Iterable[str], options: int = _FEWEST) -> bool:
    """Do letters Б, Г or Д stand for options in these answers? Then their В is the third option, not a look-alike.

    Rows have up to `options` options: of more, Ж, З and so on tell as well. One answer among many is a slip; what counts is a twentieth of those that are a letter in either alphabet.
    """
    most = max(_FEWEST, options)
    letters = {*LETTERS[:most], *RUSSIAN_LETTERS[:most], *_LOOKALIKES}
    shown = lettered = 0
    for prediction in predictions:
        words = words_of(tidied(cleaned(prediction).text)) if len(prediction) < 4096 else []
        if not words or not (len(words) == 1 or words[0].after in (")", "]", ".", ":") or _says_letter(words)):
            continue
        cyrillic = _alphabet_shown(words, most)
        shown += cyrillic
        lettered += cyrillic or any(len(word.text) == 1 and word.text.upper() in letters for word in words[:8])
    return shown > 0 and shown * 20 >= lettered


def _says_letter(words: Sequence[Word]) -> bool:
    return any(word.text.lower() in CUES for word in words[:8])


def _alphabet_shown(words: Sequence[Word], options: int) -> bool:
    """Does a letter that only Russian has stand where an option's letter does: Б, Г, Д, of many options also Ж, З…?"""
    telling = {letter for letter in RUSSIAN_LETTERS[: max(_FEWEST, options)] if letter not in _LATIN_ALIKE}
    for place, word in enumerate(words):
        if len(word.text) != 1 or word.text.upper() not in telling:
            continue
        listed = word.after in (")", "]", ":") and (
            place == 0 or word.before in ("\n", "(")
        )  # «Д. Медведев» is no option
        denied = place > 0 and words[place - 1].text.lower() in NEGATIONS
        if len(words) == 1 or listed or denied or _cue_before(words, place):
            return True
    return False


def _letter_of(word: str, alphabet: str, cyrillic: bool, bare: bool) -> str | None:
    """The option letter a one-letter word may be; `bare` allows lower case and Cyrillic."""
    if len(word) != 1:
        return None
    upper = word.upper()
    if upper in alphabet:
        return upper if bare or word == upper else None
    if not bare and not cyrillic:
        return None
    if cyrillic:
        return _russian(upper, alphabet)
    return _LOOKALIKES.get(upper) or None


def _russian(letter: str, alphabet: str) -> str | None:
    """The option that a Russian list gives this letter, if there can be so many."""
    option = _ALPHABET.get(letter)
    return option if option is not None and option in alphabet else None


def _letters(
    words: Sequence[Word], text: str, alphabet: str, cyrillic: bool, spans: Sequence[tuple[str, int, int]]
) -> list[_Letter] | None:
    """Every word that is meant as a letter; None where a letter stands beside the text of another option."""
    taken = inside_options(spans)
    named: dict[int, set[str]] = {}
    for letter, start, _ in spans:
        named.setdefault(start, set()).add(letter)
    endings = {end: letter for letter, _, end in spans}
    letters: list[_Letter] = []
    last_cued = -1
    for place, word in enumerate(words):
        if len(word.text) != 1 or place in taken:
            continue
        joined = _joined(words, place, last_cued, alphabet)
        cue = letters[-1].weight if joined else _cue_before(words, place)
        bracketed = word.after in (")", "]") or (
            word.after in (".", ":") and place + 1 < len(words) and _listed(words, place)
        )
        readings = _readings(word.text, alphabet, cyrillic, bool(cue) or bracketed, bool(cue) or cyrillic)
        if not readings or (not cue and not bracketed and _is_article(words, place)):
            continue
        beside = named.get(_after_links(words, place), set()) if bracketed or cue or place == 0 else set()
        if word.before == "(" and word.after == ")" and place in endings:
            beside = {endings[place]}
        agreed = next((reading for reading in readings if reading in beside), None)
        if agreed is None and beside:
            if word.text.upper() in alphabet:
                return None
            continue  # «В) конь» where конь is the third, and В can't be: no letter, the text says it
        if agreed is None and _is_preposition(words, place):
            continue
        letter = agreed or readings[0]
        if cue or (joined and letters):
            last_cued = place
        if letter is None:
            continue
        weight = cue or _weight(words, place, text, bracketed)
        if letters and not cue and letters[-1].weight == DECLARED and _corrected(words, letters[-1].place, place):
            weight = DECLARED  # «Ответ: A. Хотя нет, B.»: the first is taken back
            letters.pop()
        if letters and letters[-1].place == place - 2 and words[place - 1].text.lower() in EITHER:
            weight = max(weight, letters[-1].weight)  # «A. или B»: neither outweighs the other
            letters[-1] = replace(letters[-1], weight=weight)
        letters.append(_Letter(letter, place, weight, _denied(words, place)))
    return _unlisted(letters, words, named)


def _corrected(words: Sequence[Word], before: int, place: int) -> bool:
    """Is something taken back between two letters?"""
    return place - before <= 8 and any(word.text.lower() in CORRECTIONS for word in words[before + 1 : place])


def _is_preposition(words: Sequence[Word], place: int) -> bool:
    """«Ответ: в поле», «Ответ: В поле»: a Cyrillic В, А or С that a word follows without a sign is no letter."""
    word = words[place]
    following = words[place + 1].text if place + 1 < len(words) and word.after == " " else ""
    return (
        word.text in "ВАСвас"
        and len(following) > 1
        and words[place + 1].before == word.text
        and following.lower() not in CORRECT | WRONG | NEGATIONS
    )


def _readings(word: str, alphabet: str, cyrillic: bool, bare: bool, meant: bool) -> list[str]:
    """The option letters that one written letter may be, the likeliest first."""
    if not bare and not word.isupper():
        return []
    first = _letter_of(word, alphabet, cyrillic, bare)
    upper = word.upper()
    second = _LOOKALIKES.get(upper) if cyrillic else _russian(upper, alphabet) if bare else None
    if first is None and not meant:
        return [second] if second and bare and upper in "БГД" else []
    return list(dict.fromkeys(reading for reading in (first, second) if reading))


def _after_links(words: Sequence[Word], place: int) -> int:
    """The word that an explanation of the letter begins with: «B) кот», «B – это кот»."""
    place += 1
    while place < len(words) and words[place].text.lower() == "это":
        place += 1
    return place


def _weight(words: Sequence[Word], place: int, text: str, bracketed: bool) -> int:
    """An uncued letter: alone on its line, opening the answer or an item of a list, or none of these."""
    word = words[place]
    line_before = word.before in ("", "\n")
    after = text[word.end : word.end + 24].lstrip(" .,!;:)\t-") if place + 1 < len(words) else ""
    if line_before and (place + 1 == len(words) or after.startswith("\n")):
        return ALONE
    if bracketed:
        return ALONE
    follows = text[word.end : word.end + 2].lstrip(" ")[:1]
    opens = follows in (".", ",", ":", ")", "(", "-", "\n")
    if place == 0 and opens and not (place + 1 < len(words) and len(words[place + 1].text) == 1):
        return ALONE
    return OTHER


def _unlisted(letters: list[_Letter], words: Sequence[Word], named: dict[int, set[str]]) -> list[_Letter]:
    """Without the options themselves, when the answer lists them again («A. кот B. пёс C. дом») before it decides."""
    listing = [
        letter
        for letter in letters
        if letter.weight != DECLARED
        and words[letter.place].after in (")", ".", ":", "]")
        and letter.letter in named.get(letter.place + 1, ())
    ]
    if len({letter.letter for letter in listing}) < 2:
        return letters
    places = {letter.place for letter in listing}
    return [letter for letter in letters if letter.place not in places]


def _listed(words: Sequence[Word], place: int) -> bool:
    """Does it open the answer, or a line or sentence of it, as «B. стол» does?"""
    return place == 0 or words[place].before in (".", ":", ";", ",", "\n", "-", "(", "")


def _cue_before(words: Sequence[Word], place: int) -> int:
    """How strongly «ответ», «вариант» or the like before it, with nothing but link words between, point at a letter; 0 if none."""
    for back in range(place - 1, max(-1, place - 6), -1):
        word = words[back].text.lower()
        if word in DECLARING:
            return DECLARED
        if word in CUES:
            near = {words[n].text.lower() for n in range(max(0, back - 2), place)}
            return DECLARED if near & (QUALIFIERS | DECLARING) and not near & NEGATIONS else MENTIONED
        if word not in LINKS and word not in NEGATIONS:
            return OTHER
    return OTHER


def _joined(words: Sequence[Word], place: int, last_cued: int, alphabet: str) -> bool:
    """«Ответ: A или B»: what is said of the first letter is said of the second."""
    back = place - 1
    if back >= 0 and words[back].text.lower() in JOINTS:
        back -= 1
    elif words[place].text not in alphabet:  # «не A, а C»: that «а» is no letter
        return False
    return back >= 0 and back == last_cued


def _is_article(words: Sequence[Word], place: int) -> bool:
    """«A man is standing»: a Latin A before a Latin word is no answer. Nor is «A симпатичная», after another letter."""
    following = words[place + 1].text if place + 1 < len(words) and words[place].after == " " else ""
    if words[place].text in ("A", "a") and bool(_LATIN.match(following)):
        return True
    return place == 1 and len(words[0].text) == 1 and len(following) > 1


def _denied(words: Sequence[Word], place: int) -> bool:
    """«не A», «ни A», «не вариант A»; «A неверно», «A не подходит»; «A?»."""
    if words[place].after == "?":
        return True
    back = place - 1
    while back >= 0 and words[back].text.lower() in SKIPPED | BETWEEN:
        back -= 1
    if back >= 0 and words[back].text.lower() in NEGATIONS:
        return True
    after = [word.text.lower() for word in words[place + 1 : place + 4]]
    if after[:1] in (["is"], ["это"], ["тоже"], ["был"], ["точно"]):
        after = after[1:]
    if after[:1] == ["нет"] and words[place + 1].before not in (".", "!", ",", ";"):
        return True  # «A – нет»; but not «A. Нет, …»
    return bool(after) and (after[0] in WRONG or (len(after) > 1 and after[0] in NEGATIONS and after[1] in CORRECT))


def _by_letter(letters: Sequence[_Letter], options: dict[str, str], dangling: bool) -> Reading | None:
    """One letter that is not denied, of the heaviest there are; of several declarations the last one counts."""
    if not letters:
        return None
    meant = [letter for letter in letters if not letter.denied]
    if not meant:
        return Reading(None, "только отрицание")
    weight = max(letter.weight for letter in meant)
    if dangling and weight < DECLARED:
        return Reading(None, "ответ оборван")
    heaviest = [letter for letter in meant if letter.weight == weight]
    if weight == DECLARED:
        heaviest = _last_declared(heaviest)
    different = {letter.letter for letter in heaviest}
    if len(different) == 1:
        return _among(different.pop(), options)
    return Reading(None, "две разные буквы")


def _last_declared(letters: Sequence[_Letter]) -> list[_Letter]:
    """The letters of the last declaration: those that stand right after one another («ответ: A или B»)."""
    last = [letters[-1]]
    for letter in reversed(letters[:-1]):
        if last[-1].place - letter.place > 2:
            break
        last.append(letter)
    return last


def _among(letter: str | None, options: dict[str, str]) -> Reading:
    if letter in options:
        return Reading(letter)
    return Reading(None, "такой буквы нет среди вариантов")
