"""Templates of a card, filled in one pass: what was filled in is never looked at again, so texts may hold braces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ruvlm.benchmarks.cards.raw_rows import missing, texts_of

_TOKEN = re.compile(r"\{\{|\}\}|\[\[|\]\]|\{[^{}]+\}")


class UnknownField(Exception):
    """A template asks for a field that there is none of."""


@dataclass(frozen=True)
class Template:
    """`{path}` is a field, `{{` and `}}` are braces, and `[[ … ]]` vanishes where a field within it is missing."""

    text: str

    def fill(self, value: Callable[[str], Any]) -> str:
        """`value` gives a field's value by its path, and raises UnknownField."""
        written: list[str] = []
        part: list[str] | None = None
        whole = True
        for token in self._tokens():
            place = written if part is None else part
            if token == "[[":
                part, whole = [], True
            elif token == "]]" and part is not None:
                written += part if whole else []
                part = None
            elif token in ("{{", "}}"):
                place.append(token[0])
            elif token.startswith("{") and len(token) > 2 and token.endswith("}"):
                field = value(token[1:-1])
                whole = whole and not missing(field)
                place.append("" if missing(field) else texts_of([field])[0])
            else:
                place.append(token)
        return "".join(written + (part or []))

    def _tokens(self) -> Iterator[str]:
        end = 0
        for match in _TOKEN.finditer(self.text):
            yield self.text[end : match.start()]
            yield match[0]
            end = match.end()
        yield self.text[end:]
