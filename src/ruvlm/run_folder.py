"""A training run's folder: its files' names and keys, known here and nowhere else; whose it is, and what it holds.

results/<name>/: run.toml (settings), run.json (what it was made of), metrics.jsonl, checkpoints/, best_model/, final_model/,
samples/, training_history.png, eval/, README.md (the card).
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ruvlm.config import RunConfig, load_config, to_toml
from ruvlm.errors import ConfigError, DataError, ModelError, OutputError, because
from ruvlm.files import LOCK, append_row, held, json_line, recover, sweep, write_json, write_text
from ruvlm.runtime import Machine
from ruvlm.schema import is_drawn

BEST, FINAL = "best_model", "final_model"
SETTINGS, FACTS, METRICS, HISTORY, CARD = "run.toml", "run.json", "metrics.jsonl", "training_history.png", "README.md"
TOKENIZER = "tokenizer.json"
# all that a run writes before its first checkpoint
BEGUN = frozenset({SETTINGS, FACTS, METRICS, HISTORY, TOKENIZER, "checkpoints", "samples", "tensorboard"})
CHECKPOINT = re.compile(r"step_(\d{8})_(\d{4})")
# keys of scores in runs that were trained before a validation kept them together
EARLY_SCORES = {"gqa": "gqa-ru", "mmbench": "mmbench-ru"}


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """A data set that a run learns from: where it is from, how many questions, a mark of its contents."""

    source: str
    name: str
    split: str
    questions: int
    fingerprint: str


TRAINED_ON = tuple(field.name for field in fields(TrainedOn))


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a run was made of.

    `checks` are the fingerprints of its validation sets by «name/split», `baselines` the scores in per cent that a validation
    has to beat.
    """

    code: str
    train: tuple[TrainedOn, ...]
    checks: dict[str, str]
    source: str
    machine: Machine
    parameters: int
    baselines: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def drawn(self) -> bool:
        """Did it learn from drawn scenes alone?"""
        return all(is_drawn(part.source) for part in self.train)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of a run's history: a step of training or a validation, after so many steps and seconds of training.

    `losses` are its parts by name («loss» is the whole); `scores` a validation's, by benchmark, in per cent; `lr` multiplies
    the learning rates.
    """

    kind: Literal["train", "validation"]
    step: int
    seconds: float
    stage: str = ""
    lr: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def minutes(self) -> float:
        return self.seconds / 60

    @property
    def fields(self) -> dict[str, Any]:
        """As it is stored: numbers to six significant digits, losses by their names."""
        row: dict[str, Any] = {"kind": self.kind, "step": self.step, "seconds": _short(self.seconds)}
        if self.kind == "train":
            row |= {"stage": self.stage, "lr": self.lr}
        row |= {name: _short(value) for name, value in self.losses.items()}
        return row | (
            {"scores": {name: _short(v) for name, v in self.scores.items()}} if self.kind == "validation" else {}
        )

    @classmethod
    def of(cls, row: Any) -> Record:
        """As stored, by this version or an earlier one. Raises ValueError for what is no record."""
        if not isinstance(row, dict) or row.get("kind") not in ("train", "validation"):
            raise ValueError("не запись")
        known = dict(row)
        kind, stage, scores = known.pop("kind"), known.pop("stage", ""), known.pop("scores", None) or {}
        scores |= {name: known.pop(key) for key, name in EARLY_SCORES.items() if key in known}
        step, seconds, lr = known.pop("step", None), known.pop("seconds", None), known.pop("lr", None)
        if not isinstance(step, int) or not _is_number(seconds) or not isinstance(scores, dict):
            raise ValueError("не запись")
        return cls(
            kind=kind,
            step=step,
            seconds=seconds,
            stage=str(stage),
            lr=lr if _is_number(lr) else None,
            losses={name: value for name, value in known.items() if _is_number(value)},
            scores={str(name): value for name, value in scores.items() if _is_number(value)},
        )


class RunFolder:
    """The run in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def described(self) -> bool:
        """Is this the folder of a training run?"""
        return (self.path / FACTS).is_file() and (self.path / SETTINGS).is_file()

    @property
    def place(self) -> tuple[str, str]:
        """Where it lies now, as settings over those it was begun with."""
        where = self.path.resolve()
        return f"name={json.dumps(where.name)}", f"results={json.dumps(str(where.parent))}"

    @property
    def evaluations(self) -> Path:
        return self.path / "eval"

    @property
    def card(self) -> Path:
        return self.path / CARD

    @property
    def history_picture(self) -> Path:
        return self.path / HISTORY

    @property
    def checkpoints_folder(self) -> Path:
        return self.path / "checkpoints"

    @property
    def checkpoints(self) -> list[Path]:
        """The run's checkpoints, the latest first; half-written ones have another name."""
        return checkpoints(self.checkpoints_folder)

    def samples(self, step: int) -> Path:
        """Where the answers of the validation after a step are kept; their picture has another suffix."""
        return self.path / "samples" / f"step_{step:06d}.jsonl"

    @property
    def published(self) -> list[Path]:
        """What goes to the hub beside the model: the card, and what a figure refers to."""
        own = (self.path / name for name in (CARD, HISTORY, SETTINGS, FACTS, METRICS))
        return [path for path in own if path.is_file()]

    # --- while it is made

    @contextmanager
    def claimed(self, resume: bool) -> Iterator[None]:
        """Hold a fresh folder, or one to go on with. The system lets go of it however the process ends.

        Raises OutputError if another process trains there or another run lies there, ModelError if there is nothing to resume.
        """
        if resume and not self.checkpoints:
            raise ModelError(
                f"В {self.path} нет точки, с которой продолжать: запустите обучение без --resume, начатое до первой точки начнётся "
                "заново."
            )
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                busy = held(
                    self.path / LOCK,
                    f"В {self.path} уже учит другой процесс: дождитесь его или смените имя (--set name=…).",
                )
                stack.enter_context(busy)
            except OSError as error:
                raise OutputError(f"Папку {self.path} не создать ({because(error)}).") from error
            sweep(self.path)
            if not resume:
                self._clear_begun()
                if any(path.name != LOCK for path in self.path.iterdir()):
                    raise OutputError(
                        f"Папка {self.path} занята другим запуском: продолжите его с --resume или смените имя (--set name=…)."
                    )
            for name in (BEST, FINAL):
                recover(self.path / name)
            yield

    def _clear_begun(self) -> None:
        """Take away what a run left that was ended before its first checkpoint: there is nothing in it to go on from."""
        names = {path.name for path in self.path.iterdir()} - {LOCK}
        if SETTINGS not in names and METRICS not in names:
            return
        if names <= BEGUN and not self.checkpoints:
            for name in names:
                path = self.path / name
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def describe(self, config: RunConfig, facts: RunFacts) -> None:
        """Settings, as `ruvlm train` reads them back, and what the run is made of. Raises OutputError."""
        self.describe_settings(config)
        row = asdict(facts)
        write_json(self.path / FACTS, {**row, "data": row.pop("checks")})

    def describe_settings(self, config: RunConfig) -> None:
        """Settings alone: those of a run that goes on longer. Raises OutputError."""
        write_text(self.path / SETTINGS, to_toml(config))

    def rewrite_records(self, records: list[Record]) -> None:
        """The history anew. Raises OutputError."""
        write_text(self.path / METRICS, "".join(json_line(record.fields) for record in records))

    def add_record(self, record: Record) -> None:
        """One more record. Raises OutputError."""
        append_row(self.path / METRICS, record.fields)

    # --- once it is made

    @property
    def settings_text(self) -> str:
        """run.toml. Raises DataError."""
        try:
            return (self.path / SETTINGS).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise self._no_run(error) from error

    @property
    def config(self) -> RunConfig:
        """Its settings. Raises DataError."""
        try:
            return load_config(self.path / SETTINGS)
        except ConfigError as error:
            raise self._no_run(error) from error

    @property
    def facts(self) -> RunFacts:
        """Raises DataError if they are missing or damaged."""
        try:
            row = json.loads((self.path / FACTS).read_text(encoding="utf-8"))
            train = tuple(TrainedOn(**{name: part[name] for name in TRAINED_ON}) for part in row["train"])
            baselines = {name: value for name, value in row["baselines"].items() if _is_number(value)}
            return RunFacts(
                code=str(row["code"]),
                train=train,
                checks=dict(row["data"]),
                source=str(row["source"]),
                machine=Machine(**row["machine"]),
                parameters=int(row["parameters"]),
                baselines=baselines,
                notes=tuple(map(str, row["notes"])),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise self._no_run(error) from error

    @property
    def records(self) -> list[Record]:
        """Its history; lines that cannot be read are left out. Raises DataError if there is no reading the file."""
        path = self.path / METRICS
        try:
            lines = path.read_bytes().split(b"\n") if path.is_file() else []
        except OSError as error:
            raise self._no_run(error) from error
        return [record for line in lines if (record := _record(line)) is not None]

    def _no_run(self, error: Exception) -> DataError:
        return DataError(f"{self.path} – не папка запуска ruvlm train или повреждена ({error}).")


def settings_of(place: Path, overrides: list[str]) -> RunConfig:
    """Of a recipe by its name, of a file, or of the run that lies in a folder, to go on with. Raises ConfigError."""
    run = RunFolder(place)
    return load_config(place / SETTINGS, [*overrides, *run.place]) if run.described else load_config(place, overrides)


def checkpoints(root: Path) -> list[Path]:
    """The checkpoints in a folder, the latest first; half-written ones have another name."""
    folders = [path for path in root.iterdir() if CHECKPOINT.fullmatch(path.name)] if root.is_dir() else []
    return sorted(folders, key=lambda path: path.name, reverse=True)


def _record(line: bytes) -> Record | None:
    try:
        return Record.of(json.loads(line)) if line.strip() else None
    except (ValueError, RecursionError):
        return None


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
