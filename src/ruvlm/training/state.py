"""A checkpoint: what a run would need to go on as if it had never stopped, as safetensors and JSON, with a checksum."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ruvlm.config import RunConfig, validated
from ruvlm.errors import ConfigError, ModelError
from ruvlm.files import whole_folder
from ruvlm.run_folder import checkpoints
from ruvlm.training.sharding import full, put, spread_like


@dataclass
class Progress:
    """Where a run is: stage and step inside it, all steps, seconds trained, validations and the best of their scores.

    `stale` counts validations since the best one; `done` says that all is trained and validated. `slots` is how many of the planned
    validations are behind, which is not how many there were where a run was prolonged; −1 in checkpoints of earlier versions.
    """

    stage: int = 0
    stage_step: int = 0
    step: int = 0
    seconds: float = 0.0
    stage_seconds: float = 0.0
    answers: int = 0
    best: float = -1.0
    validations: int = 0
    stale: int = 0
    done: bool = False
    slots: int = -1


@dataclass(frozen=True)
class Learning:
    """Everything of a run that changes as it learns. `extra` are tensors by name (moving averages), changed in place."""

    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    extra: dict[str, Tensor]
    scaler: torch.amp.GradScaler


def save_checkpoint(root: Path, learning: Learning, progress: Progress, config: str, keep: int, writes: bool) -> None:
    """Write a checkpoint whole or not at all, then drop all but the last `keep`. Raises OutputError.

    Every process of a sharded run must come here; the one that `writes` writes.
    """
    tensors, scalars = _collected(learning)
    if not writes:
        return
    target = root / f"step_{progress.step:08d}_{progress.validations:04d}"
    if target.is_dir():
        return  # the same moment: nothing has been learnt since

    with whole_folder(target, over=True) as fresh:
        save_file(tensors, fresh / "state.safetensors")
        state = {
            "progress": asdict(progress),
            "scalars": scalars,
            "sha256": _digest(fresh / "state.safetensors"),
            "config": config,
        }
        state["own_sha256"] = _own_digest(state)
        (fresh / "state.json").write_text(json.dumps(state, ensure_ascii=False, indent=1), encoding="utf-8")
    for old in checkpoints(root)[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(
    root: Path, config: RunConfig, report: Callable[[str], None]
) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    """The latest checkpoint that is whole; of a damaged one it is said that an earlier one serves instead.

    Raises ModelError if none is whole or the settings are others.
    """
    errors = []
    for folder in checkpoints(root):
        try:
            state = _read(folder)
        except ModelError as error:
            errors.append(error)
            continue
        for damage in errors:
            report(f"{damage} Продолжаю с предыдущей: {folder.name}")
        _agree(_settings_of(state.config, folder), config, folder)
        return state.progress, state.tensors, state.scalars
    if not errors:
        raise ModelError(f"В {root} нет точки, с которой продолжать: запустите обучение без --resume.")
    raise ModelError(f"{errors[0]} Другой целой точки нет: начните обучение заново.")


def outgrown(root: Path, config: RunConfig) -> bool:
    """Do the settings let a run go on longer than those of its latest checkpoint did?

    Raises ModelError naming a setting that is another one. Weights are not read: a damaged checkpoint is told of later.
    """
    for folder in checkpoints(root):
        try:
            stored = json.loads((folder / "state.json").read_text(encoding="utf-8"))["config"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return _agree(_settings_of(stored, folder), config, folder)
    return False


# how long a run lasts may grow; where it lies and how it is watched changes nothing that it learns
GROWING = frozenset({"train.max_minutes", "train.epochs", "train.max_steps"})
FREE = frozenset({"name", "results", "train.trackers", "train.keep_last", "train.checkpoint_minutes", "train.workers"})


def bound_of(config: RunConfig) -> str:
    """The setting that a run's length goes by."""
    train = config.train
    return "train.max_steps" if train.max_steps else "train.max_minutes" if train.max_minutes else "train.epochs"


def _agree(before: RunConfig, now: RunConfig, folder: Path) -> bool:
    """Has a bound of the run's length grown? Raises ModelError where any other setting that matters has changed."""
    old, new = _flat(before.model_dump()), _flat(now.model_dump())
    changed = [key for key in {**old, **new} if key not in FREE and old.get(key) != new.get(key)]
    for key in changed:
        was, wants = old.get(key), new.get(key)
        if key in GROWING and (wants is None or (was is not None and wants >= was)):
            continue
        back = f"--set {key}={was}" if was is not None else f"без {key}"
        raise ModelError(
            f"Точка {folder} записана с другими настройками: {key} было {_said(was)}, стало {_said(wants)}. Верните прежнее ({back}) или "
            "начните другой запуск (--set name=…); расти могут только заданные train.max_minutes, train.epochs и train.max_steps."
        )
    return bool(changed)


def _said(value: Any) -> str:
    return "не задано" if value is None else str(value)


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by «section.key»."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat


def _settings_of(text: str, folder: Path) -> RunConfig:
    """The settings of a checkpoint, as they are called today. Raises ModelError where they cannot be read."""
    try:
        return validated(json.loads(text), str(folder))
    except (ValueError, ConfigError) as error:
        raise ModelError(f"Настройки точки {folder} не читаются ({error}): начните обучение заново.") from error


@dataclass(frozen=True)
class _Read:
    progress: Progress
    tensors: dict[str, Tensor]
    scalars: dict[str, Any]
    config: str


def _read(folder: Path) -> _Read:
    file = folder / "state.safetensors"
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        known = state.pop("own_sha256", None)  # checkpoints of earlier versions have none
        if (known is not None and known != _own_digest(state)) or _digest(file) != state["sha256"]:
            raise ModelError(f"Контрольная сумма точки {folder} не сходится: файл повреждён.")
        tensors = load_file(file)
        progress = Progress(**state["progress"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"Точка {folder} не читается ({error}).") from error
    return _Read(progress, tensors, state["scalars"], state["config"])


def _own_digest(state: dict[str, Any]) -> str:
    """A hash of all else that state.json says."""
    return hashlib.sha256(json.dumps(state, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _kept(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: parameters that learn, and buffers. Frozen weights are where they were loaded from."""
    saved = model.state_dict().keys()
    learnt = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return learnt | {name: buffer for name, buffer in model.named_buffers() if name in saved}


def _collected(learning: Learning) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {f"model.{name}": full(value) for name, value in _kept(learning.model).items()}
    tensors |= {f"extra.{name}": full(value) for name, value in learning.extra.items()}
    tensors["rng"] = torch.get_rng_state()
    scalars: dict[str, Any] = {"scaler": learning.scaler.state_dict()}
    for number, optimizer in enumerate(learning.optimizers):
        for key, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                place = f"optimizer.{number}.{key}.{name}"
                if isinstance(value, Tensor):
                    tensors[place] = full(value)
                else:
                    scalars[place] = value
    return tensors, scalars


def restore(learning: Learning, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    """Put a checkpoint back. Raises ModelError naming a weight that is missing, unknown or of another shape."""
    for prefix, own in (("model.", _kept(learning.model)), ("extra.", learning.extra)):
        stored = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        strange = sorted(stored.keys() ^ own.keys()) + [
            name for name, value in own.items() if name in stored and stored[name].shape != value.shape
        ]
        if strange:
            raise ModelError(f"Веса точки не подходят к модели ({', '.join(strange[:3])}): модель с тех пор другая.")
        for name, value in own.items():
            put(value, stored[name])
    for number, optimizer in enumerate(learning.optimizers):
        _restore_optimizer(optimizer, f"optimizer.{number}.", tensors, scalars)
    learning.scaler.load_state_dict(scalars["scaler"])
    torch.set_rng_state(tensors["rng"])


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, prefix: str, tensors: dict[str, Tensor], scalars: dict[str, Any]
) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **scalars}.items():
        if name.startswith(prefix):
            key, field = name.removeprefix(prefix).split(".", 1)
            place = int(key)
            if isinstance(value, Tensor):
                value = spread_like(parameters[place], value)
            state.setdefault(place, {})[field] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
