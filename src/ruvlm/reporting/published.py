"""Figures that others have published, quoted with their source and never measured by us (PROTOCOLS.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A figure in per cent as its source gives it."""

    model: str
    benchmark: str
    value: float
    source: str


CARD = "карточка deepvk/llava-saiga-8b"
PUBLISHED = (
    Published("deepvk/llava-saiga-8b", "gqa-ru", 51.44, CARD),
    Published("deepvk/llava-gemma-2b-lora", "gqa-ru", 46.37, CARD),
    Published("llava-1.5-7b", "gqa-ru", 28.39, f"{CARD}, из вторых рук"),
    Published("deepvk/llava-saiga-8b", "mmbench-ru", 56.65, CARD),
    Published("llava-1.5-7b", "mmbench-ru", 52.25, f"{CARD}, из вторых рук"),
    Published("deepvk/llava-gemma-2b-lora", "mmbench-ru", 40.19, CARD),
)
