"""How VLMEvalKit reads a free answer as an option letter without its judge: a third named rule."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ruvlm.rules.parse import Reading
from ruvlm.schema import LETTERS

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
REFUSED = "Z"
_BLANKED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_SAID = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)
# a lone letter counts only among the last words
_LAST_WORDS = 4


def read_vlmevalkit(prediction: str, options: Sequence[str | None]) -> Reading:
    """Letter or option text; «Z» for a refusal. `options` in letter order; None is an option the row does not have."""
    by_letter = {letter: text for letter, text in zip(LETTERS, options, strict=False) if text is not None}
    if "Failed to obtain answer via API" in prediction:
        return _by_text(prediction, by_letter)
    if any(refusal in prediction for refusal in _REFUSALS):
        return _refused(by_letter)
    words = prediction.translate(_BLANKED).split()
    letters = [letter for letter in by_letter if letter in words]
    if len(letters) == 1 and words.index(letters[0]) >= len(words) - _LAST_WORDS:
        return Reading(letters[0])
    if not letters and REFUSED in words:
        return _refused(by_letter)
    said = _SAID.search(prediction)
    if said is not None and said[1].upper() in by_letter:
        return Reading(said[1].upper())
    return _by_text(prediction, by_letter)


def _refused(by_letter: dict[str, str]) -> Reading:
    """The tool's own letter for a refusal, unless that is an option's."""
    return Reading(None if REFUSED in by_letter else REFUSED, "отказ отвечать")


def _by_text(prediction: str, by_letter: dict[str, str]) -> Reading:
    if len(prediction) > 2 * sum(map(len, by_letter.values())):
        return Reading(None, "ответ много длиннее вариантов")
    lowered = prediction.lower()
    named = [letter for letter, text in by_letter.items() if text.lower() in lowered]
    if len(named) == 1:
        return Reading(named[0])
    return Reading(None, "несколько вариантов сразу" if named else "нет ни буквы, ни текста варианта")
