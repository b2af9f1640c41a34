"""What a pretrained VLM computes for nothing in training, left out: the same loss and gradients, fewer products.

The last decoder layer's answers are read at the answering tokens only, so its queries, output and MLP are computed there
alone; keys and values are needed everywhere. LLaVA reads the vision tower's last but one layer: the last is passed through.

Shapes: B rows, T tokens, D width, N answering tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# a dense decoder layer as Llama, Mistral, Qwen and Gemma have it
NARROWED = ("self_attn.q_proj", "self_attn.o_proj", "mlp")
DENSE = "mlp.down_proj"


class AnswersOnly:
    """The last layer of a decoder at chosen tokens. Does nothing for a layer of an unknown build."""

    def __init__(self, model: nn.Module) -> None:
        self.places_N: Tensor | None = None
        for layer in decoder_layers(model)[-1:]:
            parts = dict(layer.named_modules())
            for name in NARROWED:
                module: Any = parts[name]
                module.forward = self._narrowed(module.forward)

    def _narrowed(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def narrow(x_BTD: Tensor) -> Tensor:
            places = self.places_N
            if places is None:
                return forward(x_BTD)
            found_ND = forward(x_BTD.flatten(0, 1)[places][None])[0]
            whole = found_ND.new_zeros(x_BTD.shape[0] * x_BTD.shape[1], found_ND.shape[-1])
            return whole.index_copy(0, places, found_ND).view(*x_BTD.shape[:2], -1)

        return narrow


def decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The language model's layers; none where they are of an unknown build."""
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m)]
    decoders = [stack for stack in stacks if {*NARROWED, DENSE} <= {name for name, _ in stack[-1].named_modules()}]
    return list(decoders[-1]) if decoders else []


def skip_unread_vision(model: Any) -> int:
    """Pass through the vision tower's layers after the one that LLaVA reads; how many there are."""
    unread = (
        -1 - model.config.vision_feature_layer
        if model.config.model_type in ("llava", "llava_next") and isinstance(model.config.vision_feature_layer, int)
        else 0
    )
    if unread <= 0:
        return 0
    stacks = [m for m in model.model.vision_tower.modules() if isinstance(m, nn.ModuleList) and len(m) > unread]
    if not stacks:
        return 0
    for layer in stacks[0][-unread:]:
        layer.forward = _unchanged
    return unread


def _unchanged(hidden_BTD: Tensor, *rest: Any, **named: Any) -> Tensor:
    return hidden_BTD


def logits_at(model: Any, inputs: dict[str, Tensor], places_N: Tensor) -> Tensor:
    """Scores of the tokens after the places, indices into the flattened [B, T]. [N, V]."""
    hidden_BTD = model.model(**inputs, use_cache=False).last_hidden_state
    logits_NV: Tensor = model.lm_head(hidden_BTD.flatten(0, 1)[places_N])
    return logits_NV


def four_bit(model: nn.Module) -> bool:
    """Are a model's weights packed by bitsandbytes?"""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def ready_for_adapter(model: Any) -> Any:
    """A 4-bit model whose norms and embeddings are in fp32, as QLoRA trains it (Dettmers et al., 2023)."""
    from peft import prepare_model_for_kbit_training

    with torch.no_grad():
        return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
