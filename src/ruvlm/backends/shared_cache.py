"""What N rows of text keep after the prefixes of B pictures: keys and values that stand once, states copied to every row.

Shapes: B pictures, P prefix tokens, N rows, T new tokens of a row, S own tokens so far, K key heads, d head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DummyLayer,
    DynamicCache,
    DynamicLayer,
    LinearAttentionLayer,
)


class PrefixUnsupportedError(Exception):
    """The model's attention is not plain softmax attention over everything before: its rows must be asked one by one."""


class RowsLayer(CacheLayerMixin):
    """One layer: keys and values of the prefixes, [B, K, P, d], and a growing buffer of those of the rows' own tokens."""

    is_sliding = False

    def __init__(self, keys: Tensor, values: Tensor, rows: int) -> None:
        super().__init__()
        self.prefix_keys, self.prefix_values = keys, values
        self.keys = keys.new_empty((rows, keys.shape[1], 0, keys.shape[-1]))
        self.values = values.new_empty((rows, values.shape[1], 0, values.shape[-1]))
        self.length = 0
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values, [N, K, T, d]; returns all own ones, [N, K, S, d]."""
        end = self.length + key_states.shape[-2]
        if end > self.keys.shape[2]:
            self._grow(end + end // 4 + 16)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _grow(self, room: int) -> None:
        keys, values = self.keys[:, :, : self.length], self.values[:, :, : self.length]
        self.keys = keys.new_empty((*keys.shape[:2], room, keys.shape[3]))
        self.values = values.new_empty((*values.shape[:2], room, values.shape[3]))
        self.keys[:, :, : self.length], self.values[:, :, : self.length] = keys, values

    def get_seq_length(self) -> int:
        return int(self.prefix_keys.shape[-2]) + self.length

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        self.keys, self.values = self.keys[rows, :, : self.length], self.values[rows, :, : self.length]

    def join(self, pieces: list[RowsLayer], order: Tensor) -> None:
        """Take over the rows of several layers, right-aligned, in another order."""
        self.length = max(piece.length for piece in pieces)

        def whole(parts: list[Tensor]) -> Tensor:
            return torch.cat([pad(x, (0, 0, self.length - x.shape[2], 0)) for x in parts])[order]

        self.keys = whole([piece.keys[:, :, : piece.length] for piece in pieces])
        self.values = whole([piece.values[:, :, : piece.length] for piece in pieces])


class StateLayer(LinearAttentionLayer):
    """A layer whose memory is a state of constant size, [N, …]: that of its prefix, copied to every row."""

    def __init__(self, prefix: LinearAttentionLayer, owner_N: Tensor) -> None:
        super().__init__(prefix.number_of_states)
        for name, value in vars(prefix).items():
            setattr(self, name, dict(value) if isinstance(value, dict) else value)
        self.keep(owner_N)

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        for states in (self.conv_states, self.recurrent_states):
            for number, state in states.items():
                if state is not None:
                    states[number] = state[rows]

    def join(self, pieces: list[StateLayer], order: Tensor) -> None:
        """Take over the rows of several layers, in another order."""
        for number in range(self.number_of_states):
            if self.conv_states[number] is not None:
                self.conv_states[number] = torch.cat([piece.conv_states[number] for piece in pieces])[order]
            if self.recurrent_states[number] is not None:
                self.recurrent_states[number] = torch.cat([piece.recurrent_states[number] for piece in pieces])[order]


class NoLayer(DummyLayer):
    """A layer that reads another one's keys and values, and stores none."""

    def keep(self, rows: Tensor) -> None:
        """Nothing is there to drop."""

    def join(self, pieces: list[NoLayer], order: Tensor) -> None:
        """Nothing is there to take over."""


class RowsCache(Cache):
    """The layers of N rows, which are sorted by picture: `counts` of them ask about each of B pictures.

    `prefix_bias` [B, 1, P] hides padding before a shorter prefix; None where all are as long. `prefix_places_BP` and
    `query_places_NT`, `own_places_NS` count tokens from the prefix's end (its last token is -1), for windows.
    """

    def __init__(
        self, prefix: DynamicCache, counts: list[int], prefix_bias: Tensor | None, prefix_places_BP: Tensor
    ) -> None:
        owner_N = owners(counts).to(prefix_places_BP.device)
        super().__init__(layers=[_rows_of(layer, owner_N) for layer in prefix.layers])
        self.counts = counts
        self.prefix_bias, self.prefix_places_BP = prefix_bias, prefix_places_BP
        self.query_places_NT = self.own_places_NS = owner_N.new_zeros((len(owner_N), 0))

    def keep(self, rows: Tensor, counts: list[int]) -> None:
        """Drop all rows but these, indices in ascending order."""
        for layer in self.layers:
            layer.keep(rows)
        self.counts = counts


def _rows_of(layer: Any, owner_N: Tensor) -> RowsLayer | StateLayer | NoLayer:
    """What N rows keep after a layer's prefixes. Raises PrefixUnsupportedError for layers of another kind."""
    if type(layer) is DynamicLayer and layer.is_initialized:
        return RowsLayer(layer.keys, layer.values, len(owner_N))
    if type(layer) is LinearAttentionLayer:
        return StateLayer(layer, owner_N)
    if type(layer) is DummyLayer:
        return NoLayer()
    raise PrefixUnsupportedError("не все слои хранят ключи и значения")


def owners(counts: list[int]) -> Tensor:
    """Which picture each row asks about. [N]."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def whole_cache(text: Any) -> DynamicCache:
    """A prefix's cache: the layers a model's generate would have, but those with a window keep everything."""
    cache = DynamicCache(config=text)
    cache.layers = [
        DynamicLayer() if slides else layer for layer, slides in zip(cache.layers, cache.is_sliding, strict=True)
    ]
    return cache
