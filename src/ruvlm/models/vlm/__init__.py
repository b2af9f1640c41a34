"""Any image-text-to-text model of transformers: loaded, asked, fine-tuned whole or by LoRA, composed, merged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruvlm.config import Family, ModelSettings, RunConfig, Section, TrainSettings


class VlmModel(ModelSettings):
    """Its size is that of what is fine-tuned."""

    name: str = "vlm"


class VlmSettings(Section):
    """Which pretrained model, which of its parts learn, and how fast.

    `lora_rank` above 0 trains an adapter of the language model instead of its weights. `row_tokens` bounds a row: questions
    that do not fit wait for another step.
    """

    path: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16", "4bit"] = "auto"
    parts: tuple[Literal["vision", "projector", "language"], ...] = ("projector",)
    lora_rank: int = Field(0, ge=0, le=1024)
    lora_alpha: float = Field(32.0, gt=0)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    vision_lr: float = Field(2e-6, gt=0)
    projector_lr: float = Field(1e-3, gt=0)
    language_lr: float = Field(2e-4, gt=0)
    checkpointing: bool = False
    row_tokens: int = Field(2048, ge=64)


class VlmTraining(TrainSettings):
    """With `length_grouped` the pictures of a step have questions of about one length."""

    length_grouped: bool = False


class VlmRun(RunConfig):
    """A run that fine-tunes a model of transformers."""

    model: VlmModel = VlmModel()
    vlm: VlmSettings = VlmSettings()
    train: VlmTraining = VlmTraining()

    @property
    def base_model(self) -> str:
        return self.vlm.path

    @property
    def adapter_rank(self) -> int:
        return self.vlm.lora_rank


FAMILY = Family(
    name="vlm",
    run=VlmRun,
    learner="ruvlm.models.vlm.learner:VlmLearner",
    backend="ruvlm.models.vlm.backend:HfBackend",
)
