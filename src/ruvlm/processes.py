"""The processes that torchrun has started: which of them this is, and what a training run sends between them. Loads no torch.

Gradients are summed over processes weighted by how much each part says (answers' tokens), and divided by the whole: the
gradient of the mean over the global batch, whatever the parts' sizes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """A process's place among `size` of them. The first one writes what all share."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def owns(self, group: int) -> bool:
        """Is a group of rows, by its number, this process's to ask?"""
        return group % self.size == self.rank

    def wait(self) -> None:
        """Until every process has come here."""
        if self.size > 1:
            import torch.distributed as dist

            if not dist.is_initialized():
                # shares are uneven: the first to finish may wait for hours
                dist.init_process_group("gloo", timeout=timedelta(days=7))
            dist.barrier()


def current_ranks() -> Ranks:
    """What torchrun has put in the environment; one process where nothing has."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks()
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def leave() -> None:
    """Let the other processes go; nothing where there are none."""
    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def local_device(name: str) -> str:
    """The device of this process: with several accelerators on a machine, one each."""
    number = os.environ.get("LOCAL_RANK")
    if number is None or name not in ("auto", "cuda"):
        return name
    import torch

    return f"cuda:{number}" if torch.cuda.is_available() else name


class Group:
    """The processes of a run. With one of them nothing is sent and nothing changes."""

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        self.ranks, self.device = ranks, device
        if ranks.size > 1:
            import torch.distributed as dist

            if not dist.is_initialized():
                backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
                dist.init_process_group(backend, timeout=timedelta(days=1))

    @property
    def first(self) -> bool:
        return self.ranks.first

    def wait(self) -> None:
        """Until every process has come here."""
        self.ranks.wait()

    def agreed(self, seconds: float, stop: bool) -> tuple[float, bool]:
        """The first process's reading of the clock, and whether it was asked to stop: all end a run at the same step."""
        return self.told(seconds), bool(self.told(float(stop)))

    def told(self, value: float) -> float:
        """The first process's figure, known to all."""
        if self.ranks.size == 1:
            return value
        import torch
        import torch.distributed as dist

        known = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(known, 0)
        return float(known)

    def average(self, parameters: Sequence[nn.Parameter], weight: float) -> float:
        """Turn each process's gradients, times its weight, into the whole step's; the sum of weights. In place."""
        if self.ranks.size == 1:
            return weight
        import torch
        import torch.distributed as dist

        learners_P = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=self.device)
        dist.all_reduce(learners_P)
        total = self.sum(weight)
        share = weight / total
        used = [p for p, count in zip(parameters, learners_P.tolist(), strict=True) if count]
        if not used:
            return total
        flat = torch.cat([self._flat(p) * share for p in used])
        dist.all_reduce(flat)
        for parameter, grad in zip(used, torch.split(flat, [p.numel() for p in used]), strict=True):
            parameter.grad = grad.view_as(parameter).to(parameter.dtype)
        return total

    def sum(self, weight: float) -> float:
        """A weight added up over processes."""
        if self.ranks.size == 1:
            return weight
        import torch
        import torch.distributed as dist

        weights = torch.tensor([weight], dtype=torch.float64)
        dist.all_reduce(weights)
        return float(weights)

    def mean(self, value: Tensor, weight: float, total: float) -> Tensor:
        """The weighted mean of a figure over processes, for the record."""
        if self.ranks.size == 1:
            return value
        import torch.distributed as dist

        mean = value.detach().double() * (weight / total)
        dist.all_reduce(mean)
        return mean.to(value.dtype)

    def total(self, count: int) -> int:
        """A count added up over processes."""
        if self.ranks.size == 1:
            return count
        import torch
        import torch.distributed as dist

        counts = torch.tensor([count], device=self.device)
        dist.all_reduce(counts)
        return int(counts)

    @staticmethod
    def _flat(parameter: nn.Parameter) -> Tensor:
        import torch

        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return grad.detach().float().flatten()


def launched_by_accelerate_alone() -> bool:
    """`accelerate launch --cpu` starts one process whatever --num_processes says."""
    return "ACCELERATE_MIXED_PRECISION" in os.environ and current_ranks().size == 1 and "LOCAL_RANK" not in os.environ
