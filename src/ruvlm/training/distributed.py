"""One run on several processes that torchrun has started: each computes its part of a step, all take the same step.

Gradients are summed over processes weighted by how much each part says (answers' tokens), and divided by the whole: the
gradient of the mean over the global batch, whatever the parts' sizes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import torch
from torch import Tensor, nn

from ruvlm.evaluation.ranks import Ranks, current_ranks


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
        import torch.distributed as dist

        found = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(found, 0)
        return float(found)

    def average(self, parameters: Sequence[nn.Parameter], weight: float) -> float:
        """Turn each process's gradients, times its weight, into the whole step's; the sum of weights. In place."""
        if self.ranks.size == 1:
            return weight
        import torch.distributed as dist

        there = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=self.device)
        dist.all_reduce(there)
        total = self.sum(weight)
        share = weight / total
        used = [p for p, count in zip(parameters, there.tolist(), strict=True) if count]
        if not used:
            return total
        flat = torch.cat([self._flat(p) * share for p in used])
        dist.all_reduce(flat)
        for parameter, grad in zip(used, flat.split([p.numel() for p in used]), strict=True):
            parameter.grad = grad.view_as(parameter).to(parameter.dtype)
        return total

    def sum(self, weight: float) -> float:
        """A weight added up over processes."""
        if self.ranks.size == 1:
            return weight
        import torch.distributed as dist

        told = torch.tensor([weight], dtype=torch.float64)
        dist.all_reduce(told)
        return float(told)

    def mean(self, value: Tensor, weight: float, total: float) -> Tensor:
        """The weighted mean of a figure over processes, for the record."""
        if self.ranks.size == 1:
            return value
        import torch.distributed as dist

        found = value.detach().double() * (weight / total)
        dist.all_reduce(found)
        return found.to(value.dtype)

    def total(self, count: int) -> int:
        """A count added up over processes."""
        if self.ranks.size == 1:
            return count
        import torch.distributed as dist

        found = torch.tensor([count], device=self.device)
        dist.all_reduce(found)
        return int(found)

    @staticmethod
    def _flat(parameter: nn.Parameter) -> Tensor:
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return grad.detach().float().flatten()


def launched_by_accelerate_alone() -> bool:
    """`accelerate launch --cpu` starts one process whatever --num_processes says."""
    return "ACCELERATE_MIXED_PRECISION" in os.environ and current_ranks().size == 1 and "LOCAL_RANK" not in os.environ
