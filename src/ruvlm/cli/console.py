"""How the command line talks: one console for people on stderr, plain results on stdout, progress bars."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

# where there is no bar to watch, a line of progress so often
LOG_SECONDS = 15.0
people = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
# in a file or a pipe there is no window to fit tables into
results = Console(highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else 160)
# what models, files and servers say must not move the cursor, ring or turn the text round
_CONTROLS = dict.fromkeys(
    [n for n in range(32) if chr(n) not in "\n\t"]
    + list(range(127, 160))
    + [0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    "�",
)


def speaks() -> bool:
    """Of the processes that torchrun starts, the first speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A message to the person, not part of the result."""
    if speaks():
        people.print(plain(text), markup=False)


def warn(text: str) -> None:
    """What must be known before the figures: red, where there are colours."""
    if speaks():
        people.print(plain(text), markup=False, style="red")


def tell(text: str) -> None:
    """A line of the result."""
    results.print(plain(text), markup=False)


def quoted(path: object) -> str:
    """A path as it is typed in a shell."""
    return shlex.quote(str(path))


def plain(text: str) -> str:
    """A text that a terminal only shows: no control signs, no halves of characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").translate(_CONTROLS)


def cells(*values: object) -> list[Text]:
    """Cells of a table: what stands in [brackets] is text there, too."""
    return [Text(plain(str(value))) for value in values]


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
