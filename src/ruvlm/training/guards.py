"""What stops a run before it misleads: training pictures among the evaluation's, a loss that is no number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ruvlm.data.pixels import marks_of
from ruvlm.errors import DataError, RuvlmError
from ruvlm.schema import Example, ImageRef


def refuse_leaks(train: Iterable[Example], check: Iterable[Example], cache: Path) -> None:
    """Raises DataError if a picture of the training data is, byte for byte, among those of the validation."""
    learnt = {mark for _, mark in marks_of(_pictures(train), cache)}
    shared = [ref for ref, mark in marks_of(_pictures(check), cache) if mark in learnt]
    if shared:
        raise DataError(
            f"Картинок проверки, которые есть и в обучении: {len(shared)} (первая – {shared[0]}): проверка на них ничего не "
            "измерит. Возьмите другую часть (data.val_split) или скажите data.allow_leaks=true, если так задумано."
        )


def _pictures(examples: Iterable[Example]) -> list[ImageRef]:
    return list(dict.fromkeys(example.image for example in examples))


def stopped(batch: Any, step: int, folder: Path, checkpoint: Path) -> RuvlmError:
    """Keep the batch whose loss is no number for inspection; the error to raise."""
    path = folder / f"bad_batch_step{step}.safetensors"
    tensors = _tensors(batch)
    if tensors:
        from safetensors.torch import save_file

        save_file(tensors, path)
    return RuvlmError(
        f"Потери на шаге {step} не число: уменьшите скорости обучения (train.lr, train.matrix_lr, vlm.*_lr); пакет – в {path}, "
        f"точки целы в {checkpoint}."
    )


def _tensors(batch: Any) -> dict[str, Tensor]:
    """The tensors of a batch by name, one level deep."""
    if is_dataclass(batch):
        named = {field.name: getattr(batch, field.name) for field in fields(batch)}
    else:
        named = {
            str(number): value for number, value in enumerate(batch if isinstance(batch, tuple | list) else [batch])
        }
    flat = {f"{k}.{i}": v for k, value in named.items() if isinstance(value, dict) for i, v in value.items()}
    flat |= named
    return {k: v.detach().cpu().contiguous().clone() for k, v in flat.items() if isinstance(v, Tensor)}
