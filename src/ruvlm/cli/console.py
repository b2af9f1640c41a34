"""How the command line talks: one console for people on stderr, plain results on stdout, progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

people = Console(stderr=True, highlight=False, soft_wrap=True)
# in a file or a pipe there is no window to fit tables into
results = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def say(text: str) -> None:
    """A message to the person, not part of the result."""
    people.print(text, markup=False)


def show_json(value: Any) -> None:
    """A result for a machine."""
    print(json.dumps(value, ensure_ascii=False))


@contextmanager
def counting(title: str) -> Iterator[Any]:
    """A progress bar; gives a function of (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=people, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update
