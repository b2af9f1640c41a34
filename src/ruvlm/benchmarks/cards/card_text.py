"""A card as the text of its file, with the reasons for what was guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruvlm.files import sound

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def card_text(values: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """TOML that reads back as `values`; a reason stands in front of the section that it is about."""
    return "\n".join(_lines(values, "", reasons)) + "\n"


def _lines(table: Mapping[str, Any], prefix: str, reasons: Mapping[str, str]) -> Iterator[str]:
    for key, value in table.items():
        if not _is_section(value, key):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if not _is_section(value, key):
            continue
        name = f"{prefix}{_key(key)}"
        yield ""
        if name in reasons:
            yield f"# {sound(reasons[name])}"
        if isinstance(value, Mapping):
            yield f"[{name}]"
            yield from _lines(value, f"{name}.", reasons)
            continue
        for place, one in enumerate(value):
            yield from ("",) * (place > 0)
            yield f"[[{name}]]"
            yield from _lines(one, f"{name}.", reasons)


def _is_section(value: Any, key: str) -> bool:
    # options = { column, lines } stays on its line
    if isinstance(value, Mapping):
        return key != "options"
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    return str(value)


def _text(text: str) -> str:
    # the one sign that JSON leaves and TOML forbids
    return json.dumps(sound(text), ensure_ascii=False).replace("\x7f", "\\u007f")
