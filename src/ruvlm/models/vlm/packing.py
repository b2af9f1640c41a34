"""Packed batches for a pretrained VLM: all questions of a picture in one row, after one copy of the picture.

Each question sees the common beginning (template, picture) and itself, not its neighbours, and its positions go on from
where the beginning ends: the same numbers as if it were asked alone.

Shapes: B pictures, T tokens of a row, N answering tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ruvlm.models.vlm.prompts import Encoded, common_prefix


@dataclass(frozen=True)
class VlmBatch:
    """Inputs of a forward pass. `places` are indices into the flattened [B, T] tokens whose next token is `targets`.

    Without a mask every token sees all before it: the rows hold one question each. A mask is additive, [B, 1, T, T], or of
    ones and zeros, [B, T]; without positions the model counts its own.
    """

    ids_BT: Tensor
    positions_BT: Tensor | None
    mask: Tensor | None
    vision: dict[str, Tensor]
    places_N: Tensor
    targets_N: Tensor
    questions: int


def packed(encoded: Sequence[Encoded], answers: Sequence[Sequence[list[int]]], pad: int, longest: int) -> VlmBatch:
    """`encoded` one picture each, `answers` the answers' tokens with the closing one. Rows end before `longest` tokens."""
    rows = [_row(e, tokens, longest) for e, tokens in zip(encoded, answers, strict=True)]
    length = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), length), pad)
    positions = torch.zeros(len(rows), length, dtype=torch.long)
    segments = torch.full((len(rows), length), -1)
    places, targets = [], []
    for number, row in enumerate(rows):
        size = len(row.ids)
        ids[number, :size] = torch.tensor(row.ids)
        positions[number, :size] = torch.tensor(row.positions)
        segments[number, :size] = torch.tensor(row.segments)
        places += [number * length + place for place in row.places]
        targets += row.targets
    # nothing looks back at the padding after a row, and a plain causal pass is the faster one
    mask = None if all(row.questions == 1 for row in rows) else _mask(segments)
    vision = {key: torch.cat([e.vision[key] for e in encoded]) for key in encoded[0].vision}
    return VlmBatch(
        ids,
        positions,
        mask,
        vision,
        torch.tensor(places),
        torch.tensor(targets),
        sum(row.questions for row in rows),
    )


def plain(inputs: dict[str, Tensor], answers: Sequence[list[int]], pad: int) -> VlmBatch:
    """A question a row, as a processor has made them (padded on the left), each with its answer after it."""
    rows, width = inputs["input_ids"].shape
    longest = max(map(len, answers)) - 1  # the last token of an answer predicts nothing
    tail = torch.full((rows, longest), pad)
    seen = torch.zeros(rows, longest, dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    for number, answer in enumerate(answers):
        tail[number, : len(answer) - 1] = torch.tensor(answer[:-1])
        seen[number, : len(answer) - 1] = 1
        start = number * (width + longest) + width - 1
        places += range(start, start + len(answer))
        targets += answer
    vision = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
    for name in ("mm_token_type_ids", "token_type_ids"):
        if name in vision:
            vision[name] = torch.cat([vision[name], torch.zeros_like(tail)], 1)
    return VlmBatch(
        torch.cat([inputs["input_ids"], tail], 1),
        None,
        torch.cat([inputs["attention_mask"], seen], 1),
        vision,
        torch.tensor(places),
        torch.tensor(targets),
        rows,
    )


@dataclass
class _Row:
    ids: list[int]
    positions: list[int]
    segments: list[int]
    places: list[int]
    targets: list[int]
    questions: int = 0


def _row(encoded: Encoded, answers: Sequence[list[int]], longest: int) -> _Row:
    """The beginning once, then every question with its answer as a segment of its own (0 is the beginning)."""
    cut = max(encoded.seen, common_prefix(encoded.ids)) if len(encoded.ids) > 1 else encoded.seen
    cut = min(cut, min(map(len, encoded.ids)) - 1)
    row = _Row(encoded.ids[0][:cut], list(range(cut)), [0] * cut, [], [])
    for ids, answer in zip(encoded.ids, answers, strict=True):
        tail = ids[cut:]
        if len(row.ids) + len(tail) + len(answer) > longest and row.questions:
            break
        start = len(row.ids)
        # the last token of an answer predicts nothing
        row.ids += tail + answer[:-1]
        row.positions += range(cut, cut + len(tail) + len(answer) - 1)
        row.questions += 1
        row.segments += [row.questions] * (len(tail) + len(answer) - 1)
        row.places += range(start + len(tail) - 1, start + len(tail) - 1 + len(answer))
        row.targets += answer
    return row


def _mask(segments_BT: Tensor) -> Tensor:
    """Additive: 0 where a token may look, the least number where not. [B, 1, T, T]."""
    length = segments_BT.shape[1]
    before = torch.ones(length, length).tril().bool()
    same = segments_BT[:, :, None] == segments_BT[:, None, :]
    seen = before & (same | (segments_BT[:, None, :] == 0))
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
