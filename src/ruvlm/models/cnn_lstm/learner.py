"""Training of the CNN+LSTM baseline: a classifier over the most frequent training answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ruvlm.checkpoint import write_network
from ruvlm.data.pixels import PixelStore
from ruvlm.errors import DataError
from ruvlm.models.cnn_lstm import CnnLstmRun
from ruvlm.models.cnn_lstm.backend import CnnLstmBackend
from ruvlm.models.cnn_lstm.model import IMAGE_SIZE, VOCABULARY, CnnLstm, CnnLstmShape, encode, vocabulary
from ruvlm.numerals import decimal
from ruvlm.schema import Dataset, Example
from ruvlm.training.grouping import Pictures, generator_of, training_pictures
from ruvlm.training.learner import Learner, Losses, Report, Stage
from ruvlm.training.mixture import Epochs

VALIDATION_BATCH = 256


class CnnLstmLearner(Learner[CnnLstmRun]):
    """The baseline on a folder of data: open questions whose answer is among its classes."""

    model: CnnLstm

    def __init__(self, config: CnnLstmRun, pictures: Pictures, device: torch.device) -> None:
        self.config, self.pictures, self.device = config, pictures, device
        examples = [example for group in pictures.questions for example in group]
        counts = Counter(example.answer for example in examples)
        answers = [answer for answer, _ in counts.most_common(config.model.classes)]
        if len(answers) < config.model.classes:
            raise DataError(f"В обучающих строках только {len(answers)} разных ответов: уменьшите model.classes.")
        words = vocabulary(example.question for example in examples)
        torch.manual_seed(config.train.seed)
        settings = CnnLstmShape(
            classes=len(answers), words=tuple(words), answers=tuple(answers), trained_on=pictures.label
        )
        self.model = CnnLstm(settings).to(device)
        index = {word: number + 2 for number, word in enumerate(words)}
        label = {answer: number for number, answer in enumerate(answers)}
        groups = [
            (row, [(encode(e.question, index), label[e.answer]) for e in group if e.answer in label])
            for row, group in enumerate(pictures.questions)
        ]
        self.groups = [(row, group) for row, group in groups if group]
        self.index, self.label = index, label
        self.epochs = Epochs(pictures.sets[[row for row, _ in self.groups]], pictures.weights)
        covered = 100 * sum(len(group) for _, group in self.groups) / max(1, len(examples))
        self.notes = (
            f"классы: {', '.join(answers)}",
            f"классы покрывают {decimal(covered)} % обучающих ответов; слов в словаре: {min(len(words) + 2, VOCABULARY)}",
            *pictures.notes,
        )

    @classmethod
    def build(cls, config: CnnLstmRun, device: torch.device, report: Report) -> CnnLstmLearner:
        return cls(config, training_pictures(config, IMAGE_SIZE, report, grounding=False), device)

    def stages(self) -> tuple[Stage, ...]:
        train = self.config.train
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=train.lr, weight_decay=train.weight_decay)
        steps = train.max_steps or self.epochs.steps(train.epochs, train.images_per_step)
        return (Stage("answers", 1.0, steps, (optimizer,), self.batch, self.loss),)

    def batch(self, step: int, part: int = 0, parts: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures, words, whose each question is, and classes. [B, 3, S, S], [N, W], [N], [N]."""
        train = self.config.train
        chosen = self.epochs.pictures(train.seed, step, train.images_per_step, part, parts)
        asked = []
        for owner, number in enumerate(chosen):
            group = self.groups[number][1]
            rng = generator_of(train.seed, step, int(number))
            asked += [(*group[n], owner) for n in rng.permutation(len(group))[: train.questions_per_image]]
        rows = [self.groups[number][0] for number in chosen]
        pixels = torch.from_numpy(self.pictures.take(np.array(rows))).to(self.device)
        words, labels, owners = zip(*asked, strict=True)
        return (
            pixels.float().div_(255).sub_(0.5).mul_(4),
            torch.tensor(words, device=self.device),
            torch.tensor(owners, device=self.device),
            torch.tensor(labels, device=self.device),
        )

    def loss(self, batch: Any, share: float = 0.0) -> Losses:
        pixels, words, owner, labels = batch
        loss = F.cross_entropy(self.model(pixels, words, owner).float(), labels)
        return Losses(loss, {"answers": loss.detach()}, len(labels))

    def validation_loss(self, examples: Sequence[Example]) -> float | None:
        known = [example for example in examples if example.answer in self.label]
        if not known:
            return None
        store = PixelStore.build([e.image for e in known], IMAGE_SIZE, None)
        training = self.model.training
        self.model.eval()
        losses = []
        with torch.no_grad():
            for start in range(0, len(known), VALIDATION_BATCH):
                part = known[start : start + VALIDATION_BATCH]
                pixels = torch.from_numpy(store.pixels[[store.index[e.image] for e in part]]).to(self.device)
                words = torch.tensor([encode(e.question, self.index) for e in part], device=self.device)
                labels = torch.tensor([self.label[e.answer] for e in part], device=self.device)
                owner = torch.arange(len(part), device=self.device)
                batch = (pixels.float().div_(255).sub_(0.5).mul_(4), words, owner, labels)
                losses.append((float(self.loss(batch).total), len(part)))
        self.model.train(training)
        return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)

    @property
    def datasets(self) -> Sequence[Dataset]:
        return self.pictures.datasets

    @property
    def train_examples(self) -> Sequence[Example]:
        return self.pictures.examples

    def backend(self) -> CnnLstmBackend:
        return CnnLstmBackend(self.model, self.config.name, "in training", self.device)

    def writer(self) -> Callable[[Path], None]:
        return lambda folder: write_network(folder, self.model, "ruvlm_cnn_lstm", {"image_size": IMAGE_SIZE})
