"""The process's one Russian morphological analyser (pymorphy3)."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def analyser() -> Any:
    """Loaded on first use: 0.3 s."""
    import pymorphy3

    return pymorphy3.MorphAnalyzer(lang="ru")
