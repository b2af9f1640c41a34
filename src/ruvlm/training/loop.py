"""The training loop: one for all models. A run is a pure function of its settings but for the time budget."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ruvlm.config import RunConfig
from ruvlm.errors import ConfigError, ModelError, OutputError, because
from ruvlm.evaluation.ranks import current_ranks, local_device
from ruvlm.evaluation.store import write_json, write_text
from ruvlm.models.checkpoint import save_folder
from ruvlm.registry import MODELS, lookup
from ruvlm.runtime import code_fingerprint, keep_freed_memory, machine, pick_device, quiet_transformers, seed_everything
from ruvlm.training.distributed import Group, launched_by_accelerate_alone
from ruvlm.training.guards import refuse_leaks, stopped
from ruvlm.training.history import History, plot_history
from ruvlm.training.parallel import Workers, parts_of_step
from ruvlm.training.state import Progress, read_progress, restore, save_checkpoint
from ruvlm.training.task import Losses, Stage, Task
from ruvlm.training.validation import Validator

REPORT_EVERY = 20
FLOOR = 0.02


@dataclass(frozen=True)
class Tick:
    """What a progress display is told."""

    stage: str
    step: int
    seconds: float
    share: float
    loss: float
    answers_per_second: float
    score: float | None


Display = Callable[[Tick], None]


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    folder: Path
    steps: int
    seconds: float
    best: float
    interrupted: bool


class Run:
    """One training run and its folder."""

    def __init__(
        self, config: RunConfig, task: Task, validator: Validator, display: Display, resume: bool, group: Group
    ) -> None:
        self.config, self.task, self.validator, self.display, self.group = config, task, validator, display, group
        self.folder = config.folder
        self.stages = task.stages()
        device = pick_device(config.device)
        self.accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision=precision(config, device))
        threads = task.splits and task.threads
        self.workers = Workers(parts_of_step(config.train.parts, device, threads, config.train.images_per_step))
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        self.progress = Progress()
        self.text = config.model_dump_json()
        self.checkpoint = self.folder / "checkpoints" / "last"
        self._last_saved = 0.0
        self._batch: Any = None
        if resume:
            self.progress, tensors, scalars = read_progress(self.checkpoint, self.text)
            stage = self.stages[min(self.progress.stage, len(self.stages) - 1)]
            restore(task.model, stage.optimizers, tensors, scalars)
            self._last_saved = self.progress.seconds
        self.history = History(self.folder, self.progress.step if resume else None, group.first)

    def train(self) -> Finished:
        """Run to the end, or to Ctrl-C, which saves and returns."""
        interrupted = False
        try:
            with self.workers:
                self._stages()
            self._validate()
            self.save("final_model")
        except KeyboardInterrupt:
            interrupted = True
            self._save_checkpoint()
        self._plot()
        return Finished(self.folder, self.progress.step, self.progress.seconds, self.progress.best, interrupted)

    def _stages(self) -> None:
        while self.progress.stage < len(self.stages):
            self._stage(self.stages[self.progress.stage])
            self.progress.stage += 1
            self.progress.stage_step, self.progress.stage_seconds = 0, 0.0

    def _stage(self, stage: Stage) -> None:
        for optimizer in stage.optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        if stage.begin is not None and not self.progress.stage_step:
            stage.begin()
        self.task.model.train()
        while (share := self._share(stage)) < 1:
            started = time.perf_counter()
            losses, factor = self._step(stage, share)
            self._count(losses, self.group.agreed(time.perf_counter() - started))
            if self.progress.step % REPORT_EVERY == 0 or self.progress.step == 1:
                self._record(stage, losses, factor)
            if stage is self.stages[-1]:
                self._between_steps(share)

    def _share(self, stage: Stage) -> float:
        """How much of the stage is done, by steps or by time, whichever is further."""
        done = self.progress.stage_step / stage.max_steps
        if self.config.train.max_minutes:
            done = max(done, self.progress.stage_seconds / (self.config.train.max_minutes * 60 * stage.share))
        return done

    def _step(self, stage: Stage, share: float) -> tuple[Losses, float]:
        train = self.config.train
        warm = min(1.0, (self.progress.stage_step + 1) / max(1, train.warmup_steps))
        factor = warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
        losses = self._gradients(stage, share)
        if not bool(torch.isfinite(losses.total)):
            raise stopped(self._batch, self.progress.step, self.folder, self.checkpoint)
        self.accelerator.clip_grad_norm_(self.task.model.parameters(), train.clip)
        for optimizer in stage.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimizer.step()
        self.task.model.zero_grad(set_to_none=True)
        return losses, factor

    def _gradients(self, stage: Stage, share: float) -> Losses:
        """Set every parameter's gradient to the mean over the step's parts, those of other processes too."""
        losses = self._own_gradients(stage, share)
        total = self.group.average(self.parameters, losses.weight)
        parts = {name: self.group.mean(value, losses.weight, total) for name, value in losses.parts.items()}
        return Losses(self.group.mean(losses.total, losses.weight, total), parts, self.group.total(losses.answers))

    def _own_gradients(self, stage: Stage, share: float) -> Losses:
        step, ranks = self.progress.stage_step, self.group.ranks
        parts = self.workers.count * ranks.size
        # dropout draws the same in a run that was killed and in one that was not
        torch.manual_seed((self.config.train.seed * 1_000_003 + self.progress.step) * 4_099 + ranks.rank)
        if self.workers.count == 1:
            self._batch = stage.batch(step, ranks.rank, parts)
            with self.accelerator.autocast():
                losses = stage.loss(self._batch, share)
            losses.total.backward()
            return losses
        first = ranks.rank * self.workers.count

        def work(part: int) -> tuple[Losses, tuple[Tensor | None, ...]]:
            batch = stage.batch(step, first + part, parts)
            with self.accelerator.autocast():
                losses = stage.loss(batch, share)
            if self._batch is None or not bool(torch.isfinite(losses.total)):
                self._batch = batch
            return losses, torch.autograd.grad(losses.total, self.parameters, allow_unused=True)

        done = self.workers.run(work)
        whole = sum(losses.weight for losses, _ in done)
        for number, parameter in enumerate(self.parameters):
            found = [(gradients[number], losses.weight / whole) for losses, gradients in done]
            known = [gradient * weight for gradient, weight in found if gradient is not None]
            parameter.grad = torch.stack(known).sum(0) if known else None
        return mean_losses([losses for losses, _ in done])

    def _count(self, losses: Losses, seconds: float) -> None:
        self.progress.step += 1
        self.progress.stage_step += 1
        self.progress.answers += losses.answers
        self.progress.seconds += seconds
        self.progress.stage_seconds += seconds

    def _record(self, stage: Stage, losses: Losses, factor: float) -> None:
        parts = {name: float(value) for name, value in losses.parts.items()}
        self.history.add(
            kind="train", step=self.progress.step, stage=stage.name, seconds=self.progress.seconds,
            loss=float(losses.total.detach()), lr=factor, **parts,
        )  # fmt: skip
        checks = [r["gqa"] for r in self.history.records if r["kind"] == "validation" and r.get("gqa") is not None]
        rate = self.progress.answers / max(1e-9, self.progress.seconds)
        share = self._share(stage)
        self.display(
            Tick(stage.name, self.progress.step, self.progress.seconds, share, float(losses.total.detach()), rate, checks[-1] if checks else None)
        )  # fmt: skip

    def _between_steps(self, share: float) -> None:
        planned = self.config.train.validations
        if planned and share < 1 and share >= (self.progress.validations + 1) / planned:
            self._validate()
        if self.progress.seconds - self._last_saved > 60 * self.config.train.checkpoint_minutes:
            self._save_checkpoint()

    def _validate(self) -> None:
        self.group.wait()
        if not self.group.first:
            self.progress.validations += 1
            self.group.wait()
            return
        self._check()
        self.group.wait()

    def _check(self) -> None:
        check = self.validator.check(self.task)
        self.progress.validations += 1
        if check is None:
            return
        self.history.add(
            kind="validation", step=self.progress.step, seconds=self.progress.seconds, gqa=check.gqa,
            mmbench=check.mmbench, loss=check.loss,
        )  # fmt: skip
        if check.score > self.progress.best:
            self.progress.best = check.score
            self.save("best_model")
        self._save_checkpoint()
        self._plot()

    def _save_checkpoint(self) -> None:
        if not self.group.first:
            return
        stage = self.stages[min(self.progress.stage, len(self.stages) - 1)]
        save_checkpoint(self.checkpoint, self.task.model, stage.optimizers, self.progress, self.text)
        self._last_saved = self.progress.seconds

    def _plot(self) -> None:
        if not self.group.first:
            return
        title = f"{self.config.name}: {self.validator.source}"
        plot_history(self.history.records, self.validator.baselines, title, self.folder / "training_history.png")

    def save(self, name: str) -> None:
        """Write a model folder into the run folder."""
        if not self.group.first:
            return
        backend: Any = self.task.backend()
        save_folder(self.folder / name, backend.save)


def mean_losses(parts: list[Losses]) -> Losses:
    """The losses of a whole step from those of its parts."""
    weights = torch.tensor([part.weight for part in parts], dtype=torch.float32, device=parts[0].total.device)
    weights = weights / weights.sum()

    def mean(values: list[Tensor]) -> Tensor:
        return (torch.stack(values).float() * weights).sum()

    names = {name: mean([part.parts[name] for part in parts]) for name in parts[0].parts}
    total = mean([part.total.detach() for part in parts])
    return Losses(total, names, sum(part.answers for part in parts), sum(part.weight for part in parts))


def precision(config: RunConfig, device: torch.device) -> str:
    """Accelerate's name of the run's dtype: «auto» is bf16 where a GPU has it, else fp32. Raises ConfigError."""
    wanted = config.train.precision
    if wanted == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "no"
    if wanted == "fp16" and device.type == "cpu":
        raise ConfigError("train.precision = fp16: на процессоре этого нет, возьмите fp32 или bf16.")
    return "no" if wanted == "fp32" else wanted


def train(config: RunConfig, resume: bool, display: Display, report: Callable[[str], None]) -> Finished:
    """Train what a config describes. Raises RuvlmError."""
    keep_freed_memory()
    quiet_transformers()
    ranks = current_ranks()
    device = pick_device(local_device(config.device))
    group = Group(ranks, device)
    if ranks.first:
        _claim(config, resume)
    else:
        display, report = (lambda _: None), (lambda _: None)
    if launched_by_accelerate_alone():
        report(
            "accelerate launch --cpu запустил один процесс: для нескольких – torchrun --nproc_per_node N -m ruvlm train …"
        )
    group.wait()
    seed_everything(config.train.seed)
    task_class = lookup(MODELS, config.model.name, "Модель")
    task: Task = task_class.build(config, device, report)
    if ranks.size > 1 and not task.splits:
        raise ConfigError(f"Модель {config.model.name} учится одним процессом: запустите без torchrun.")
    for note in task.notes:
        report(note)
    report("считаю точки отсчёта")
    validator = Validator.build(config, task)
    if not config.data.allow_leaks and ranks.first:
        checked = [example for dataset in validator.datasets for example in dataset.examples]
        refuse_leaks(task.train_examples, checked, Path(config.results) / ".cache")
    run = Run(config, task, validator, display, resume, group)
    if not resume and ranks.first:
        _describe(config, task, validator)
    return run.train()


def _claim(config: RunConfig, resume: bool) -> None:
    folder = config.folder
    if resume:
        if not (folder / "checkpoints" / "last").is_dir():
            raise ModelError(f"В {folder} нет точки, с которой продолжать: запустите обучение без --resume.")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"Папка {folder} занята другим запуском: продолжите его с --resume или смените имя (--set name=…)."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Папку {folder} не создать ({because(error)}).") from error


def _describe(config: RunConfig, task: Task, validator: Validator) -> None:
    """run.toml: the resolved settings; run.json: what code, data and machine the run had."""
    write_text(config.folder / "run.toml", to_toml(config))
    facts = {
        "code": code_fingerprint(),
        "data": validator.fingerprints,
        "source": validator.source,
        "machine": machine(),
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "baselines": validator.baselines,
        "notes": list(task.notes),
    }
    write_json(config.folder / "run.json", facts)


def to_toml(config: RunConfig) -> str:
    """Settings as TOML that load_config reads back."""
    values = config.model_dump(exclude_none=True)
    lines = _fields(values)
    for section, fields in values.items():
        if isinstance(fields, dict):
            lines += ["", f"[{section}]", *_fields(fields)]
            for name, several in fields.items():
                if _tables(several):
                    lines += [line for one in several for line in ("", f"[[{section}.{name}]]", *_fields(one))]
    return "\n".join(lines) + "\n"


def _fields(values: dict[str, Any]) -> list[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict) and not _tables(value)}
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)
