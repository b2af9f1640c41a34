"""Training of the compact VLM: first align vision with words, then learn to answer, in packed batches.

Shapes: B pictures, P visual tokens, V vocabulary, W words of a cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from ruvlm.benchmarks.catalog import CHOICE, SHORT
from ruvlm.data.pixels import PixelStore
from ruvlm.errors import ConfigError
from ruvlm.models.nano.backend import NanoBackend
from ruvlm.models.nano.grounding import CELL_WORDS, IGNORED, word_targets
from ruvlm.models.nano.lessons import EMPTY_CELL_WEIGHT, word_loss
from ruvlm.models.nano.model import Nano, NanoShape, first_weights, parameter_count
from ruvlm.models.nano.packing import PackedBatch, Packer
from ruvlm.models.nano.settings import NanoRun
from ruvlm.models.nano.tokenizer import (
    BOS,
    EOS,
    IMAGE,
    PAD,
    load_tokenizer,
    save_tokenizer,
    special_id,
    train_tokenizer,
    word_families,
)
from ruvlm.run_folder import TOKENIZER
from ruvlm.schema import Dataset, Example
from ruvlm.training.grouping import Pictures, generator_of, training_pictures
from ruvlm.training.learner import Learner, Losses, Report, Stage
from ruvlm.training.mixture import Epochs
from ruvlm.training.optim import Muon, split_parameters
from ruvlm.training.texts import training_text, type_weights

LETTERED = CHOICE.protocols[0]
# each is one token
INSTRUCTIONS = (
    SHORT.protocols[0].instruction,
    LETTERED.instruction,
    f" {LETTERED.options_line}",
    CHOICE.open_protocol.instruction,
)
# of the time, and of the answers' steps, that cells have to learn their words
ALIGN_SHARE = 0.12
ALIGN_STEPS = 0.75
ALIGN_IMAGES = 16
FAMILY_NOISE = 0.15
GUIDANCE_FALL = 1.0
GUIDANCE_FLOOR = 0.2
MAX_UNCOVERED_TOKENIZER_TEXTS = 60_000


class NanoLearner(Learner[NanoRun]):
    """nano on a folder of data. Scene graphs, where there are any, align vision with words and ground mentions."""

    splits = True
    threads = True

    def __init__(self, config: NanoRun, pictures: Pictures, tokenizer: Tokenizer, device: torch.device) -> None:
        settings = config.model
        self.config, self.pictures, self.tokenizer, self.device = config, pictures, tokenizer, device
        torch.manual_seed(config.train.seed)
        self.model: Nano = Nano(
            NanoShape(
                vocab_size=tokenizer.get_vocab_size(),
                image_size=settings.image_size,
                hidden_size=settings.hidden_size,
                num_hidden_layers=settings.layers,
                num_attention_heads=settings.heads,
                mlp_ratio=settings.mlp_ratio,
                stem_widths=settings.stem_widths,
                stem_blocks=settings.stem_blocks,
                max_text_positions=settings.max_text_positions,
                trained_on=pictures.label,
                image_token_id=special_id(tokenizer, IMAGE),
                pad_token_id=special_id(tokenizer, PAD),
                bos_token_id=special_id(tokenizer, BOS),
                eos_token_id=special_id(tokenizer, EOS),
            )
        )
        first_weights(self.model)
        self.model.to(device)
        grid = self.model.shape.grid
        self.packer = Packer(tokenizer, grid, settings.max_text_positions, type_weights(pictures.examples))
        self.words = self._words(grid)
        self.epochs = Epochs(pictures.sets, pictures.weights)
        self.notes = (f"параметров: {parameter_count(self.model):,}".replace(",", " "), *pictures.notes, *self._long())

    @classmethod
    def build(cls, config: NanoRun, device: torch.device, report: Report) -> NanoLearner:
        if config.model.image_size % 8:
            raise ConfigError(f"model.image_size = {config.model.image_size}: нужно число, кратное 8.")
        if config.model.hidden_size % config.model.heads:
            raise ConfigError(
                f"model.hidden_size = {config.model.hidden_size} не делится на model.heads = {config.model.heads}."
            )
        pictures = training_pictures(config, config.model.image_size, report, grounding=True)
        kept = config.folder / TOKENIZER
        if kept.is_file():  # the run goes on
            return cls(config, pictures, load_tokenizer(kept), device)
        report("обучаю токенизатор")
        return cls(config, pictures, _tokenizer(config, pictures), device)

    def keep(self, folder: Path) -> None:
        save_tokenizer(self.tokenizer, folder / TOKENIZER)

    def _words(self, grid: int) -> np.ndarray:
        """Which words each cell of each picture shows. int16 [N, P, W]."""
        empty = np.full((grid * grid, CELL_WORDS), IGNORED, dtype=np.int16)
        graphs = self.pictures.graphs()
        targets = []
        for number, name in zip(self.pictures.sets.tolist(), self.pictures.graph_ids, strict=True):
            graph = graphs.get((number, name or ""))
            targets.append(
                empty if graph is None else word_targets(graph.regions, graph.place, grid, self.packer.lexicon)
            )
        return np.stack(targets)

    def _long(self) -> tuple[str, ...]:
        """How many texts of conversations are longer than the model reads, and so left out."""
        spoken = [e for group in self.pictures.questions for e in group if not e.benchmark]
        looked_at = spoken[:: max(1, len(spoken) // 2000)]
        length = self.config.model.max_text_positions
        long = sum(len(self.tokenizer.encode(f"{e.question} {e.answer}").ids) > length for e in looked_at)
        return (
            (f"реплик длиннее {length} токенов (их модель не прочтёт): {100 * long / len(looked_at):.0f} %",)
            if long
            else ()
        )

    def stages(self) -> tuple[Stage, ...]:
        """Alignment where there are scene graphs to align with, then answers."""
        train = self.config.train
        matrices, rest = split_parameters(self.model)
        answer = (
            Muon(matrices, lr=train.matrix_lr, weight_decay=train.weight_decay),
            torch.optim.AdamW(rest, lr=train.lr, betas=(0.9, 0.95), weight_decay=0.0),
        )
        steps = train.max_steps or self.epochs.steps(train.epochs, train.images_per_step)
        aligned = bool((self.words >= 0).any()) and train.word_weight > 0
        share = ALIGN_SHARE if aligned else 0.0
        stages = [Stage("answers", 1 - share, steps, answer, self.batch, self.loss, self.join_families)]
        if aligned:
            stem = [p for p in self.model.stem.parameters() if p.ndim == 4 and p.shape[1] > 3]
            others: list[Tensor] = [p for p in self.model.stem.parameters() if p.ndim < 4 or p.shape[1] <= 3]
            others += [self.model.see_norm, self.model.embed.weight]
            optimizers = (
                Muon(stem, lr=2.5 * train.matrix_lr),
                torch.optim.AdamW(others, lr=2 * train.lr, betas=(0.9, 0.95), weight_decay=0.0),
            )
            steps = (
                max(1, round(steps * ALIGN_STEPS)) if train.max_steps else 4 * len(self.pictures) // ALIGN_IMAGES + 1
            )
            # convolutions use all cores by themselves: a part for each was 1.6× slower
            words = Stage("words", share, steps, optimizers, self.picture_batch, self.word_loss, threads=False)
            stages.insert(0, words)
        return tuple(stages)

    @torch.no_grad()
    def join_families(self) -> None:
        """Start every form of a word near its lemma, whose embedding the pictures have already taught."""
        weight = self.model.embed.weight
        generator = torch.Generator().manual_seed(self.config.train.seed)
        for head, *rest in word_families(self.tokenizer):
            noise = torch.randn(len(rest), weight.shape[1], generator=generator).to(weight.device)
            weight[rest] = weight[head] + FAMILY_NOISE * noise

    def picture_batch(self, step: int, part: int = 0, parts: int = 1) -> tuple[Tensor, Tensor]:
        """Pictures and their words for the alignment stage. [B, 3, S, S], [B, P, W]."""
        chosen = self.epochs.pictures(self.config.train.seed + 1, step, max(ALIGN_IMAGES, parts), part, parts)
        pixels = torch.from_numpy(self.pictures.take(chosen)).to(self.device)
        words = torch.from_numpy(self.words[chosen].astype(np.int64)).to(self.device)
        return pixels.float().div_(255).sub_(0.5).mul_(4), words

    def word_loss(self, batch: Any, share: float = 0.0) -> Losses:
        pixels, words = batch
        loss, weight = word_loss(self.model, self.model.see(pixels), words)
        return Losses(loss, {"words": loss.detach()}, 0, max(weight, EMPTY_CELL_WEIGHT))

    def batch(self, step: int, part: int = 0, parts: int = 1) -> PackedBatch:
        """The packed questions of a part of a step; a pure function of (seed, step)."""
        train = self.config.train
        chosen = self.epochs.pictures(train.seed, step, train.images_per_step, part, parts)
        asked = []
        for row in chosen:
            rng = generator_of(train.seed, step, int(row))
            pools = (
                (self.pictures.questions[row], train.questions_per_image),
                (self.pictures.choices[row], train.choices_per_image),
            )
            picked = [pool[n] for pool, most in pools for n in rng.permutation(len(pool))[:most]]
            asked.append([training_text(example, rng) for example in picked])
        return self.packer.pack(self.pictures.take(chosen), self.words[chosen], asked).to(self.device)

    def loss(self, batch: PackedBatch, share: float = 0.0) -> Losses:
        """Answers, and beside them what each lesson teaches."""
        train = self.config.train
        prefix = self.model.prefix(batch.pixels_BCSS)
        traces = self.model.rows(prefix, batch.ids_RT, batch.positions_RT, batch.owner_R, batch.mask, batch.places)
        predicted = self.model.logits(traces.last_RAD.flatten(0, 1)[batch.answers_N])
        each = F.cross_entropy(predicted.float(), batch.targets_N, reduction="none")
        parts = {"answers": (each * batch.weights_N).sum() / batch.weights_N.sum()}
        guide = max(GUIDANCE_FLOOR, 1 - GUIDANCE_FALL * share)  # scaffolding comes down as the answers stand
        weights = {"answers": 1.0}
        for lesson in self.packer.lessons:
            parts[lesson.name] = lesson.loss(self.model, prefix, traces, batch)
            weights[lesson.name] = (guide if lesson.fades else 1.0) * lesson.weight(train)
        total = sum((weights[name] * part for name, part in parts.items()), start=predicted.new_zeros(()))
        return Losses(total, {name: part.detach() for name, part in parts.items()}, batch.questions)

    def validation_loss(self, examples: Sequence[Example]) -> float | None:
        """Cross-entropy of the answers' tokens, in packed batches of eight pictures."""
        by_picture: dict[str, list[Example]] = defaultdict(list)
        for example in examples:
            by_picture[example.image_id].append(example)
        groups = list(by_picture.values())
        if not groups:
            return None
        store = PixelStore.build([group[0].image for group in groups], self.config.model.image_size, None)
        words = np.full((len(groups), self.packer.images, CELL_WORDS), IGNORED, dtype=np.int16)
        training = self.model.training
        self.model.eval()
        losses = []
        with torch.no_grad():
            for start in range(0, len(groups), 8):
                part = groups[start : start + 8]
                rng = np.random.default_rng(0)
                asked = [[training_text(example, rng, plain_share=0) for example in group] for group in part]
                rows = [store.index[group[0].image] for group in part]
                batch = self.packer.pack(store.pixels[rows], words[: len(part)], asked).to(self.device)
                losses.append(float(self.loss(batch).parts["answers"]))
        self.model.train(training)
        return sum(losses) / len(losses)

    @property
    def datasets(self) -> Sequence[Dataset]:
        return self.pictures.datasets

    @property
    def train_examples(self) -> Sequence[Example]:
        return self.pictures.examples

    def backend(self) -> NanoBackend:
        return NanoBackend(self.model, self.tokenizer, self.config.name, "in training", self.device)

    def compile(self) -> None:
        """The decoder's layers; batches differ in length, so shapes are dynamic."""
        for layer in self.model.layers:
            layer.compile(dynamic=True)

    def writer(self) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            # transformers take longer to come than the first steps
            from ruvlm.models.nano.pretrained import as_pretrained

            as_pretrained(self.model).save_pretrained(folder)
            save_tokenizer(self.tokenizer, folder / TOKENIZER)

        return write


def _tokenizer(config: NanoRun, pictures: Pictures) -> Tokenizer:
    """Trained on questions, answers, options and the words of the scene graphs."""
    examples = pictures.examples
    stride = max(1, len(examples) // MAX_UNCOVERED_TOKENIZER_TEXTS)
    texts = []
    for example in examples[::stride]:
        if example.options:
            texts.append(LETTERED.text(example.question, example.options, example.hint))
            texts += [f" {option}" for option in example.options]
        else:
            texts += [example.question, f" {example.question[:1].lower()}{example.question[1:]}", f" {example.answer}"]
    for graph in list(pictures.graphs().values())[:2000]:
        texts += [f" {word}" for region in graph.regions for word in region.words]
        texts += [f" {graph.place}"] if graph.place else []
    return train_tokenizer(texts, config.model.vocab_size, INSTRUCTIONS)
