"""A way to get answers out of a loaded Hugging Face model: what the plain and the shared way have in common.

Shapes: N rows, L last positions, V vocabulary.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ruvlm.models.vlm.greedy import Endings, Written
from ruvlm.models.vlm.prompts import PromptReader
from ruvlm.models.vlm.sheets import PictureSheet
from ruvlm.schema import Prompt, Response
from ruvlm.thoughts import opens


class Decoder(ABC):
    """Writes answers to sheets of one manner, or scores their candidates."""

    def __init__(self, model: Any, reader: PromptReader) -> None:
        self.model, self.reader = model, reader

    @abstractmethod
    def write(self, batch: list[PictureSheet], limit: int) -> list[Written]:
        """Greedy answers of at most `limit` tokens, one a prompt."""

    @abstractmethod
    def score(self, batch: list[PictureSheet]) -> list[Response]:
        """Log-probabilities of every prompt's candidates."""

    def endings(self, prompt: Prompt) -> Endings:
        """When the model's answers to such a prompt are over."""
        eos = self.model.generation_config.eos_token_id
        if eos is None:
            eos = self.reader.processor.tokenizer.eos_token_id
        opened = self.reader.templated and opens(self.reader.worded(prompt.wording, len(prompt.images)))
        return Endings(
            frozenset(eos if isinstance(eos, list) else [eos]), prompt.generation.stop, self.reader.decode, opened
        )

    def moved(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs on the model's device, numbers with a fraction in its format."""
        dtype = self.model.dtype
        return {k: v.to(self.model.device, dtype if v.is_floating_point() else None) for k, v in inputs.items()}


def option_sums(logits_NLV: Tensor, options: Sequence[list[int]]) -> list[float]:
    """Sum of the log-probabilities of each row's option, whose tokens are predicted by the logits before the last."""
    sums = []
    for logits_LV, option in zip(logits_NLV, options, strict=True):
        scores = logits_LV[-len(option) - 1 : -1].float().log_softmax(-1)
        sums.append(float(scores.gather(1, torch.tensor(option, device=scores.device)[:, None]).sum()))
    return sums


def scored(prompt: Prompt, sums_counts: Sequence[tuple[float, int]]) -> Response:
    """From (sum, tokens) of each candidate to a response; its text is the likeliest by the mean."""
    sums = tuple(total for total, _ in sums_counts)
    means = tuple(total / max(1, length) for total, length in sums_counts)
    return Response(prompt.candidates[means.index(max(means))], mean_logprobs=means, sum_logprobs=sums)
