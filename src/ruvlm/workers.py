"""Processes that work for this one: started out of reach of Ctrl-C, ended with it however it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from types import TracebackType
from typing import Self, TypeVar, final

from ruvlm.errors import OutputError

STOPS = (signal.SIGINT, signal.SIGTERM)
TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


@final
class WorkerPool:
    """So many spawned processes, which begin with the first work; a context manager that stops them at once if it is left by an error.

    Raises OutputError where a worker has died.
    """

    def __init__(self, count: int) -> None:
        self._pool = ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)
        )
        self._others = set(active_children())

    def map(self, work: Callable[[TaskT], ResultT], tasks: Iterable[TaskT]) -> Iterator[ResultT]:
        """Results in the order of their tasks; all tasks are handed in at once."""
        with _deaths_told(), _stops_held():
            results = self._pool.map(work, tasks)
        return _whole(results)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for worker in set(active_children()) - self._others:  # what they make is not wanted any more
                worker.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _whole(results: Iterator[ResultT]) -> Iterator[ResultT]:
    with _deaths_told():
        yield from results


@contextmanager
def _deaths_told() -> Iterator[None]:
    """A worker may die while work is still being handed in."""
    try:
        yield
    except BrokenProcessPool as error:
        raise OutputError(
            "Один из рабочих процессов погиб (обычно ему не хватило памяти): повторите с меньшим --workers."
        ) from error


@contextmanager
def _stops_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the workers are there: a process that is half started has no words but a traceback.

    A new process inherits what its parent's thread has blocked, so it hears nothing before it is ready; here a handler takes
    note, since a thread of some library's may hear what this one has blocked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda which, frame: came.append(which)) for number in STOPS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for heard in came:
            signal.raise_signal(heard)


def _end_with(parent: int) -> None:
    """In a worker: end when the process that started it has, however it did. Ctrl-C is for the parent to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
