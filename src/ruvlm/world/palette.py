"""The world's colours: an English key for programs, a Russian word for questions, an RGB value for the pen."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Colour:
    """A colour an object may have. `word` is the masculine nominative adjective."""

    key: str
    word: str
    rgb: RGB


COLOURS: MappingProxyType[str, Colour] = MappingProxyType(
    {
        colour.key: colour
        for colour in (
            Colour("red", "красный", (214, 36, 36)),
            Colour("blue", "синий", (38, 84, 222)),
            Colour("green", "зелёный", (22, 152, 62)),
            Colour("yellow", "жёлтый", (247, 214, 38)),
            Colour("black", "чёрный", (34, 34, 38)),
            Colour("white", "белый", (252, 252, 252)),
            Colour("orange", "оранжевый", (244, 130, 16)),
            Colour("purple", "фиолетовый", (138, 58, 186)),
        )
    }
)

# Pens whose colour does not depend on the object: one letter each, used by the shapes in kinds.py.
PENS: MappingProxyType[str, RGB] = MappingProxyType(
    {
        "k": (40, 40, 44),
        "w": (248, 248, 248),
        "s": (246, 205, 168),
        "b": (122, 78, 40),
        "g": (150, 152, 158),
        "n": (46, 130, 60),
        "y": (250, 212, 60),
        "r": (206, 48, 48),
        "u": (92, 150, 226),
        "h": (92, 58, 28),
        "t": (52, 60, 92),
        "p": (244, 150, 170),
    }
)


def shade(rgb: RGB, factor: float) -> RGB:
    """Darken (`factor` < 1) or lighten (> 1) a colour; black and white move too, so that details stay visible."""
    if factor < 1:
        if sum(rgb) < 200:
            return tuple(min(255, int(v + 70 * (1 - factor) * 2)) for v in rgb)  # type: ignore[return-value]
        return tuple(int(v * factor) for v in rgb)  # type: ignore[return-value]
    return tuple(int(v + (255 - v) * (factor - 1)) for v in rgb)  # type: ignore[return-value]
