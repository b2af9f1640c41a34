"""What the evaluation asks of any model: answer prompts, in order, and say what it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ruvlm.errors import ConfigError
from ruvlm.schema import LETTERS, Dataset, Example, Generation, Prompt, Response


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


@dataclass(frozen=True)
class Alternative:
    """A possible answer and its probability."""

    text: str
    probability: float


@dataclass(frozen=True)
class Look:
    """Where a model looked: weights over a grid on the picture, float [G, G] that add up to 1, row by row from the top.

    `share` is how much of that look fell on the picture at all; the rest went to words.
    """

    weights: np.ndarray
    share: float


class Backend(ABC):
    """A way to reach a model.

    `name` is what tables call it; `fingerprint` is a hash of everything that decides its answers: weights, code of the
    model, settings. `scores_candidates` declares that prompts with candidates are answered by log-probabilities; `free`, that it can be
    asked the same again about other pictures at no cost but time; `replays`, that its answers are in a file; `advice` is what to do about
    questions without an answer; `prices`, what a million tokens in and out cost; `ranks_answers`, that it names other answers with
    their probabilities; `looks`, that it can say where it looked; `one_picture`, that a question must have just one; `follows_system`, that it can be given a
    system message and pictures amid the text; `served`, that a server with caches of its own answers; `lasting`, that its fingerprint says whether it is still the same. It can choose among at most `most_options`.
    """

    name: str
    fingerprint: str
    scores_candidates: bool = False
    free: bool = True
    replays: bool = False
    advice: str = "повторите команду, она спросит только их"
    prices: tuple[float, float] | None = None
    ranks_answers: bool = False
    looks: bool = False
    one_picture: bool = True
    follows_system: bool = False
    served: bool = False
    lasting: bool = True
    most_options: int = len(LETTERS)

    @property
    def trained_on(self) -> str | None:
        """What its training data are called, empty where a model of ours does not say; None for models of others."""
        return None

    def alternatives(self, asked: Asked, top: int = 5) -> list[Alternative]:
        """Up to `top` answers, the likeliest first. Raises NotImplementedError where `ranks_answers` is not declared."""
        raise NotImplementedError(f"{type(self).__name__} does not declare ranks_answers")

    def look(self, asked: Asked) -> Look:
        """Where it looks as it begins to answer. Raises NotImplementedError where `looks` is not declared."""
        raise NotImplementedError(f"{type(self).__name__} does not declare looks")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures should know about how they came about."""
        return ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before its figures."""
        return ()

    @property
    def parameters(self) -> int | None:
        """How many parameters, where that is known."""
        return None

    def covers(self, dataset: Dataset) -> bool:
        """Can it say anything about a data set? Files of answers are about one."""
        return True

    def refuse_unfit(self, examples: Iterable[Example]) -> None:
        """Raise ConfigError for a question that it cannot be asked: too many options, or not just one picture."""
        for example in examples:
            if len(example.options) > self.most_options:
                raise ConfigError(
                    f"{self.name} читает не больше {self.most_options} вариантов, а в вопросе {example.id} их "
                    f"{len(example.options)}: возьмите другую модель или другие вопросы."
                )
            if self.one_picture and len(example.images) != 1:
                raise ConfigError(
                    f"{self.name} спрашивают об одной картинке, а у вопроса {example.id} их {len(example.images)}: возьмите другие вопросы."
                )

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
