"""Packed batches for nano: the chosen questions of a picture share rows of text under a block mask, all rows its visual tokens.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, A answering tokens of a row, N labelled tokens,
W words a cell or a thing may carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from ruvlm.models.nano.grounding import CELL_WORDS, IGNORED, Lexicon, covered_cells
from ruvlm.models.nano.lessons import LESSONS, Lesson
from ruvlm.models.nano.model import Places
from ruvlm.models.nano.notes import Compared, Decided, Matched, Mentioned, Note, Placed, Pointed
from ruvlm.models.nano.tokenizer import CHOICE_LETTERS, EOS, special_id
from ruvlm.schema import Box
from ruvlm.training.texts import TrainingText

NoteT = TypeVar("NoteT", bound=Note)
# tokens of a row that are tried
ROW_LENGTHS = (40, 44, 48, 52, 56, 60)


@dataclass(frozen=True, kw_only=True)
class PackedBatch:
    """One step's tensors.

    `answers` are indices into the flattened [R, A] slots and predict `targets`; `places` say which tokens the taught heads
    look from; `taught` is what the lessons need.
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
    taught: dict[str, Tensor]
    questions: int

    def to(self, device: torch.device) -> PackedBatch:
        taught = {name: tensor.to(device) for name, tensor in self.taught.items()}
        plain = [one.name for one in fields(self) if one.name not in ("taught", "questions")]
        moved: dict[str, Any] = {name: getattr(self, name).to(device) for name in plain}
        return replace(self, taught=taught, **moved)


class Packer:
    """Turns pictures with their chosen questions into PackedBatch: questions share rows, of the length that wastes least."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        grid: int,
        max_positions: int,
        weights: Mapping[str, float],
        lessons: Sequence[Lesson] = LESSONS,
    ) -> None:
        self.tokenizer = tokenizer
        self.lexicon = Lexicon(tokenizer)
        self.lessons = lessons
        self._answers: dict[str, list[int]] = {}
        self.grid = grid
        self.images = grid * grid
        self.max_positions = max_positions
        self.weights = weights
        self.eos = special_id(tokenizer, EOS)
        self.letters = [tokenizer.encode(f" {letter}", add_special_tokens=False).ids[0] for letter in CHOICE_LETTERS]

    def pack(self, pixels: np.ndarray, words: np.ndarray, asked: Sequence[Sequence[TrainingText]]) -> PackedBatch:
        """`pixels` uint8 [B, 3, S, S], `words` [B, P, W], `asked` one list of questions a picture."""
        flat = [item for questions in asked for item in questions]
        prompts = self.tokenizer.encode_batch([a.prompt for a in flat], add_special_tokens=False)
        rows = self._rows(asked, prompts, [self._answer(item.answer) for item in flat])
        length = self.length(rows)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        positions = np.zeros((len(rows), length), dtype=np.int64)
        segments = np.full((len(rows), length), -1, dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row.ids)] = row.ids
            positions[number, : len(row.ids)] = row.positions
            segments[number, : len(row.ids)] = row.segments
        slots = _padded([row.answers for row in rows], 0)
        ends = [np.asarray([note.slot for note in row.noted(Decided)]) for row in rows]
        return PackedBatch(
            pixels_BCSS=torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255).sub_(0.5).mul_(4),
            ids_RT=torch.from_numpy(ids),
            positions_RT=torch.from_numpy(positions),
            owner_R=torch.tensor([row.owner for row in rows]),
            mask=self._mask(segments),
            places=Places(
                slots,
                mentions_M=self.index(rows, Mentioned),
                seconds_L=self.index(rows, Matched),
                points_K=self.index(rows, Pointed),
                ends_Q=_joined(n * slots.shape[1] + slot for n, slot in enumerate(ends)),
            ),
            answers_N=_joined(n * slots.shape[1] + np.arange(len(row.answers)) for n, row in enumerate(rows)),
            targets_N=_joined(np.asarray(row.targets) for row in rows),
            weights_N=torch.tensor([weight for row in rows for weight in row.weights]),
            words_BPW=torch.from_numpy(words.astype(np.int64)),
            taught={name: tensor for lesson in self.lessons for name, tensor in lesson.tensors(rows, self).items()},
            questions=len(flat),
        )

    # --- what lessons make their tensors with

    @staticmethod
    def length(rows: Sequence[Row]) -> int:
        """T, the longest row's length."""
        return max(len(row.ids) for row in rows)

    def index(self, rows: Sequence[Row], kind: type[Mentioned | Pointed | Compared | Matched]) -> Tensor:
        """Where the tokens of such notes are in the flattened [R, T] rows."""
        length = self.length(rows)
        return _joined(
            number * length + np.asarray([note.token for note in row.noted(kind)]) for number, row in enumerate(rows)
        )

    def marked(self, columns: Sequence[Sequence[int]], rows: Sequence[Row]) -> Tensor:
        """One row a list, with ones at its columns. [len(columns), T]."""
        marks = np.zeros((len(columns), self.length(rows)), dtype=np.float32)
        marks[[n for n, marked in enumerate(columns) for _ in marked], [c for marked in columns for c in marked]] = 1
        return torch.from_numpy(marks)

    def cells(self, groups: Sequence[tuple[Box, ...]]) -> Tensor:
        """The cells that any box of each group covers. [len(groups), P]."""
        if not groups:
            return torch.zeros(0, self.images)
        covered = covered_cells([box for boxes in groups for box in boxes], self.grid)
        starts = np.cumsum([0, *(len(boxes) for boxes in groups[:-1])])
        return torch.from_numpy(np.logical_or.reduceat(covered, starts, axis=0).astype(np.float32))

    def words(self, groups: Sequence[tuple[str, ...]]) -> Tensor:
        """Token ids of each thing's words, padded with IGNORED. [len(groups), W]."""
        tokens = [[self.lexicon.token(word) for word in words[:CELL_WORDS]] for words in groups]
        rows = [[*row, *[IGNORED] * (CELL_WORDS - len(row))] for row in tokens]
        return torch.tensor(rows, dtype=torch.long).reshape(-1, CELL_WORDS)

    # --- rows

    def _answer(self, text: str) -> list[int]:
        """Tokens of an answer; there are few different ones."""
        if text not in self._answers:
            self._answers[text] = self.tokenizer.encode(f" {text}", add_special_tokens=False).ids
        return self._answers[text]

    def _rows(
        self, asked: Sequence[Sequence[TrainingText]], prompts: list[Encoding], answers: list[list[int]]
    ) -> list[Row]:
        """Each picture's questions in as few rows as first-fit decreasing finds, all rows of the length that wastes least."""
        texts: list[list[tuple[TrainingText, list[int], Encoding, int]]] = []
        number = 0
        for questions in asked:
            mine = [
                (
                    item,
                    answers[number + n],
                    prompts[number + n],
                    len(prompts[number + n].ids) + len(answers[number + n]),
                )
                for n, item in enumerate(questions)
            ]
            number += len(questions)
            # longer than the model can read: left out
            texts.append(sorted((t for t in mine if t[3] <= self.max_positions), key=lambda text: -text[3]))
        rows: list[Row] = []
        places = best_rows([[length for *_, length in mine] for mine in texts], self.images)
        for owner, (mine, chosen) in enumerate(zip(texts, places, strict=True)):
            own = [Row(owner) for _ in range(max(chosen, default=-1) + 1)]
            for (item, answer, prompt, _), place in zip(mine, chosen, strict=True):
                placed = own[place].add(item, prompt, answer, self.eos, self.weights.get(item.kind, 1.0))
                for lesson in self.lessons:
                    own[place].note(lesson.collect(placed, self.lexicon))
            rows += own
        return rows

    def _mask(self, segments_RT: np.ndarray) -> Tensor:
        """True = may look: a question sees its picture and its own past. [R, 1, T, P + T]."""
        segments = torch.from_numpy(segments_RT)
        rows, length = segments.shape
        mask = torch.ones(rows, length, self.images + length, dtype=torch.bool)
        same = segments[:, :, None] == segments[:, None, :]
        mask[:, :, self.images :] = same & torch.ones(length, length, dtype=torch.bool).tril()
        return mask[:, None]


def best_rows(lengths: Sequence[Sequence[int]], images: int) -> list[list[int]]:
    """The row of its picture that each text goes into, by the row length that costs least. `lengths` fall, a list a picture."""
    longest = max((own[0] for own in lengths if own), default=0)
    packed = [_first_fit(lengths, max(length, longest)) for length in ROW_LENGTHS]
    return min(packed, key=lambda one: one.cost(images)).places


@dataclass(frozen=True)
class _Fit:
    """Texts in rows: their places, how many rows that makes and how long the longest is."""

    places: list[list[int]]
    rows: int
    length: int

    def cost(self, images: int) -> float:
        """Of the rows' tokens, and of their attention to pictures and to one another; the weights are those of 88 channels."""
        return self.rows * self.length * (1 + (images + self.length) / 512)


def _first_fit(lengths: Sequence[Sequence[int]], most: int) -> _Fit:
    places, rows, longest = [], 0, 0
    for own in lengths:
        filled: list[int] = []
        chosen = []
        for length in own:
            place = next((n for n, tokens in enumerate(filled) if tokens + length <= most), len(filled))
            if place == len(filled):
                filled.append(0)
            filled[place] += length
            chosen.append(place)
        places.append(chosen)
        rows += len(filled)
        longest = max(longest, *filled, 0)
    return _Fit(places, rows, longest)


def _joined(parts: Iterable[np.ndarray]) -> Tensor:
    arrays = [part.astype(np.int64) for part in parts if part.size]
    return torch.from_numpy(np.concatenate(arrays)) if arrays else torch.zeros(0, dtype=torch.long)


def _padded(lists: Sequence[Sequence[int]], fill: int) -> Tensor:
    longest = max(map(len, lists))
    return torch.tensor([[*values, *[fill] * (longest - len(values))] for values in lists])


@dataclass
class Row:
    """One row of text before padding: parallel lists over its tokens, and what the lessons noted of them."""

    owner: int
    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    questions: int = 0
    _notes: dict[type[Note], list[Any]] = field(default_factory=dict)

    def add(self, item: TrainingText, prompt: Encoding, answer: list[int], eos: int, weight: float) -> Placed:
        """Append a question."""
        text = [*prompt.ids, *answer]
        last = len(self.ids) + len(prompt.ids) - 1
        placed = Placed(item, prompt, len(self.ids), last, len(self.answers))
        self.ids += text
        self.positions += range(len(text))
        self.segments += [self.questions] * len(text)
        self.questions += 1
        self.answers += range(last, last + len(answer) + 1)
        self.targets += [*answer, eos]
        self.weights += [weight] * (len(answer) + 1)
        return placed

    def note(self, notes: Iterable[Note]) -> None:
        """Keep what a lesson noted of a question."""
        for note in notes:
            self._notes.setdefault(type(note), []).append(note)

    def noted(self, kind: type[NoteT]) -> list[NoteT]:
        """All notes of a kind."""
        return self._notes.get(kind, [])
