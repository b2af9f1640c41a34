"""Batches of the steps to come, made by threads while a step is computed. A batch is a pure function of its step: none is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Make = Callable[[int, int, int], Any]


class Prefetcher:
    """`workers` threads, each a batch ahead; with 0 of them a batch is made when it is asked for."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "batches") if workers else None
        self._made: dict[tuple[Make, int, int], Future[Any]] = {}

    def batch(self, make: Make, step: int, part: int, parts: int, last: int) -> Any:
        """The batch `make(step, part, parts)`; those of the next steps before `last` are begun."""
        if self._pool is None:
            return make(step, part, parts)
        for ahead in range(step, min(last, step + self._workers + 1)):
            if (make, ahead, part) not in self._made:
                self._made[make, ahead, part] = self._pool.submit(make, ahead, part, parts)
        return self._made.pop((make, step, part)).result()

    def close(self) -> None:
        """Let the threads go; batches not yet begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
