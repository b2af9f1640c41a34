"""What the questions alone give away: a classifier of their words, trained on training rows or on the other parts of the same ones."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ruvlm.backends.base import Asked, Backend
from ruvlm.backends.controls import chosen_option
from ruvlm.schema import LETTERS, Example, Response

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
            yield chosen_option(item, int(np.argmax(likings)))

    def gold_share(self, example: Example) -> float:
        """How much of its belief falls on the accepted answers, 0 to 1; over a row's options alone where it has any."""
        scores = self.scores(example.question)
        if not example.options:
            total = sum(scores.values())
            return sum(scores.get(answer, 0.0) for answer in example.answers) / total if total else 0.0
        likings = [scores.get(option, 0.0) if option else None for option in example.options]
        shown = [liking for liking in likings if liking is not None]
        golds = [likings[LETTERS.index(letter)] or 0.0 for letter in example.answers]
        return sum(golds) / sum(shown) if sum(shown) else len(golds) / len(shown or likings)

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


# fewer groups of rows than twice this, and what a part of them teaches about the rest is chance
FOLDS = 5


def cross_fitted(answered: Sequence[Example]) -> list[tuple[list[Example], QuestionOnlyBackend]]:
    """Every part of the rows with a control that was trained on the other parts; nothing where there are too few.

    Rows of one cluster are in one part, so no question is learnt from its own picture (Brown et al. 2025 train on the
    test set to show what it gives away).
    """
    clusters = {name: number for number, name in enumerate(dict.fromkeys(example.cluster for example in answered))}
    if len(clusters) < 2 * FOLDS:
        return []
    parts: list[list[Example]] = [[] for _ in range(FOLDS)]
    for example in answered:
        parts[clusters[example.cluster] % FOLDS].append(example)
    return [
        (held, QuestionOnlyBackend([example for part in parts if part is not held for example in part]))
        for held in parts
    ]
