"""One step of training: gradients of its parts (threads, accumulated, of other processes), their clipping, the optimisers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ruvlm.config import RunConfig
from ruvlm.errors import ConfigError
from ruvlm.processes import Group
from ruvlm.training.learner import Learner, Losses, Stage
from ruvlm.training.parallel import Prefetcher, Workers, parts_of_step


class Stepper:
    """Takes steps. `batch` is the batch last worked on, for inspection when a loss is no number."""

    def __init__(self, config: RunConfig, learner: Learner[Any], group: Group, device: torch.device) -> None:
        self.train, self.learner, self.group, self.device = config.train, learner, group, device
        self.parameters = [p for p in learner.model.parameters() if p.requires_grad]
        self.dtype = precision(config, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.accumulate = config.train.accumulate
        if self.accumulate > 1 and not learner.splits:
            raise ConfigError(f"Модель {config.model.name} не учится по частям шага: train.accumulate = 1.")
        images = config.train.images_per_step // (self.accumulate * group.ranks.size)
        if not images:
            raise ConfigError(
                f"train.images_per_step = {config.train.images_per_step} меньше частей шага ({self.accumulate} × процессов "
                f"{group.ranks.size}): увеличьте его или уменьшите train.accumulate."
            )
        self.workers = Workers(parts_of_step(config.train.parts, device, learner.splits and learner.threads, images))
        self.prefetcher = Prefetcher(config.train.workers if self.workers.count == 1 else 0)
        self.batch: Any = None

    def take(self, stage: Stage, stage_step: int, step: int, share: float, factor: float) -> Losses:
        """Change the weights once; the rate is `factor` of each optimiser's own. Returns what the whole step lost.

        A loss that is no number is returned as it is and changes nothing.
        """
        ranks = self.group.ranks
        # dropout draws the same in a run that was killed and in one that was not
        torch.manual_seed((self.train.seed * 1_000_003 + step) * 4_099 + ranks.rank)
        own, divisor = self._own(stage, stage_step, share)
        if self.train.sharding == "fsdp2":
            total = self.group.sum(own.weight)
            divisor = total / ranks.size  # FSDP has averaged over processes what is to be summed
        else:
            self._divide(divisor)
            total, divisor = self.group.average(self.parameters, own.weight), 1.0
        parts = {name: self.group.mean(value, own.weight, total) for name, value in own.parts.items()}
        losses = Losses(self.group.mean(own.total, own.weight, total), parts, self.group.total(own.answers), total)
        if bool(torch.isfinite(losses.total)):
            self._divide(divisor)
            self._apply(stage, factor)
        return losses

    def _apply(self, stage: Stage, factor: float) -> None:
        for optimizer in stage.optimizers:
            self.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(self.learner.model.parameters(), self.train.clip)
        for optimizer in stage.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            self.scaler.step(optimizer)
        self.scaler.update()
        self.learner.model.zero_grad(set_to_none=True)

    def _own(self, stage: Stage, stage_step: int, share: float) -> tuple[Losses, float]:
        """Gradients of this process's parts, summed into `.grad`, and what to divide them by for their mean."""
        count = self.workers.count if stage.threads else 1
        parts = count * self.accumulate * self.group.ranks.size
        first = count * self.accumulate * self.group.ranks.rank
        weighted = self.accumulate > 1 or self.train.sharding == "fsdp2"
        shares = []
        for micro in range(self.accumulate):
            start = first + micro * count
            if count > 1:
                shares.append(self._side_by_side(stage, stage_step, share, start, parts, weighted))
                continue
            self.batch = self.prefetcher.batch(stage.batch, stage_step, start, parts, stage.max_steps)
            losses = self._lost(stage, self.batch, share)
            whole = losses.total * losses.weight if weighted else losses.total
            torch.autograd.backward(self.scaler.scale(whole))
            shares.append(losses)
        losses = shares[0] if len(shares) == 1 else mean_losses(shares)
        return losses, losses.weight if weighted else 1.0

    def _lost(self, stage: Stage, batch: Any, share: float) -> Losses:
        with torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None):
            return stage.loss(batch, share)

    def _side_by_side(
        self, stage: Stage, stage_step: int, share: float, first: int, parts: int, weighted: bool
    ) -> Losses:
        """Threads with a part each; their gradients are added in the parts' order, so a step is always the same."""

        def work(part: int) -> tuple[Losses, tuple[Tensor | None, ...]]:
            batch = stage.batch(stage_step, first + part, parts)
            losses = self._lost(stage, batch, share)
            if self.batch is None or not bool(torch.isfinite(losses.total)):
                self.batch = batch
            return losses, torch.autograd.grad(self.scaler.scale(losses.total), self.parameters, allow_unused=True)

        done = self.workers.run(work)
        whole = 1.0 if weighted else sum(losses.weight for losses, _ in done)
        for number, parameter in enumerate(self.parameters):
            shares = [(gradients[number], losses.weight / whole) for losses, gradients in done]
            known = [gradient * weight for gradient, weight in shares if gradient is not None]
            if known:
                added = torch.stack(known).sum(0)
                parameter.grad = added if parameter.grad is None else parameter.grad + added
        return mean_losses([losses for losses, _ in done])

    def _divide(self, divisor: float) -> None:
        if divisor == 1.0:
            return
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.div_(divisor)


def mean_losses(parts: list[Losses]) -> Losses:
    """The losses of a whole step from those of its parts."""
    weights = torch.tensor([part.weight for part in parts], dtype=torch.float32, device=parts[0].total.device)
    weights = weights / weights.sum()

    def mean(values: list[Tensor]) -> Tensor:
        return (torch.stack(values).float() * weights).sum()

    names = {name: mean([part.parts[name] for part in parts]) for name in parts[0].parts}
    total = mean([part.total.detach() for part in parts])
    return Losses(total, names, sum(part.answers for part in parts), sum(part.weight for part in parts))


def precision(config: RunConfig, device: torch.device) -> torch.dtype | None:
    """The dtype of matrix products under autocast, None for fp32: «auto» is bf16 where a GPU has it."""
    wanted = config.train.precision
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
