"""The compact VLM: convolutional stem → visual tokens → causal decoder that writes the answer.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, A answering tokens of a row, D width, H heads,
V vocabulary, S cached length. A row holds one or more questions about one picture; all rows of a picture share its
visual tokens' keys.

Three things make so small a model learn (docs/decisions/0003-nano.md): visual tokens are aligned with the word
embeddings at the stem's output, positions in picture and sentence are as strong as the content, and every mention is
taught to point at the thing it names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ruvlm.models.nano.layers import HIDDEN, Layer, Stem

EMBEDDING_STD = 0.4


@dataclass(frozen=True, kw_only=True)
class NanoShape:
    """`image_size` pixels → (image_size / 8)² visual tokens → causal decoder.

    Args:
        image_size: side of the square input picture, pixels; a multiple of 8.
        hidden_size: width of the decoder and of the visual tokens.
        num_hidden_layers, num_attention_heads, mlp_ratio: the decoder's shape.
        stem_widths: channels after each of the three stride-2 convolutions but the last, which has hidden_size.
        max_text_positions: the longest text, tokens.
        trained_on: what its data sets are called; whoever asks it is told.
    """

    vocab_size: int = 640
    image_size: int = 64
    hidden_size: int = 96
    num_hidden_layers: int = 5
    num_attention_heads: int = 4
    mlp_ratio: int = 2
    stem_widths: tuple[int, int] = (32, 64)
    stem_blocks: int = 1
    max_text_positions: int = 96
    trained_on: str = ""
    image_token_id: int = 3
    pad_token_id: int = 0
    bos_token_id: int = 1
    eos_token_id: int = 2

    def __post_init__(self) -> None:
        if self.num_hidden_layers < 5:
            raise ValueError(f"num_hidden_layers is {self.num_hidden_layers}, needs 5 or more")

    @property
    def grid(self) -> int:
        """Visual tokens along one side."""
        return self.image_size // 8

    @property
    def num_image_tokens(self) -> int:
        return self.grid**2


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


class NanoNetwork(nn.Module):
    """The network itself, without what transformers adds to a model (`pretrained.py`)."""

    shape: NanoShape

    def build(self, shape: NanoShape) -> None:
        """Make the parameters of a network of this shape."""
        self.shape = shape
        width = shape.hidden_size
        self.stem = Stem(shape)
        self.see_norm = nn.Parameter(torch.full((width,), EMBEDDING_STD))
        self.embed = nn.Embedding(shape.vocab_size, width)
        self.text_position = nn.Embedding(shape.max_text_positions, width)
        self.row = nn.Embedding(shape.grid, width)
        self.column = nn.Embedding(shape.grid, width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.last_norm = nn.Parameter(torch.ones(width))
        self.describe = nn.Linear(width, width, bias=False)
        self.relate = nn.Linear(width, width, bias=False)
        self.weigh = nn.Linear(width, 1, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    @property
    def stack(self) -> Sequence[Layer]:
        """The layers, as what they are."""
        return cast("Sequence[Layer]", self.layers)

    def see(self, pixels_BCSS: Tensor) -> Tensor:
        """Visual tokens in the space of the word embeddings, without their positions. [B, P, D]."""
        seen = self.stem(pixels_BCSS)
        return F.layer_norm(seen, (seen.shape[-1],), self.see_norm)

    def placed(self, seen_BPD: Tensor) -> Tensor:
        """Add row and column embeddings."""
        grid = self.shape.grid
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
        )

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


@final
class Nano(NanoNetwork):
    """The network alone: what learns and answers, with no need of transformers."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        self.build(shape)


def initialise(module: nn.Module) -> None:
    """A module's first weights."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=EMBEDDING_STD)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)


@torch.no_grad()
def first_weights(network: NanoNetwork) -> None:
    """What a run begins from: `initialise`, silent branches, and positions near one another that are alike (docs/decisions/0018)."""
    network.apply(initialise)
    for layer in network.stack:
        layer.out.weight.zero_()
        layer.down.weight.zero_()
    network.text_position.weight.copy_(_waves(*network.text_position.weight.shape))
    for axis in (network.row, network.column):
        axis.weight.copy_(_ramps(*axis.weight.shape))


def _waves(count: int, width: int) -> Tensor:
    """Sines and cosines of a position (Vaswani et al., 2017), from 2 to 1/50 radians a token. [count, width]."""
    turns = torch.exp(torch.linspace(math.log(2), math.log(1 / 50), width // 2))
    angles = torch.arange(count)[:, None] * turns
    waves = torch.cat([angles.sin(), angles.cos(), torch.zeros(count, width % 2)], dim=1)
    return waves * EMBEDDING_STD * 2**0.5


def _ramps(count: int, width: int) -> Tensor:
    """Slow waves along an axis of the picture, the slowest strongest, in random directions: left and right are apart at once."""
    along = (torch.arange(count) + 0.5) / count
    waves = torch.stack([wave(math.pi * h * along) for h in (0.5, 1, 2, 3) for wave in (torch.sin, torch.cos)], dim=1)
    waves = (waves - waves.mean(0)) / waves.std(0).clamp(min=1e-3)
    ramps = waves * torch.tensor([2, 2, 1.5, 1.5, 1, 1, 0.7, 0.7]) @ torch.randn(8, width)
    return ramps / ramps.std() * EMBEDDING_STD


def parameter_count(model: nn.Module) -> int:
    """All parameters, each counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
