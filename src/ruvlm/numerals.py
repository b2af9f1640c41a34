"""Figures as Russians write them: a decimal comma, a true minus, a p-value that is never zero, words that agree with a count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruvlm.schema import Score


def decimal(value: float, digits: int = 1, signed: bool = False) -> str:
    """«91,1», «−0,25»; with `signed` «+1,2» too. What rounds to zero has no sign."""
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    text = text if float(text) else text.lstrip("+-")
    return text.replace(".", ",").replace("-", "−")


def short(value: float) -> str:
    """A figure with as many digits as it has, two at most: «5», «0,75»."""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace(".", ",")


def around(score: Score, digits: int = 1) -> str:
    """The 95 % interval of a score, «90,5–91,8»; nothing where there is none."""
    if score.low is None or score.high is None:
        return ""
    return f"{decimal(score.low, digits)}–{decimal(score.high, digits)}"


def chance(p: float) -> str:
    """A p-value; a very small one is not written as zero."""
    return "< 0,001" if p < 0.001 else decimal(p, 3)


def with_count(count: int, one: str, few: str, many: str) -> str:
    """«1 строка», «2 строки», «5 строк»: a count with the form of the word that agrees with it."""
    last, teens = count % 10, 10 < count % 100 < 20
    word = one if last == 1 and not teens else few if last in (2, 3, 4) and not teens else many
    return f"{count} {word}"


def bounds(low: float | None, high: float | None, digits: int = 2) -> str:
    """The interval of a difference, «−0,25 … +1,20»; «нет» where there is none."""
    if low is None or high is None:
        return "нет"
    return f"{decimal(low, digits, signed=True)} … {decimal(high, digits, signed=True)}"
