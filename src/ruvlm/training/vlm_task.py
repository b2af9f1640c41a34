"""Fine-tuning a pretrained VLM: the parts that are to learn, LoRA or whole weights, questions packed by picture.

Shapes: B pictures, T tokens of a row, N answering tokens, D width, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.backends.hf import HfBackend
from ruvlm.backends.hf_load import Loaded, load_hf
from ruvlm.backends.hf_prompts import PromptReader
from ruvlm.config import RunConfig
from ruvlm.data.images import load_image
from ruvlm.errors import ConfigError, ModelError
from ruvlm.models.vlm_parts import Lora, part_of, prepared, shares
from ruvlm.schema import Example, ImageRef, Response
from ruvlm.training.grouping import generator_of
from ruvlm.training.mixture import Epochs, parts_of
from ruvlm.training.task import Losses, Report, Stage, Task
from ruvlm.training.texts import training_text
from ruvlm.training.vlm_packing import VlmBatch, packed

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

    def save(self, folder: Path) -> None:
        """A model folder, or an adapter's: what `hf:` reads, with its processor."""
        self.model.save_pretrained(folder)
        self.reader.processor.save_pretrained(folder)


class VlmTask(Task):
    """A Hugging Face image-text-to-text model on a folder of data or a mixture."""

    splits = True

    def __init__(
        self, config: RunConfig, loaded: Loaded, examples: Sequence[tuple[int, Example]], weights: tuple[float, ...]
    ) -> None:
        settings = config.vlm
        kind = loaded.model.config.model_type
        if kind not in PACKED:
            raise ModelError(f"Модель вида {kind} обучать ещё не умеем: есть {', '.join(PACKED)}.")
        self.config, self.device = config, loaded.model.device
        torch.manual_seed(config.train.seed)
        lora = Lora(settings.lora_rank, settings.lora_alpha, settings.lora_dropout)
        self.model: Any = prepared(loaded.model, settings.parts, lora)
        if settings.checkpointing:
            self.model.gradient_checkpointing_enable()
            self.model.enable_input_require_grads()
        self.loaded = Loaded(self.model, loaded.processor, config.name, "in training")
        self.reader = PromptReader(loaded.processor, kind)
        self.eos = self.reader.processor.tokenizer.eos_token_id
        self.pad = self.reader.processor.tokenizer.pad_token_id
        groups: dict[tuple[int, ImageRef], list[Example]] = defaultdict(list)
        for number, example in examples:
            groups[number, example.image].append(example)
        self.groups = list(groups.items())[: config.data.limit_images]
        self.epochs = Epochs(np.array([number for (number, _), _ in self.groups]), weights)
        self.steps_per_epoch = max(1, self.epochs.total // config.train.images_per_step)
        whole, learns = shares(self.model)
        self.notes = (
            f"параметров: {whole / 1e6:.2f} млн, из них учатся {learns / 1e6:.2f} млн ({100 * learns / whole:.1f} %): "
            f"{', '.join(settings.parts)}" + (f", LoRA ранга {lora.rank}" if lora.rank else ""),
        )

    @classmethod
    def build(cls, config: RunConfig, device: torch.device, report: Report) -> VlmTask:
        if not config.vlm.path:
            raise ConfigError("vlm.path пуст: укажите папку или имя модели, которую дообучать.")
        report("читаю вопросы")
        parts = parts_of(config.data, False)
        examples = [(n, e) for n, part in enumerate(parts) for dataset in part.datasets for e in dataset.examples]
        report("загружаю модель")
        loaded = load_hf(config.vlm.path, Access(device=str(device), dtype=config.vlm.dtype))
        return cls(config, loaded, examples, tuple(part.weight for part in parts))

    def stages(self) -> tuple[Stage, ...]:
        """One stage; each part of the model at its own rate."""
        settings, train = self.config.vlm, self.config.train
        rates = {"vision": settings.vision_lr, "projector": settings.projector_lr, "language": settings.language_lr}
        groups: dict[tuple[str, bool], list[Tensor]] = defaultdict(list)
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                groups[part_of(name), parameter.ndim > 1].append(parameter)
        chosen = [
            {"params": some, "lr": rates[part], "weight_decay": train.weight_decay if matrices else 0.0}
            for (part, matrices), some in groups.items()
        ]
        optimizer = torch.optim.AdamW(chosen, betas=(0.9, 0.95))
        steps = train.max_steps or round(train.epochs * self.steps_per_epoch)
        return (Stage("answers", 1.0, max(1, steps), (optimizer,), self.batch, self.loss),)

    def batch(self, step: int, part: int = 0, parts: int = 1) -> VlmBatch:
        """The packed questions of a part of a step; a pure function of (seed, step)."""
        train = self.config.train
        chosen = self.epochs.pictures(train.seed, step, train.images_per_step, part, parts)
        found = []
        for number in chosen:
            (_, ref), examples = self.groups[number]
            rng = generator_of(train.seed, step, int(number))
            picked = [examples[n] for n in rng.permutation(len(examples))[: train.questions_per_image]]
            found.append((ref, [training_text(example, rng, plain_share=0) for example in picked]))
        return self._packed([(ref, [(a.prompt, a.answer) for a in asked]) for ref, asked in found])

    def _packed(self, asked: Sequence[tuple[ImageRef, list[tuple[str, str]]]]) -> VlmBatch:
        encoded, answers = [], []
        for ref, pairs in asked:
            encoded.append(self.reader.encode(load_image(ref), [prompt for prompt, _ in pairs]))
            answers.append([[*self.reader.option(answer, prompt), self.eos] for prompt, answer in pairs])
        return packed(encoded, answers, self.pad, self.config.vlm.row_tokens)

    def loss(self, batch: VlmBatch, share: float = 0.0) -> Losses:
        """Cross-entropy of the answers' tokens: the picture's and the question's count for nothing."""
        logits_NV = self.logits(batch)
        loss = F.cross_entropy(logits_NV.float(), batch.targets_N.to(self.device))
        return Losses(loss, {"answers": loss.detach()}, batch.questions, float(len(batch.targets_N)))

    def logits(self, batch: VlmBatch) -> Tensor:
        """Scores of every answering token. [N, V]."""
        whole = self.model.get_base_model() if self.config.vlm.lora_rank else self.model
        dtype = whole.dtype
        hidden_BTD = whole.model(
            input_ids=batch.ids_BT.to(self.device),
            attention_mask=None if batch.mask_B1TT is None else batch.mask_B1TT.to(self.device, dtype),
            position_ids=batch.positions_BT.to(self.device),
            **{k: v.to(self.device, dtype if v.is_floating_point() else None) for k, v in batch.vision.items()},
            use_cache=False,
        ).last_hidden_state
        found: Tensor = whole.lm_head(hidden_BTD.flatten(0, 1)[batch.places_N.to(self.device)])
        return found

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
        for ref, some in by_picture.items():
            asked = [training_text(example, rng, plain_share=0) for example in some]
            losses.append(float(self.loss(self._packed([(ref, [(a.prompt, a.answer) for a in asked])])).total))
        self.model.train(training)
        return sum(losses) / len(losses)

    @property
    def train_examples(self) -> Sequence[Example]:
        return [example for _, group in self.groups for example in group]

    def backend(self) -> Backend:
        return VlmBackend(self.loaded)
