"""The compact VLM: convolutional stem → visual tokens → causal decoder that writes the answer.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, A answering tokens of a row, D width, H heads,
V vocabulary, S cached length. A row holds one or more questions about one picture; all rows of a picture share its
visual tokens' keys.

Three things make so small a model learn (docs/decisions/0003-nano.md): visual tokens are aligned with the word
embeddings at the stem's output, positions in picture and sentence are as strong as the content, and every mention is
taught to point at the thing it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from ruvlm.models.nano_config import NanoConfig
from ruvlm.models.nano_layers import HIDDEN, Layer, Stem

EMBEDDING_STD = 0.4


@dataclass(frozen=True)
class Prefix:
    """Pictures as the decoder sees them: stem output, and every layer's keys and values."""

    seen_BPD: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


@dataclass(frozen=True)
class Places:
    """Which tokens do what. `slots` are columns of the rows; the others are indices into [R, T], `ends` into [R, A].

    `mentions` name a thing, `seconds` the second of two things that a question compares, `points` and `ends` are the
    last tokens of prompts.
    """

    slots_RA: Tensor
    mentions_M: Tensor
    seconds_L: Tensor
    points_K: Tensor
    ends_Q: Tensor

    def to(self, device: torch.device) -> Places:
        return Places(*(tensor.to(device) for tensor in self.__dict__.values()))


@dataclass(frozen=True)
class Traces:
    """What training looks at: last hidden states of the answering tokens, and where some heads look.

    Head 0 of an early layer finds the thing that a word names (`mentions`), of a late one the thing that the answer is
    about (`points`), of the last layer the words that decide (`decisive`). The last head of the layer before it finds,
    from the second of two compared things, the first if they are alike (`pairs`); `alike` are its scores between all
    mentions. `mentioned`, `pointed` and `weighed` are the hidden states after the early, the late and that layer.
    """

    last_RAD: Tensor
    mentions_MS: Tensor
    pairs_LS: Tensor
    alike_MM: Tensor
    points_KS: Tensor
    decisive_QS: Tensor
    mentioned_RTD: Tensor
    pointed_RTD: Tensor
    weighed_RTD: Tensor


class NanoForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Compact VLM with transformers' interface: `input_ids` hold `num_image_tokens` image tokens, then the text."""

    config_class = NanoConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    _supports_sdpa = True
    _no_split_modules = ("Layer",)

    def __init__(self, config: NanoConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.stem = Stem(config)
        self.see_norm = nn.Parameter(torch.full((width,), EMBEDDING_STD))
        self.embed = nn.Embedding(config.vocab_size, width)
        self.text_position = nn.Embedding(config.max_text_positions, width)
        self.row = nn.Embedding(config.grid, width)
        self.column = nn.Embedding(config.grid, width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.last_norm = nn.Parameter(torch.ones(width))
        self.describe = nn.Linear(width, width, bias=False)
        self.relate = nn.Linear(width, width, bias=False)
        self.weigh = nn.Linear(width, 1, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=EMBEDDING_STD)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)

    @property
    def stack(self) -> Sequence[Layer]:
        """The layers, as what they are."""
        return cast("Sequence[Layer]", self.layers)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed = value  # type: ignore[assignment]

    def see(self, pixels_BCSS: Tensor) -> Tensor:
        """Visual tokens in the space of the word embeddings, without their positions. [B, P, D]."""
        seen = self.stem(pixels_BCSS)
        return F.layer_norm(seen, (seen.shape[-1],), self.see_norm)

    def placed(self, seen_BPD: Tensor) -> Tensor:
        """Add row and column embeddings."""
        grid = self.config.grid
        place = (self.row.weight[:, None] + self.column.weight[None]).reshape(grid * grid, -1)
        return seen_BPD + place

    def read(self, ids_BT: Tensor, positions_BT: Tensor) -> Tensor:
        """Text embeddings with their positions. [B, T, D]."""
        words: Tensor = self.embed(ids_BT) + self.text_position(positions_BT)
        return words

    def weighed(self, hidden_ND: Tensor) -> Tensor:
        """How right an option's last token believes the option to be. [..., D] → [...]."""
        weighed: Tensor = self.weigh(F.layer_norm(hidden_ND, (hidden_ND.shape[-1],)))
        return weighed.squeeze(-1)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Scores over the vocabulary, tied to the word embeddings. [..., D] → [..., V]."""
        normed = F.layer_norm(hidden_ND, (hidden_ND.shape[-1],), self.last_norm)
        return F.linear(normed, self.embed.weight) * self.logit_scale

    def prefix(self, pixels_BCSS: Tensor) -> Prefix:
        """Run the pictures once; any number of questions about them may follow."""
        seen = self.see(pixels_BCSS)
        x = self.placed(seen)
        keys, values = [], []
        for number, layer in enumerate(self.stack):
            if number < self.seeing_layers:
                x, k, v = layer.forward_prefix(x)
            else:
                k, v = layer.keys_values(x)
            keys.append(k)
            values.append(v)
        return Prefix(seen, tuple(keys), tuple(values))

    def rows(
        self, prefix: Prefix, ids_RT: Tensor, positions_RT: Tensor, owner_R: Tensor, mask: Tensor, places: Places
    ) -> Traces:
        """Run rows of text after their pictures. `mask` [R, 1, T, P + T], True = may look."""
        x = self.read(ids_RT, positions_RT)
        bias = torch.zeros(mask.shape, dtype=x.dtype, device=x.device).masked_fill_(~mask, HIDDEN)
        looks: dict[int, Any] = {}
        states: dict[int, Tensor] = {}
        last = len(self.layers) - 1
        early, late, matching = self.taught_layers
        taught = {early: (places.mentions_M, 0), late: (places.points_K, 0), matching: (places.seconds_L, -1)}
        for number, layer in enumerate(self.stack[:last]):
            x, looks[number] = layer.forward_rows(
                x, prefix.keys[number], prefix.values[number], owner_R, bias, taught.get(number)
            )
            states[number] = x
        alike = self.stack[matching].match(states[matching - 1], places.mentions_M)
        answering, decisive = self.stack[last].forward_slots(
            x, prefix.keys[last], prefix.values[last], owner_R, bias, places.slots_RA, places.ends_Q
        )
        return Traces(
            answering, looks[early], looks[matching], alike, looks[late], decisive, states[early], states[late], x
        )  # fmt: skip

    def described(self, hidden_ND: Tensor) -> Tensor:
        """What a hidden state has seen, as scores over the words. [N, D] → [N, V]."""
        return self._worded(self.describe(hidden_ND))

    def related(self, hidden_ND: Tensor) -> Tensor:
        """How the two things that a hidden state compares are related, as scores over the words. [N, D] → [N, V]."""
        return self._worded(self.relate(hidden_ND))

    def _worded(self, hidden_ND: Tensor) -> Tensor:
        normed = F.layer_norm(hidden_ND, (hidden_ND.shape[-1],), self.see_norm)
        return F.linear(normed, self.embed.weight)

    @property
    def seeing_layers(self) -> int:
        """How many layers work on the visual tokens; later ones read what these left.

        Nothing is looked for in the picture after the last taught layer, so its own keys are the last that matter.
        """
        return self.taught_layers[1]

    @property
    def taught_layers(self) -> tuple[int, int, int]:
        """The layers taught to find mentioned things, the thing the answer is about, and like things."""
        late = min(3, len(self.layers) - 3)
        return late - 2, late, len(self.layers) - 2

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
        is_image = input_ids == self.config.image_token_id
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
        images = self.config.num_image_tokens
        prefix = images if past or bool(is_image_BT.any()) else 0
        positions = (attention_BS.cumsum(1) - 1 - prefix).clamp(0, self.config.max_text_positions - 1)
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


def parameter_count(model: nn.Module) -> int:
    """All parameters, each counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
