"""One lazy table: name → where the thing is. A wrong name is an error that suggests the right one."""

from __future__ import annotations

import difflib
from importlib import import_module
from types import MappingProxyType
from typing import Any

from ruvlm.errors import ConfigError

MODELS: MappingProxyType[str, str] = MappingProxyType(
    {
        "nano": "ruvlm.training.nano_task:NanoTask",
        "cnn_lstm": "ruvlm.training.cnn_lstm_task:CnnLstmTask",
        "vlm": "ruvlm.training.vlm_task:VlmTask",
    }
)
# a checkpoint's model_type -> the backend that answers with it
CHECKPOINTS: MappingProxyType[str, str] = MappingProxyType(
    {
        "ruvlm_nano": "ruvlm.backends.local_nano:NanoBackend",
        "ruvlm_cnn_lstm": "ruvlm.backends.local_cnn_lstm:CnnLstmBackend",
    }
)

# «scheme:…» on the command line -> what opens it
BACKENDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "hf": "ruvlm.backends.hf:open_hf",
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
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
