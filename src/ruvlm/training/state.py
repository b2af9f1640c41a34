"""A checkpoint: weights, optimiser state, counters and random state, as safetensors and JSON, with a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ruvlm.errors import ModelError
from ruvlm.models.checkpoint import save_folder


@dataclass
class Progress:
    """Where a run is: stage and step inside it, all steps, seconds trained, the best validation score so far."""

    stage: int = 0
    stage_step: int = 0
    step: int = 0
    seconds: float = 0.0
    stage_seconds: float = 0.0
    answers: int = 0
    best: float = -1.0
    validations: int = 0


def save_checkpoint(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], progress: Progress, config_text: str
) -> None:
    """Write a checkpoint whole or not at all; the previous one stays until then. Raises OutputError."""
    tensors = {f"model.{name}": value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    tensors["rng"] = torch.get_rng_state()
    scalars: dict[str, Any] = {}
    for number, optimizer in enumerate(optimizers):
        for key, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                full = f"optimizer.{number}.{key}.{name}"
                if isinstance(value, Tensor):
                    tensors[full] = value.detach().cpu().contiguous().clone()
                else:
                    scalars[full] = value

    def write(fresh: Path) -> None:
        save_file(tensors, fresh / "state.safetensors")
        digest = hashlib.sha256((fresh / "state.safetensors").read_bytes()).hexdigest()
        state = {"progress": asdict(progress), "scalars": scalars, "sha256": digest, "config": config_text}
        (fresh / "state.json").write_text(json.dumps(state, ensure_ascii=False, indent=1), encoding="utf-8")

    save_folder(folder, write)


def read_progress(folder: Path, config_text: str) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    """Read and verify a checkpoint. Raises ModelError if it is damaged or of other settings."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        data = (folder / "state.safetensors").read_bytes()
        if hashlib.sha256(data).hexdigest() != state["sha256"]:
            raise ModelError(f"Контрольная сумма {folder} не сходится: файл повреждён, начните обучение заново.")
        tensors = load_file(folder / "state.safetensors")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"Точка {folder} не читается ({error}): начните обучение заново.") from error
    if state["config"] != config_text:
        raise ModelError(f"Точка {folder} записана с другими настройками: верните их или смените name в настройках.")
    return Progress(**state["progress"]), tensors, state["scalars"]


def restore(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor], scalars: dict[str, Any]
) -> None:
    """Put a checkpoint's weights, optimiser state and random state back. Raises ModelError if they do not fit."""
    own = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    try:
        model.load_state_dict(own, strict=True)
    except RuntimeError as error:
        raise ModelError(f"Веса точки не подходят к модели ({str(error).splitlines()[0]}).") from error
    for number, optimizer in enumerate(optimizers):
        prefix = f"optimizer.{number}."
        state: dict[int, dict[str, Any]] = {}
        for name, value in {**tensors, **scalars}.items():
            if name.startswith(prefix):
                key, field = name.removeprefix(prefix).split(".", 1)
                state.setdefault(int(key), {})[field] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(tensors["rng"])
