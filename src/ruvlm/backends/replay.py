"""Answers that are in a file already: JSONL, CSV, TSV, xlsx or a tool's log, matched by id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.data.predictions import AnswerLine, Pair, read_answers, refuse_foreign
from ruvlm.data.split_files import fingerprint
from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Example, Response


class ReplayBackend(Backend):
    """A file of predictions. A question that it does not answer is an error, not a wrong answer."""

    free = False
    one_picture, follows_system = False, True
    replays = True
    advice = "допишите их в файл ответов и повторите команду"

    def __init__(self, path: Path) -> None:
        read = read_answers(path, joined=True)
        self._lines, self._read_notes = read.lines, read.notes
        if self._lines[0].identity is None and self._lines[0].gold is None:
            raise DataError(
                f"{path}: нет поля id, index или question_id, по которому сопоставить ответы: добавьте его."
            )
        # a file that has grown is the same file; one of the same name elsewhere is another
        path = read.path
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
        self.name, self.fingerprint = f"file:{path.stem}", f"file {place} {fingerprint([path])}"
        self._path = path
        self._answers: dict[str, str] = {}
        self._notes: tuple[str, ...] = ()
        self._mismatches: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._mismatches

    def covers(self, dataset: Dataset) -> bool:
        return bool(self._matched(dataset))

    def begin(self, dataset: Dataset) -> None:
        self._answers = self._matched(dataset)
        if not self._answers:
            raise DataError(
                f"{self._path}: ни один из id не встречается в {dataset.name}, часть {dataset.split} (там, например, "
                f"{dataset.examples[0].id}, в файле – {self._lines[0].identity or 'id нет'}): это ответы на другие вопросы."
            )
        absent = [example.id for example in dataset.examples if example.id not in self._answers]
        extra = len(self._lines) - len(self._answers)
        notes = []
        if absent:
            notes.append(
                f"в файле нет ответов на {len(absent)} из {len(dataset.examples)} вопросов, например {absent[0]}"
            )
        if extra > 0:
            notes.append(f"в файле есть ответы на вопросы не из этой части: {extra}")
        self._mismatches, self._notes = tuple(notes), self._read_notes

    def _matched(self, dataset: Dataset) -> dict[str, str]:
        """Answers by the data set's ids; nothing if none of them is in the file."""
        if self._lines[0].identity is not None:
            given = {line.identity: line for line in self._lines}
            known = [example for example in dataset.examples if example.id in given]
            refuse_foreign(
                self._path,
                f"{dataset.name}, часть {dataset.split}",
                [_pair(given[example.id], example) for example in known],
            )
            return {example.id: given[example.id].prediction or "" for example in known}
        examples = dataset.examples
        if len(self._lines) != len(examples) or any(
            line.gold not in example.answers for line, example in zip(self._lines, examples, strict=True)
        ):
            return {}
        # a log without ids, over the same rows in the same order: every gold answer agrees
        return {e.id: line.prediction or "" for e, line in zip(dataset.examples, self._lines, strict=True)}

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for item in asked:
            prediction = self._answers.get(item.example.id)
            yield Response("", error="ответа нет в файле") if prediction is None else Response(prediction)


def _pair(line: AnswerLine, example: Example) -> Pair:
    """What the file and the data set say under one id. Gold letters may be dressed, so for a choice only bare ones are proof."""
    gold = line.gold
    if example.options and (gold is None or gold.strip() not in example.letters):
        gold = None
    own = gold if gold in example.answers else example.answer or None
    return Pair(identity=example.id, question=line.question, own_question=example.question, gold=gold, own_gold=own)


def open_file(spec: str, access: Access) -> ReplayBackend:
    """«FILE» → backend. Raises DataError."""
    return ReplayBackend(Path(spec))
