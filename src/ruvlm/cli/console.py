"""How the command line talks: one console for people on stderr, plain results on stdout, progress bars."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# where there is no bar to watch, a line of progress so often
LOG_SECONDS = 15.0
people = Console(stderr=True, highlight=False, soft_wrap=True)
# in a file or a pipe there is no window to fit tables into
results = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def speaks() -> bool:
    """Of the processes that torchrun starts, the first speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A message to the person, not part of the result."""
    if speaks():
        people.print(text, markup=False)


def show_json(value: Any) -> None:
    """A result for a machine."""
    print(json.dumps(value, ensure_ascii=False))


@contextmanager
def counting(title: str, of_bytes: bool = False) -> Iterator[Any]:
    """A progress bar; gives a function of (done, total)."""
    count = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal or not speaks()) as bar:
        task = bar.add_task(title, total=None)

        said = time.monotonic()

        def update(done: int, total: int | None) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total)
            if not people.is_terminal and time.monotonic() - said > LOG_SECONDS:
                said = time.monotonic()
                whole = "" if total is None else f" из {total / 1e6:.0f} МБ" if of_bytes else f" из {total}"
                say(f"{title}: {done / 1e6:.0f}{whole}" if of_bytes else f"{title}: {done}{whole}")

        yield update
