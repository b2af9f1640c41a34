"""What a score must beat: random answers, the majority answer, the same model blind or before another picture."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import tempfile
import weakref
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ruvlm.backends.base import Asked, Backend
from ruvlm.data.images import read_bytes
from ruvlm.errors import ConfigError, DataError, ModelError
from ruvlm.files import picture_mark
from ruvlm.schema import LETTERS, Dataset, Example, Generation, ImageRef, Prompt, Response


class MajorityBackend(Backend):
    """Always the most frequent answer of the training rows; for multiple choice the most frequent letter."""

    scores_candidates = True
    one_picture, follows_system = False, True
    name = "majority"
    free = False

    def __init__(self, train: Sequence[Example]) -> None:
        open_answers = Counter(example.answer for example in train if not example.options)
        letters = Counter(example.answer for example in train if example.options)
        self._answer = open_answers.most_common(1)[0][0] if open_answers else "да"
        self._letter = letters.most_common(1)[0][0] if letters else "A"
        self.fingerprint = f"majority {self._answer} {self._letter}"

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for item in asked:
            if not item.example.options:
                yield Response(self._answer)
                continue
            chosen = min(LETTERS.index(self._letter), len(item.example.options) - 1)
            yield chosen_option(item, chosen)


def _places(asked: Asked) -> list[int]:
    """The options that there are: a gap between them has no label."""
    replies = asked.prompt.replies or LETTERS[: len(asked.example.options)]
    return [place for place, reply in enumerate(replies) if reply] or list(range(len(asked.example.options)))


def chosen_option(asked: Asked, place: int) -> Response:
    """An answer by one of the options, as the protocol wants it."""
    scores = tuple(0.0 if n == place else -1.0 for n in range(len(asked.example.options)))
    return Response((asked.prompt.replies or LETTERS)[place], mean_logprobs=scores, sum_logprobs=scores)


class RandomBackend(Backend):
    """An answer drawn from the training answers, a letter drawn from the row's letters; seeded by the row's id."""

    scores_candidates = True
    one_picture, follows_system = False, True
    name = "random"
    free = False

    def __init__(self, train: Sequence[Example], seed: int = 0) -> None:
        self._answers = [example.answer for example in train if not example.options] or ["да", "нет"]
        self._seed = seed
        self.fingerprint = f"random {seed} {hashlib.sha256(''.join(self._answers).encode()).hexdigest()[:12]}"

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for item in asked:
            rng = random.Random(f"{self._seed} {item.example.id} {item.prompt.protocol}")
            if item.example.options:
                yield chosen_option(item, rng.choice(_places(item)))
            else:
                yield Response(rng.choice(self._answers))


class ChangedBackend(Backend):
    """The same model, asked otherwise than it should be: what is left of its score is not owed to the picture."""

    kind: str
    free = False

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.name, self.fingerprint = f"{self.kind}:{inner.name}", f"{self.kind} {inner.fingerprint}"
        self.scores_candidates, self.prices = inner.scores_candidates, inner.prices
        self.most_options, self.advice = inner.most_options, inner.advice
        self.one_picture, self.follows_system = inner.one_picture, inner.follows_system

    @property
    def notes(self) -> tuple[str, ...]:
        return self._inner.notes

    @property
    def parameters(self) -> int | None:
        return self._inner.parameters

    def begin(self, dataset: Dataset) -> None:
        self._inner.begin(dataset)
        if not any(example.images for example in dataset.examples):
            raise ModelError(f"{self.name}: картинок в наборе {dataset.name} нет, спросить иначе нечего.")

    @abstractmethod
    def changed(self, asked: Asked) -> Asked:
        """What is asked instead."""

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        yield from self._inner.answer([self.changed(item) for item in asked])


class RepicturedBackend(ChangedBackend):
    """The same model, shown something else than the picture that is asked about."""

    @abstractmethod
    def shown(self, example: Example) -> ImageRef:
        """The picture shown instead of an example's own."""

    def changed(self, asked: Asked) -> Asked:
        if not asked.prompt.images:
            return asked
        images = (self.shown(asked.example),) * len(asked.prompt.images)
        return replace(asked, prompt=replace(asked.prompt, images=images))


class PicturelessBackend(ChangedBackend):
    """No picture at all: the words of the question, and nothing said of what is missing.

    Raises ConfigError for a model that must have a picture, and ModelError once it has refused one question without.
    """

    kind = "no-picture"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._answers = False  # without a picture: not yet known
        if inner.one_picture:
            raise ConfigError(
                f"{self.kind}:{inner.name}: эту модель без картинки не спросить, возьмите blind:{inner.name} с серой."
            )

    def begin(self, dataset: Dataset) -> None:
        super().begin(dataset)
        example = dataset.examples[0]
        prompt = Prompt(protocol=self.kind, text=example.question, images=(), generation=Generation(1))
        for response in () if self._answers else self._inner.answer([Asked(prompt, example)]):
            if response.error is not None:
                raise ModelError(f"{self._inner.name} без картинки не отвечает ({response.error}).")
        self._answers = True

    def changed(self, asked: Asked) -> Asked:
        return replace(asked, prompt=replace(asked.prompt, images=(), parts=(), text=self.worded(asked.prompt.text)))

    def worded(self, text: str) -> str:
        """The words of the question."""
        return text


_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
# as it is said to a question in Russian, and to one in another language
GUESS = "Картинки нет. Не отказывайся и не переспрашивай: по одним словам вопроса угадай самый вероятный ответ.\n"
GUESS_ENGLISH = "There is no picture. Do not refuse and do not ask back: guess the likeliest answer from the words of the question alone.\n"


class GuessBackend(PicturelessBackend):
    """No picture, and told so, and to guess: a model that politely declines to answer blind is made to."""

    kind = "guess"

    def worded(self, text: str) -> str:
        return (GUESS if _CYRILLIC.search(text) else GUESS_ENGLISH) + text


class BlindBackend(RepicturedBackend):
    """A grey picture: what the model knows from the question alone."""

    kind = "blind"

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        folder = tempfile.mkdtemp(prefix="ruvlm-blind-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder) / "grey.png"
        Image.new("RGB", (128, 128), (128, 128, 128)).save(path)
        self._grey = ImageRef(path)

    def shown(self, example: Example) -> ImageRef:
        return self._grey


class ShuffledBackend(RepicturedBackend):
    """The picture of another question: does the model look at the picture, or at pictures?

    Questions about one picture all get the same other one: that of the next question in a seeded order whose bytes differ.
    """

    kind = "shuffled"

    def __init__(self, inner: Backend, seed: int = 0) -> None:
        super().__init__(inner)
        self._seed = seed
        self._other: dict[str, ImageRef] = {}

    def begin(self, dataset: Dataset) -> None:
        super().begin(dataset)
        first = {example.cluster: example.image for example in reversed(dataset.examples) if example.images}
        order = sorted(first)
        random.Random(self._seed).shuffle(order)
        marks = [picture_mark(read_bytes(first[name])) for name in order]
        if len(set(marks)) < 2:
            raise DataError("Все вопросы – об одной картинке: подменить её нечем, контроль shuffled здесь невозможен.")
        for n, name in enumerate(order):
            step = next(k for k in range(1, len(order)) if marks[(n + k) % len(order)] != marks[n])
            self._other[name] = first[order[(n + step) % len(order)]]

    def shown(self, example: Example) -> ImageRef:
        return self._other[example.cluster]
