"""Weights spread over processes (FSDP2): each holds a share, layers are gathered when they are computed.

Under FSDP2 a parameter is a DTensor; checkpoints and saved models hold whole tensors, so a run may go on with another
number of processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def shard(model: nn.Module, method: str) -> None:
    """Spread a model over all processes of the group, a shard a layer, in place.

    `method` is one that computes with the model's weights beside `forward`: it gathers them too. Nothing stays gathered
    after a pass, so weights changed between passes are seen.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for layers in _stacks(model):
        for layer in layers:
            fully_shard(layer)
    fully_shard(model, reshard_after_forward=True)
    register_fsdp_forward_method(model, method)


def gathered(model: Any, work: Callable[..., Any]) -> Callable[..., Any]:
    """A part of a sharded model's work that may be asked for by itself, with the weights outside the layers there."""

    @functools.wraps(work)
    def with_weights(*given: Any, **named: Any) -> Any:
        model.unshard()
        return work(*given, **named)

    return with_weights


def _stacks(model: nn.Module) -> list[nn.ModuleList]:
    """The lists of like layers: decoder's and encoder's."""
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) > 1]
    return [stack for stack in stacks if len({type(layer) for layer in stack}) == 1]


def spread(value: Any) -> bool:
    """Is a tensor one process's share of a larger one?"""
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def full(value: Tensor) -> Tensor:
    """A copy of a tensor, whole, in main memory. Every process must ask."""
    if spread(value):
        value = value.full_tensor()  # type: ignore[attr-defined]
    return value.detach().cpu().contiguous().clone()


@torch.no_grad()
def put(target: Tensor, whole: Tensor) -> None:
    """Write a whole tensor's values into one that may be spread."""
    target.copy_(spread_like(target, whole.to(target.dtype)))


def spread_like(like: Tensor, whole: Tensor) -> Tensor:
    """A whole tensor spread as `like` is; unchanged where that is not spread or of another shape."""
    if not spread(like) or like.shape != whole.shape:
        return whole
    from torch.distributed.tensor import distribute_tensor

    spread_there: Any = like
    return distribute_tensor(whole.to(like.device), spread_there.device_mesh, spread_there.placements)
