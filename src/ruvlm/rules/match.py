"""When a short answer is right: the reference exact match, the Russian-aware one, and the match of lemmas.

Specification: PROTOCOLS.md, section GQA-ru. The reference rule is lmms-eval 0.7.x to the letter.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import lru_cache
from types import MappingProxyType

from ruvlm.rules.cleaning import cleaned, plain, short_answer

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_REASONING = tuple((f"<{tag}>", f"</{tag}>") for tag in ("think", "analysis"))


def strip_reasoning(text: str) -> str:
    """Drop closed <think>…</think> and <analysis>…</analysis>; of an unopened one keep what follows its last end.

    The references' own step, to the letter; ours is `cleaning.cleaned`. Linear in the text's length.
    """
    for begin, end in _REASONING:
        kept, place = [], 0
        while (start := text.find(begin, place)) >= 0 and (close := text.find(end, start + len(begin))) >= 0:
            kept.append(text[place:start])
            place = close + len(end)
        text = "".join((*kept, text[place:]))
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


_QUOTES = re.compile("[«»„“”‟\"'`‘’]|\\.{2,}")
_DASHES = re.compile("[–—‒―−‐‑]")
_MARKDOWN = re.compile(r"[*_`~]+|(?<!\w)#+")
_SPACES = re.compile(r"\s+")
_SYMBOLS = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2190-\u21ff\u2b00-\u2bff\ufffd]")
_LISTED = re.compile(r"^(?:\(?(?:\d{1,2}|[a-eа-д])[).:]\s+|[•·◦‣▪]\s*)(?=\S)", re.IGNORECASE)
_PREFIX = re.compile(
    r"^\s*(?:(?:(?:итак|следовательно|значит|таким образом|поэтому)[, ]+)?(?:(?:правильный|верный|краткий|окончательный|мой)\s+)*"
    r"ответ(?:\s+на\s+вопрос)?(?:\s*[:=]+\s*|\s*-+\s+|\s+(?:это\s+)?)|это\s+)(?=\S)",
    re.IGNORECASE,
)
# «-5», «1.5», «10:30», «2/3», «C++», «C#»: these signs are part of what is said
_MEANT = re.compile(
    r"(?<![\w+-])-(?=\d)|[<>](?=\s?-?\d)|(?<=\d)[.:/-](?=\d)|(?<=[a-zа-я])(?:\+{1,2}|#)(?!\w)|(?<=\w)\+(?=\s|$)"
)
_KEPT = str.maketrans(dict.fromkeys("-.:/+#", None))
_FRACTION = re.compile(r"(?<![\d.])(\d+)[.,](\d{1,2}|\d{4,})(?![\d.,])")
_COMMA = re.compile(r"(?<=\d),(?=\d)")
_GROUPED = re.compile(r"-?\d{1,3}(?: \d{3})+(?:[.,]\d+)?")
_NUMERALS = MappingProxyType(
    {
        word: str(number)
        for number, words in enumerate(
            (
                "ноль нуль",
                "один одна одно",
                "два две",
                "три",
                "четыре",
                "пять",
                "шесть",
                "семь",
                "восемь",
                "девять",
                "десять",
                "одиннадцать",
                "двенадцать",
                "тринадцать",
                "четырнадцать",
                "пятнадцать",
                "шестнадцать",
                "семнадцать",
                "восемнадцать",
                "девятнадцать",
                "двадцать",
            )
        )
        for word in words.split()
    }
)
# Latin letters that no reader tells from Cyrillic ones
_ALIKE = str.maketrans("aceopxykABCEHKMOPTXY", "асеорхукАВСЕНКМОРТХУ")
_WORD = re.compile(r"\w+")
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


def normalised(text: str) -> str:
    """The Russian-aware form of a gold answer or of a cleaned prediction, over its first line.

    NFKC; no «Ответ:», quotes, dashes, markdown, closing full stop; ё = е; Latin look-alikes in a Russian word are Russian;
    numbers keep sign, point and colon («1,5» is «1.5», «5.0» is «5»).
    """
    text = plain(text)
    text = next((line for line in text.split("\n") if line.strip()), "").strip()
    text = _PREFIX.sub("", _MARKDOWN.sub("", _DASHES.sub("-", text)))
    text = _WORD.sub(lambda word: _folded(word[0]), text)
    text = _SPACES.sub(" ", _QUOTES.sub(" ", _SYMBOLS.sub(" ", text))).strip().lower().replace("ё", "е")
    text = _number(text.rstrip(" .,!;:?…").lstrip(" "))
    return _SPACES.sub(" ", _punctuated(text)).strip()


def _folded(word: str) -> str:
    """A word that holds Russian letters, with Russian ones for the Latin ones that look the same."""
    return word.translate(_ALIKE) if not word.isascii() and _CYRILLIC.search(word) else word


def _number(text: str) -> str:
    """Decimal commas as points, «1 000» as 1000, «5.0» as 5."""
    text = text.replace(" ", "") if _GROUPED.fullmatch(text) else text
    text = _FRACTION.sub(lambda n: f"{n[1]}.{n[2]}".rstrip("0").rstrip("."), text)
    return _COMMA.sub(".", text)


def _punctuated(text: str) -> str:
    """Without punctuation, but for the signs that carry meaning."""
    kept, place = [], 0
    for sign in _MEANT.finditer(text):
        kept += [text[place : sign.start()].translate(_PUNCTUATION), sign[0]]
        place = sign.end()
    return "".join((*kept, text[place:].translate(_PUNCTUATION)))


def match_russian(prediction: str, gold: str) -> bool:
    """Equal after cleaning and `normalised`; «да, …» and «нет, …» are да and нет when the gold answer is one of them.

    An answer that says both, or «нет» of a thing («нет данных»), is neither.
    """
    wanted = normalised(gold)
    if not wanted:  # a gold answer of signs alone
        return prediction.strip() == gold.strip()
    said = short_answer(cleaned(prediction).text)
    if wanted in ("да", "нет"):
        return reply(said) == wanted
    return any(form == wanted or _same_count(form, wanted) for form in _forms(said))


def _same_count(given: str, wanted: str) -> bool:
    """Is one of the two the other with its numerals (up to twenty) in digits?"""
    in_digits = [" ".join(_NUMERALS.get(word, word) for word in text.split()) for text in (given, wanted)]
    return in_digits[0] == in_digits[1] and (given == in_digits[0] or wanted == in_digits[1])


def _forms(said: str) -> frozenset[str]:
    """What a short answer may be taken for: as it stands, less a list's mark («1) кот»), with Russian letters throughout."""
    texts = [said, _LISTED.sub("", said.strip(), count=1)]
    if said.isascii():
        texts.append(said.translate(_ALIKE))
    return frozenset(map(normalised, texts))


_CLAUSES = re.compile(r"[^\w\s]+|\n+")
_NOT_KNOWN = re.compile(
    r"\bне (?:знаю|могу|уверен\w*|понятно|видно|ясно)\b|\bнедостаточно\b|\bданных\b|\bинформаци\w+|\bне загружен\w*|\bкак сказать\b|\bоткуда мне\b"
)
_OPENING = frozenset({"или", "либо", "но", "а", "и", "хотя", "точнее", "вернее", "скорее", "может", "быть", "ой"})


def reply(said: str) -> str:
    """«да» or «нет» of an answer that opens with it; an empty text where it says neither, or both."""
    text = _MARKDOWN.sub("", _DASHES.sub("-", plain(said))).translate(_QUOTED)
    text = _PREFIX.sub("", _LISTED.sub("", text.strip(), count=1))
    clauses = [words for clause in _CLAUSES.split(text) if (words := [_russian(word) for word in clause.split()])]
    first = clauses[0][0] if clauses else ""
    if first not in ("да", "нет"):
        return ""
    other = "нет" if first == "да" else "да"
    rest = [clauses[0][1:], *clauses[1:]]
    if any(_replies(words, other, place) for place, words in enumerate(rest)):
        return ""
    if any(_NOT_KNOWN.search(" ".join(words)) for words in rest[:3]):
        return ""
    return "" if first == "нет" and rest[0] and _is_thing(rest[0]) else first


def _russian(word: str) -> str:
    """A word in lower case; one that looks Russian is."""
    folded = word.translate(_ALIKE)
    return (folded if not folded.isascii() else word).lower().replace("ё", "е")


_QUOTED = str.maketrans(dict.fromkeys("«»„“”‟\"'‘’", " "))


def _replies(words: Sequence[str], other: str, place: int) -> bool:
    """Does a clause say `other` by itself: «но нет», «или нет», «да нет»; not «на столе нет ничего»?"""
    first = next((n for n, word in enumerate(words) if word not in _OPENING), len(words))
    if first < len(words) and words[first] == other:
        return first + 1 == len(words) or words[first + 1] in _OPENING or place == 0
    # «то есть нет», «на самом деле да»: the other word ends a clause that speaks of no thing
    return len(words) <= 6 and words[-1:] == [other] and not any(_names_thing(word) for word in words[:-1])


def _names_thing(word: str) -> bool:
    """Is a word a noun, other than those of «на самом деле», «ответ»?"""
    from ruvlm.morphology import analyser

    if word in ("деле", "ответ", "факт", "самом") or not _RUSSIAN.fullmatch(word):
        return False
    return str(analyser().parse(word)[0].tag.POS) in ("NOUN", "NPRO")


def _is_thing(words: Sequence[str]) -> bool:
    """A noun, with adjectives before it: what there is none of."""
    from ruvlm.morphology import analyser

    for word in words:
        if not _RUSSIAN.fullmatch(word):
            return False
        tags = {str(parse.tag.POS) for parse in analyser().parse(word)}
        if tags & {"NOUN"}:
            return not tags & {"PREP", "CONJ", "PRCL", "NPRO"}
        if not tags & {"ADJF", "PRTF", "NUMR"}:
            return False
    return False


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
_PREPOSITIONS = MappingProxyType(
    {
        word: word
        for word in (
            "в",
            "на",
            "над",
            "под",
            "за",
            "из",
            "от",
            "с",
            "перед",
            "при",
            "по",
            "к",
            "между",
            "через",
            "изза",
            "изпод",
            "без",
            "до",
            "после",
        )
    }
    | {"во": "в", "со": "с", "ко": "к", "подо": "под", "надо": "над", "изо": "из"}
    # beside it, one way or another
    | dict.fromkeys(("у", "около", "возле", "рядом", "близ"), "у")
)


def match_lemma(prediction: str, gold: str) -> bool:
    """Word by word, the sets of lemmas meet; a leading preposition may be there on one side only, not two that contradict."""
    if match_russian(prediction, gold):
        return True
    wanted_as, wanted = _content(normalised(gold))
    if wanted == ["да"] or wanted == ["нет"]:
        return False
    for form in _forms(short_answer(cleaned(prediction).text)):
        given_as, given = _content(form)
        if not given or len(given) != len(wanted) or _contradict(given_as, wanted_as):
            continue
        if all(lemmas(a) & lemmas(b) for a, b in zip(given, wanted, strict=True)):
            return True
    return False


def _contradict(a: str, b: str) -> bool:
    """Two prepositions that say different things: «на» and «под»; «без» contradicts even none."""
    return a != b and (bool(a and b) or "без" in (a, b))


def _content(text: str) -> tuple[str, list[str]]:
    """The last of the prepositions that open a phrase, and the phrase without them. «рядом с» and the like are one."""
    words, leading, first = text.split(), "", 0
    while first < len(words) - 1 and words[first] in _PREPOSITIONS:
        leading = leading if leading == "у" and words[first] in ("с", "со", "от") else _PREPOSITIONS[words[first]]
        first += 1
    return leading, words[first:]
