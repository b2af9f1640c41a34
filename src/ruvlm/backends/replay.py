"""Answers that are in a file already: JSONL, CSV, TSV or xlsx of any tool, matched by id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.data.files import fingerprint
from ruvlm.data.predictions import read_lines
from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Response


class ReplayBackend(Backend):
    """A file of predictions. A question that it does not answer is an error, not a wrong answer."""

    free = False

    def __init__(self, path: Path) -> None:
        lines = read_lines(path)
        if lines[0].identity is None:
            raise DataError(
                f"{path}: нет поля id, index или question_id, по которому сопоставить ответы: добавьте его."
            )
        self._answers = {line.identity: line.prediction or "" for line in lines}
        self._path, self._mark = path, fingerprint([path])

    @property
    def name(self) -> str:
        return f"file:{self._path.stem}"

    @property
    def fingerprint(self) -> str:
        return f"file {self._mark}"

    def begin(self, dataset: Dataset) -> None:
        if not any(example.id in self._answers for example in dataset.examples):
            raise DataError(
                f"{self._path}: ни один из id не встречается в {dataset.name}, часть {dataset.split} (там, например, "
                f"{dataset.examples[0].id}, в файле – {next(iter(self._answers))}): это ответы на другие вопросы."
            )

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for item in asked:
            found = self._answers.get(item.example.id)
            yield Response("", error="ответа нет в файле") if found is None else Response(found)


def open_file(spec: str, access: Access) -> ReplayBackend:
    """«FILE» → backend. Raises DataError."""
    return ReplayBackend(Path(spec))
