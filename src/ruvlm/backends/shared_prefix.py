"""Rows of text that share their pictures' keys and values: the prefix stands in memory once, whatever asks about it.

Shapes: B pictures, P prefix tokens, N rows, T new tokens of a row, S own tokens so far, H query heads, K key heads,
G = H / K, d head size, V vocabulary.

Attention over [prefix, own] is computed in two products, one with all rows of a picture at once, under one softmax: as
in Hydragen (Juravsky et al. 2024), so a prefix is neither copied per row nor read per row.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "ruvlm_shared_prefix"


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


class RowsCache(Cache):
    """The layers of N rows, which are sorted by picture: `counts` of them ask about each of B pictures.

    `prefix_bias` [B, 1, P] hides padding before a shorter prefix; None where all are as long.
    """

    def __init__(self, prefix: DynamicCache, counts: list[int], prefix_bias: Tensor | None) -> None:
        rows = sum(counts)
        super().__init__(layers=[RowsLayer(layer.keys, layer.values, rows) for layer in prefix.layers])
        self.counts = counts
        self.prefix_bias = prefix_bias

    def keep(self, rows: Tensor, counts: list[int]) -> None:
        """Drop all rows but these, indices in ascending order."""
        for layer in self.layers:
            layer.keep(rows)
        self.counts = counts


_active: ContextVar[RowsCache | None] = ContextVar("rows", default=None)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface. Outside of `SharedRows` it is sdpa.

    Query [N, H, T, d], own keys and values [N, K, S, d], mask over own tokens [N, 1, T, S] → [N, T, H, d].
    """
    cache = _active.get()
    if cache is None:
        out: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out
    layer = cache.layers[module.layer_idx]
    if any(kwargs.get(name) is not None for name in ("softcap", "s_aux", "position_bias")):
        raise PrefixUnsupportedError("оценки внимания – не простое произведение")
    window = kwargs.get("sliding_window")
    if window is not None and window < layer.get_seq_length():
        raise PrefixUnsupportedError("внимание видит только окно")
    rows, heads, new, size = query.shape
    groups = heads // key.shape[1]
    q = (query * (size**-0.5 if scaling is None else scaling)).reshape(rows, key.shape[1], groups * new, size)
    own = torch.matmul(q, key.transpose(-1, -2))
    if attention_mask is not None:
        own = (own.view(rows, -1, groups, new, key.shape[2]) + attention_mask[:, :, None]).reshape(own.shape)
    shared = torch.cat([_prefix_scores(q, layer, cache, b, span) for b, span in _spans(cache.counts)])
    weights = torch.cat([shared, own], -1).float().softmax(-1).to(query.dtype)
    length = layer.prefix_keys.shape[-2]
    seen = torch.matmul(weights[..., length:], value)
    for b, span in _spans(cache.counts):
        seen[span] += _by_picture(weights[span, ..., :length], layer.prefix_values[b])
    return seen.reshape(rows, heads, new, size).transpose(1, 2).contiguous(), None


def _spans(counts: list[int]) -> list[tuple[int, slice]]:
    """Which rows ask about which picture; pictures without rows left out."""
    found, start = [], 0
    for b, count in enumerate(counts):
        if count:
            found.append((b, slice(start, start + count)))
        start += count
    return found


def _prefix_scores(q: Tensor, layer: RowsLayer, cache: RowsCache, b: int, span: slice) -> Tensor:
    """Scores of one picture's rows on its prefix, [n, K, G·T, P]."""
    scores = _by_picture(q[span], layer.prefix_keys[b].transpose(-1, -2))
    return scores if cache.prefix_bias is None else scores + cache.prefix_bias[b]


def _by_picture(x: Tensor, shared: Tensor) -> Tensor:
    """Product of rows [n, K, R, a] with what they share [K, a, c], one matrix product a head. [n, K, R, c]."""
    n, heads, rows, _ = x.shape
    flat = x.transpose(0, 1).reshape(heads, n * rows, -1)
    return torch.bmm(flat, shared).view(heads, n, rows, -1).transpose(0, 1)


class SharedRows:
    """B pictures run once, then N rows of text after them.

    Args:
        model: a decoder-only image-text-to-text model whose text attention is `ATTENTION`.
        prefix_ids: the B prefixes, with their pictures' tokens.
        vision: the model's other inputs for these pictures (pixel_values and the like), in their order.
        types: the prefixes' modality of each token, for models that ask for it.

    Raises PrefixUnsupportedError for a model whose attention does not allow it.
    """

    def __init__(
        self, model: Any, prefix_ids: list[list[int]], vision: dict[str, Tensor], types: list[list[int]] | None = None
    ) -> None:
        self.model = model
        self.device = model.device
        longest = max(map(len, prefix_ids))
        padded = longest > min(map(len, prefix_ids))
        ids_BP = _left_padded(prefix_ids, longest, model.generation_config.pad_token_id or 0).to(self.device)
        lengths = torch.tensor([len(ids) for ids in prefix_ids], device=self.device)
        mask_BP = torch.arange(longest, device=self.device) >= longest - lengths[:, None]
        extra = {} if types is None else {"mm_token_type_ids": _left_padded(types, longest, 0).to(self.device)}
        self.cache: Any = DynamicCache()
        model(
            input_ids=ids_BP, attention_mask=mask_BP.long(), past_key_values=self.cache, use_cache=True, logits_to_keep=1,
            **_positions_of(model, mask_BP), **vision, **extra,
        )  # fmt: skip
        self.axes = position_axes(model)
        self.next_B = lengths if self.axes == 1 else lengths + model.model.rope_deltas.flatten()
        self.bias = hiding(mask_BP, model.dtype)[:, None] if padded else None
        self.mask_NS = mask_BP[:0]
        self.positions_N = self.next_B

    def start(self, rows: list[list[list[int]]], keep: int = 1) -> Tensor:
        """Feed every picture's rows of tokens; logits after each row's last `keep` tokens. [N, keep, V]."""
        flat = [row for own in rows for row in own]
        counts = [len(own) for own in rows]
        longest = max(map(len, flat))
        prefix: DynamicCache = self.cache
        if any(not layer.is_initialized or layer.is_sliding for layer in prefix.layers):
            raise PrefixUnsupportedError("не все слои хранят ключи и значения")
        self.cache = RowsCache(prefix, counts, self.bias)
        ids_NT = _left_padded(flat, longest, self.model.generation_config.pad_token_id or 0).to(self.device)
        lengths = torch.tensor([len(row) for row in flat], device=self.device)
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(self.device)
        columns = torch.arange(longest, device=self.device)
        self.mask_NS = columns >= longest - lengths[:, None]
        starts = self.next_B[owner]
        positions = (columns - (longest - lengths[:, None])).clamp(min=0) + starts[:, None]
        self.positions_N = starts + lengths
        causal = columns[None, :] <= columns[:, None]
        # a pad sees itself: what it computes is dropped, but must be a number
        own = (causal & self.mask_NS[:, None]) | torch.eye(longest, dtype=torch.bool, device=self.device)
        return self._run(ids_NT, positions, hiding(own, self.model.dtype)[:, None], keep)

    def step(self, tokens_N: Tensor) -> Tensor:
        """Feed one token a row; logits after it. [N, V]."""
        self.mask_NS = torch.cat([self.mask_NS, self.mask_NS.new_ones(len(tokens_N), 1)], 1)
        bias = hiding(self.mask_NS, self.model.dtype)[:, None, None]
        logits = self._run(tokens_N[:, None], self.positions_N[:, None], bias, 1)
        self.positions_N = self.positions_N + 1
        return logits[:, 0]

    def keep(self, kept_N: Tensor) -> None:
        """Drop the rows for which this is false."""
        rows = kept_N.nonzero().flatten()
        counts = [int(kept_N[span].sum()) for span in _all_spans(self.cache.counts)]
        self.cache.keep(rows, counts)
        self.mask_NS, self.positions_N = self.mask_NS[rows], self.positions_N[rows]

    def _run(self, ids_NT: Tensor, positions_NT: Tensor, bias: Tensor, keep: int) -> Tensor:
        positions = positions_NT if self.axes == 1 else positions_NT[None].expand(self.axes, -1, -1)
        token = _active.set(self.cache)
        try:
            out = self.model(
                input_ids=ids_NT, attention_mask=bias, position_ids=positions, past_key_values=self.cache,
                use_cache=True, logits_to_keep=keep,
            )  # fmt: skip
        finally:
            _active.reset(token)
        logits: Tensor = out.logits
        return logits


def share_prefixes(model: Any) -> Callable[[], None]:
    """Let a model's text attention read shared prefixes; gives back what undoes it.

    Raises PrefixUnsupportedError where it has no such switch; the model is then as it was.
    """
    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    text = model.config.get_text_config()
    if model.config.is_encoder_decoder or text is model.config:
        raise PrefixUnsupportedError("текстовая часть – не отдельный декодер")
    key = next((name for name in model.config.sub_configs if getattr(model.config, name, None) is text), "text_config")
    before = text._attn_implementation

    def undo() -> None:
        if text._attn_implementation != before:
            model.set_attn_implementation({key: before or "eager"})

    try:
        model.set_attn_implementation({key: ATTENTION})
    except (ValueError, ImportError, KeyError) as error:
        undo()
        raise PrefixUnsupportedError(str(error)) from error
    if text._attn_implementation != ATTENTION:
        undo()
        raise PrefixUnsupportedError("внимание своего вида")
    return undo


def position_axes(model: Any) -> int:
    """1, or for rotary positions in time, height and width (M-RoPE of Qwen-VL) 3."""
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    return 3 if "mrope_section" in rope else 1


def _positions_of(model: Any, mask_BP: Tensor) -> dict[str, Tensor]:
    """Positions of left-padded prefixes; a model with three axes finds its own from the pictures' sizes."""
    return {} if position_axes(model) == 3 else {"position_ids": (mask_BP.long().cumsum(1) - 1).clamp(min=0)}


def hiding(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `seen`, the lowest number elsewhere."""
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)


def _all_spans(counts: list[int]) -> list[slice]:
    ends = torch.tensor(counts).cumsum(0).tolist()
    return [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]


def _left_padded(rows: list[list[int]], longest: int, pad: int) -> Tensor:
    return torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
