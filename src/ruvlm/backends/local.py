"""Our own checkpoints as backends: they can also rank alternative answers and be saved."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ruvlm.backends.base import Alternative, Asked, Backend
from ruvlm.checkpoint import adapter_folder, base_of, model_folder, read_model_type
from ruvlm.config import Family, families
from ruvlm.errors import ModelError
from ruvlm.registry import imported
from ruvlm.run_folder import BEST, FINAL

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ruvlm.data.images import PictureKey


class LocalBackend(Backend):
    """A model of ours, from a checkpoint or in training."""

    scores_candidates = True
    ranks_answers = True

    def __init__(self, model: nn.Module, name: str, fingerprint: str, device: torch.device) -> None:
        self.model = model.to(device)
        self.device = device
        self.name, self.fingerprint = name, fingerprint
        self._pixels: dict[PictureKey, np.ndarray] = {}

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def trained_on(self) -> str:
        """What its training data are called; empty where its checkpoint is too old to say."""
        shape: Any = self.model.shape
        return str(shape.trained_on)

    @abstractmethod
    def alternatives(self, asked: Asked, top: int = 5) -> list[Alternative]:
        """The likeliest answers, best first; for a multiple choice its options with probabilities that add up to 1."""


def own_families() -> dict[str, Family]:
    """The families whose checkpoints only we can open, by what these call themselves."""
    return {family.model_type: family for family in families() if family.model_type}


def load_local(name: str, device: torch.device) -> LocalBackend:
    """A run folder or a model folder → its backend. Raises ModelError."""
    folder = model_folder(name)
    kind = read_model_type(folder)
    known = own_families()
    if kind not in known:
        raise ModelError(f"Модель в {folder} вида «{kind}», а умеем {', '.join(known)}: укажите другую папку.")
    shown = folder.parent.name if folder.name in (BEST, FINAL) else folder.name
    loaded: LocalBackend = imported(known[kind].backend).load(folder, shown, device)
    return loaded


def pretrained_spec(name: str) -> str | None:
    """What `hf:` calls a run that fine-tuned a model of transformers: its folder, or its base and the adapter; else None."""
    adapter = adapter_folder(name)
    if adapter is not None:
        return f"{base_of(adapter)}+{adapter}"
    folder = model_folder(name)
    return None if read_model_type(folder) in own_families() else str(folder)
