"""Open models, asked one question at a time, each within a time limit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from pathlib import Path
from typing import final

from PIL import Image

from ruvlm.backends.base import Access, Asked, Backend, Look
from ruvlm.data.images import load_image
from ruvlm.demo.spotlight import spotlight
from ruvlm.errors import DataError, ModelError
from ruvlm.evaluation.plan import backend_named
from ruvlm.evaluation.single import Answer, answered, limits, question_asked

TOP = 5
MOST_PIXELS = 24_000_000


@dataclass(frozen=True)
class ModelReply:
    """What one model said: its likeliest answers with probabilities where it gives them, and where it looked if it can say.

    `looked` is the picture lit where the model looked, `share` how much of its look fell on the picture.
    """

    answer: Answer
    seconds: float
    looked: Image.Image | None
    share: float


@final
class Models:
    """One or two models that are open. Requests wait for one another: a model answers one at a time."""

    def __init__(self, names: Sequence[str], device: str, seconds: float) -> None:
        self.backends: tuple[Backend, ...] = tuple(backend_named(name, [], Access(device=device)) for name in names)
        short = [backend.name for backend in self.backends]
        self.titles = tuple(short if len(set(short)) == len(short) else names)
        self.limit_s = seconds
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    def about(self) -> tuple[str, ...]:
        """What a person should know of each: its size, and what it has seen."""
        limits_said = []
        for title, backend in zip(self.titles, self.backends, strict=True):
            size = f"параметров {backend.parameters:,}. ".replace(",", " ") if backend.parameters else ""
            limits_said.append(f"{title}: {size}{limits(backend)}")
        return tuple(limits_said)

    def ask(self, picture: Path | None, question: str, options: str) -> tuple[ModelReply, ...]:
        """Every model's reply. Raises RuvlmError for what cannot be asked, and where a model takes too long."""
        if picture is None:
            raise DataError("Картинки нет: загрузите её, снимите камерой или выберите пример.")
        asked = question_asked(picture, question, options.strip() or None)
        image = load_image(asked.prompt.image)
        if image.width * image.height > MOST_PIXELS:
            raise DataError(
                f"В картинке {image.width}×{image.height} пикселей, а можно не больше {MOST_PIXELS // 1_000_000} млн: уменьшите её."
            )
        return tuple(self._within_limit(backend, asked, image) for backend in self.backends)

    def _within_limit(self, backend: Backend, asked: Asked, image: Image.Image) -> ModelReply:
        future = self._worker.submit(_reply, backend, asked, image)
        try:
            return future.result(timeout=self.limit_s)
        except TooLate as error:
            future.cancel()
            raise ModelError(
                f"Модель {backend.name} не ответила за {self.limit_s:g} с: спросите короче или поднимите --seconds."
            ) from error


def _reply(backend: Backend, asked: Asked, image: Image.Image) -> ModelReply:
    started = time.perf_counter()
    answer = answered(backend, asked, TOP)
    look: Look | None = backend.look(asked) if backend.looks else None
    seconds = time.perf_counter() - started
    return ModelReply(answer, seconds, spotlight(image, look) if look else None, look.share if look else 0.0)
