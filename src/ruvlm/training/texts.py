"""Examples as training texts: the prompts of the evaluation, with the answer to learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.schema import LETTERS, Example

# a letter is one token of a long question, yet all that the question teaches
LETTER_WEIGHT = 3.0
OPEN_CHOICE_WEIGHT = 2.0
OPEN_SHARE = 0.4


@dataclass(frozen=True)
class TrainingText:
    """One training text: prompt, answer, and the example it came from."""

    prompt: str
    answer: str
    example: Example
    option_ends: tuple[int, ...] = ()
    right_option: int = 0

    @property
    def kind(self) -> str:
        """What its weight in the loss goes by: GQA's detailed type, or how a choice is asked."""
        return self.example.detailed or ("letters" if self.option_ends else "open choice")


def type_weights(examples: Iterable[Example]) -> dict[str, float]:
    """Weights of the answers' loss by detailed type: rare types, often the hard ones, count more.

    The inverse square root of a type's share, relative to the mean and within 0.6–3. A multiple choice has a weight of
    its own.
    """
    counts = Counter(example.detailed for example in examples if example.detailed)
    mean = counts.total() / max(1, len(counts))
    weights = {kind: min(3.0, max(0.6, (mean / count) ** 0.5)) for kind, count in counts.items()}
    return {**weights, "letters": LETTER_WEIGHT, "open choice": OPEN_CHOICE_WEIGHT}


def training_text(example: Example, rng: np.random.Generator, plain_share: float = 0.1) -> TrainingText:
    """An example as the evaluation will ask it.

    A multiple-choice question is asked by letters with its options rolled at random, or openly (the likelihood
    protocol). Now and then a question is written as people type: lower case, no question mark.
    """
    if example.wordings:
        return _as_worded(example)
    question = example.question
    if rng.random() < plain_share:
        question = question[:1].lower() + question[1:].rstrip("?")
    if not example.benchmark:  # said as it is, not in one word
        return TrainingText(question, example.answer, example)
    benchmark = benchmark_named(example.benchmark)
    if not example.options:
        return TrainingText(benchmark.open_protocol.text(question, (), example.hint), example.answer, example)
    if rng.random() < OPEN_SHARE:
        gold = example.options[LETTERS.index(example.answer)]
        return TrainingText(benchmark.open_protocol.text(question, (), example.hint), gold, example)
    shift = int(rng.integers(len(example.options)))
    options = example.options[shift:] + example.options[:shift]
    right = (LETTERS.index(example.answer) - shift) % len(options)
    protocol = benchmark.protocols[0]
    prompt = protocol.text(question, options, example.hint)
    return TrainingText(prompt, LETTERS[right], example, _option_ends(prompt, protocol.options_line, options), right)


def _as_worded(example: Example) -> TrainingText:
    """A row that says itself how it is asked: the words of the first protocol, its options as they stand.

    The picture comes first and there is no system message, whatever the card says: what training knows of asking.
    """
    protocol = benchmark_named(example.benchmark).protocols[0]
    answer = example.answer
    if protocol.choice and example.options:
        answer = protocol.replies(example)[LETTERS.index(example.answer)]
    return TrainingText(example.wordings[protocol.name].text, answer, example)


def _option_ends(prompt: str, opening: str, options: Sequence[str]) -> tuple[int, ...]:
    """The characters after which each listed option ends."""
    ends, start = [], prompt.index(opening) + len(opening)
    for option in options:
        start += len("A. ") + len(option)
        ends.append(start)
        start += len("\n")
    return tuple(ends)
