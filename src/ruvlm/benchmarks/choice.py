"""Questions with options: chosen by letter or by the probability of their texts, scored by rows and by CircularEval."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from ruvlm.benchmarks.base import Axis, Protocol, breakdowns_of, by_value, disagreements, errors, scores_of, unparsed
from ruvlm.benchmarks.circular import RotationGroup, groups_of, letter_use
from ruvlm.benchmarks.stats import score_columns
from ruvlm.rules.cleaning import cleaned
from ruvlm.rules.named import READERS
from ruvlm.rules.parse_ru import writes_cyrillic
from ruvlm.schema import LETTERS, Absent, Example, Response, Result, Score, Status, Verdict

RUSSIAN_LABELS = ("а", "А")


@dataclass(frozen=True, kw_only=True)
class ChoiceProtocol(Protocol, ABC):
    """Asks for one of a row's options.

    `labels` are what they are shown by; with `keep_empty` an option without text is one all the same: a picture.
    """

    choice: bool = True
    labels: Sequence[str] = LETTERS
    keep_empty: bool = False

    def replies(self, example: Example) -> tuple[str, ...]:
        pairs = zip(self.labels, example.options, strict=False)
        return tuple(label if option or self.keep_empty else "" for label, option in pairs)

    def score(self, axes: Sequence[Axis], examples: Sequence[Example], verdicts: Sequence[Verdict]) -> Result:
        """Circular accuracy over all, based and complete groups, vanilla over rows and base rows, and breakdowns."""
        rules = tuple(verdicts[0].scores)
        scores_NK = scores_of(verdicts, rules)
        right_N = scores_NK[:, 0] == 1
        groups = groups_of(examples, right_N.tolist())
        rotated = any(example.rotation for example in examples)  # else no question was asked in a second order
        scores = self._scores(examples, groups, right_N, rotated) | self._others(examples, rules, scores_NK, rotated)
        breakdowns = breakdowns_of(axes, examples, right_N)
        for axis in axes if rotated else ():
            if axis.of_groups:
                values = [axis.values(group.first) for group in groups]
                breakdowns[axis.of_groups] = by_value(
                    values, [g.base for g in groups], np.array([g.right for g in groups])
                )
        letters = letter_use(examples, [verdict.parsed for verdict in verdicts], right_N.tolist())
        notes = tuple(f"буква {u.letter}: выбрана {u.chosen}, верна {u.gold}, угадана {u.right}" for u in letters)
        notes += disagreements(rules, scores_NK)
        incomplete = tuple(group.base for group in groups if not group.complete) if rotated else ()
        if not rotated:
            notes += ("перестановок вариантов нет: каждый вопрос задан один раз, circular не посчитан",)
        if incomplete:
            notes += (f"неполных групп: {len(incomplete)}",)
        return Result(
            n=len(examples),
            scores=scores,
            breakdowns=breakdowns,
            unparsed=unparsed(verdicts),
            errors=errors(verdicts),
            notes=notes,
            letters=tuple(letters),
            incomplete=incomplete,
        )

    def _scores(
        self, examples: Sequence[Example], groups: Sequence[RotationGroup], right_N: np.ndarray, rotated: bool
    ) -> dict[str, Score]:
        """The headline's figures: over groups where options were rotated, over rows in any case."""
        rule = self.headline
        scores: dict[str, Score] = {}
        if rotated:
            circular = np.array([group.right for group in groups])
            counted = np.array([[True, group.based, group.complete] for group in groups])
            columns = score_columns([g.base for g in groups], np.repeat(circular[:, None], 3, 1), counted)
            names = ("circular", "circular-reference", "circular-complete")
            scores |= {f"{rule}/{name}": score for name, score in zip(names, columns, strict=True)}
        base = np.array([example.rotation == 0 for example in examples])
        clusters = [example.cluster for example in examples]
        rows = score_columns(clusters, np.stack([right_N, right_N], 1), np.stack([np.ones_like(base), base], 1))
        scores[f"{rule}/vanilla"] = rows[0]
        if rotated:
            scores[f"{rule}/vanilla-base"] = rows[1]
        return {name: score for name, score in scores.items() if score.n}

    def _others(
        self, examples: Sequence[Example], rules: Sequence[str], scores_NK: np.ndarray, rotated: bool
    ) -> dict[str, Score]:
        """The other rules', over groups where there are any, else over rows."""
        if not rotated:
            others = scores_NK[:, 1:]
            columns = score_columns([e.cluster for e in examples], others, np.ones_like(others, dtype=bool))
            return {f"{rule}/vanilla": score for rule, score in zip(rules[1:], columns, strict=True)}
        scores = {}
        for k, rule in enumerate(rules[1:], 1):
            groups = groups_of(examples, (scores_NK[:, k] == 1).tolist())
            column = np.array([[group.right] for group in groups])
            scores[f"{rule}/circular"] = score_columns([g.base for g in groups], column, np.ones_like(column))[0]
        return scores


@final
@dataclass(frozen=True, kw_only=True)
class LetterProtocol(ChoiceProtocol):
    """Lists the options and asks for a letter; its rules are readers (`rules.named.READERS`)."""

    asks_letter: bool = True

    def said(self, asked: str, options: tuple[str, ...]) -> str:
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
        return f"{asked} {self.options_line}{listed}{self.instruction}"

    def listed(self, options: tuple[str, ...]) -> str:
        pairs = zip(self.labels, options, strict=False)
        return "\n".join(f"{label}. {text}" for label, text in pairs if text or self.keep_empty)

    def judge_all(self, examples: Sequence[Example], responses: Sequence[Response]) -> list[Verdict]:
        """Which alphabet the answerer's letters are of shows in all answers together."""
        cyrillic = self.labels[0] in RUSSIAN_LABELS or writes_cyrillic(
            (response.text for response in responses), max(len(e.options) for e in examples)
        )
        return [self.judge(example, response, cyrillic) for example, response in zip(examples, responses, strict=True)]

    def _judged(self, example: Example, response: Response, cyrillic: bool) -> Verdict:
        # a gap between options is none, for every reader
        options = [option if option or self.keep_empty else None for option in example.options]
        cyrillic = cyrillic or self.labels[0] in RUSSIAN_LABELS
        readings = {label: READERS[rule](response.text, options, cyrillic) for label, rule in self.rules.items()}
        scores = {label: float(reading.letter in example.answers) for label, reading in readings.items()}
        first = readings[self.headline]
        unfinished = cleaned(response.text).unfinished
        return Verdict(
            id=example.id,
            cluster=example.cluster,
            parsed=first.letter,
            reason=Absent.THOUGHT if unfinished else first.reason,
            scores=scores,
            status=Status.ABSENT if unfinished else Status.ANSWERED,
        )


@final
@dataclass(frozen=True, kw_only=True)
class LikelihoodProtocol(ChoiceProtocol):
    """Asks nothing of the options: the text that the model finds likeliest is chosen, by its mean or its sum a token.

    Two rules: «likelihood» and «likelihood-sum».
    """

    likelihood: bool = True

    def said(self, asked: str, options: tuple[str, ...]) -> str:
        return asked + self.instruction

    def _judged(self, example: Example, response: Response, cyrillic: bool) -> Verdict:
        logprobs = {"likelihood": response.mean_logprobs, "likelihood-sum": response.sum_logprobs}
        letters = {label: _likeliest(logprobs[rule]) for label, rule in self.rules.items()}
        scores = {label: float(letter in example.answers) for label, letter in letters.items()}
        best = letters[self.headline]
        reason = None if best else "модель не умеет оценивать варианты"
        return Verdict(id=example.id, cluster=example.cluster, parsed=best, reason=reason, scores=scores)


def _likeliest(logprobs: Sequence[float]) -> str | None:
    return LETTERS[int(np.argmax(logprobs))] if logprobs else None
