"""Which questions are kept: GQA's shares of forms, flat answers within each form, and splits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Generic

from ruvlm.questions.draft import Question, finish
from ruvlm.questions.entries import AskerT, FormEntry


class Balancer(Generic[AskerT]):
    """Asks about scene after scene, keeping count of what was asked and answered.

    Forms are taken by the largest deficit against their share; within a form, of several drafts the one whose answer
    has been rarest so far is kept, and yes/no forms are told which answer to aim at. With `distinct` a form does not ask for
    the same fact of a scene twice, in other words.
    """

    def __init__(
        self, entries: Sequence[FormEntry[AskerT]], rng: random.Random, tries: int = 4, distinct: bool = False
    ) -> None:
        self.entries, self.distinct = entries, distinct
        self.rng = rng
        self.tries = tries
        self.made: Counter[str] = Counter()
        self.variety: Counter[str] = Counter()
        self.answers: Counter[tuple[str, str]] = Counter()

    def ask(self, asker: AskerT, count: int, unseen: dict[int, bool], held_out: bool = False) -> list[Question]:
        """Up to `count` different questions about the asker's scene; with `held_out` only those that touch an unseen pair."""
        asked: dict[str, Question] = {}
        here: Counter[str] = Counter()
        dry: set[str] = set()
        while len(asked) < count:
            entry = self._next(here, dry)
            if entry is None:
                break
            question = self._one(asker, entry, unseen, asked, held_out)
            if question is None:
                dry.add(entry.form.key)
                continue
            asked[question.text] = question
            here[entry.form.key] += 1
            self.made[entry.form.key] += 1
            if not self.answers[entry.form.key, question.answer]:
                self.variety[entry.form.key] += 1
            self.answers[entry.form.key, question.answer] += 1
        return list(asked.values())

    def _next(self, here: Counter[str], dry: set[str]) -> FormEntry[AskerT] | None:
        open_entries = [e for e in self.entries if e.form.key not in dry and here[e.form.key] < max(2, e.share * 0.5)]
        if not open_entries:
            return None
        return min(open_entries, key=lambda e: (self.made[e.form.key] + self.rng.random() * 2) / e.share)

    def _one(
        self,
        asker: AskerT,
        entry: FormEntry[AskerT],
        unseen: dict[int, bool],
        asked: dict[str, Question],
        held_out: bool,
    ) -> Question | None:
        best: Question | None = None
        lowest = 0
        key = entry.form.key
        asker.want = self._wanted(key)
        for _ in range(self.tries if not held_out else self.tries * 2):
            draft = entry.ask(asker)
            if draft is None:
                continue
            rank = self.answers[key, draft.answer]
            if (best is not None and rank >= lowest) or rank > self._ceiling(key):
                continue
            question = finish(draft, self.rng.choice(draft.wordings), unseen)
            if question.text in asked or (held_out and not question.held_out):
                continue
            if self.distinct and any(
                q.draft.form == draft.form and q.draft.needs == draft.needs for q in asked.values()
            ):
                continue
            best, lowest = question, rank
        return best

    def _ceiling(self, key: str) -> float:
        """How often an answer of this form may have been given already: half above the mean of its answers."""
        return 1.5 * self.made[key] / max(1, self.variety[key]) + 3

    def _wanted(self, key: str) -> bool:
        yes, no = self.answers[key, "да"], self.answers[key, "нет"]
        return yes < no or (yes == no and self.rng.random() < 0.5)
