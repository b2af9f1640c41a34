"""RuVLM-Bench: train vision-language models and measure honestly how they answer in Russian.

`ruvlm.evaluate(model, data)`, `ruvlm.ask(model, image, question)`, `ruvlm.score(answers)`, `ruvlm.compare(a, b)`… (docs/python.md).
Importing this package loads no torch, and what it offers only when it is asked for. It does register our models with
transformers' Auto classes, at once if transformers is loaded already, else the moment it is (ruvlm.autoregister).
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ruvlm.autoregister import install

if TYPE_CHECKING:
    from ruvlm.api import *  # noqa: F403

__version__ = version("ruvlm")


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    api = import_module("ruvlm.api")
    if name not in api.__all__:
        raise AttributeError(f"module 'ruvlm' has no attribute {name!r}")
    return getattr(api, name)


def __dir__() -> list[str]:
    return ["__version__", *import_module("ruvlm.api").__all__]


install()
