"""Judges: whoever says beside the rules whether an answer is right. Never a headline, and never a change to another figure.

Their verdicts are stored and make a rule of their own. Here a model that is asked in words which letter an unread answer meant; the
encoder is next door.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from ruvlm.backends.base import TextModel
from ruvlm.benchmarks.base import Protocol
from ruvlm.errors import DataError
from ruvlm.files import append_row, repair
from ruvlm.rules.parse_ru import read_russian
from ruvlm.schema import LETTERS, Example, Generation, Response, Verdict

PROMPT = """Ниже вопрос с вариантами ответа и ответ, данный словами. Какой вариант имел в виду отвечавший?
Напиши только букву варианта. Если ответ не означает ни одного из вариантов, напиши Z.

Вопрос: {question}
{options}
Ответ: {answer}

Буква:"""
NONE = "Z"


# of how many characters of an answer a judge is told
LONGEST = 2000


@dataclass(frozen=True)
class Judged:
    """Verdicts with the judge's own rule added, and how it went."""

    verdicts: list[Verdict]
    note: str


class Judge(ABC):
    """Adds a rule of its own to verdicts. `name` is what it was asked for by."""

    name: str

    @abstractmethod
    def covers(self, protocol: Protocol) -> bool:
        """Can it say anything of a protocol's answers?"""

    @abstractmethod
    def judge(
        self, examples: Sequence[Example], responses: Sequence[Response], verdicts: Sequence[Verdict], path: Path
    ) -> Judged:
        """Judge answers, in the order of the examples; what was judged before is read from `path`, what is new added to it."""


@final
class LetterJudge(Judge):
    """A model is asked about every letter that the headline rule could not read. Where it fails, the answer stays unread."""

    def __init__(self, model: TextModel) -> None:
        self.name, self._model = model.name, model

    def covers(self, protocol: Protocol) -> bool:
        return protocol.asks_letter

    def judge(
        self, examples: Sequence[Example], responses: Sequence[Response], verdicts: Sequence[Verdict], path: Path
    ) -> Judged:
        known = stored_judgements(path, "letter")
        unread = [n for n, v in enumerate(verdicts) if v.parsed is None and responses[n].error is None]
        prompts = {n: _prompt(examples[n], responses[n].text) for n in unread}
        keys = {n: judgement_key(self._model.fingerprint, prompts[n]) for n in unread}
        missing = [n for n in unread if keys[n] not in known]
        failed = 0
        answers = self._model.complete([prompts[n] for n in missing], Generation(8))
        for n, said in zip(missing, answers, strict=True):
            if said.error is not None:
                failed += 1
                continue
            letter = _letter(said.text, examples[n])
            known[keys[n]] = letter
            append_row(path, {"key": keys[n], "id": examples[n].id, "said": said.text, "letter": letter})
        judged_verdicts = list(verdicts)
        for n, verdict in enumerate(verdicts):
            judged = float(known.get(keys[n]) in examples[n].answers) if n in prompts else verdict.score
            judged_verdicts[n] = replace(verdict, scores={**verdict.scores, f"{verdict.rule}+judge": judged})
        read = sum(known.get(keys[n]) is not None for n in unread)
        note = f"судья прочитал {read} из {len(unread)} непрочитанных ответов" + (
            f", не ответил {failed} раз" * (failed > 0)
        )
        return Judged(judged_verdicts, note)


def judgement_key(judge: str, text: str) -> str:
    """By what a judgement is found again: who was asked, and of what."""
    return hashlib.sha256(f"{judge}\0{text}".encode()).hexdigest()[:32]


def _prompt(example: Example, answer: str) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, example.options, strict=False))
    return PROMPT.format(question=example.question, options=options, answer=answer.strip()[:LONGEST])


def _letter(said: str, example: Example) -> str | None:
    """The judge's letter; None for Z and for anything that is no option."""
    return None if said.strip().startswith(NONE) else read_russian(said, example.options).letter


def stored_judgements(path: Path, field: str) -> dict[str, Any]:
    """What was judged before, by key: the `field` of rows that have it. Raises DataError for a damaged file."""
    repair(path)
    if not path.is_file():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return {row["key"]: row[field] for row in rows if field in row}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} повреждён ({error}): удалите файл, и судью спросят заново.") from error
