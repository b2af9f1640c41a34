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
    """One layer: keys and values of every picture's prefix, [K, P, d], and a growing buffer of those of the rows' own tokens."""

    is_sliding = False

    def __init__(self, prefixes: list[tuple[Tensor, Tensor]], rows: int) -> None:
        super().__init__()
        self.prefixes = prefixes
        keys, values = prefixes[0]
        self.keys = keys.new_empty((rows, keys.shape[0], 0, keys.shape[-1]))
        self.values = values.new_empty((rows, values.shape[0], 0, values.shape[-1]))
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
        return max(int(keys.shape[1]) for keys, _ in self.prefixes) + self.length

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def keep(self, rows: Tensor, pictures: list[int], first: int) -> None:
        """Drop all rows and pictures but these, and the own tokens before the first that any row still has."""
        self.prefixes = [self.prefixes[b] for b in pictures]
        self.keys = self.keys[rows, :, first : self.length]
        self.values = self.values[rows, :, first : self.length]
        self.length -= first

    def join(self, pieces: list[RowsLayer], order: Tensor | None) -> None:
        """Take over the rows of several layers, right-aligned, one after another or in another order."""
        length = max(piece.length for piece in pieces)

        def whole(parts: list[Tensor]) -> Tensor:
            return _in_order([pad(x, (0, 0, length - x.shape[2], 0)) for x in parts], order)

        self.keys = whole([piece.keys[:, :, : piece.length] for piece in pieces])
        self.values = whole([piece.values[:, :, : piece.length] for piece in pieces])
        self.length = length

    def share(self, other: RowsLayer) -> None:
        """Take over the prefixes of other pictures."""
        self.prefixes = [*self.prefixes, *other.prefixes]


class StateLayer(LinearAttentionLayer):
    """A layer whose memory is a state of constant size, [N, …]: that of its prefix, copied to every row."""

    def __init__(self, prefix: LinearAttentionLayer, owner_N: Tensor) -> None:
        super().__init__(prefix.number_of_states)
        for name, value in vars(prefix).items():
            setattr(self, name, dict(value) if isinstance(value, dict) else value)
        self._select(owner_N)

    def keep(self, rows: Tensor, pictures: list[int], first: int) -> None:
        """Drop all rows but these."""
        self._select(rows)

    def _select(self, rows: Tensor) -> None:
        for states in (self.conv_states, self.recurrent_states):
            for number, state in states.items():
                if state is not None:
                    states[number] = state[rows]

    def join(self, pieces: list[StateLayer], order: Tensor | None) -> None:
        """Take over the rows of several layers, one after another or in another order."""
        for number in range(self.number_of_states):
            if self.conv_states[number] is not None:
                self.conv_states[number] = _in_order([piece.conv_states[number] for piece in pieces], order)
            if self.recurrent_states[number] is not None:
                self.recurrent_states[number] = _in_order([piece.recurrent_states[number] for piece in pieces], order)

    def share(self, other: StateLayer) -> None:
        """Every row has its own copy of its prefix."""


class NoLayer(DummyLayer):
    """A layer that reads another one's keys and values, and stores none."""

    def keep(self, rows: Tensor, pictures: list[int], first: int) -> None:
        """Nothing is there to drop."""

    def join(self, pieces: list[NoLayer], order: Tensor | None) -> None:
        """Nothing is there to take over."""

    def share(self, other: NoLayer) -> None:
        """Nothing is there to take over."""


class RowsCache(Cache):
    """The layers of N rows, which are sorted by picture: `counts` of them ask about each of B pictures.

    `lengths` are those of the B prefixes, without the padding before the shorter ones. `query_places_NT` and
    `own_places_NS` count tokens from the prefix's end (its last token is -1), for windows.
    """

    def __init__(
        self, prefix: DynamicCache, counts: list[int], lengths: list[int], device: torch.device | None = None
    ) -> None:
        owner_N = owners(counts).to(device)
        super().__init__(layers=[_rows_of(layer, owner_N, lengths) for layer in prefix.layers])
        self.counts, self.lengths = counts, lengths
        self.query_places_NT = self.own_places_NS = owner_N.new_zeros((len(owner_N), 0))

    @property
    def longest(self) -> int:
        """Length of the longest prefix."""
        return max(self.lengths)

    def keep(self, rows: Tensor, counts: list[int], first: int) -> None:
        """Drop all rows but these, indices in ascending order; pictures that none asks about; own tokens before `first`."""
        pictures = [b for b, count in enumerate(counts) if count]
        for layer in self.layers:
            layer.keep(rows, pictures, first)
        self.counts, self.lengths = [counts[b] for b in pictures], [self.lengths[b] for b in pictures]

    def share(self, other: RowsCache) -> None:
        """Let rows about other pictures come after these."""
        for layer, more in zip(self.layers, other.layers, strict=True):
            layer.join([layer, more], None)
            layer.share(more)
        self.counts, self.lengths = [*self.counts, *other.counts], [*self.lengths, *other.lengths]


def _rows_of(layer: Any, owner_N: Tensor, lengths: list[int]) -> RowsLayer | StateLayer | NoLayer:
    """What N rows keep after a layer's prefixes. Raises PrefixUnsupportedError for layers of another kind."""
    if type(layer) is DynamicLayer and layer.is_initialized:
        # the padding before a shorter prefix falls away here
        ends = [(layer.keys[b, :, -length:], layer.values[b, :, -length:]) for b, length in enumerate(lengths)]
        return RowsLayer(ends, len(owner_N))
    if type(layer) is LinearAttentionLayer:
        return StateLayer(layer, owner_N)
    if type(layer) is DummyLayer:
        return NoLayer()
    raise PrefixUnsupportedError("не все слои хранят ключи и значения")


def _in_order(parts: list[Tensor], order: Tensor | None) -> Tensor:
    """Rows of several tensors together; without an order they are copied once, not twice."""
    rows = torch.cat(parts)
    return rows if order is None else rows[order]


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
