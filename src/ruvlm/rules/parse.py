"""How a free answer is read as an option letter: lmms-eval's steps 1–3, to the letter (PROTOCOLS.md, MMBench-ru)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ruvlm.rules.match import strip_reasoning

# all that the reference knows of: options beyond D raise an error in its text step
LETTERS = "ABCDE"
_WRAPPERS = (
    ("", "."),
    ("", ","),
    ("", ":"),
    ("", ")"),
    ("", ")."),
    ("(", ")"),
    ("(", ")."),
    (":", ""),
    (":", ","),
    (":", "."),
    (":", ")"),
    (":", ")."),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A letter, or None with the reason why there is none (`Unparsed`); the number, where one was read for it."""

    letter: str | None
    reason: str | None = None
    number: int | None = None


def read_reference(prediction: str, options: Sequence[str | None]) -> Reading:
    """lmms-eval's can_infer. `options` in letter order; None is an option that the row does not have."""
    text = strip_reasoning(prediction).strip()
    if "Failed to obtain answer via API" in text:
        return Reading(None, "сервер не ответил")
    tokens = text.split()
    letter = _only_letter(tokens, "", "")
    if letter is not None and not (letter == "A" and len(tokens) > 3):
        return Reading(letter)
    for prefix, suffix in _WRAPPERS:
        letter = _only_letter(tokens, prefix, suffix)
        if letter is not None:
            return Reading(letter)
    lowered = text.lower()
    named = [
        letter
        for letter, option in zip(LETTERS, options, strict=False)
        if option is not None and option.lower() in lowered
    ]
    if len(named) == 1:
        return Reading(named[0])
    if not text:
        return Reading(None, "пустой ответ")
    return Reading(None, "несколько вариантов сразу" if named else "нет ни буквы, ни текста варианта")


def _only_letter(tokens: Sequence[str], prefix: str, suffix: str) -> str | None:
    letters = [letter for letter in LETTERS if f"{prefix}{letter}{suffix}" in tokens]
    return letters[0] if len(letters) == 1 else None
