"""What the loop asks of a model it trains: batches, losses, optimisers, a folder to be saved into."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ruvlm.backends.base import Backend
from ruvlm.config import RunConfig
from ruvlm.errors import ConfigError
from ruvlm.schema import Dataset, Example

Report = Callable[[str], None]
RunT = TypeVar("RunT", bound=RunConfig)


@dataclass(frozen=True)
class Losses:
    """What a step minimises, its parts for the record, and how much it counts beside other parts of the step."""

    total: Tensor
    parts: dict[str, Tensor]
    answers: int
    weight: float = 1.0


@dataclass(frozen=True)
class Stage:
    """A part of a run with its own optimisers: `share` of the time budget, at most `max_steps` steps.

    `batch` is given the step, the part and the number of parts of a step; `loss` the batch and how much of the stage
    is done, 0 to 1. With `threads`, parts of a step are worked on side by side where the learner's may be.
    """

    name: str
    share: float
    max_steps: int
    optimizers: tuple[torch.optim.Optimizer, ...]
    batch: Callable[[int, int, int], Any]
    loss: Callable[[Any, float], Losses]
    begin: Callable[[], None] | None = None
    threads: bool = True


class Learner(ABC, Generic[RunT]):
    """A model with its data, ready for the loop."""

    model: nn.Module
    notes: tuple[str, ...] = ()
    # may a step's pictures be split into parts? not where batch statistics tie them together
    splits: bool = False
    # are its operations so short that on a CPU parts are best worked on by a thread each? draws of dropout would race
    threads: bool = False

    @property
    @abstractmethod
    def datasets(self) -> Sequence[Dataset]:
        """The sets that the training examples come from."""

    @property
    @abstractmethod
    def train_examples(self) -> Sequence[Example]:
        """What the model learns from; baselines learn from the same."""

    @classmethod
    @abstractmethod
    def build(cls, config: RunT, device: torch.device, report: Report) -> Learner[RunT]:
        """Read the data and make a fresh model. Raises RuvlmError."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The run's stages in order; shares add up to one."""

    @abstractmethod
    def validation_loss(self, examples: Sequence[Example]) -> float | None:
        """Mean loss on the answers of open questions that were not trained on; None where it has no meaning."""

    @abstractmethod
    def backend(self) -> Backend:
        """The model as the evaluation sees it."""

    @abstractmethod
    def writer(self) -> Callable[[Path], None]:
        """What writes the model as it is now into a folder. Every process of a sharded run must ask for it."""

    def keep(self, folder: Path) -> None:
        """Write into the run's folder what was learnt of the data before the first step, to be read back when it goes on."""

    def shard(self) -> None:
        """Spread the weights over torchrun's processes. Raises ConfigError where the model cannot be."""
        raise ConfigError("train.sharding = fsdp2: так учатся только готовые модели (model.name = vlm).")

    def compile(self) -> None:
        """Have the model's forward pass compiled. Raises ConfigError where that does not pay."""
        raise ConfigError(f"train.compile: {type(self).__name__} этого не умеет, уберите.")
