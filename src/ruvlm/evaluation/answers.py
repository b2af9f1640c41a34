"""Whatever holds answers, opened as an evaluation: a folder of ours, a file of anybody's, another tool's log."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, final

from ruvlm.data.predictions import Pair, refuse_foreign
from ruvlm.data.split_files import sha256_of
from ruvlm.data.tool_logs import holds_tables
from ruvlm.errors import DataError
from ruvlm.evaluation.evaluated import AskedHow, Evaluated, Identity, Logged, Measured, RowSubject
from ruvlm.evaluation.folder import EvaluationFolder, evaluations_in, holds_evaluations
from ruvlm.evaluation.table import AnswerSheet, answered, judged, scored
from ruvlm.schema import Response, Verdict

# what tools call their own verdict of a row, and what they asked it with
OWN_SCORES = ("exact_match", "accuracy", "acc", "correct", "is_correct", "hit", "match", "verdict", "score")
PROMPTS = ("prompt", "input", "full_prompt", "context")


def _is_score(value: Any) -> bool:
    """A share of one, or a verdict; of text «1», «0.5»."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, bool | int | float) and 0 <= value <= 1


@final
class AnswersFile(Evaluated):
    """A table of answers beside their gold answers, read and judged once. Its model is called as the file is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _sheet(self) -> AnswerSheet:
        return answered(self.path, None)

    @property
    def identity(self) -> Identity | None:
        return None

    @property
    def choice(self) -> bool:
        return self._sheet.lettering is not None

    @property
    def model(self) -> str:
        return self.path.stem

    @property
    def how(self) -> AskedHow | None:
        return None

    @property
    def finished_on(self) -> date:
        return datetime.fromtimestamp(self._sheet.path.stat().st_mtime, UTC).date()

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        return {verdict.id: verdict for verdict in judged(self._sheet)}

    @property
    def responses(self) -> dict[str, Response]:
        return {row.name: Response(row.prediction) for row in self._sheet.rows}

    @cached_property
    def about(self) -> dict[str, RowSubject]:
        sheet = self._sheet
        golds = [row.gold for row in sheet.rows] if sheet.lettering is None else sheet.lettering.letters
        return {row.name: RowSubject(row.question, gold) for row, gold in zip(sheet.rows, golds, strict=True)}

    @cached_property
    def logged(self) -> dict[str, Logged]:
        """By the tool's own columns, whatever rule decided them."""
        table = self._sheet.raw
        rows = dict(zip(table.lines, table.rows, strict=True))
        column = next((name for name in OWN_SCORES if all(_is_score(row.get(name)) for row in table.rows)), "")
        prompt = next((name for name in PROMPTS if all(isinstance(row.get(name), str) for row in table.rows)), "")
        return {
            row.name: Logged(
                float(rows[row.number][column]) if column else None, str(rows[row.number][prompt]) if prompt else ""
            )
            for row in self._sheet.rows
            if row.number in rows and (column or prompt)
        }

    @cached_property
    def measured(self) -> Measured:
        result = scored(self._sheet)
        rows = sorted((row.name, *row.golds) for row in self._sheet.rows)
        marks = {
            "data": hashlib.sha256(repr(rows).encode()).hexdigest()[:16],
            "model": sha256_of(self._sheet.path)[:16],
            "prompt": "",
        }
        return Measured(
            folder=self.path,
            model=self.path.stem,
            parameters=None,
            source=self.path.name,
            split="весь файл",
            # whose benchmark these rows are nobody has said: only the rules are a benchmark's
            benchmark="варианты" if self.choice else "короткие ответы",
            protocol="верные ответы файла",
            n=result.n,
            scores=result.scores,
            breakdowns=result.breakdowns,
            unparsed=result.unparsed,
            errors=result.errors,
            notes=result.notes,
            warnings=result.warnings,
            letters=result.letters,
            fingerprints=marks,
            sample=None,
        )


def open_answers(path: Path) -> Evaluated:
    """An evaluation's folder, a file of answers, or the folder of another tool. Raises DataError where there is none of them."""
    if path.is_dir() and (holds_evaluations(path) or evaluations_in(path) or not holds_tables(path)):
        return EvaluationFolder(path)
    if not path.exists():
        raise DataError(f"Папки или файла {path} нет: проверьте путь.")
    return AnswersFile(path)


def answers_under(path: Path) -> list[Evaluated]:
    """Every finished evaluation in a folder, however deep; a file of answers alone. Raises DataError where there is none."""
    if not path.exists():
        raise DataError(f"Папки или файла {path} нет: укажите папку запуска, оценку или файл ответов.")
    if path.is_file():
        return [AnswersFile(path)]
    evaluations: list[Evaluated] = list(evaluations_in(path))
    if not evaluations:
        raise DataError(f"В {path} нет законченных оценок: сначала ruvlm eval {path}.")
    return evaluations


def refuse_other_rows(a: Evaluated, b: Evaluated) -> None:
    """Raise DataError where two files have other questions or right answers under the same ids: they are not of the same rows."""
    shared = [name for name in a.about if name in b.about]
    pairs = [
        Pair(
            identity=name,
            question=b.about[name].question,
            own_question=a.about[name].question,
            gold=b.about[name].gold,
            own_gold=a.about[name].gold,
        )
        for name in shared
    ]
    refuse_foreign(a.path, str(b.path), pairs)
