"""One lazy table: name → where the thing is. A wrong name is an error that suggests the right one."""

from __future__ import annotations

import difflib
from importlib import import_module
from types import MappingProxyType
from typing import Any

from ruvlm.errors import ConfigError

# a family of models -> its folder's description
FAMILIES: MappingProxyType[str, str] = MappingProxyType(
    {
        "nano": "ruvlm.models.nano:FAMILY",
        "cnn_lstm": "ruvlm.models.cnn_lstm:FAMILY",
        "vlm": "ruvlm.models.vlm:FAMILY",
    }
)

# «scheme:…» on the command line -> what opens it
BACKENDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "hf": "ruvlm.models.vlm.backend:open_hf",
        "openai": "ruvlm.backends.openai_http:open_openai",
        "file": "ruvlm.backends.replay:open_file",
    }
)


def lookup(table: MappingProxyType[str, str], name: str, what: str) -> Any:
    """Import what a name stands for. Raises ConfigError with a suggestion."""
    if name not in table:
        near = difflib.get_close_matches(name, table, 1)
        hint = f"может быть, вы имели в виду «{near[0]}»?" if near else f"есть: {', '.join(table)}."
        raise ConfigError(f"{what} «{name}» не известна: {hint}")
    return imported(table[name])


def imported(address: str) -> Any:
    """What «module:name» names."""
    module, _, attribute = address.partition(":")
    return getattr(import_module(module), attribute)
