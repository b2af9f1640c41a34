"""What a result shows of itself: a table as text in a terminal, as HTML in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill

# of a terminal
WIDTH = 80


@dataclass(frozen=True)
class Tabular:
    """A title, a table (columns after the first stand right), and lines under it."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For a terminal."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        table = [_line(row, widths) for row in ((self.columns, *self.rows) if self.rows else ())]
        lines = (fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in self.lines)
        return "\n".join(filter(None, (self.title, *table, *lines)))

    @property
    def html(self) -> str:
        """For a notebook; everything is escaped."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if self.rows else ""
        return f"<p><b>{escape(self.title)}</b></p>{table}{''.join(f'<p>{escape(line)}</p>' for line in self.lines)}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if n == 0 else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()


class Shown(ABC):
    """Something that a notebook shows as a table."""

    @abstractmethod
    def tabular(self) -> Tabular:
        """What is shown of it."""

    def __repr__(self) -> str:
        return self.tabular().text

    def _repr_html_(self) -> str:
        return self.tabular().html
