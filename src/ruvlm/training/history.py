"""What happened in training: metrics.jsonl, one line a record, and the picture of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruvlm.errors import OutputError, because
from ruvlm.files import append_row, json_line, repair, write_text
from ruvlm.training.state import Progress


class History:
    """Appends records to metrics.jsonl; on resume the records after the checkpoint are dropped.

    With `writes` false they are only kept in memory: another process writes the file.
    """

    def __init__(self, folder: Path, resume: Progress | None = None, writes: bool = True) -> None:
        self.path, self.writes = folder / "metrics.jsonl", writes
        self.records: list[dict[str, Any]] = []
        checks = 0
        if resume is not None and self.path.is_file():
            repair(self.path)
            for line in self.path.read_bytes().splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # a record that a bad disk has spoilt
                checks += record["kind"] == "validation"
                if record["step"] <= resume.step and (record["kind"] != "validation" or checks <= resume.validations):
                    self.records.append(record)
        if writes:
            write_text(self.path, "".join(map(json_line, self.records)))

    def add(self, **record: Any) -> None:
        """Append one record; numbers are kept to six significant digits."""
        kept = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in record.items()}
        self.records.append(kept)
        if self.writes:
            append_row(self.path, kept)


def plot_history(records: Sequence[dict[str, Any]], baselines: dict[str, float], title: str, path: Path) -> None:
    """Loss, validation accuracy against its baselines, and learning rate, over minutes of training. PNG."""
    from matplotlib.figure import Figure

    steps = [r for r in records if r["kind"] == "train"]
    checks = [r for r in records if r["kind"] == "validation"]
    figure = Figure(figsize=(15, 4.4), layout="constrained")  # not pyplot's: a notebook's backend stays as it is
    left, middle, right = figure.subplots(1, 3)
    minutes = [r["seconds"] / 60 for r in steps]
    left.plot(minutes, [r["loss"] for r in steps], color="#9bb8d9", label="обучение, всего")
    answers = [(r["seconds"] / 60, r["answers"]) for r in steps if "answers" in r]
    if answers:
        left.plot(*zip(*answers, strict=True), color="#1f5fa8", label="обучение, ответы")
    losses = [(r["seconds"] / 60, r["loss"]) for r in checks if r.get("loss") is not None]
    if losses:
        left.plot(*zip(*losses, strict=True), "o-", color="#c2410c", label="проверка, ответы")
    left.set(title="Потери", xlabel="минуты", yscale="log")
    left.legend()
    for key, label, colour in (
        ("gqa", "GQA, точное совпадение", "#1f5fa8"),
        ("mmbench", "MMBench, буквы", "#15803d"),
    ):
        points = [(r["seconds"] / 60, r[key]) for r in checks if r.get(key) is not None]
        if points:
            middle.plot(*zip(*points, strict=True), "o-", color=colour, label=label)
    for (name, value), style in zip(baselines.items(), ("--", ":", "-."), strict=False):
        middle.axhline(value, linestyle=style, color="#6b7280", label=f"{name}: {value:.1f} %")
    middle.set(title="Верных ответов на проверке, %", xlabel="минуты", ylim=(0, 100))
    middle.legend(fontsize=8)
    right.plot(minutes, [r["lr"] for r in steps], color="#6d28d9")
    right.set(title="Скорость обучения (множитель)", xlabel="минуты", ylim=(0, None))
    for axis in (left, middle, right):
        axis.grid(alpha=0.25)
    figure.suptitle(title)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise OutputError(f"Не удалось записать {path} ({because(error)}).") from error
