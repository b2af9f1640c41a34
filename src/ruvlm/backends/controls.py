"""What a score must beat: random answers, the majority answer, the same model on a grey or another picture, the question."""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
import weakref
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ruvlm.backends.base import Asked, Backend
from ruvlm.data.images import read_bytes
from ruvlm.errors import DataError
from ruvlm.files import picture_mark
from ruvlm.schema import LETTERS, Dataset, Example, ImageRef, Response


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
            yield _chosen(item, chosen)


def _places(asked: Asked) -> list[int]:
    """The options that there are: a gap between them has no label."""
    replies = asked.prompt.replies or LETTERS[: len(asked.example.options)]
    return [place for place, reply in enumerate(replies) if reply] or list(range(len(asked.example.options)))


def _chosen(asked: Asked, place: int) -> Response:
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
                yield _chosen(item, rng.choice(_places(item)))
            else:
                yield Response(rng.choice(self._answers))


class RepicturedBackend(Backend):
    """The same model, shown something else than the picture that is asked about."""

    kind: str
    free = False

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.name, self.fingerprint = f"{self.kind}:{inner.name}", f"{self.kind} {inner.fingerprint}"
        self.scores_candidates, self.prices = inner.scores_candidates, inner.prices
        self.most_options = inner.most_options
        self.one_picture, self.follows_system = inner.one_picture, inner.follows_system

    @property
    def notes(self) -> tuple[str, ...]:
        return self._inner.notes

    @property
    def parameters(self) -> int | None:
        return self._inner.parameters

    @abstractmethod
    def shown(self, example: Example) -> ImageRef:
        """The picture shown instead of an example's own."""

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        changed = [
            replace(item, prompt=replace(item.prompt, images=(self.shown(item.example),) * len(item.prompt.images)))
            if item.prompt.images
            else item
            for item in asked
        ]
        yield from self._inner.answer(changed)


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
        self._inner.begin(dataset)
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


# beyond this the control learns nothing more and only takes memory
MOST_ROWS = 60_000


class QuestionOnlyBackend(Backend):
    """A classifier of the question's words, trained on the training rows: what the questions give away.

    Shares of answers seen with the whole question, then with its n-grams, the most specific first: it fits in seconds
    and has nothing to tune. For multiple choice it knows the options' texts too.
    """

    scores_candidates = True
    one_picture, follows_system = False, True
    name = "question-only"
    free = False

    def __init__(self, train: Sequence[Example]) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._prior: Counter[str] = Counter()
        for example in train[:: max(1, len(train) // MOST_ROWS)]:
            answer = gold_text(example)
            self._prior[answer] += 1
            for feature in features(example.question):
                self._counts[feature][answer] += 1
        self._known: dict[str, dict[str, float]] = {}
        mark = hashlib.sha256(repr(sorted(self._prior.items())).encode()).hexdigest()[:12]
        self.fingerprint = f"question-only {mark}"

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for item in asked:
            question = item.example.question
            if question not in self._known:
                self._known[question] = self.scores(question)
            scores = self._known[question]
            if not item.example.options:
                yield Response(max(scores, key=lambda a: scores[a]) if scores else "да")
                continue
            floor = min(scores.values(), default=0.0) - 1
            likings = [scores.get(option, floor) for option in item.example.options]
            yield _chosen(item, int(np.argmax(likings)))

    def scores(self, question: str) -> dict[str, float]:
        """Answers seen with the most specific part of the question that is known, by smoothed share.

        Parts are tried from the whole question to single words; an answer's score mixes the two most specific levels.
        """
        levels = [level for level in _levels(question) if any(part in self._counts for part in level)]
        likings: dict[str, float] = defaultdict(float)
        weight = 1.0
        for level in levels[:3]:
            for part in level:
                counts = self._counts.get(part)
                if not counts:
                    continue
                total = counts.total()
                for answer, count in counts.items():
                    likings[answer] += weight * count / total / len(level) * min(1.0, total / 4)
            weight *= 0.25
        if not likings:
            likings.update({a: c / max(1, self._prior.total()) for a, c in self._prior.most_common(10)})
        return dict(likings)


def gold_text(example: Example) -> str:
    """The gold answer as text, for a multiple choice the option's. Raises ValueError for a question without one."""
    if not example.answers:
        raise ValueError(f"no gold answer: {example.id}")
    return example.options[LETTERS.index(example.answer)] if example.options else example.answer


def _words(question: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in question.lower()).split()


def _levels(question: str) -> list[list[str]]:
    """Parts of a question, the most specific first: all its words, then its n-grams of falling length."""
    words = _words(question)
    levels = [["=" + " ".join(words)]]
    for size in range(min(3, len(words)), 0, -1):
        levels.append([" ".join(words[i : i + size]) for i in range(len(words) - size + 1)])
    return levels


def features(question: str) -> set[str]:
    """Every part of every level."""
    return {part for level in _levels(question) for part in level}
