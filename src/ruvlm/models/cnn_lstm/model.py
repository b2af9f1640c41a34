"""The baseline: a CNN for the picture, an LSTM for the question, ten answers to choose from. 649,610 parameters.

Shapes: B pictures, N questions, W words of a question, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

IMAGE_SIZE = 128
WORDS = 8
VOCABULARY = 500
PAD, UNKNOWN = 0, 1


@dataclass(frozen=True, kw_only=True)
class CnnLstmShape:
    """`words` is the vocabulary in index order (from 2), `answers` the classes in order, `trained_on` what its data sets are called."""

    classes: int = 10
    words: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    trained_on: str = ""

    def __post_init__(self) -> None:
        if not all(isinstance(texts, tuple) for texts in (self.words, self.answers)):
            raise ValueError("words and answers are no lists")
        if self.answers and len(self.answers) != self.classes:
            raise ValueError(f"{len(self.answers)} answers for {self.classes} classes")
        if len(self.words) > VOCABULARY - 2:
            raise ValueError(f"{len(self.words)} words, room for {VOCABULARY - 2}")


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2))


@final
class CnnLstm(nn.Module):
    """Three convolution blocks and a bidirectional LSTM, joined by a two-layer head."""

    def __init__(self, shape: CnnLstmShape) -> None:
        super().__init__()
        self.shape = shape
        self.cnn = nn.Sequential(_block(3, 16), _block(16, 32), _block(32, 64), nn.AdaptiveAvgPool2d(4))
        self.picture = nn.Linear(64 * 16, 256)
        self.embed = nn.Embedding(VOCABULARY, 64, padding_idx=PAD)
        self.lstm = nn.LSTM(64, 128, batch_first=True, bidirectional=True)
        self.question = nn.Linear(256, 256)
        self.head = nn.Sequential(nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, shape.classes))

    def forward(self, pixels_BCSS: Tensor, words_NW: Tensor, owner_N: Tensor | None = None) -> Tensor:
        """Scores of the classes. [B, 3, 128, 128], [N, 8] → [N, C].

        `owner_N` says which picture each question is about; without it they come one to one. A picture is looked at
        once, however many questions it has.
        """
        seen = torch.relu(self.picture(self.cnn(pixels_BCSS).flatten(1)))
        # not seen[owner_N]: its gradient is added by several threads in the order in which they come
        seen = seen if owner_N is None else seen.index_select(0, owner_N)
        _, (last, _) = self.lstm(self.embed(words_NW))
        asked = torch.relu(self.question(torch.cat([last[0], last[1]], dim=1)))
        scores: Tensor = self.head(torch.cat([seen, asked], dim=1))
        return scores


def split_words(question: str) -> list[str]:
    """Lower-case words without punctuation."""
    return "".join(c if c.isalnum() else " " for c in question.lower()).split()


def vocabulary(questions: Iterable[str]) -> list[str]:
    """The most frequent words that fit beside padding and unknown."""
    counts = Counter(word for question in questions for word in split_words(question))
    return [word for word, _ in counts.most_common(VOCABULARY - 2)]


def encode(question: str, index: dict[str, int]) -> list[int]:
    """The first eight words as indices, padded. An empty question is one unknown word."""
    ids = [index.get(word, UNKNOWN) for word in split_words(question)[:WORDS]] or [UNKNOWN]
    return ids + [PAD] * (WORDS - len(ids))
