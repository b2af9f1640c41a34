"""The parts of a pretrained VLM of any family: which learn, which stay, and LoRA on the language model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ruvlm.errors import ModelError
from ruvlm.models.vlm.shortcuts import four_bit, ready_for_adapter

# as transformers names them: LLaVA's kin, Idefics3 and SmolVLM, Qwen-VL, Gemma 3n and 4, Janus, Ovis
_NAMES = {
    "projector": (
        "multi_modal_projector",
        "connector",
        "visual.merger",
        "visual.deepstack_merger_list",
        "projector",
        "embed_vision",
        "aligner",
        "visual_embeddings_table",
    ),
    "vision": ("vision_tower", "vision_model", "visual"),
    "language": ("language_model", "text_model"),
}


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter (Hu et al., 2021): rank 0 is none."""

    rank: int = 0
    alpha: float = 32.0
    dropout: float = 0.0


def part_of(name: str) -> str:
    """The part a parameter belongs to, by its name; heads and embeddings are the language model's."""
    words = f".{name}."
    for part in ("projector", "vision", "language"):
        if any(f".{known}." in words for known in _NAMES[part]):
            return part
    return "language"


def prepared(model: nn.Module, parts: Sequence[str], lora: Lora) -> nn.Module:
    """Let only `parts` learn; with a rank, of the language model its adapter. Returns the model to train.

    Raises ModelError if a part is not there.
    """
    parts_had = {part_of(name) for name, _ in model.named_parameters()}
    for part in parts:
        if part not in parts_had:
            raise ModelError(f"У модели нет части «{part}»: есть {', '.join(sorted(parts_had))}.")
    if four_bit(model):
        if not lora.rank or parts:
            raise ModelError("4-битные веса не учатся: задайте vlm.lora_rank и vlm.parts = [].")
        model = ready_for_adapter(model)
    if lora.rank:
        model = _adapted(model, parts, lora)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(True)
        elif "original_module" in name:
            parameter.requires_grad_(False)
        else:
            # beside an adapter only the copies that are saved with it learn
            parameter.requires_grad_(part_of(name) in parts and (not lora.rank or ".modules_to_save." in name))
    return model


def _adapted(model: nn.Module, parts: Sequence[str], lora: Lora) -> nn.Module:
    """The model under peft: adapters in the language model, whole copies of the other parts that learn."""
    from peft import LoraConfig, get_peft_model

    targets = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and part_of(name) == "language" and "lm_head" not in name
    ]
    whole = sorted({root for part in parts if part != "language" for root in _roots(model, part)})
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=whole or None,
    )
    with warnings.catch_warnings():
        # peft asks for a property that transformers has renamed
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        adapted: nn.Module = get_peft_model(model, config)
    return adapted


def _roots(model: nn.Module, part: str) -> Iterator[str]:
    """Ends of the names of the modules that are a part; of a list of modules those of its items, which peft can copy."""
    inside = "?"
    for name, module in model.named_modules():
        known = next((known for known in _NAMES[part] if f".{name}".endswith(f".{known}")), None)
        if known is None or part_of(name) != part or name.startswith(f"{inside}."):
            continue
        inside = name
        last = known.rsplit(".", 1)[-1]
        yield from (f"{last}.{n}" for n in range(len(module))) if isinstance(module, nn.ModuleList) else (last,)


def shares(model: nn.Module) -> tuple[int, int]:
    """All parameters, and those that learn."""
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in counts), sum(n for n, learns in counts if learns)


def merged(model: Any, sample: dict[str, torch.Tensor], close: float = 1e-3) -> Any:
    """A peft model with its adapter added into the weights.

    Raises ModelError if the merged model does not give the adapted one's logits on `sample`, or gives NaN.
    """
    model.eval()
    with torch.inference_mode():
        try:
            expected = model(**sample).logits.float().clone()
            plain = model.merge_and_unload()
            logits = plain(**sample).logits.float()
        except (AttributeError, RuntimeError, ValueError, NotImplementedError, TypeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise ModelError(
                f"Адаптер такого вида не сливается с весами ({first}): пользуйтесь им как hf:МОДЕЛЬ+АДАПТЕР."
            ) from error
    gap = float((logits - expected).abs().max())
    if not gap <= close * max(1.0, float(expected.abs().max())):
        raise ModelError(
            f"После слияния логиты разошлись с моделью под адаптером на {gap:.3g}: слитые веса не записаны."
        )
    return plain
