"""What goes on beside a step: its parts on threads of their own, and the batches of the steps to come."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Threads that each compute one part of a step with one core."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._cores = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def run(self, work: Callable[[int], T]) -> list[T]:
        """`work(part)` of every part, in the parts' order."""
        if self._pool is None:
            return [work(0)]

        def alone(part: int) -> T:
            torch.set_num_threads(1)  # a setting of the thread, but for MKL, where it is the process's
            return work(part)

        try:
            return list(self._pool.map(alone, range(self.count)))
        finally:
            torch.set_num_threads(self._cores)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def parts_of_step(wanted: int, device: torch.device, splits: bool, images: int) -> int:
    """How many parts a step has: `wanted`, or for 0 one a core on a CPU. Models that cannot be split have one."""
    if not splits or device.type != "cpu":
        return 1
    return max(1, min(wanted or torch.get_num_threads(), images))


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
