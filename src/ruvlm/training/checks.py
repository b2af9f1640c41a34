"""What a run is held against: leaks and losses that are no numbers, what it costs in memory and time, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from ruvlm.data.pixels import marks_of
from ruvlm.errors import DataError, ModelError, RuvlmError
from ruvlm.numerals import decimal, short
from ruvlm.run_folder import RunFacts, RunFolder
from ruvlm.schema import Example, ImageRef
from ruvlm.training.optim import Muon


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


def kept_baselines(folder: RunFolder) -> dict[str, float] | None:
    """The baselines that a run began with; None where they are not readable."""
    try:
        return folder.facts.baselines
    except DataError:
        return None


def refuse_other_data(folder: RunFolder, now: RunFacts) -> None:
    """Raise ModelError if the data of a run that is gone on with is not what it began on."""
    try:
        began = folder.facts
    except DataError as error:
        raise ModelError(f"Не сказано, на каких данных начато: {error}") from error
    kinds = (
        ("обучения", [part.fingerprint for part in began.train], [part.fingerprint for part in now.train]),
        ("проверки", began.checks, now.checks),
    )
    for what, before, after in kinds:
        if before != after:
            raise ModelError(
                f"Данные {what} с начала запуска {folder.path} изменились (отпечаток был {before}, стал {after}): верните их или "
                "начните другой запуск (--set name=…)."
            )


def stopped(batch: Any, step: int, folder: Path, checkpoint: Path) -> RuvlmError:
    """Keep the batch whose loss is no number for inspection; the error to raise."""
    path = folder / f"bad_batch_step{step}.safetensors"
    tensors = _tensors(batch)
    if tensors:
        from safetensors.torch import save_file

        save_file(tensors, path)
    return RuvlmError(
        f"Потери на шаге {step} не число: уменьшите скорости обучения (train.lr, train.matrix_lr, vlm.*_lr); батч – в {path}, "
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


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Between steps a signal interrupts at once; in a step it waits for the step's end.

    With `waits` it always waits for the end of a step: several processes have to stop at the same one.
    """

    def __init__(self, waits: bool) -> None:
        self.asked = False
        self._busy, self._waits = False, waits

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Signals are handled here while the block runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {s: signal.signal(s, self._hear) for s in SIGNALS}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT and self._waits:
            raise KeyboardInterrupt  # asked twice: at once
        self.asked = True
        if not self._busy and not self._waits:
            raise KeyboardInterrupt

    @contextmanager
    def later(self) -> Iterator[None]:
        """A block that is not interrupted."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


ESTIMATE_AT = 10
# in the order to try them
KNOBS = (
    "train.accumulate вдвое больше",
    "меньше train.images_per_step",
    "меньше train.questions_per_image",
    "vlm.checkpointing = true",
    "train.precision = bf16",
    "меньше vlm.row_tokens",
    "vlm.dtype = bfloat16, а то и 4bit",
    "vlm.lora_rank вместо целых весов",
    "train.sharding = fsdp2 на нескольких картах",
)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(psutil.virtual_memory().available)


def used_memory(device: torch.device) -> int:
    """Bytes this process has: the most so far on a GPU, now on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    return int(psutil.Process().memory_info().rss)


def needed_memory(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], averaged: bool) -> int:
    """Bytes beside the weights that training will hold: gradients, the optimisers' states, averages. Not activations."""
    learnt = [p for p in model.parameters() if p.requires_grad]
    sizes = {id(p): p.numel() * p.element_size() for p in learnt}
    states = sum(
        sizes.get(id(p), 0) * (1 if isinstance(optimizer, Muon) else 2)
        for optimizer in optimizers
        for group in optimizer.param_groups
        for p in group["params"]
    )
    return sum(sizes.values()) * (2 if averaged else 1) + states


def memory_line(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], averaged: bool, device: torch.device
) -> str:
    """What training needs against what is free, in words."""
    need, free = needed_memory(model, optimizers, averaged), free_memory(device)
    text = f"память: градиентам и оптимизатору {_gigabytes(need)}, свободно {_gigabytes(free)}; промежуточные значения – сверх того"
    return text if need < 0.9 * free else f"{text}. НЕ ХВАТИТ: {', '.join(KNOBS[-3:])}"


def time_line(steps: int, done: int, seconds: float, minutes: float | None) -> str:
    """How long the rest will take, from the steps so far."""
    left = (steps - done) * seconds / done / 60
    if minutes is not None and minutes - seconds / 60 < left:
        return f"шагов до {steps}, но раньше кончится время: {short(minutes)} мин, около {round(done + (minutes * 60 - seconds) * done / seconds)} шагов"
    return (
        f"шагов {steps}, осталось около {decimal(left, 0)} мин"
        if left >= 1
        else f"шагов {steps}, осталось меньше минуты"
    )


def out_of_memory(error: RuntimeError) -> RuvlmError | None:
    """What to do about an error that says memory has run out; None for other errors."""
    text = str(error)
    if not isinstance(error, torch.OutOfMemoryError) and not any(
        part in text for part in ("can't allocate memory", "not enough memory", "out of memory")
    ):
        return None
    first = text.strip().splitlines()[0][:160]
    return RuvlmError(
        f"Не хватило памяти ({first}). По очереди: {'; '.join(KNOBS)}. Точка цела: после смены настроек начните с другим name."
    )


def _gigabytes(size: int) -> str:
    return f"{decimal(size / 1e9)} ГБ" if size >= 5e7 else f"{decimal(size / 1e6)} МБ"
