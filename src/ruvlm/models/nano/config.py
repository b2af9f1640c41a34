"""nano's shape as transformers keeps it, apart from the model: transformers' list of configurations is made before its models."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from ruvlm.models.nano.model import NanoShape


class NanoConfig(PreTrainedConfig):
    """A `NanoShape` as transformers keeps it; its arguments are the shape's fields."""

    model_type = "ruvlm_nano"

    def __init__(self, **kwargs: Any) -> None:
        shape = NanoShape(**{one.name: kwargs.pop(one.name) for one in fields(NanoShape) if one.name in kwargs})
        for one in fields(shape):
            if not one.name.endswith("_token_id") or one.name == "image_token_id":
                setattr(self, one.name, getattr(shape, one.name))
        self.stem_widths = tuple(shape.stem_widths)
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(
            pad_token_id=shape.pad_token_id, bos_token_id=shape.bos_token_id, eos_token_id=shape.eos_token_id, **kwargs
        )

    @property
    def shape(self) -> NanoShape:
        """The network's shape, as it stands now."""
        return NanoShape(**{one.name: getattr(self, one.name) for one in fields(NanoShape)})

    @property
    def grid(self) -> int:
        """Visual tokens along one side."""
        return self.shape.grid

    @property
    def num_image_tokens(self) -> int:
        return self.shape.num_image_tokens
