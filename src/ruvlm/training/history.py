"""What happened in training: metrics.jsonl, one line a record, and the picture of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.errors import OutputError, because
from ruvlm.numerals import decimal
from ruvlm.run_folder import Record, RunFolder
from ruvlm.training.state import Progress

# one for each benchmark's line
COLOURS = ("#1f5fa8", "#15803d", "#b45309", "#6d28d9", "#0f766e")


# what a display is told while the model is asked, not taught
CHECKING = "check"


@dataclass(frozen=True)
class Tick:
    """What a progress display is told: `left` seconds to go, `memory` bytes taken, `share` of the stage done."""

    stage: str
    step: int
    seconds: float
    share: float
    left: float
    loss: float
    answers_per_second: float
    memory: int
    score: float | None


Display = Callable[[Tick], None]


@dataclass(frozen=True)
class Finished:
    """How a run ended. `early` says that validation had stopped getting better."""

    folder: Path
    steps: int
    seconds: float
    best: float
    interrupted: bool
    early: bool


class History:
    """Appends records to a run's history; on resume the records after the checkpoint are dropped.

    With `writes` false they are only kept in memory: another process writes the file.
    """

    def __init__(self, folder: RunFolder, resume: Progress | None = None, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self.records: list[Record] = []
        checks = 0
        if resume is not None:
            for record in folder.records:
                checks += record.kind == "validation"
                if record.step <= resume.step and (record.kind != "validation" or checks <= resume.validations):
                    self.records.append(record)
        if writes:
            folder.rewrite_records(self.records)

    def add(self, record: Record) -> None:
        """One more. Raises OutputError."""
        self.records.append(record)
        if self._writes:
            self._folder.add_record(record)

    @property
    def scores(self) -> dict[str, float]:
        """The last validation's, by benchmark; none before the first."""
        return next((record.scores for record in reversed(self.records) if record.kind == "validation"), {})


def plot_history(records: Sequence[Record], baselines: dict[str, float], title: str, path: Path) -> None:
    """Loss, validation scores against their baselines, and learning rate, over minutes of training. PNG."""
    from matplotlib.figure import Figure

    steps = [record for record in records if record.kind == "train"]
    checks = [record for record in records if record.kind == "validation"]
    figure = Figure(figsize=(15, 4.4), layout="constrained")  # not pyplot's: a notebook's backend stays as it is
    left, middle, right = figure.subplots(1, 3)
    minutes = [record.minutes for record in steps]
    left.plot(minutes, [record.losses["loss"] for record in steps], color="#9bb8d9", label="обучение, всего")
    answers = [(record.minutes, record.losses["answers"]) for record in steps if "answers" in record.losses]
    if answers:
        left.plot(*zip(*answers, strict=True), color="#1f5fa8", label="обучение, ответы")
    losses = [(record.minutes, record.losses["loss"]) for record in checks if "loss" in record.losses]
    if losses:
        left.plot(*zip(*losses, strict=True), "o-", color="#c2410c", label="проверка, ответы")
    left.set(title="Потери", xlabel="минуты", yscale="log")
    left.legend()
    for number, name in enumerate(dict.fromkeys(name for record in checks for name in record.scores)):
        points = [(record.minutes, record.scores[name]) for record in checks if name in record.scores]
        middle.plot(*zip(*points, strict=True), "o-", color=COLOURS[number % len(COLOURS)], label=name)
    for (name, value), style in zip(baselines.items(), ("--", ":", "-."), strict=False):
        middle.axhline(value, linestyle=style, color="#6b7280", label=f"{name}: {decimal(value)} %")
    middle.set(title="Верных ответов на проверке, %", xlabel="минуты", ylim=(0, 100))
    if middle.get_legend_handles_labels()[1]:
        middle.legend(fontsize=8)
    else:  # an empty frame would look like a score of nothing
        middle.text(0.5, 0.5, "проверок не было", ha="center", va="center", transform=middle.transAxes, color="#6b7280")
    right.plot(minutes, [record.lr for record in steps], color="#6d28d9")
    right.set(title="Скорость обучения (множитель)", xlabel="минуты", ylim=(0, None))
    for axis in (left, middle, right):
        axis.grid(alpha=0.25)
    figure.suptitle(title)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise OutputError(f"Не удалось записать {path} ({because(error)}).") from error
