"""Fine-tuning a pretrained VLM: the parts that are to learn, LoRA or whole weights, questions packed by picture.

Shapes: B pictures, T tokens of a row, N answering tokens, D width, V vocabulary.
"""

from __future__ import annotations

import copy
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MethodType
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.data.images import load_image
from ruvlm.errors import ConfigError
from ruvlm.models.vlm import VlmRun
from ruvlm.models.vlm.adapters import BASE_FILE
from ruvlm.models.vlm.backend import HfBackend
from ruvlm.models.vlm.hub_folder import write_model
from ruvlm.models.vlm.load import Loaded, load_hf
from ruvlm.models.vlm.packing import VlmBatch, packed, plain
from ruvlm.models.vlm.parts import Lora, part_of, prepared, shares
from ruvlm.models.vlm.prompts import PromptReader
from ruvlm.models.vlm.shortcuts import AnswersOnly, decoder_layers, four_bit, logits_at, skip_unread_vision
from ruvlm.numerals import decimal
from ruvlm.processes import current_ranks
from ruvlm.schema import Dataset, Example, ImageRef, Response, Wording
from ruvlm.training.grouping import generator_of
from ruvlm.training.learner import Learner, Losses, Report, Stage
from ruvlm.training.mixture import Epochs, MixturePart, parts_of
from ruvlm.training.sharding import full, gathered, shard
from ruvlm.training.texts import training_text

# families whose picture comes before the words and whose positions are one number a token
PACKED = ("llava", "llava_next", "idefics3", "smolvlm")


class VlmBackend(HfBackend):
    """The model in training as the evaluation sees it; answers are written the plain way."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded, shared=False)

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        training = self.model.training
        self.model.eval()
        try:
            yield from super().answer(asked)
        finally:
            self.model.train(training)


class VlmLearner(Learner[VlmRun]):
    """A Hugging Face image-text-to-text model on a folder of data or a mixture."""

    # of whatever class transformers or peft make it
    model: Any
    splits = True
    _sharded = False

    def __init__(self, config: VlmRun, loaded: Loaded, parts: Sequence[MixturePart]) -> None:
        settings = config.vlm
        kind = loaded.model.config.model_type
        self.packs = kind in PACKED
        self.config, self.device = config, loaded.model.device
        torch.manual_seed(config.train.seed)
        lora = Lora(settings.lora_rank, settings.lora_alpha, settings.lora_dropout)
        self.model = prepared(loaded.model, settings.parts, lora)
        whole = self._whole
        skip_unread_vision(whole)
        # layers computed anew in the backward pass would not know the places any more
        self.answering = None if settings.checkpointing else AnswersOnly(whole)
        if settings.checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.enable_input_require_grads()
        self.loaded = Loaded(self.model, loaded.processor, config.name, "in training", loaded.weights)
        self.kind = kind
        self._readers = threading.local()
        self.eos = loaded.processor.tokenizer.eos_token_id
        self.pad = loaded.processor.tokenizer.pad_token_id
        groups: dict[tuple[int, ImageRef], list[Example]] = defaultdict(list)
        for number, part in enumerate(parts):
            for example in (example for dataset in part.datasets for example in dataset.examples):
                groups[number, example.image].append(example)
        self.groups = list(groups.items())[: config.data.limit_images]
        lengths = np.array([_length(examples, config.train.questions_per_image) for _, examples in self.groups])
        sets = np.array([number for (number, _), _ in self.groups])
        self.parts = parts
        self.epochs = Epochs(
            sets, tuple(part.weight for part in parts), lengths if config.train.length_grouped else None
        )
        size, learns = shares(self.model)
        learnt = [*settings.parts, *([f"LoRA ранга {lora.rank}"] if lora.rank else [])]
        self.notes = (
            f"параметров: {decimal(size / 1e6, 2)} млн, из них учатся {decimal(learns / 1e6, 2)} млн ({decimal(100 * learns / size)} %): {', '.join(learnt)}",
            *(() if self.packs else (f"модель вида {kind}: вопросы картинки не делят её, строка – один вопрос",)),
        )

    @property
    def _whole(self) -> Any:
        """The model itself, under the adapter if there is one."""
        return self.model.get_base_model() if self.config.vlm.lora_rank else self.model

    @property
    def reader(self) -> PromptReader:
        """One for each thread: tokenizers may not be used by two threads at once."""
        if not hasattr(self._readers, "reader"):
            self._readers.reader = PromptReader(copy.deepcopy(self.loaded.processor), self.kind)
        return cast(PromptReader, self._readers.reader)

    @classmethod
    def build(cls, config: VlmRun, device: torch.device, report: Report) -> VlmLearner:
        if not config.vlm.path:
            raise ConfigError("vlm.path пуст: укажите папку или имя модели, которую дообучать.")
        if "+" in config.vlm.path and not Path(config.vlm.path).is_dir():
            base, _, adapter = config.vlm.path.partition("+")
            raise ConfigError(
                f"vlm.path = «{config.vlm.path}»: учить поверх адаптера нельзя, сохранился бы только новый. Слейте его сначала: "
                f"ruvlm model merge {base}+{adapter} --out ПАПКА."
            )
        report("читаю вопросы")
        parts = parts_of(config.data, False)
        report("загружаю модель")
        loaded = load_hf(config.vlm.path, Access(device=str(device), dtype=config.vlm.dtype))
        return cls(config, loaded, parts)

    def stages(self) -> tuple[Stage, ...]:
        """One stage; each part of the model at its own rate."""
        settings, train = self.config.vlm, self.config.train
        rates = {"vision": settings.vision_lr, "projector": settings.projector_lr, "language": settings.language_lr}
        groups: dict[tuple[str, bool], list[Tensor]] = defaultdict(list)
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                groups[part_of(name), parameter.ndim > 1].append(parameter)
        chosen = [
            {"params": weights, "lr": rates[part], "weight_decay": train.weight_decay if matrices else 0.0}
            for (part, matrices), weights in groups.items()
        ]
        optimizer = torch.optim.AdamW(
            chosen, betas=(0.9, 0.95), fused=train.sharding == "none" and self.device.type != "mps"
        )
        steps = train.max_steps or self.epochs.steps(train.epochs, train.images_per_step)
        return (Stage("answers", 1.0, steps, (optimizer,), self.batch, self.loss),)

    def batch(self, step: int, part: int = 0, parts: int = 1) -> VlmBatch:
        """The packed questions of a part of a step; a pure function of (seed, step)."""
        train = self.config.train
        chosen = self.epochs.pictures(train.seed, step, train.images_per_step, part, parts)
        rows = []
        for number in chosen:
            (_, ref), examples = self.groups[number]
            rng = generator_of(train.seed, step, int(number))
            picked = [examples[n] for n in rng.permutation(len(examples))[: train.questions_per_image]]
            rows.append((ref, [training_text(example, rng, plain_share=0) for example in picked]))
        return self._packed([(ref, [(a.prompt, a.answer) for a in asked]) for ref, asked in rows])

    def _packed(self, asked: Sequence[tuple[ImageRef, list[tuple[str, str]]]]) -> VlmBatch:
        reader = self.reader
        answers = [
            [[*reader.option(answer, Wording(prompt)), self.eos] for prompt, answer in pairs] for _, pairs in asked
        ]
        if not self.packs:
            rows = [([load_image(ref)], Wording(prompt)) for ref, pairs in asked for prompt, _ in pairs]
            inputs = reader.batch([pictures for pictures, _ in rows], [said for _, said in rows])
            return plain(inputs, [answer for tokens in answers for answer in tokens], self.pad)
        encoded = [reader.encode(load_image(ref), [Wording(prompt) for prompt, _ in pairs]) for ref, pairs in asked]
        return packed(encoded, answers, self.pad, self.config.vlm.row_tokens)

    def loss(self, batch: VlmBatch, share: float = 0.0) -> Losses:
        """Cross-entropy of the answers' tokens: the picture's and the question's count for nothing."""
        logits_NV = self.logits(batch)
        loss = F.cross_entropy(logits_NV.float(), batch.targets_N.to(self.device))
        return Losses(loss, {"answers": loss.detach()}, batch.questions, float(len(batch.targets_N)))

    def logits(self, batch: VlmBatch) -> Tensor:
        """Scores of every answering token. [N, V]."""
        whole = self._whole
        inputs = {
            "input_ids": batch.ids_BT,
            "attention_mask": batch.mask,
            "position_ids": batch.positions_BT,
            **batch.vision,
        }
        moved = {
            name: value.to(self.device, whole.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
            if value is not None
        }
        places_N = batch.places_N.to(self.device)
        if self.answering is not None:
            self.answering.places_N = places_N
        try:
            logits_NV: Tensor = whole.logits_at(moved, places_N) if self._sharded else logits_at(whole, moved, places_N)
        finally:
            if self.answering is not None:
                self.answering.places_N = None
        return logits_NV

    def shard(self) -> None:
        """FSDP2: a shard a layer. Raises ConfigError without other processes or with 4-bit weights."""
        if current_ranks().size == 1:
            raise ConfigError("train.sharding = fsdp2: нужны несколько процессов, запустите через torchrun.")
        if four_bit(self._whole):
            raise ConfigError("train.sharding = fsdp2 с vlm.dtype = 4bit не работает: возьмите bfloat16.")
        whole = self._whole
        whole.logits_at = MethodType(logits_at, whole)
        shard(whole, "logits_at")
        whole.model.get_image_features = gathered(whole, whole.model.get_image_features)  # generate begins with it
        self._sharded = True

    def compile(self) -> None:
        """The language model's layers, one compiled code for all; batches differ in length, so shapes are dynamic."""
        self.answering = None
        for layer in decoder_layers(self._whole):
            layer.compile(dynamic=True)

    @torch.no_grad()
    def validation_loss(self, examples: Sequence[Example]) -> float | None:
        by_picture: dict[ImageRef, list[Example]] = defaultdict(list)
        for example in examples:
            by_picture[example.image].append(example)
        if not by_picture:
            return None
        training = self.model.training
        self.model.eval()
        losses = []
        rng = np.random.default_rng(0)
        for ref, group in by_picture.items():
            asked = [training_text(example, rng, plain_share=0) for example in group]
            losses.append(float(self.loss(self._packed([(ref, [(a.prompt, a.answer) for a in asked])])).total))
        self.model.train(training)
        return sum(losses) / len(losses)

    @property
    def datasets(self) -> Sequence[Dataset]:
        return [dataset for part in self.parts for dataset in part.datasets]

    @property
    def train_examples(self) -> Sequence[Example]:
        return [example for _, group in self.groups for example in group]

    def backend(self) -> Backend:
        return VlmBackend(self.loaded)

    def writer(self) -> Callable[[Path], None]:
        """A model folder, or an adapter's: what `hf:` reads, with its processor."""
        state = {name: full(value) for name, value in self.model.state_dict().items()} if self._sharded else None

        def write(folder: Path) -> None:
            write_model(folder, self.model, self.loaded.processor, state)
            if self.config.vlm.lora_rank:
                base = {"base": self.config.vlm.path, "weights": self.loaded.weights}
                (folder / BASE_FILE).write_text(json.dumps(base, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

        return write


def _length(examples: Sequence[Example], most: int) -> float:
    """How many characters a row of a picture's questions and answers has, about."""
    return min(len(examples), most) * float(np.mean([len(e.question) + len(e.answer) for e in examples]))
