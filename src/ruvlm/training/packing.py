"""Packed batches for nano: the chosen questions of a picture share rows of text under a block mask, all rows its visual tokens.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, N labelled tokens, W words a cell may carry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from ruvlm.evaluation.prompts import OPTIONS_LINE, PROTOCOLS, question_text
from ruvlm.models.text import EOS
from ruvlm.schema import LETTERS, Box, Example, Region

IGNORED = -1
CELL_WORDS = 6
# a letter is one token of a long question, yet all that the question teaches
LETTER_WEIGHT = 3.0


@dataclass
class PackedBatch:
    """One step's tensors. Indices are into the flattened [R, T] rows; `answers` predict `targets`."""

    pixels_BCSS: Tensor
    ids_RT: Tensor
    positions_RT: Tensor
    owner_R: Tensor
    mask: Tensor
    answers_N: Tensor
    targets_N: Tensor
    weights_N: Tensor
    words_BPW: Tensor
    mentions_M: Tensor
    mention_cells_MP: Tensor
    mention_words_MW: Tensor
    points_K: Tensor
    point_cells_KP: Tensor
    point_words_KW: Tensor
    choices_C: Tensor
    options_C5: Tensor
    option_columns_C: Tensor
    option_letters_C5: Tensor
    right_C: Tensor
    questions: int

    def to(self, device: torch.device) -> PackedBatch:
        return PackedBatch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.__dict__.items()})


def covered_cells(boxes: Sequence[Box], grid: int) -> np.ndarray:
    """Which cells of a grid×grid picture each box covers: by 40 % of the cell, or by the box's centre. bool [N, P]."""
    box = np.asarray(boxes, dtype=np.float32).reshape(-1, 4) * grid
    lines = np.arange(grid, dtype=np.float32)
    wide = np.clip(np.minimum(box[:, 2:3], lines + 1) - np.maximum(box[:, 0:1], lines), 0, 1)
    high = np.clip(np.minimum(box[:, 3:4], lines + 1) - np.maximum(box[:, 1:2], lines), 0, 1)
    covered = (high[:, :, None] * wide[:, None, :] >= 0.4).reshape(len(box), grid * grid)
    column = np.clip((box[:, 0] + box[:, 2]) / 2, 0, grid - 1).astype(int)
    row = np.clip((box[:, 1] + box[:, 3]) / 2, 0, grid - 1).astype(int)
    covered[np.arange(len(box)), row * grid + column] = True
    return covered


def word_targets(
    regions: Sequence[Region], place: str | None, grid: int, tokenizer: Tokenizer, known: dict[str, int]
) -> np.ndarray:
    """Which words each cell shows, as token ids: its things' words, the place's where there is nothing. [P, W]."""
    targets = np.full((grid * grid, CELL_WORDS), IGNORED, dtype=np.int16)
    if place is not None:
        targets[:, 0] = _word_id(place, tokenizer, known)
    used = np.zeros(grid * grid, dtype=np.int64)
    if regions:
        for cells, region in zip(covered_cells([r.box for r in regions], grid), regions, strict=True):
            for word in region.words:
                token = _word_id(word, tokenizer, known)
                for cell in np.flatnonzero(cells & (used < CELL_WORDS)):
                    targets[cell, used[cell]] = token
                    used[cell] += 1
    return targets


def description(region: Region) -> tuple[str, ...]:
    """What a token that has found a thing should know of it: its words, and which side of the picture it is on."""
    x, y = (region.box[0] + region.box[2]) / 2, (region.box[1] + region.box[3]) / 2
    across = ("слева",) if x < 0.4 else ("справа",) if x > 0.6 else ()
    down = ("вверху",) if y < 0.4 else ("внизу",) if y > 0.6 else ()
    return (*region.words, *across, *down)


def _word_id(word: str, tokenizer: Tokenizer, known: dict[str, int]) -> int:
    if word not in known:
        known[word] = tokenizer.encode(" " + word, add_special_tokens=False).ids[0]
    return known[word]


@dataclass(frozen=True)
class Asked:
    """One training text: prompt, answer, and the example it came from."""

    prompt: str
    answer: str
    example: Example
    option_ends: tuple[int, ...] = ()
    right_option: int = 0

    @property
    def kind(self) -> str:
        """What its weight in the loss goes by: GQA's detailed type, or how a choice is asked."""
        return self.example.detailed or ("letters" if self.option_ends else "open choice")


def type_weights(examples: Iterable[Example]) -> dict[str, float]:
    """Weights of the answers' loss by detailed type: rare types, often the hard ones, count more.

    The inverse square root of a type's share, relative to the mean and within 0.6–3. Letters have LETTER_WEIGHT.
    """
    counts = Counter(example.detailed for example in examples if example.detailed)
    mean = counts.total() / max(1, len(counts))
    weights = {kind: min(3.0, max(0.6, (mean / count) ** 0.5)) for kind, count in counts.items()}
    return {**weights, "letters": LETTER_WEIGHT}


def training_text(example: Example, rng: np.random.Generator, plain_share: float = 0.1) -> Asked:
    """An example as the evaluation will ask it.

    A multiple-choice question is asked by letters with its options rolled at random, or openly (the likelihood
    protocol). Now and then a question is written as people type: lower case, no question mark.
    """
    question = example.question
    if rng.random() < plain_share:
        question = question[:1].lower() + question[1:].rstrip("?")
    if not example.options:
        return Asked(question_text(PROTOCOLS["gqa-ru/lmms"], question), example.answer, example)
    if rng.random() < 0.3:
        gold = example.options[LETTERS.index(example.answer)]
        return Asked(question_text(PROTOCOLS["mmbench-ru/likelihood"], question, (), example.hint), gold, example)
    shift = int(rng.integers(len(example.options)))
    options = example.options[shift:] + example.options[:shift]
    right = (LETTERS.index(example.answer) - shift) % len(options)
    prompt = question_text(PROTOCOLS["mmbench-ru/lmms"], question, options, example.hint)
    return Asked(prompt, LETTERS[right], example, _option_ends(prompt, options), right)


def _option_ends(prompt: str, options: Sequence[str]) -> tuple[int, ...]:
    """The characters after which each listed option ends."""
    ends, start = [], prompt.index(OPTIONS_LINE) + len(OPTIONS_LINE)
    for option in options:
        start += len("A. ") + len(option)
        ends.append(start)
        start += len("\n")
    return tuple(ends)


class Packer:
    """Turns pictures with their chosen questions into PackedBatch: questions share rows of about `row_length` tokens."""

    def __init__(
        self, tokenizer: Tokenizer, grid: int, max_positions: int, weights: dict[str, float], row_length: int = 48
    ) -> None:
        self.tokenizer = tokenizer
        self.grid = grid
        self.images = grid * grid
        self.max_positions = max_positions
        self.weights = weights
        self.row_length = row_length
        self.eos = tokenizer.token_to_id(EOS)
        self._known: dict[str, int] = {}
        self._letters = [tokenizer.encode(f" {letter}", add_special_tokens=False).ids[0] for letter in LETTERS]

    def pack(self, pixels: np.ndarray, words: np.ndarray, asked: Sequence[Sequence[Asked]]) -> PackedBatch:
        """`pixels` uint8 [B, 3, S, S], `words` [B, P, W], `asked` one list of questions a picture."""
        flat = [item for questions in asked for item in questions]
        prompts = self.tokenizer.encode_batch([a.prompt for a in flat], add_special_tokens=False)
        answers = self.tokenizer.encode_batch([" " + a.answer for a in flat], add_special_tokens=False)
        rows = self._rows(asked, prompts, answers)
        length = max(len(row.ids) for row in rows)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        positions = np.zeros((len(rows), length), dtype=np.int64)
        segments = np.full((len(rows), length), -1, dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row.ids)] = row.ids
            positions[number, : len(row.ids)] = row.positions
            segments[number, : len(row.ids)] = row.segments
        mentioned = [region for row in rows for region in row.mentioned]
        pointed = [regions for row in rows for regions in row.pointed]
        return PackedBatch(
            pixels_BCSS=torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255).sub_(0.5).mul_(4),
            ids_RT=torch.from_numpy(ids),
            positions_RT=torch.from_numpy(positions),
            owner_R=torch.tensor([row.owner for row in rows]),
            mask=self._mask(segments),
            answers_N=_joined([n * length + np.asarray(row.answers) for n, row in enumerate(rows)]),
            targets_N=_joined([np.asarray(row.targets) for row in rows]),
            weights_N=torch.tensor([weight for row in rows for weight in row.weights]),
            words_BPW=torch.from_numpy(words.astype(np.int64)),
            mentions_M=_joined([n * length + np.asarray(row.mentions) for n, row in enumerate(rows)]),
            mention_cells_MP=self._cells([(region.box,) for region in mentioned]),
            mention_words_MW=self._words([description(region) for region in mentioned]),
            points_K=_joined([n * length + np.asarray(row.points) for n, row in enumerate(rows)]),
            point_cells_KP=self._cells([tuple(region.box for region in regions) for regions in pointed]),
            # what two things are has no one answer: only a single thing is described
            point_words_KW=self._words([description(r[0]) if len(r) == 1 else () for r in pointed]),
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
        """Where lettered questions end, where their options end (-1: no such option), and which option is right."""
        ends, options, columns, letters, right = [], [], [], [], []
        for number, row in enumerate(rows):
            for end, tokens, place in row.choices:
                ends.append(number * length + end)
                options.append([number * length + t for t in tokens] + [IGNORED] * (5 - len(tokens)))
                columns.append(self.images + tokens[place])
                letters.append(self._letters[: len(tokens)] + [IGNORED] * (5 - len(tokens)))
                right.append(place)
        return {
            "choices_C": torch.tensor(ends, dtype=torch.long),
            "options_C5": torch.tensor(options, dtype=torch.long).reshape(-1, 5),
            "option_columns_C": torch.tensor(columns, dtype=torch.long),
            "option_letters_C5": torch.tensor(letters, dtype=torch.long).reshape(-1, 5),
            "right_C": torch.tensor(right, dtype=torch.long),
        }

    def _words(self, groups: Sequence[tuple[str, ...]]) -> Tensor:
        """Token ids of each thing's words, padded with IGNORED. [len(groups), W]."""
        found = torch.full((len(groups), CELL_WORDS), IGNORED)
        for row, words in enumerate(groups):
            for column, word in enumerate(words[:CELL_WORDS]):
                found[row, column] = _word_id(word, self.tokenizer, self._known)
        return found

    def _rows(self, asked: Sequence[Sequence[Asked]], prompts: list[Encoding], answers: list[Encoding]) -> list[_Row]:
        """First-fit decreasing: each question goes into the first row of its picture that still has room."""
        rows: list[_Row] = []
        number = 0
        for owner, questions in enumerate(asked):
            mine: list[_Row] = []
            texts = [(item, prompts[number + n], answers[number + n].ids) for n, item in enumerate(questions)]
            number += len(questions)
            for item, prompt, answer in sorted(texts, key=lambda text: -len(text[1].ids)):
                length = len(prompt.ids) + len(answer)
                if length > self.max_positions:  # longer than the model can read: left out
                    continue
                row = next((r for r in mine if len(r.ids) + length <= self.row_length), None)
                if row is None:
                    row = _Row(owner)
                    mine.append(row)
                row.add(item, prompt, answer, self.eos, self.weights.get(item.kind, 1.0))
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
    choices: list[tuple[int, list[int], int]] = field(default_factory=list)
    questions: int = 0

    def add(self, item: Asked, prompt: Encoding, answer: list[int], eos: int, weight: float) -> None:
        """Append a question."""
        text = [*prompt.ids, *answer]
        start = len(self.ids)
        self.ids += text
        self.positions += range(len(text))
        self.segments += [self.questions] * len(text)
        self.questions += 1
        first = start + len(prompt.ids) - 1
        self.answers += range(first, first + len(answer) + 1)
        self.targets += [*answer, eos]
        self.weights += [weight] * (len(answer) + 1)
        if item.example.answer_regions:
            self.points.append(first)
            self.pointed.append(item.example.answer_regions)
        if item.option_ends:
            tokens = [
                max(n for n, (a, b) in enumerate(prompt.offsets) if a < end and b <= end) for end in item.option_ends
            ]
            self.choices.append((first, [start + token for token in tokens], item.right_option))
        offsets = prompt.offsets if item.example.mentions else ()
        for mention in item.example.mentions:
            inside = [n for n, (a, b) in enumerate(offsets) if a < mention.end and b > mention.start]
            if inside:
                self.mentions.append(start + inside[-1])
                self.mentioned.append(mention.region)
