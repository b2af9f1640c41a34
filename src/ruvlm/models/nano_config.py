"""Settings of the compact VLM, as transformers keeps them."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig


class NanoConfig(PreTrainedConfig):
    """A compact VLM: `image_size` pixels → (image_size / 8)² visual tokens → causal decoder.

    Args:
        image_size: side of the square input picture, pixels; a multiple of 8.
        hidden_size: width of the decoder and of the visual tokens.
        num_hidden_layers, num_attention_heads, mlp_ratio: the decoder's shape.
        stem_widths: channels after each of the three stride-2 convolutions but the last, which has hidden_size.
        max_text_positions: the longest text, tokens.
        trained_on: what its data sets are called; whoever asks it is told.
    """

    model_type = "ruvlm_nano"

    def __init__(
        self,
        vocab_size: int = 640,
        image_size: int = 64,
        hidden_size: int = 96,
        num_hidden_layers: int = 5,
        num_attention_heads: int = 4,
        mlp_ratio: int = 2,
        stem_widths: tuple[int, int] = (32, 64),
        stem_blocks: int = 1,
        max_text_positions: int = 96,
        trained_on: str = "",
        image_token_id: int = 3,
        pad_token_id: int = 0,
        bos_token_id: int = 1,
        eos_token_id: int = 2,
        **kwargs: Any,
    ) -> None:
        if num_hidden_layers < 5:
            raise ValueError(f"num_hidden_layers is {num_hidden_layers}, needs 5 or more")
        self.vocab_size = vocab_size
        self.image_size = image_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.mlp_ratio = mlp_ratio
        self.stem_widths = tuple(stem_widths)
        self.stem_blocks = stem_blocks
        self.max_text_positions = max_text_positions
        self.trained_on = trained_on
        self.image_token_id = image_token_id
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(pad_token_id=pad_token_id, bos_token_id=bos_token_id, eos_token_id=eos_token_id, **kwargs)

    @property
    def grid(self) -> int:
        """Visual tokens along one side."""
        return self.image_size // 8

    @property
    def num_image_tokens(self) -> int:
        return self.grid**2
