"""Help in Russian: what typer says in English on its own, in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, final

import typer
from typer.core import TyperCommand, TyperGroup

# typer carries its own copy of click, whose names are private: these public ones lead to it
ClickContext: Any = TyperCommand.context_class
HEADINGS = MappingProxyType({"Options": "Ключи", "Arguments": "Что указать", "Commands": "Команды"})
WORDS: tuple[tuple[str, str], ...] = (
    (r"^Show this message and exit\.$", "показать эту справку"),
    (r"^Install completion for the current shell\.$", "поставить дополнение по Tab в эту оболочку"),
    (
        r"^Show completion for the current shell, to copy it or\s+customize the installation\.$",
        "показать его, чтобы поставить самому",
    ),
    (r"\[required\]", "[нужно]"),
    (r"\bdefault: ", "по умолчанию "),
    (r"\brequired\]", "нужно]"),
    (r"([\d.]+)<=x<=([\d.]+)", r"от \1 до \2"),
    (r"x>=([\d.]+)", r"от \1"),
    (r"x<=([\d.]+)", r"до \1"),
    (r"<int(?: range)?>", "<целое>"),
    (r"<float(?: range)?>", "<число>"),
    (r"<str>", "<текст>"),
    (r"<list\[(?:str|Path)\]>", "<текст>…"),
    (r"<path>", "<путь>"),
)
LONGEST = 76


def in_russian(text: str) -> str:
    """A piece of help with typer's words translated, ours left as they are."""
    for pattern, words in WORDS:
        text = re.sub(pattern, words, text)
    return text


@final
class RussianFormatter(ClickContext.formatter_class):  # type: ignore[misc]
    """Translates before columns are measured."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        words = args.replace("[OPTIONS]", "[КЛЮЧИ]").replace("COMMAND [ARGS]...", "КОМАНДА …")
        words = re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), words)
        super().write_usage(prog, words, "Вызов: ")

    def write_heading(self, heading: str) -> None:
        super().write_heading(HEADINGS.get(heading, heading))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 34, col_spacing: int = 2) -> None:
        super().write_dl([(in_russian(first), in_russian(second)) for first, second in rows], col_max, col_spacing)


@final
class RussianContext(ClickContext):  # type: ignore[misc]
    """A context whose help is written by us."""

    formatter_class = RussianFormatter


class RussianCommand(TyperCommand):
    """One command."""

    context_class = RussianContext

    def get_short_help_str(self, limit: int = LONGEST) -> str:
        return _first_words(self.help, LONGEST)


class RussianGroup(TyperGroup):
    """A group of commands."""

    context_class = RussianContext

    def get_short_help_str(self, limit: int = LONGEST) -> str:
        return _first_words(self.help, LONGEST)


@final
class App(typer.Typer):
    """typer.Typer whose commands speak Russian."""

    def __init__(self, cls: type[TyperGroup] = RussianGroup, **settings: Any) -> None:
        super().__init__(cls=cls, rich_markup_mode=None, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=RussianCommand, **settings)


def _first_words(text: str | None, limit: int) -> str:
    """The first sentence; where it is too long, what stands before its colon, semicolon or dash."""
    sentence = re.split(r"(?<=[.!?])\s", " ".join((text or "").split("\n\n")[0].split()), maxsplit=1)[0].rstrip(".")
    heads: Iterable[str] = (sentence, *(sentence.split(mark)[0] for mark in ("; ", " – ", ": ")))
    return next((head for head in heads if len(head) <= limit), sentence[: limit - 1] + "…")
