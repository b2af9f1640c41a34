"""Questions that are answered in a word or two, and scored by how well that matches a gold answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from ruvlm.benchmarks.base import Axis, Protocol, breakdowns_of, disagreements, errors, scores_of, unparsed
from ruvlm.benchmarks.stats import score_columns
from ruvlm.rules.cleaning import cleaned, short_answer
from ruvlm.rules.match import normalised
from ruvlm.rules.named import best_match
from ruvlm.schema import LETTERS, Absent, Example, Response, Result, Status, Verdict


@final
@dataclass(frozen=True, kw_only=True)
class ShortProtocol(Protocol):
    """Asks for a short answer; its rules are matchers (`rules.named.MATCHERS`)."""

    def said(self, asked: str, options: tuple[str, ...]) -> str:
        return asked + self.instruction

    def _judged(self, example: Example, response: Response, cyrillic: bool) -> Verdict:
        # of a question with options the word that the letter stands for is asked
        golds = [example.options[LETTERS.index(a)] for a in example.answers] if example.options else example.answers
        matches = best_match(tuple(self.rules.values()), response.text, golds)
        scores = dict(zip(self.rules, matches, strict=True))
        said = cleaned(response.text)
        if said.unfinished:
            return Verdict(
                id=example.id,
                cluster=example.cluster,
                parsed=None,
                reason=Absent.THOUGHT,
                scores=scores,
                status=Status.ABSENT,
            )
        parsed = normalised(short_answer(said.text))
        return Verdict(id=example.id, cluster=example.cluster, parsed=parsed, reason=None, scores=scores)

    def score(self, axes: Sequence[Axis], examples: Sequence[Example], verdicts: Sequence[Verdict]) -> Result:
        """The rules side by side with clustered intervals, and the headline by axis."""
        rules = tuple(verdicts[0].scores)  # a judge's own among them
        scores_NK = scores_of(verdicts, rules)
        columns = score_columns([e.cluster for e in examples], scores_NK, np.ones_like(scores_NK, dtype=bool))
        return Result(
            n=len(examples),
            scores=dict(zip(rules, columns, strict=True)),
            breakdowns=breakdowns_of(axes, examples, scores_NK[:, 0]),
            unparsed=unparsed(verdicts),
            errors=errors(verdicts),
            notes=disagreements(rules, scores_NK),
        )
