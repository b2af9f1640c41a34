"""What a run will cost: memory before the first step, time after the tenth, and what to turn when memory runs out."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import torch
from torch import nn

from ruvlm.errors import RuvlmError
from ruvlm.training.optim import Muon

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
        return f"шагов до {steps}, но раньше кончится время: {minutes:g} мин, около {round(done + (minutes * 60 - seconds) * done / seconds)} шагов"
    return f"шагов {steps}, осталось около {left:.0f} мин" if left >= 1 else f"шагов {steps}, осталось меньше минуты"


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
    return f"{size / 1e9:.1f} ГБ" if size >= 5e7 else f"{size / 1e6:.1f} МБ"
