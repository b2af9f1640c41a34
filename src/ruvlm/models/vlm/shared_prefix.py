"""Rows of text that share their pictures' keys and values: the prefix stands in memory once, whatever asks about it.

Shapes: B pictures, P prefix tokens, N rows, T new tokens of a row, S own tokens so far, H query heads, K key heads,
G = H / K, d head size, V vocabulary.

Attention over [prefix, own] is computed in two products, one with all rows of a picture at once, under one softmax: as
in Hydragen (Juravsky et al. 2024), so a prefix is neither copied per row nor read per row. Layers that keep a state of
constant size instead of keys and values (gated delta net, short convolutions) have that state copied to every row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import LinearAttentionLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ruvlm.models.vlm.shared_cache import PrefixUnsupportedError, RowsCache, owners, whole_cache

ATTENTION = "ruvlm_shared_prefix"
# rows whose lengths differ more go through the model apart, if there are so many: padding costs as much as words
NEAR_LENGTH, FEW_ROWS = 1.25, 8
# kinds of layers that keep a state instead of keys and values
STATEFUL = ("linear_attention", "conv")


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

    Query [N, H, T, d], own keys and values [N, K, S, d], mask over own tokens [N, 1, T, S] → [N, T, H, d]; values may have
    another head size.
    """
    cache = _active.get()
    if cache is None:
        out: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return out
    layer = cache.layers[lender(module)]
    if any(kwargs.get(name) is not None for name in ("softcap", "s_aux", "position_bias")):
        raise PrefixUnsupportedError("оценки внимания – не простое произведение")
    prefixes = _expanded(module, layer.prefixes, key.shape[1])
    rows, heads, new, size = query.shape
    groups = heads // key.shape[1]
    window = kwargs.get("sliding_window")
    near = None if window is None or window > cache.longest + layer.length else Window(cache, window, groups, new)
    q = (query * (size**-0.5 if scaling is None else scaling)).reshape(rows, key.shape[1], groups * new, size)
    own = torch.matmul(q, key.transpose(-1, -2))
    if attention_mask is not None:
        own = (own.view(rows, -1, groups, new, key.shape[2]) + attention_mask[:, :, None]).reshape(own.shape)
    shared = torch.cat([_prefix_scores(q[span], prefixes[b][0], cache.longest) for b, span in _spans(cache.counts)])
    if near is not None:
        own.masked_fill_(near.beyond(cache.own_places_NS), torch.finfo(own.dtype).min)
        places_1P = torch.arange(-cache.longest, 0, device=q.device)[None]
        shared.masked_fill_(near.beyond(places_1P), torch.finfo(own.dtype).min)
    weights = torch.cat([shared, own], -1).float().softmax(-1).to(query.dtype)
    seen = torch.matmul(weights[..., cache.longest :], value)
    for b, span in _spans(cache.counts):
        values = prefixes[b][1]
        seen[span] += _by_picture(weights[span, ..., cache.longest - values.shape[1] : cache.longest], values)
    return seen.reshape(rows, heads, new, -1).transpose(1, 2).contiguous(), None


def _expanded(module: Any, prefixes: list[tuple[Tensor, Tensor]], heads: int) -> list[tuple[Tensor, Tensor]]:
    """Prefixes as keys and values [K, P, d]: latent attention (MLA of DeepSeek) stores them compressed, one head of latents.

    Expanding them costs a product a picture and step, where a plain cache pays it for every row.
    """
    if len(prefixes[0][0]) == heads:
        return prefixes
    expand = getattr(module, "expand_kv", None)
    if expand is None:
        raise PrefixUnsupportedError("ключи и значения хранятся сжатыми")
    pairs = [expand(latents[None], turned[None]) for latents, turned in prefixes]
    return [(keys[0], values[0]) for keys, values in pairs]


def lender(module: Any) -> int:
    """Index of the layer whose keys and values an attention reads: its own, or the last of its kind that stores any."""
    if not getattr(module, "is_kv_shared_layer", False):
        return int(module.layer_idx)
    config = module.config
    kind = config.layer_types[module.layer_idx]
    return max(
        number
        for number in range(module.layer_idx)
        if config.layer_types[number] == kind and config.kv_sharing_modes[number] != "reuse"
    )


def alike(lengths: Sequence[int], few: int, near: float) -> list[tuple[int, int]]:
    """Spans of lengths, (shortest, longest): of at least `few` rows but the last, and none `near` times longer than another."""
    spans: list[tuple[int, int]] = []
    count = few
    for length in sorted(lengths):
        if not spans or (count >= few and length > near * spans[-1][0] and length > spans[-1][1]):
            spans.append((length, length))
            count = 0
        spans[-1] = (spans[-1][0], length)
        count += 1
    return spans


class Window:
    """What a layer that sees only its last `window` tokens does not see."""

    def __init__(self, cache: RowsCache, window: int, groups: int, new: int) -> None:
        self.window, self.groups = window, groups
        self.places_NT = cache.query_places_NT[:, -new:]

    def beyond(self, places_NS: Tensor) -> Tensor:
        """True for keys out of the reach of a query, for every head of a group. [N, 1, G·T, S]."""
        far_NTS = places_NS[:, None] <= self.places_NT[:, :, None] - self.window
        return far_NTS.repeat(1, self.groups, 1)[:, None]


def _spans(counts: list[int]) -> list[tuple[int, slice]]:
    """Which rows ask about which picture; pictures without rows left out."""
    spans, start = [], 0
    for b, count in enumerate(counts):
        if count:
            spans.append((b, slice(start, start + count)))
        start += count
    return spans


def _prefix_scores(q: Tensor, keys: Tensor, longest: int) -> Tensor:
    """Scores of one picture's rows on its prefix [K, P, d]; as many as on the longest, [n, K, G·T, longest]."""
    scores = _by_picture(q, keys.transpose(-1, -2))
    return pad(scores, (longest - keys.shape[1], 0), value=torch.finfo(q.dtype).min)


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
        types: the prefixes' kind of each token, by the name of the input, for models that ask for it.

    Raises PrefixUnsupportedError for a model whose attention does not allow it.
    """

    def __init__(
        self, model: Any, prefix_ids: list[list[int]], vision: dict[str, Tensor], types: dict[str, list[list[int]]]
    ) -> None:
        self.model = model
        self.device = model.device
        self.text = model.config.get_text_config()
        self._pad = model.generation_config.pad_token_id or 0
        longest = max(map(len, prefix_ids))
        ids_BP = _left_padded(prefix_ids, longest, self._pad).to(self.device)
        self.lengths = [len(ids) for ids in prefix_ids]
        length_B = torch.tensor(self.lengths, device=self.device)
        mask_BP = torch.arange(longest, device=self.device) >= longest - length_B[:, None]
        extra = {name: _left_padded(rows, longest, 0).to(self.device) for name, rows in types.items()}
        self.prefix = whole_cache(self.text)
        model(
            input_ids=ids_BP,
            attention_mask=mask_BP.long(),
            past_key_values=self.prefix,
            use_cache=True,
            logits_to_keep=1,
            **_positions_of(model, mask_BP),
            **vision,
            **extra,
        )
        self.cache: Any = self.prefix
        self.axes = position_axes(model)
        deltas = getattr(model.model, "rope_deltas", None) if self.axes > 1 else None
        self.next_B = length_B if deltas is None else length_B + deltas.flatten()
        self.longest = longest
        self.mask_NS = mask_BP[:0]
        self.positions_N = self.next_B

    def start(self, rows: list[list[list[int]]], keep: int = 1) -> Tensor:
        """Feed every picture's rows of tokens; logits after each row's last `keep` tokens. [N, keep, V]."""
        flat = [row for own in rows for row in own]
        counts = [len(own) for own in rows]
        lengths = torch.tensor([len(row) for row in flat], device=self.device)
        owner_N = owners(counts).to(self.device)
        chunk = getattr(self.text, "attention_chunk_size", None)
        if chunk is not None and self.longest + int(lengths.max()) > chunk:
            raise PrefixUnsupportedError("внимание видит только окно")
        self.positions_N = self.next_B[owner_N] + lengths
        # a pad between the prefix and a row's own tokens would pass through a state: there rows of equal length go together
        stateful = any(type(layer) is LinearAttentionLayer for layer in self.prefix.layers)
        spans = alike(lengths.tolist(), 1, 1.0) if stateful else alike(lengths.tolist(), FEW_ROWS, NEAR_LENGTH)
        if len(spans) == 1:
            self.cache, self.mask_NS, logits = self._fed(flat, counts, keep)
            return logits
        parts = []
        for shortest, longest in spans:
            chosen = ((lengths >= shortest) & (lengths <= longest)).nonzero().flatten()
            counts_chosen = torch.bincount(owner_N[chosen], minlength=len(counts)).tolist()
            parts.append((chosen, *self._fed([flat[n] for n in chosen.tolist()], counts_chosen, min(keep, longest))))
        order = torch.cat([chosen for chosen, *_ in parts]).argsort()
        self.cache = RowsCache(self.prefix, counts, self.lengths, self.device)
        for number, layer in enumerate(self.cache.layers):
            layer.join([cache.layers[number] for _, cache, *_ in parts], order)
        columns = torch.arange(int(lengths.max()), device=self.device)
        self.mask_NS = columns >= int(lengths.max()) - lengths[:, None]
        logits = torch.cat([pad(part, (0, 0, keep - part.shape[1], 0)) for *_, part in parts])
        return logits[order]

    def _fed(self, flat: list[list[int]], counts: list[int], keep: int) -> tuple[RowsCache, Tensor, Tensor]:
        """Rows sorted by picture run after their prefixes: their cache, which of their places are tokens, their logits."""
        cache = RowsCache(self.prefix, counts, self.lengths, self.device)
        longest = max(map(len, flat))
        ids_NT = _left_padded(flat, longest, self._pad).to(self.device)
        lengths = torch.tensor([len(row) for row in flat], device=self.device)
        columns = torch.arange(longest, device=self.device)
        mask_NS = columns >= longest - lengths[:, None]
        places_NT = columns - (longest - lengths[:, None])
        positions = places_NT.clamp(min=0) + self.next_B[owners(counts).to(self.device)][:, None]
        causal = columns[None, :] <= columns[:, None]
        # a pad sees itself: what it computes is dropped, but must be a number
        own = (causal & mask_NS[:, None]) | torch.eye(longest, dtype=torch.bool, device=self.device)
        return (
            cache,
            mask_NS,
            self._run(cache, ids_NT, positions, mask_NS, hiding(own, self.model.dtype)[:, None], keep),
        )

    def step(self, tokens_N: Tensor) -> Tensor:
        """Feed one token a row; logits after it. [N, V]."""
        self.mask_NS = torch.cat([self.mask_NS, self.mask_NS.new_ones(len(tokens_N), 1)], 1)
        bias = hiding(self.mask_NS, self.model.dtype)[:, None, None]
        logits = self._run(self.cache, tokens_N[:, None], self.positions_N[:, None], self.mask_NS, bias, 1)
        self.positions_N = self.positions_N + 1
        return logits[:, 0]

    def keep(self, kept_N: Tensor) -> None:
        """Drop the rows for which this is false."""
        rows = kept_N.nonzero().flatten()
        counts = [int(kept_N[span].sum()) for span in _all_spans(self.cache.counts)]
        mask_NS = self.mask_NS[rows]
        first = int(mask_NS.any(0).int().argmax())
        self.cache.keep(rows, counts, first)
        self.mask_NS, self.positions_N = mask_NS[:, first:], self.positions_N[rows]

    def join(self, other: SharedRows) -> None:
        """Let the rows of other pictures, which have been started too, come after these."""
        self.cache.share(other.cache)
        most = max(self.mask_NS.shape[1], other.mask_NS.shape[1])
        self.mask_NS = torch.cat([pad(mask, (most - mask.shape[1], 0)) for mask in (self.mask_NS, other.mask_NS)])
        self.positions_N = torch.cat([self.positions_N, other.positions_N])

    def _run(
        self, cache: RowsCache, ids_NT: Tensor, positions_NT: Tensor, mask_NS: Tensor, bias: Tensor, keep: int
    ) -> Tensor:
        positions = positions_NT if self.axes == 1 else positions_NT[None].expand(self.axes, -1, -1)
        cache.own_places_NS = mask_NS.cumsum(1) - 1
        cache.query_places_NT = cache.own_places_NS[:, -ids_NT.shape[1] :]
        token = _active.set(cache)
        try:
            out = self.model(
                input_ids=ids_NT,
                attention_mask=self._masks(bias),
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=keep,
            )
        finally:
            _active.reset(token)
        logits: Tensor = out.logits
        return logits

    def _masks(self, bias: Tensor) -> Any:
        """What hides the rows' pads, for each kind of layer where a model mixes several; no pad comes to a state."""
        kinds = set(getattr(self.text, "layer_types", None) or ())
        if len(kinds) < 2:
            return bias
        return {kind: None if kind in STATEFUL else bias for kind in kinds}


@dataclass(frozen=True)
class Switch:
    """Lets a model's text attention read shared prefixes, for as long as it is on; at other times the model is as it was."""

    model: Any
    key: str
    before: str

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self.model.set_attn_implementation({self.key: ATTENTION})
        try:
            yield
        finally:
            self.model.set_attn_implementation({self.key: self.before})


def share_prefixes(model: Any) -> Switch:
    """The switch of a model's attention. Raises PrefixUnsupportedError where it has none; the model is as it was."""
    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    text = model.config.get_text_config()
    if model.config.is_encoder_decoder or text is model.config:
        raise PrefixUnsupportedError("текстовая часть – не отдельный декодер")
    if getattr(text, "cross_attention_layers", None):
        raise PrefixUnsupportedError("картинку читает отдельное внимание")
    key = next((name for name in model.config.sub_configs if getattr(model.config, name, None) is text), "text_config")
    switch = Switch(model, key, text._attn_implementation or "eager")
    try:
        with switch.on():
            if text._attn_implementation != ATTENTION:
                raise PrefixUnsupportedError("внимание своего вида")
    except (ValueError, ImportError, KeyError) as error:
        raise PrefixUnsupportedError(str(error)) from error
    return switch


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
