"""An optional judge for multiple-choice answers that no rule can read: another model is asked which option was meant.

Its verdicts are stored, make a rule of their own (`…+judge`) and never change another figure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruvlm.backends.base import TextModel
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


@dataclass(frozen=True)
class Judged:
    """Verdicts with the judge's own rule added, and how it went."""

    verdicts: list[Verdict]
    note: str


def judge_unread(
    judge: TextModel,
    examples: Sequence[Example],
    responses: Sequence[Response],
    verdicts: Sequence[Verdict],
    path: Path,
) -> Judged:
    """Ask about every answer that the headline rule could not read; what was asked before is read from `path`.

    A judge that fails leaves the answer unread.
    """
    known = _read(path)
    unread = [n for n, v in enumerate(verdicts) if v.parsed is None and responses[n].error is None]
    prompts = {n: _prompt(examples[n], responses[n].text) for n in unread}
    keys = {n: hashlib.sha256(f"{judge.fingerprint}\0{prompts[n]}".encode()).hexdigest()[:32] for n in unread}
    missing = [n for n in unread if keys[n] not in known]
    failed = 0
    for n, said in zip(missing, judge.complete([prompts[n] for n in missing], Generation(8)), strict=True):
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


def _prompt(example: Example, answer: str) -> str:
    options = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, example.options, strict=False))
    return PROMPT.format(question=example.question, options=options, answer=answer.strip()[:2000])


def _letter(said: str, example: Example) -> str | None:
    """The judge's letter; None for Z and for anything that is no option."""
    return None if said.strip().startswith(NONE) else read_russian(said, example.options).letter


def _read(path: Path) -> dict[str, str | None]:
    repair(path)
    if not path.is_file():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return {row["key"]: row["letter"] for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} повреждён ({error}): удалите файл, и судью спросят заново.") from error
