"""A moving average of the weights that learn (Polyak and Juditsky, 1992): what is validated and saved when it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages by name; with decay 0 there are none and the weights themselves are used."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._own = {name: p for name, p in model.named_parameters() if p.requires_grad} if decay else {}
        self.averages: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._own.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the averages after a step, faster at the beginning, when they still remember the start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self._own.items():
            self.averages[name].mul_(decay).add_(parameter, alpha=1 - decay)

    @contextmanager
    def used(self) -> Iterator[None]:
        """The model with the averages in it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._own.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(kept)
