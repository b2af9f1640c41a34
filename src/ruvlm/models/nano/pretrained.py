"""nano as a model of transformers: its forward and generate over input_ids and pixel_values.

Shapes: B rows, T tokens, S tokens with the cached ones.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from ruvlm.models.nano.config import NanoConfig
from ruvlm.models.nano.model import NanoNetwork, initialise
from ruvlm.runtime import quiet_transformers


def as_pretrained(network: NanoNetwork) -> Any:
    """The same weights as a model of transformers, on the processor: what is saved."""
    quiet_transformers()
    shape = {one.name: getattr(network.shape, one.name) for one in fields(network.shape)}
    model = NanoForConditionalGeneration(NanoConfig(**shape))
    model.load_state_dict(network.state_dict())
    return cast(Any, model)


class NanoForConditionalGeneration(NanoNetwork, PreTrainedModel, GenerationMixin):
    """Compact VLM with transformers' interface: `input_ids` hold `num_image_tokens` image tokens, then the text."""

    config_class = NanoConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    _supports_sdpa = True
    _no_split_modules = ("Layer",)

    def __init__(self, config: NanoConfig) -> None:
        super().__init__(config)
        self.build(config.shape)
        cast(Any, self).post_init()

    def _init_weights(self, module: nn.Module) -> None:
        initialise(module)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed = value  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Transformers' forward. `input_ids` [B, T], `pixel_values` [B, 3, S, S], `attention_mask` [B, past + T]."""
        assert input_ids is not None
        batch, length = input_ids.shape
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        if attention_mask is None:
            attention_mask = input_ids.new_ones(batch, past + length)
        is_image = input_ids == self.shape.image_token_id
        x, _positions = self._embedded(input_ids, is_image, pixel_values, attention_mask, past)
        mask = self._mask(is_image, attention_mask, past)
        for number, layer in enumerate(self.stack):
            done = layer(x, mask, past_key_values, number)
            x = done if number < self.seeing_layers else torch.where(is_image[..., None], x, done)
        kept = x[:, -logits_to_keep:] if logits_to_keep else x
        logits = self.logits(kept)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

    def _embedded(
        self, ids_BT: Tensor, is_image_BT: Tensor, pixels: Tensor | None, attention_BS: Tensor, past: int
    ) -> tuple[Tensor, Tensor]:
        images = self.shape.num_image_tokens
        prefix = images if past or bool(is_image_BT.any()) else 0
        positions = (attention_BS.cumsum(1) - 1 - prefix).clamp(0, self.shape.max_text_positions - 1)
        positions = positions[:, past:].long()
        x = self.read(ids_BT, positions)
        if bool(is_image_BT.any()):
            if pixels is None:
                raise ValueError("input_ids hold image tokens but pixel_values is None")
            counts = is_image_BT.sum(1)
            if not bool((counts == images).all()):
                raise ValueError(f"each row needs {images} image tokens, got {counts.tolist()}")
            x = x.masked_scatter(is_image_BT[..., None], self.placed(self.see(pixels)).to(x.dtype))
        return x, positions

    @staticmethod
    def _mask(is_image_BT: Tensor, attention_BS: Tensor, past: int) -> Tensor:
        """Causal, but visual tokens see one another; padding is seen by nobody. [B, 1, T, S], True = may look."""
        length, total = is_image_BT.shape[1], attention_BS.shape[1]
        rows = torch.arange(past, total, device=attention_BS.device)[:, None]
        columns = torch.arange(total, device=attention_BS.device)[None]
        allowed = (columns <= rows)[None]
        if past == 0:
            allowed = allowed | (is_image_BT[:, :, None] & is_image_BT[:, None, :])
        allowed = allowed & attention_BS[:, None, :].bool()
        # a padding row would see nothing and become NaN: let it see itself
        own = (columns == rows)[None]
        return (allowed | own).view(-1, 1, length, total)

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: Any) -> dict[str, Any]:
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **kwargs)
        past = inputs.get("past_key_values")
        if past is not None and past.get_seq_length() > 0:
            inputs["pixel_values"] = None
        return inputs
