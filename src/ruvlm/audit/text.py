"""Signs of bad text: another language, broken encoding, look-alike letters, stray spaces."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

_CYRILLIC = re.compile(r"[а-яё]", re.IGNORECASE)
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_MARKUP = re.compile(r"</?[a-z][^>]*>|&(?:amp|lt|gt|quot|nbsp);|<unk>|\[unk\]", re.IGNORECASE)
# the longest word for nothing
LONGEST_NOTHING = 4
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u200b-\u200f\u202a-\u202e\ufeff]")


def blank(value: Any) -> bool:
    """None, NaN, '' and the words that a table writes for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str) and len(value) > LONGEST_NOTHING and not (value[0].isspace() or value[-1].isspace()):
        return False
    return str(value).strip().lower() in ("", "nan", "none", "null")


def foreign(text: str) -> bool:
    """Latin words and not one Cyrillic letter."""
    return bool(_LATIN.search(text)) and not _CYRILLIC.search(text)


def mixed(text: str) -> bool:
    """Is there a word with letters of both alphabets?"""
    return bool(_LATIN.search(text)) and any(
        _LATIN.search(word) and _CYRILLIC.search(word) for word in _WORD.findall(text)
    )


def broken(text: str) -> bool:
    """Was it read in a wrong encoding, or could parts of it not be read at all?"""
    return "\ufffd" in text or any(_misread(word) for word in text.split() if not word.isascii())


@lru_cache(maxsize=1 << 16)
def _misread(word: str) -> bool:
    """UTF-8 taken for another encoding goes back to it; real words in that encoding are no UTF-8."""
    for encoding in ("cp1251", "cp1252", "latin-1"):
        try:
            back = word.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if _CYRILLIC.search(back):
            return True
    return False


def marked_up(text: str) -> bool:
    """HTML, entities or a tokenizer's marks."""
    return bool(_MARKUP.search(text))


def hidden(text: str) -> bool:
    """Characters that nobody sees."""
    return bool(_CONTROL.search(text))


def untidy(text: str) -> bool:
    """Spaces at an end, or two in a row."""
    return text != " ".join(text.split(" ")).strip() or "  " in text
