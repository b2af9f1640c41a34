"""nano's settings: its size, how its matrices learn, and what each lesson beside the answers weighs."""

from __future__ import annotations

from pydantic import Field

from ruvlm.config import ModelSettings, RunConfig, TrainSettings


class NanoModel(ModelSettings):
    """Its size."""

    image_size: int = Field(64, ge=16, le=1024)
    hidden_size: int = Field(96, ge=16)
    layers: int = Field(5, ge=5)
    heads: int = Field(4, ge=1)
    mlp_ratio: int = Field(2, ge=1)
    stem_widths: tuple[int, int] = (32, 64)
    stem_blocks: int = Field(1, ge=0)
    vocab_size: int = Field(512, ge=256)
    max_text_positions: int = Field(96, ge=16)


class NanoTraining(TrainSettings):
    """`matrix_lr` is Muon's; the weights are those of the losses beside the answers' (`lessons.py`)."""

    choices_per_image: int = Field(2, ge=0)
    matrix_lr: float = Field(0.02, gt=0)
    word_weight: float = Field(1.0, ge=0)
    mention_weight: float = Field(0.3, ge=0)
    point_weight: float = Field(0.3, ge=0)
    describe_weight: float = Field(0.5, ge=0)
    choice_weight: float = Field(0.3, ge=0)
    decisive_weight: float = Field(0.3, ge=0)


class NanoRun(RunConfig):
    """A run of nano."""

    model: NanoModel = NanoModel()
    train: NanoTraining = NanoTraining()
