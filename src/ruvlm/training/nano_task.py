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

from ruvlm.backends.local_nano import NanoBackend
from ruvlm.benchmarks.catalog import CHOICE, SHORT
from ruvlm.config import RunConfig
from ruvlm.data.pixels import PixelStore
from ruvlm.errors import ConfigError
from ruvlm.models.nano import NanoForConditionalGeneration, Traces, parameter_count
from ruvlm.models.nano_config import NanoConfig
from ruvlm.models.text import BOS, EOS, IMAGE, PAD, special_id, train_tokenizer, word_families
from ruvlm.schema import Dataset, Example
from ruvlm.training.grounding import CELL_WORDS, IGNORED, word_targets
from ruvlm.training.grouping import Pictures, generator_of, training_pictures
from ruvlm.training.mixture import Epochs
from ruvlm.training.optim import Muon, split_parameters
from ruvlm.training.packing import PackedBatch, Packer
from ruvlm.training.task import Losses, Report, Stage, Task
from ruvlm.training.texts import training_text, type_weights

LETTERED = CHOICE.protocols[0]
# each is one token
INSTRUCTIONS = (
    SHORT.protocols[0].instruction, LETTERED.instruction, f" {LETTERED.options_line}", CHOICE.open_protocol.instruction
)  # fmt: skip
ALIGN_SHARE = 0.05
ALIGN_IMAGES = 32
EMPTY_CELL_WEIGHT = 0.1
EMPTY_STRIDE = 7
FAMILY_NOISE = 0.15
GUIDANCE_FALL = 1.6
GUIDANCE_FLOOR = 0.2
MAX_UNCOVERED_TOKENIZER_TEXTS = 60_000


class NanoTask(Task):
    """nano on a folder of data. Scene graphs, where there are any, align vision with words and ground mentions."""

    splits = True
    threads = True

    def __init__(self, config: RunConfig, pictures: Pictures, tokenizer: Tokenizer, device: torch.device) -> None:
        settings = config.model
        self.config, self.pictures, self.tokenizer, self.device = config, pictures, tokenizer, device
        torch.manual_seed(config.train.seed)
        self.model: NanoForConditionalGeneration = NanoForConditionalGeneration(
            NanoConfig(
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
        ).to(device)
        grid = self.model.config.grid
        self.packer = Packer(tokenizer, grid, settings.max_text_positions, type_weights(pictures.examples))
        self.words = self._words(grid)
        self.epochs = Epochs(pictures.sets, pictures.weights)
        self.notes = (f"параметров: {parameter_count(self.model):,}".replace(",", " "), *pictures.notes, *self._long())

    @classmethod
    def build(cls, config: RunConfig, device: torch.device, report: Report) -> NanoTask:
        if config.model.image_size % 8:
            raise ConfigError(f"model.image_size = {config.model.image_size}: нужно число, кратное 8.")
        if config.model.hidden_size % config.model.heads:
            raise ConfigError(
                f"model.hidden_size = {config.model.hidden_size} не делится на model.heads = {config.model.heads}."
            )
        pictures = training_pictures(config, config.model.image_size, report, grounding=True)
        report("обучаю токенизатор")
        return cls(config, pictures, _tokenizer(config, pictures), device)

    def _words(self, grid: int) -> np.ndarray:
        """Which words each cell of each picture shows. int16 [N, P, W]."""
        empty = np.full((grid * grid, CELL_WORDS), IGNORED, dtype=np.int16)
        graphs = self.pictures.graphs()
        found = []
        for number, name in zip(self.pictures.sets.tolist(), self.pictures.graph_ids, strict=True):
            graph = graphs.get((number, name or ""))
            found.append(
                empty if graph is None else word_targets(graph.regions, graph.place, grid, self.packer.lexicon)
            )
        return np.stack(found)

    def _long(self) -> tuple[str, ...]:
        """How many texts of conversations are longer than the model reads, and so left out."""
        spoken = [e for group in self.pictures.questions for e in group if not e.benchmark]
        some = spoken[:: max(1, len(spoken) // 2000)]
        length = self.config.model.max_text_positions
        long = sum(len(self.tokenizer.encode(f"{e.question} {e.answer}").ids) > length for e in some)
        return (
            (f"реплик длиннее {length} токенов (их модель не прочтёт): {100 * long / len(some):.0f} %",) if long else ()
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
        found = [Stage("answers", 1 - share, steps, answer, self.batch, self.loss, self.join_families)]
        if aligned:
            stem = [p for p in self.model.stem.parameters() if p.ndim == 4 and p.shape[1] > 3]
            others: list[Tensor] = [p for p in self.model.stem.parameters() if p.ndim < 4 or p.shape[1] <= 3]
            others += [self.model.see_norm, self.model.embed.weight]
            optimizers = (
                Muon(stem, lr=2.5 * train.matrix_lr),
                torch.optim.AdamW(others, lr=2 * train.lr, betas=(0.9, 0.95), weight_decay=0.0),
            )
            steps = max(1, round(steps * 0.3)) if train.max_steps else 4 * len(self.pictures) // ALIGN_IMAGES + 1
            found.insert(0, Stage("words", share, steps, optimizers, self.picture_batch, self.word_loss))
        return tuple(found)

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
        chosen = self.epochs.pictures(self.config.train.seed + 1, step, ALIGN_IMAGES, part, parts)
        pixels = torch.from_numpy(self.pictures.take(chosen)).to(self.device)
        words = torch.from_numpy(self.words[chosen].astype(np.int64)).to(self.device)
        return pixels.float().div_(255).sub_(0.5).mul_(4), words

    def word_loss(self, batch: Any, share: float = 0.0) -> Losses:
        pixels, words = batch
        loss = self._word_loss(self.model.see(pixels), words)
        return Losses(loss, {"words": loss.detach()}, 0)

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
        """Answers, and beside them: words of the cells, where mentions point, where the answer is."""
        train = self.config.train
        prefix = self.model.prefix(batch.pixels_BCSS)
        traces = self.model.rows(
            prefix, batch.ids_RT, batch.positions_RT, batch.owner_R, batch.mask, batch.places
        )  # fmt: skip
        predicted = self.model.logits(traces.last_RAD.flatten(0, 1)[batch.answers_N])
        each = F.cross_entropy(predicted.float(), batch.targets_N, reduction="none")
        parts = {"answers": (each * batch.weights_N).sum() / batch.weights_N.sum()}
        parts["words"] = self._word_loss(prefix.seen_BPD, batch.words_BPW)
        images = self.packer.images
        parts["mentions"] = _looking_loss(traces.mentions_MS[:, :images], batch.mention_cells_MP)
        parts["points"] = _looking_loss(traces.points_KS[:, :images], batch.point_cells_KP)
        parts["pairs"] = _looking_loss(traces.pairs_LS[:, images:], batch.pair_columns_LT)
        parts["alike"] = _alike_loss(traces.alike_MM, batch.mention_colours_M, batch.mention_things_M)
        parts["decisive"] = _looking_loss(traces.decisive_QS[:, images:], batch.decisive_QT)
        for name, describe, hidden, index, words in (
            (
                "mention_words",
                self.model.described,
                traces.mentioned_RTD,
                batch.places.mentions_M,
                batch.mention_words_MW,
            ),
            ("point_words", self.model.described, traces.pointed_RTD, batch.places.points_K, batch.point_words_KW),
            ("pair_words", self.model.related, traces.pointed_RTD, batch.related_L, batch.pair_words_LW),
            ("likeness", self.model.related, traces.weighed_RTD, batch.places.seconds_L, batch.likeness_LW),
        ):
            parts[name] = _description_loss(describe, hidden, index, words)
        parts["options"] = self._options_loss(traces, batch)
        guide = max(GUIDANCE_FLOOR, 1 - GUIDANCE_FALL * share)  # scaffolding comes down as the answers stand
        weights = {
            "answers": 1.0,
            "words": guide * train.word_weight,
            "mentions": guide * train.mention_weight,
            "points": guide * train.point_weight,
            "pairs": guide * train.point_weight,
            "alike": guide * train.point_weight,
            "mention_words": guide * train.describe_weight,
            "point_words": guide * train.describe_weight,
            "pair_words": guide * train.describe_weight,
            "likeness": guide * train.describe_weight,
            "options": train.choice_weight,
            "decisive": train.decisive_weight,
        }
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

    def _word_loss(self, seen_BPD: Tensor, words_BPW: Tensor) -> Tensor:
        """Cross-entropy of each cell's words under the tied word embeddings; empty cells count little."""
        if not bool((words_BPW >= 0).any()):
            return seen_BPD.new_zeros(())
        count_BP = (words_BPW >= 0).sum(-1)
        # of the many empty cells every seventh is enough, another column in each row
        sampled_P = torch.arange(count_BP.shape[1], device=count_BP.device) % EMPTY_STRIDE == 0
        kept_BP = (count_BP > 1) | ((count_BP > 0) & sampled_P)
        loss, count = word_cross_entropy(F.linear(seen_BPD[kept_BP], self.model.embed.weight), words_BPW[kept_BP])
        weight = torch.where(count > 1, 1.0, EMPTY_STRIDE * EMPTY_CELL_WEIGHT)
        return (loss * weight).sum() / weight.sum().clamp(min=EMPTY_CELL_WEIGHT)  # a picture may have no cell kept

    def _options_loss(self, traces: Traces, batch: PackedBatch) -> Tensor:
        """Do options know their letters, and which of them is right?"""
        if len(batch.options_C5) == 0:
            return traces.last_RAD.new_zeros(())
        states = traces.weighed_RTD.flatten(0, 1)[batch.options_C5.clamp(min=0)]
        there = batch.options_C5 >= 0
        scores = self.model.weighed(states).float().masked_fill(~there, -1e4)
        known, _ = word_cross_entropy(self.model.described(states[there]), batch.option_letters_C5[there][:, None])
        return F.cross_entropy(scores, batch.right_C) + 0.3 * known.mean()

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
        return self.backend().save


def word_cross_entropy(logits_NV: Tensor, words_NW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each row's words, and how many words it has. [N], [N]."""
    there = words_NW >= 0
    logprobs = logits_NV.float().log_softmax(-1)
    count = there.sum(-1)
    return -(logprobs.gather(-1, words_NW.clamp(min=0)) * there).sum(-1) / count.clamp(min=1), count


def _description_loss(
    describe: Callable[[Tensor], Tensor], hidden_RTD: Tensor, index_M: Tensor, words_MW: Tensor
) -> Tensor:
    """Does a token that has found a thing know its words?"""
    known = (words_MW >= 0).any(-1)
    if not bool(known.any()):
        return hidden_RTD.new_zeros(())
    loss, _ = word_cross_entropy(describe(hidden_RTD.flatten(0, 1)[index_M[known]]), words_MW[known])
    return loss.mean()


def _looking_loss(looks_NC: Tensor, wanted_NC: Tensor) -> Tensor:
    """How far log-attentions are from the cells, or words, that they should look at."""
    if len(looks_NC) == 0:
        return looks_NC.new_zeros(())
    return -((looks_NC * wanted_NC).sum(-1) / wanted_NC.sum(-1)).mean()


def _alike_loss(scores_MM: Tensor, colours_M: Tensor, things_M: Tensor) -> Tensor:
    """Do mentions of different things score high against one another where their colours are the same, and low else?

    Few questions compare colours; this compares all that a batch's questions mention.
    """
    coloured = (colours_M[:, None] >= 0) & (colours_M[None] >= 0) & (things_M[:, None] != things_M[None])
    same = colours_M[:, None] == colours_M[None]
    alike, unlike = coloured & same, coloured & ~same
    if not bool(alike.any()) or not bool(unlike.any()):
        return scores_MM.new_zeros(())
    return 0.5 * (F.softplus(-scores_MM[alike]).mean() + F.softplus(scores_MM[unlike]).mean())


def _tokenizer(config: RunConfig, pictures: Pictures) -> Tokenizer:
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
