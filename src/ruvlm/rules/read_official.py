"""How other benchmarks' own code reads the option out of an answer, each to the letter (CARDS.md, section 2)."""

from __future__ import annotations

import ast
import json
import re

from ruvlm.rules.official import match_mera
from ruvlm.rules.parse import Reading
from ruvlm.schema import LETTERS

NO_LETTER = "нет ни буквы, ни номера варианта"
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$")
_CHOICE = re.compile(r"\{\s*[\"']choice[\"']\s*:[^{}]*\}")
_TAG = (re.compile("<ANSWER>", re.IGNORECASE), re.compile("</ANSWER>", re.IGNORECASE))
# Russian letters that its authors took for options; В is not among them
_CYRILLIC = {"А": "A", "Б": "B", "Ц": "C", "Д": "D", "Г": "D"}


def read_kaleidoscope(prediction: str, options: int, tags_first: bool = False) -> Reading:
    """Kaleidoscope's reader: a JSON «choice», the last readable <ANSWER>, or one character. `tags_first`: its CoT protocol."""
    by_json, by_tag = _by_json(prediction, options), _by_tag(prediction, options)
    found = (by_tag or by_json) if tags_first else (by_json or by_tag)
    if found is None and len(prediction.strip()) == 1:
        found = _letter(prediction.strip().upper(), options)
    return Reading(found) if found else Reading(None, NO_LETTER if prediction.strip() else "пустой ответ")


def read_mera(prediction: str, options: int) -> Reading:
    """MERA compares the answer's text with the letter (`match_mera`): the letter that it equals, if any."""
    for letter in LETTERS[:options]:
        if match_mera(prediction, letter):
            return Reading(letter)
    return Reading(None, NO_LETTER if prediction.strip() else "пустой ответ")


def _letter(text: str, options: int) -> str | None:
    letter = _CYRILLIC.get(text, text)
    return letter if len(letter) == 1 and letter in LETTERS[:options] else None


def _by_json(prediction: str, options: int) -> str | None:
    choice = _json_choice(prediction)
    if not isinstance(choice, str):
        return None
    choice = choice.strip().upper()
    whole = _letter(choice, options)
    if whole is not None:
        return whole
    letters = [letter for part in choice.split(".") if (letter := _letter(part.strip(), options))]
    return letters[0] if len(letters) == 1 else None


def _json_choice(prediction: str) -> object:
    """What the answer gives as its «choice»: all of it as JSON, else the first object with one, as Python writes it."""
    try:
        whole = json.loads(_FENCE.sub("", prediction.strip()))
        if isinstance(whole, dict):
            return whole.get("choice")
    except (ValueError, RecursionError):
        pass
    part = _CHOICE.search(prediction)
    if part is None:
        return None
    try:
        return ast.literal_eval(part[0]).get("choice")
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _enclosed(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> list[tuple[int, int]]:
    """What stands between each opening and the first closing after it, one after another; linear, unlike one pattern for both."""
    spans, place = [], 0
    while (opened := begin.search(text, place)) is not None and (closed := end.search(text, opened.end())) is not None:
        spans.append((opened.end(), closed.start()))
        place = closed.end()
    return spans


def _by_tag(prediction: str, options: int) -> str | None:
    for start, end in reversed(_enclosed(prediction, *_TAG)):
        text = prediction[start:end].strip().strip(".)(").strip().upper()
        if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= options:
            return LETTERS[int(text[:4]) - 1]
        if (letter := _letter(text, options)) is not None:
            return letter
    return None


_LEADING = re.compile(r"(\d+)\.")
_DIGITS = re.compile(r"\d+")


def read_first_number(prediction: str, options: int) -> Reading:
    """WorldCuisines' reader: the answer as a number, else digits with a full stop that open it, else the first digits anywhere."""
    text = prediction.strip()
    digits = _LEADING.match(text) or _DIGITS.search(text)
    try:
        number = int(text)
    except ValueError:
        if digits is None:
            return Reading(None, NO_LETTER if text else "пустой ответ")
        # more digits than any option has, and than Python turns into a number
        number = int((digits[1] if digits.re is _LEADING else digits[0])[:18])
    if 1 <= number <= options:
        return Reading(LETTERS[number - 1], number=number)
    return Reading(None, "такого номера нет среди вариантов", number=number)


_THOUGHT = (re.compile("<think>"), re.compile("</think>"))
_PATTERNS = (
    re.compile(r"(?:answer|option)\s*[:：]?\s*\(?([A-J])", re.IGNORECASE),
    re.compile(r"\\boxed\{\s*([A-J])\s*\}", re.IGNORECASE),
    re.compile(r"(?<![A-Za-z])([A-J])(?![A-Za-z])", re.IGNORECASE),
)


def read_pm4bench(prediction: str) -> Reading:
    """PM4Bench v2's reader: the last hit of the first pattern that hits. It looks at no options and knows no K and L."""
    text, place = "", 0
    for start, end in _enclosed(prediction, *_THOUGHT):
        text += prediction[place : start - len("<think>")]
        place = end + len("</think>")
    text += prediction[place:]
    for pattern in _PATTERNS:
        hits = pattern.findall(text)
        if hits:
            return Reading(hits[-1].upper())
    return Reading(None, NO_LETTER if text.strip() else "пустой ответ")
