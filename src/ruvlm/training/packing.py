"""Packed batches for nano: the chosen questions of a picture share rows of text under a block mask, all rows its visual tokens.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, A answering tokens of a row, N labelled tokens,
W words a cell or a thing may carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from ruvlm.models.nano import Places
from ruvlm.models.text import CHOICE_LETTERS, EOS, special_id
from ruvlm.schema import Box, Region
from ruvlm.training.grounding import (
    CELL_WORDS,
    COLOURS,
    IGNORED,
    Lexicon,
    compared,
    covered_cells,
    decisive_tokens,
    description,
    inside,
    likeness,
    names,
    relation,
    same_colour,
)
from ruvlm.training.texts import TrainingText


@dataclass
class PackedBatch:
    """One step's tensors.

    `answers` are indices into the flattened [R, A] slots, other indices into the flattened [R, T] rows. `answers`
    predict `targets`. `decisive` and `pair_columns` are the columns that the end of a prompt, and the second of two
    compared things, should look at.
    """

    pixels_BCSS: Tensor
    ids_RT: Tensor
    positions_RT: Tensor
    owner_R: Tensor
    mask: Tensor
    places: Places
    answers_N: Tensor
    targets_N: Tensor
    weights_N: Tensor
    words_BPW: Tensor
    mention_cells_MP: Tensor
    mention_words_MW: Tensor
    mention_colours_M: Tensor
    mention_things_M: Tensor
    point_cells_KP: Tensor
    point_words_KW: Tensor
    pair_columns_LT: Tensor
    related_L: Tensor
    pair_words_LW: Tensor
    likeness_LW: Tensor
    decisive_QT: Tensor
    options_C5: Tensor
    option_letters_C5: Tensor
    right_C: Tensor
    questions: int

    def to(self, device: torch.device) -> PackedBatch:
        moved: dict[str, Any] = {k: v if isinstance(v, int) else v.to(device) for k, v in self.__dict__.items()}
        return PackedBatch(**moved)


class Packer:
    """Turns pictures with their chosen questions into PackedBatch: questions share rows of about `row_length` tokens."""

    def __init__(
        self, tokenizer: Tokenizer, grid: int, max_positions: int, weights: Mapping[str, float], row_length: int = 48
    ) -> None:
        self.tokenizer = tokenizer
        self.lexicon = Lexicon(tokenizer)
        self._answers: dict[str, list[int]] = {}
        self.grid = grid
        self.images = grid * grid
        self.max_positions = max_positions
        self.weights = weights
        self.row_length = row_length
        self.eos = special_id(tokenizer, EOS)
        self._letters = [tokenizer.encode(f" {letter}", add_special_tokens=False).ids[0] for letter in CHOICE_LETTERS]

    def pack(self, pixels: np.ndarray, words: np.ndarray, asked: Sequence[Sequence[TrainingText]]) -> PackedBatch:
        """`pixels` uint8 [B, 3, S, S], `words` [B, P, W], `asked` one list of questions a picture."""
        flat = [item for questions in asked for item in questions]
        prompts = self.tokenizer.encode_batch([a.prompt for a in flat], add_special_tokens=False)
        rows = self._rows(asked, prompts, [self._answer(item.answer) for item in flat])
        length = max(len(row.ids) for row in rows)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        positions = np.zeros((len(rows), length), dtype=np.int64)
        segments = np.full((len(rows), length), -1, dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row.ids)] = row.ids
            positions[number, : len(row.ids)] = row.positions
            segments[number, : len(row.ids)] = row.segments
        slots = _padded([row.answers for row in rows], 0)
        mentioned = [region for row in rows for region in row.mentioned]
        pointed = [regions for row in rows for regions in row.pointed]
        return PackedBatch(
            pixels_BCSS=torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255).sub_(0.5).mul_(4),
            ids_RT=torch.from_numpy(ids),
            positions_RT=torch.from_numpy(positions),
            owner_R=torch.tensor([row.owner for row in rows]),
            mask=self._mask(segments),
            places=Places(
                slots,
                mentions_M=_joined([n * length + np.asarray(row.mentions) for n, row in enumerate(rows)]),
                seconds_L=_joined([n * length + np.asarray(row.seconds) for n, row in enumerate(rows)]),
                points_K=_joined([n * length + np.asarray(row.points) for n, row in enumerate(rows)]),
                ends_Q=_joined([n * slots.shape[1] + np.asarray(row.ends) for n, row in enumerate(rows)]),
            ),
            answers_N=_joined([n * slots.shape[1] + np.arange(len(row.answers)) for n, row in enumerate(rows)]),
            targets_N=_joined([np.asarray(row.targets) for row in rows]),
            weights_N=torch.tensor([weight for row in rows for weight in row.weights]),
            words_BPW=torch.from_numpy(words.astype(np.int64)),
            mention_cells_MP=self._cells([(region.box,) for region in mentioned]),
            mention_words_MW=self._words([description(region) for region in mentioned]),
            mention_colours_M=torch.tensor([self._colour(region) for region in mentioned], dtype=torch.long),
            mention_things_M=_numbered([(row.owner, region) for row in rows for region in row.mentioned]),
            point_cells_KP=self._cells([tuple(region.box for region in regions) for regions in pointed]),
            # several things are only named: their colours would not be anyone's
            point_words_KW=self._words([description(r[0]) if len(r) == 1 else names(r) for r in pointed]),
            pair_columns_LT=_marked([[column] for row in rows for column in row.firsts], length),
            related_L=_joined([n * length + np.asarray(row.pairs) for n, row in enumerate(rows)]),
            pair_words_LW=self._words([relation(*pair) for row in rows for pair in row.paired]),
            likeness_LW=self._words([likeness(*pair) for row in rows for pair in row.coloured]),
            decisive_QT=_marked([columns for row in rows for columns in row.decisive], length),
            **self._choice_tensors(rows, length),
            questions=len(flat),
        )

    def _cells(self, groups: Sequence[tuple[Box, ...]]) -> Tensor:
        """The cells that any box of each group covers. [len(groups), P]."""
        if not groups:
            return torch.zeros(0, self.images)
        covered = covered_cells([box for boxes in groups for box in boxes], self.grid)
        starts = np.cumsum([0, *(len(boxes) for boxes in groups[:-1])])
        return torch.from_numpy(np.logical_or.reduceat(covered, starts, axis=0).astype(np.float32))

    def _choice_tensors(self, rows: Sequence[_Row], length: int) -> dict[str, Tensor]:
        """Where the options of lettered questions end (-1: no such option), their letters, and which is right."""
        options, letters, right = [], [], []
        for number, row in enumerate(rows):
            for tokens, place in row.choices:
                options.append([number * length + t for t in tokens] + [IGNORED] * (5 - len(tokens)))
                letters.append(self._letters[: len(tokens)] + [IGNORED] * (5 - len(tokens)))
                right.append(place)
        return {
            "options_C5": torch.tensor(options, dtype=torch.long).reshape(-1, 5),
            "option_letters_C5": torch.tensor(letters, dtype=torch.long).reshape(-1, 5),
            "right_C": torch.tensor(right, dtype=torch.long),
        }

    def _words(self, groups: Sequence[tuple[str, ...]]) -> Tensor:
        """Token ids of each thing's words, padded with IGNORED. [len(groups), W]."""
        tokens = [[self.lexicon.token(word) for word in words[:CELL_WORDS]] for words in groups]
        rows = [[*row, *[IGNORED] * (CELL_WORDS - len(row))] for row in tokens]
        return torch.tensor(rows, dtype=torch.long).reshape(-1, CELL_WORDS)

    def _colour(self, region: Region) -> int:
        """The token of a thing's colour, IGNORED where it has none."""
        return next((self.lexicon.token(word) for word in region.words if word in COLOURS), IGNORED)

    def _answer(self, text: str) -> list[int]:
        """Tokens of an answer; there are few different ones."""
        if text not in self._answers:
            self._answers[text] = self.tokenizer.encode(f" {text}", add_special_tokens=False).ids
        return self._answers[text]

    def _rows(
        self, asked: Sequence[Sequence[TrainingText]], prompts: list[Encoding], answers: list[list[int]]
    ) -> list[_Row]:
        """First-fit decreasing: each question goes into the first row of its picture that still has room."""
        rows: list[_Row] = []
        number = 0
        for owner, questions in enumerate(asked):
            mine: list[_Row] = []
            texts = [(item, prompts[number + n], answers[number + n]) for n, item in enumerate(questions)]
            number += len(questions)
            for item, prompt, answer in sorted(texts, key=lambda text: -len(text[1].ids)):
                length = len(prompt.ids) + len(answer)
                if length > self.max_positions:  # longer than the model can read: left out
                    continue
                row = next((r for r in mine if len(r.ids) + length <= self.row_length), None)
                if row is None:
                    row = _Row(owner)
                    mine.append(row)
                decisive = decisive_tokens(item.example, prompt, self.lexicon)
                row.add(item, prompt, answer, self.eos, self.weights.get(item.kind, 1.0), decisive)
            rows += mine
        return rows

    def _mask(self, segments_RT: np.ndarray) -> Tensor:
        """True = may look: a question sees its picture and its own past. [R, 1, T, P + T]."""
        segments = torch.from_numpy(segments_RT)
        rows, length = segments.shape
        mask = torch.ones(rows, length, self.images + length, dtype=torch.bool)
        same = segments[:, :, None] == segments[:, None, :]
        mask[:, :, self.images :] = same & torch.ones(length, length, dtype=torch.bool).tril()
        return mask[:, None]


def _joined(parts: Iterable[np.ndarray]) -> Tensor:
    found = [part.astype(np.int64) for part in parts if part.size]
    return torch.from_numpy(np.concatenate(found)) if found else torch.zeros(0, dtype=torch.long)


def _numbered(things: Sequence[tuple[int, Region]]) -> Tensor:
    """A number for each thing, the same for equal ones. [M]."""
    numbers: dict[tuple[int, Region], int] = {}
    return torch.tensor([numbers.setdefault(thing, len(numbers)) for thing in things], dtype=torch.long)


def _padded(lists: Sequence[Sequence[int]], fill: int) -> Tensor:
    longest = max(map(len, lists))
    return torch.tensor([[*values, *[fill] * (longest - len(values))] for values in lists])


def _marked(columns: Sequence[Sequence[int]], length: int) -> Tensor:
    """One row a list, with ones at its columns. [Q, T]."""
    found = np.zeros((len(columns), length), dtype=np.float32)
    found[[row for row, marked in enumerate(columns) for _ in marked], [c for marked in columns for c in marked]] = 1
    return torch.from_numpy(found)


@dataclass
class _Row:
    """One row of text before padding: parallel lists over its tokens, and indices into them."""

    owner: int
    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    mentions: list[int] = field(default_factory=list)
    mentioned: list[Region] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    pointed: list[tuple[Region, ...]] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    coloured: list[tuple[Region, Region]] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    paired: list[tuple[Region, Region]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    decisive: list[list[int]] = field(default_factory=list)
    choices: list[tuple[list[int], int]] = field(default_factory=list)
    questions: int = 0

    def add(
        self, item: TrainingText, prompt: Encoding, answer: list[int], eos: int, weight: float, decisive: list[int]
    ) -> None:
        """Append a question."""
        text = [*prompt.ids, *answer]
        start = len(self.ids)
        self.ids += text
        self.positions += range(len(text))
        self.segments += [self.questions] * len(text)
        self.questions += 1
        if item.option_ends:
            options = [
                max(n for n, (a, b) in enumerate(prompt.offsets) if a < end and b <= end) for end in item.option_ends
            ]
            self.choices.append(([start + token for token in options], item.right_option))
            decisive = [options[item.right_option]]
        if decisive:
            self.ends.append(len(self.answers))
            self.decisive.append([start + token for token in decisive])
        last = start + len(prompt.ids) - 1
        self.answers += range(last, last + len(answer) + 1)
        self.targets += [*answer, eos]
        self.weights += [weight] * (len(answer) + 1)
        self._ground(item, prompt, start, last)

    def _ground(self, item: TrainingText, prompt: Encoding, start: int, last: int) -> None:
        """Note what the scene graph knows of the question."""
        if item.example.answer_regions:
            self.points.append(last)
            self.pointed.append(item.example.answer_regions)
        ends = {}
        for mention in item.example.mentions:
            tokens = inside(prompt, mention.start, mention.end)
            if tokens:
                ends[mention] = start + tokens[-1]
                self.mentions.append(start + tokens[-1])
                self.mentioned.append(mention.region)
        pair = compared(item.example)
        first, second = (ends.get(mention) for mention in item.example.mentions[:2]) if pair else (None, None)
        if pair is None or first is None or second is None:
            return
        # the second of two mentions is the first place where both are known
        self.pairs += [second, last]
        self.paired += [pair, pair]
        alike = same_colour(*pair)
        if alike is not None:
            self.seconds.append(second)
            self.firsts.append(first if alike else second)
            self.coloured.append(pair)
