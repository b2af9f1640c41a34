"""Russian inflection and agreement: pymorphy3, corrected by a table of the words it gets wrong.

Cases are OpenCorpora's: nomn, gent, datv, accs, ablt, loct. Numbers are sing, plur.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from ruvlm.morphology import analyser

Case = Literal["nomn", "gent", "datv", "accs", "ablt", "loct"]
Number = Literal["sing", "plur"]

# (word, case, number) -> form, where pymorphy3's own answer is wrong or missing.
OVERRIDES: MappingProxyType[tuple[str, str, str], str] = MappingProxyType(
    {
        ("стул", "nomn", "plur"): "стулья",
        ("стул", "accs", "plur"): "стулья",
        ("стул", "gent", "plur"): "стульев",
        ("стул", "datv", "plur"): "стульям",
        ("стул", "ablt", "plur"): "стульями",
        ("стул", "loct", "plur"): "стульях",
        ("дерево", "nomn", "plur"): "деревья",
        ("дерево", "accs", "plur"): "деревья",
        ("дерево", "gent", "plur"): "деревьев",
        ("дерево", "datv", "plur"): "деревьям",
        ("дерево", "ablt", "plur"): "деревьями",
        ("дерево", "loct", "plur"): "деревьях",
        ("шкаф", "loct", "sing"): "шкафе",
        ("дом", "loct", "sing"): "доме",
        ("дом", "nomn", "plur"): "дома",
        ("дом", "accs", "plur"): "дома",
        ("поезд", "nomn", "plur"): "поезда",
        ("поезд", "accs", "plur"): "поезда",
        ("повар", "nomn", "plur"): "повара",
        ("врач", "ablt", "sing"): "врачом",
        ("хот-дог", "accs", "sing"): "хот-дог",
        ("цветок", "nomn", "plur"): "цветы",
        ("цветок", "accs", "plur"): "цветы",
        ("цветок", "gent", "plur"): "цветов",
        ("цветок", "datv", "plur"): "цветам",
        ("цветок", "loct", "plur"): "цветах",
    }
)
INDECLINABLE = frozenset({"пальто", "кафе", "кино", "метро", "фрисби", "брокколи"})
PLURAL_ONLY = frozenset({"лыжи", "часы", "ножницы", "брюки", "джинсы", "очки", "шорты"})
NUMERALS: MappingProxyType[int, dict[str, str]] = MappingProxyType(
    {
        1: {"masc": "один", "femn": "одна", "neut": "одно"},
        2: {"masc": "два", "femn": "две", "neut": "два"},
        3: dict.fromkeys(("masc", "femn", "neut"), "три"),
        4: dict.fromkeys(("masc", "femn", "neut"), "четыре"),
        5: dict.fromkeys(("masc", "femn", "neut"), "пять"),
        6: dict.fromkeys(("masc", "femn", "neut"), "шесть"),
    }
)


@dataclass(frozen=True)
class Noun:
    """A noun with what agreement needs: `word` is the nominative singular, or the plural where there is no other."""

    word: str
    gender: str
    animate: bool = False
    plural_only: bool = False


@lru_cache(maxsize=65536)
def inflect_noun(word: str, case: str, number: str = "sing") -> str:
    """One form of a noun; a phrase such as «предмет мебели» changes its first word only."""
    if " " in word:
        head, rest = word.split(" ", 1)
        return f"{inflect_noun(head, case, number)} {rest}"
    override = OVERRIDES.get((word, case, number))
    if override:
        return override
    if word in INDECLINABLE or (case == "nomn" and (number == "sing" or word in PLURAL_ONLY)):
        return word
    for parse in analyser().parse(word):
        if word in PLURAL_ONLY and {"NOUN", "nomn", "plur"} in parse.tag:
            return str(parse.inflect({case, "plur"}).word)
        if {"NOUN", "nomn", "sing"} in parse.tag and parse.normal_form.replace("ё", "е") == word.replace("ё", "е"):
            form = parse.inflect({case, number})
            if form is not None:
                return str(form.word)
    for parse in analyser().parse(word):  # substantivised adjectives: полицейский
        if {"ADJF", "masc", "sing", "nomn"} in parse.tag:
            animate_accusative = {"anim"} if case == "accs" else set()
            form = parse.inflect({case, number, *animate_accusative, *({"masc"} if number == "sing" else ())})
            if form is not None:
                return str(form.word)
    raise ValueError(f"cannot inflect {word!r} to {case} {number}")


@lru_cache(maxsize=65536)
def inflect_adjective(word: str, gender: str, case: str = "nomn", number: str = "sing", animate: bool = False) -> str:
    """One form of an adjective given in the masculine nominative; a fixed phrase («в горошек») stays as it is."""
    if " " in word:
        return word
    grammemes = {case, number}
    if number == "sing":
        grammemes.add(gender)
    if case == "accs" and (number == "plur" or gender == "masc"):
        grammemes.add("anim" if animate else "inan")
    for parse in analyser().parse(word):
        if {"ADJF", "nomn", "masc", "sing"} in parse.tag:
            form = parse.inflect(grammemes)
            if form is not None:
                return str(form.word)
    raise ValueError(f"cannot inflect {word!r} to {grammemes}")


@lru_cache(maxsize=65536)
def phrase(adjectives: tuple[str, ...], noun: Noun, case: str = "nomn", number: str = "sing") -> str:
    """A noun phrase in agreement: phrase(("красный",), рубашка, "loct") -> «красной рубашке».

    A fixed phrase among the adjectives follows the noun («шар в горошек»).
    """
    if noun.plural_only:
        number = "plur"
    before = [inflect_adjective(a, noun.gender, case, number, noun.animate) for a in adjectives if " " not in a]
    after = [a for a in adjectives if " " in a]
    return " ".join([*before, inflect_noun(noun.word, case, number), *after])


def counted(count: int, noun: Noun) -> str:
    """A count with its noun: counted(2, чашка) -> «две чашки», counted(5, стул) -> «пять стульев»."""
    numeral = NUMERALS[count][noun.gender]
    if count == 1:
        return f"{numeral} {noun.word}"
    if noun.word == "человек" and count > 4:
        return f"{numeral} человек"
    form = inflect_noun(noun.word, "gent", "sing" if count < 5 else "plur")
    return f"{numeral} {form}"


def number_word(count: int, noun: Noun) -> str:
    """The numeral alone, in the noun's gender: number_word(2, чашка) -> «две»."""
    return NUMERALS[count][noun.gender]


_VOWELS = frozenset("аеёиоуыэюя")


def with_preposition(preposition: str, text: str) -> str:
    """Join a preposition, choosing «со», «во», «ко» before clusters: with_preposition("с", "стулом") -> «со стулом»."""
    first, second = text[0].lower(), text[1:2].lower()
    cluster = second and second not in _VOWELS and second not in "ьъ"
    if preposition.endswith("с") and first in "сзшжщ" and (cluster or first == "щ"):
        preposition += "о"
    elif preposition == "в" and first in "вф" and cluster:
        preposition = "во"
    return f"{preposition} {text}"


def capitalise(text: str) -> str:
    """Upper-case the first letter and leave the rest alone."""
    return text[:1].upper() + text[1:]
