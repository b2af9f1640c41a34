"""The training loop: one for all models. A run is a pure function of its settings but for the time budget."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ruvlm.config import RunConfig, family_named
from ruvlm.errors import ConfigError
from ruvlm.files import whole_folder
from ruvlm.processes import Group, current_ranks, launched_by_accelerate_alone, local_device
from ruvlm.registry import imported
from ruvlm.run_folder import BEST, FINAL, Record, RunFacts, RunFolder, TrainedOn
from ruvlm.runtime import code_fingerprint, collector_paused, keep_freed_memory, machine, pick_device, seed_everything
from ruvlm.training.checks import (
    ESTIMATE_AT,
    Stop,
    kept_baselines,
    memory_line,
    out_of_memory,
    refuse_leaks,
    refuse_other_data,
    stopped,
    time_line,
    used_memory,
)
from ruvlm.training.ema import Ema
from ruvlm.training.history import CHECKING, Display, Finished, History, Tick, plot_history
from ruvlm.training.learner import Learner, Losses, Report, Stage
from ruvlm.training.samples import sheet, write_samples
from ruvlm.training.state import Learning, Progress, bound_of, outgrown, read_checkpoint, restore, save_checkpoint
from ruvlm.training.step import Stepper
from ruvlm.training.trackers import Tracker, trackers_named
from ruvlm.training.validation import Check, Validator

# the first steps are all recorded, then one in so many
FIRST_STEPS, REPORT_EVERY = 10, 20
# how often a display is told where the run is
SHOW_SECONDS = 0.5
# a warm-up takes no more than this share of a stage
WARMUP_SHARE = 0.2
FLOOR = 0.02


class Run:
    """One training run and its folder."""

    def __init__(
        self,
        config: RunConfig,
        learner: Learner[Any],
        validator: Validator,
        display: Display,
        report: Report,
        resume: bool,
        group: Group,
        grown: bool = False,
    ) -> None:
        self.config, self.learner, self.validator, self.group = config, learner, validator, group
        self.display, self.report = display, report
        self.folder = RunFolder(config.folder)
        self.device = pick_device(local_device(config.device))
        if config.train.sharding == "fsdp2":
            learner.shard()
        if config.train.compile:
            learner.compile()
        self.stages = learner.stages()
        self.stepper = Stepper(config, learner, group, self.device)
        self.ema = Ema(learner.model, config.train.ema)
        self.progress = Progress()
        self.stop = Stop(waits=group.ranks.size > 1)
        self._last_saved = self._shown = 0.0
        if resume:
            self.progress, tensors, scalars = read_checkpoint(self.folder.checkpoints_folder, self.config, report)
            restore(self._learning(), tensors, scalars)
            if self.progress.slots < 0:
                self.progress.slots = self.progress.validations
            if grown:
                self._prolong()
            elif self.progress.done:
                report(f"запуск уже закончен; учить дольше – --set {bound_of(config)}=…")
            self._last_saved = self.progress.seconds
        self.history = History(self.folder, self.progress if resume else None, group.first)
        step = self.progress.step
        self.trackers: list[Tracker] = trackers_named(config.train.trackers, config.folder, step) if group.first else []

    def _prolong(self) -> None:
        """Go on where the bounds have grown, with the rest of the validations; a run that has ended opens its last stage again."""
        progress, last = self.progress, len(self.stages) - 1
        ended = progress.stage > last
        if ended and not progress.stage_step:  # a checkpoint of an earlier version does not say
            progress.stage_step, progress.stage_seconds = progress.step, progress.seconds
        share = self._share(self.stages[min(progress.stage, last)])
        if ended and share >= 1:
            self.report(
                "бюджет вырос, но запуск кончил другой предел: увеличьте и его (train.max_steps, epochs, max_minutes)"
            )
            return
        progress.stage, progress.done, progress.stale = min(progress.stage, last), False, 0
        if progress.stage == last:
            progress.slots = int(share * self.config.train.validations)
        self.report("бюджет вырос: учу дальше, скорость обучения снова поднимется по новому расписанию")

    @property
    def _settings(self) -> str:
        return self.config.model_dump_json()

    def _learning(self) -> Learning:
        stage = self.stages[min(self.progress.stage, len(self.stages) - 1)]
        return Learning(self.learner.model, stage.optimizers, self.ema.averages, self.stepper.scaler)

    def train(self) -> Finished:
        """Run to the end, or to Ctrl-C, which saves and returns."""
        interrupted = early = False
        self.report(
            memory_line(self.learner.model, self.stages[-1].optimizers, bool(self.config.train.ema), self.device)
        )
        try:
            with self.stop.heard(), self.stepper.workers:
                self._stages()
                early = self._stale()
                if not self.progress.done:
                    self._validate(last=True)
                with self.ema.used():
                    self.save(FINAL)
        except KeyboardInterrupt:
            interrupted = True
            self._save_checkpoint()
        except RuntimeError as error:
            raise out_of_memory(error) or error from error
        finally:
            self.stepper.prefetcher.close()
            for tracker in self.trackers:
                tracker.close()
        self._plot()
        progress = self.progress
        return Finished(self.folder.path, progress.step, progress.seconds, progress.best, interrupted, early)

    def _stages(self) -> None:
        while self.progress.stage < len(self.stages):
            self._stage(self.stages[self.progress.stage])
            self.progress.stage += 1
            if self.progress.stage < len(self.stages):  # how far the last one went is kept for a run that is prolonged
                self.progress.stage_step, self.progress.stage_seconds = 0, 0.0

    def _stage(self, stage: Stage) -> None:
        for optimizer in stage.optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        if stage.begin is not None and not self.progress.stage_step:
            stage.begin()
        self.learner.model.train()
        if stage is self.stages[-1] and self.progress.stage_step:
            self._validate_due(self._share(stage, self.progress.stage_step - 1))  # one that a signal cut short
        while (share := self._share(stage)) < 1 and not self._stale():
            started = time.perf_counter()
            with self.stop.later():
                losses, factor = self._step(stage, share)
                seconds, stop = self.group.agreed(time.perf_counter() - started, self.stop.asked)
                self._count(losses, seconds)
            if self.progress.step % REPORT_EVERY == 0 or self.progress.step <= FIRST_STEPS:
                self._record(stage, losses, factor)
            if time.monotonic() - self._shown > SHOW_SECONDS:
                self._tick(stage.name, self._share(stage), float(losses.total.detach()))
            if stage is self.stages[-1]:
                self._between_steps(stage, share)
            if stop:
                raise KeyboardInterrupt

    def _share(self, stage: Stage, steps: int | None = None) -> float:
        """How much of the stage is done, by steps (those taken, or so many) or by time, whichever is further."""
        done = (self.progress.stage_step if steps is None else steps) / stage.max_steps
        if self.config.train.max_minutes:
            done = max(done, self.progress.stage_seconds / (self.config.train.max_minutes * 60 * stage.share))
        return done

    def _stale(self) -> bool:
        return 0 < self.config.train.patience <= self.progress.stale

    def _step(self, stage: Stage, share: float) -> tuple[Losses, float]:
        steps = (self.progress.stage_step + 1) / max(1, self.config.train.warmup_steps)
        warm = min(1.0, max(steps, share / WARMUP_SHARE))  # a short run is not spent warming up
        factor = warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
        losses = self.stepper.take(stage, self.progress.stage_step, self.progress.step, share, factor)
        if not bool(torch.isfinite(losses.total)):
            raise stopped(self.stepper.batch, self.progress.step, self.folder.path, self.folder.checkpoints_folder)
        self.ema.update(self.progress.step)
        return losses, factor

    def _count(self, losses: Losses, seconds: float) -> None:
        self.progress.step += 1
        self.progress.stage_step += 1
        self.progress.answers += losses.answers
        self.progress.seconds += seconds
        self.progress.stage_seconds += seconds

    def _record(self, stage: Stage, losses: Losses, factor: float) -> None:
        parts = {name: float(value) for name, value in losses.parts.items()}
        loss = float(losses.total.detach())
        self.history.add(
            Record(
                kind="train",
                step=self.progress.step,
                seconds=self.progress.seconds,
                stage=stage.name,
                lr=factor,
                losses={"loss": loss, **parts},
            )
        )
        for tracker in self.trackers:
            tracker.numbers(
                self.progress.step,
                {"train/loss": loss, "train/lr": factor} | {f"train/{k}": v for k, v in parts.items()},
            )

    def _tick(self, stage: str, share: float, loss: float) -> None:
        """Show where the run is."""
        self._shown = time.monotonic()
        progress = self.progress
        left = progress.stage_seconds * (1 - share) / max(1e-9, share)
        rate = progress.answers / max(1e-9, progress.seconds)
        scores = self.history.scores
        score = sum(scores.values()) / len(scores) if scores else None  # the mean, which the best model is chosen by
        memory = used_memory(self.device)
        self.display(Tick(stage, progress.step, progress.seconds, share, left, loss, rate, memory, score))

    def _check_tick(self, done: int, total: int) -> None:
        if time.monotonic() - self._shown > SHOW_SECONDS:
            self._tick(CHECKING, done / max(1, total), math.nan)

    def _between_steps(self, stage: Stage, share: float) -> None:
        if self.progress.stage_step == ESTIMATE_AT:
            minutes, seconds = self.config.train.max_minutes, self.progress.stage_seconds
            self.report(time_line(stage.max_steps, ESTIMATE_AT, seconds, minutes and minutes * stage.share))
        self._validate_due(share)
        if self.progress.seconds - self._last_saved > 60 * self.config.train.checkpoint_minutes:
            self._save_checkpoint()

    def _validate_due(self, share: float) -> None:
        planned = self.config.train.validations
        if planned and share < 1 and share >= (max(0, self.progress.slots) + 1) / planned:
            self._validate()

    def _validate(self, last: bool = False) -> None:
        """Under FSDP every process asks the same: none can compute without the others' shares of the weights."""
        self.group.wait()
        asks = self.group.first or self.config.train.sharding == "fsdp2"
        with self.ema.used():
            check = self.validator.check(self.learner, self._check_tick) if asks else None
            score = self.group.told(check.score if check is not None else math.nan)
            self.progress.validations += 1
            self.progress.slots = max(0, self.progress.slots) + 1
            if not math.isnan(score):
                better = score > self.progress.best
                self.progress.stale = 0 if better else self.progress.stale + 1
                if better:
                    self.progress.best = score
                    self.save(BEST)
        if check is not None:
            self._show(check)
        self.progress.done = last
        if last or not math.isnan(score):
            self._save_checkpoint()
        self.group.wait()

    def _show(self, check: Check) -> None:
        if not self.group.first:
            return
        losses = {} if check.loss is None else {"loss": check.loss}
        self.history.add(
            Record(
                kind="validation",
                step=self.progress.step,
                seconds=self.progress.seconds,
                losses=losses,
                scores=check.scores,
            )
        )
        figures = {f"val/{name}": value for name, value in {**check.scores, **losses}.items()}
        image = sheet(check.samples) if check.samples else None
        for tracker in self.trackers:
            tracker.numbers(self.progress.step, figures)
            if image is not None:
                tracker.picture(self.progress.step, "val/answers", image)
        if image is not None:
            write_samples(self.folder.samples(self.progress.step), check.samples, image)
        self._plot()

    def _save_checkpoint(self) -> None:
        keep = self.config.train.keep_last
        save_checkpoint(
            self.folder.checkpoints_folder, self._learning(), self.progress, self._settings, keep, self.group.first
        )
        self._last_saved = self.progress.seconds

    def _plot(self) -> None:
        if not self.group.first:
            return
        title = f"{self.config.name}: {self.validator.source}"
        plot_history(self.history.records, self.validator.baselines, title, self.folder.history_picture)

    def save(self, name: str) -> None:
        """Write a model folder into the run folder."""
        writer = self.learner.writer()
        if self.group.first:
            with whole_folder(self.folder.path / name, over=True) as fresh:
                writer(fresh)


def train(config: RunConfig, resume: bool, display: Display, report: Report) -> Finished:
    """Train what a config describes. Raises RuvlmError."""
    keep_freed_memory()
    ranks = current_ranks()
    device = pick_device(local_device(config.device))
    group = Group(ranks, device)
    if not ranks.first:
        display, report = (lambda _: None), (lambda _: None)
    if launched_by_accelerate_alone():
        report(
            "accelerate launch --cpu запустил один процесс: для нескольких – torchrun --nproc_per_node N -m ruvlm train …"
        )
    with RunFolder(config.folder).claimed(resume) if ranks.first else nullcontext():
        group.wait()
        return _run(config, resume, display, report, group)


def _run(config: RunConfig, resume: bool, display: Display, report: Report, group: Group) -> Finished:
    ranks, device = group.ranks, group.device
    folder = RunFolder(config.folder)
    grown = resume and outgrown(folder.checkpoints_folder, config)
    seed_everything(config.train.seed)
    learner_class: Any = imported(family_named(config.model.name).learner)
    try:
        with collector_paused():
            learner: Learner[Any] = learner_class.build(config, device, report)
    except RuntimeError as error:
        raise out_of_memory(error) or error from error
    if ranks.size > 1 and not learner.splits:
        raise ConfigError(f"Модель {config.model.name} учится одним процессом: запустите без torchrun.")
    learner.backend().refuse_unfit(learner.train_examples)
    for note in learner.notes:
        report(note)
    kept = kept_baselines(folder) if resume else None
    if kept is None:
        report("считаю, что даёт самый частый ответ и что – одни вопросы")
    validator = Validator.build(config, learner, kept)
    if not config.data.allow_leaks and ranks.first and not resume:
        checked = [example for dataset in validator.datasets for example in dataset.examples]
        refuse_leaks(learner.train_examples, checked, Path(config.results) / ".cache")
    facts = _facts(learner, validator)
    if resume and ranks.first:
        refuse_other_data(folder, facts)
    run = Run(config, learner, validator, display, report, resume, group, grown)
    if ranks.first and not resume:
        folder.describe(config, facts)
        learner.keep(folder.path)
    if ranks.first and grown:
        folder.describe_settings(config)
    return run.train()


def _facts(learner: Learner[Any], validator: Validator) -> RunFacts:
    """What code, data and machine a run has."""
    parts = [
        TrainedOn(source=d.source, name=d.name, split=d.split, questions=len(d.examples), fingerprint=d.fingerprint)
        for d in learner.datasets
    ]
    return RunFacts(
        code=code_fingerprint(),
        train=tuple(parts),
        checks=validator.fingerprints,
        source=validator.source,
        machine=machine(),
        parameters=sum(p.numel() for p in learner.model.parameters()),
        baselines=validator.baselines,
        notes=tuple(learner.notes),
    )
