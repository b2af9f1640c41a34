"""What the evaluation asks of any model: answer prompts, in order, and say what it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ruvlm.schema import Dataset, Example, Generation, Prompt, Response


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to answer: the prompt, and the example it was made from (controls look at the example)."""

    prompt: Prompt
    example: Example


@dataclass(frozen=True, slots=True)
class Access:
    """How a model is reached: what the user set, beside its name.

    `shared` allows the fast way of hf: models; `thinking` lets a model that can think aloud before its answer do so. `rows` bounds how many questions are asked at once, 0 leaves it to the backend; `requests`, `timeout_s`, `retries` and
    `prices` (of a million tokens in and out) are for servers.
    """

    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    rows: int = 0
    requests: int = 8
    timeout_s: float = 120.0
    retries: int = 6
    prices: tuple[float, float] | None = None
    thinking: bool = False
    shared: bool = True


class Backend(ABC):
    """A way to reach a model.

    `name` is what tables call it; `fingerprint` is a hash of everything that decides its answers: weights, code of the
    model, settings. `scores_candidates` declares that prompts with candidates are answered by log-probabilities; `free`, that it can be
    asked the same again about other pictures at no cost but time; `replays`, that its answers are in a file; `advice` is what to do about
    questions without an answer; `prices`, what a million tokens in and out cost.
    """

    name: str
    fingerprint: str
    scores_candidates: bool = False
    free: bool = True
    replays: bool = False
    advice: str = "повторите команду, она спросит только их"
    prices: tuple[float, float] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures should know about how they came about."""
        return ()

    @property
    def parameters(self) -> int | None:
        """How many parameters, where that is known."""
        return None

    def covers(self, dataset: Dataset) -> bool:
        """Can it say anything about a data set? Files of answers are about one."""
        return True

    def begin(self, dataset: Dataset) -> None:
        """Called with the whole data set before its first prompt. Raises RuvlmError if it cannot be answered."""
        return

    @abstractmethod
    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        """One response a prompt, in order. Prompts about one picture come next to one another."""


class TextModel(ABC):
    """What can be asked in words alone: a judge's model."""

    name: str
    fingerprint: str

    @abstractmethod
    def complete(self, texts: Sequence[str], generation: Generation) -> Iterator[Response]:
        """Answers to texts, in order."""
