"""The parts of one step side by side: on a CPU, one thread and one core a part.

A small model's operations are too short to be split among cores (two cores gain 1.3 times more from two halves of a
batch than from two threads inside each operation). Each part's gradients are returned, not accumulated, and added in
the parts' order, so a step is the same however the threads are scheduled.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

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
