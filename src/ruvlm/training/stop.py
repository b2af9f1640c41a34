"""Ctrl-C and SIGTERM (a cluster's notice) in training: never in the middle of a step, so what is saved is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Between steps a signal interrupts at once; in a step it waits for the step's end.

    With `waits` it always waits for the end of a step: several processes have to stop at the same one.
    """

    def __init__(self, waits: bool) -> None:
        self.asked = False
        self._busy, self._waits = False, waits

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Signals are handled here while the block runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {s: signal.signal(s, self._hear) for s in SIGNALS}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT and self._waits:
            raise KeyboardInterrupt  # asked twice: at once
        self.asked = True
        if not self._busy and not self._waits:
            raise KeyboardInterrupt

    @contextmanager
    def later(self) -> Iterator[None]:
        """A block that is not interrupted."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
