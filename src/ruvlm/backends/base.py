"""What the evaluation asks of any model: answer prompts, in order, and say what it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ruvlm.schema import Example, Prompt, Response


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to answer: the prompt, and the example it was made from (controls look at the example)."""

    prompt: Prompt
    example: Example


class Backend(ABC):
    """A way to reach a model.

    `scores_candidates` declares that prompts with candidates are answered by log-probabilities.
    """

    scores_candidates: bool = False

    @property
    @abstractmethod
    def name(self) -> str:
        """What tables call it."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of everything that decides its answers: weights, code of the model, settings."""

    @property
    def parameters(self) -> int | None:
        """How many parameters, where that is known."""
        return None

    @abstractmethod
    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        """One response a prompt, in order. Prompts about one picture come next to one another."""
