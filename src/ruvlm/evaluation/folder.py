"""An evaluation's folder: its files' names and keys, known here and nowhere else; whose it is, and what it holds.

Answers are appended to it one by one (`store.py`), verdicts and figures are written at its end: where there are figures, the
evaluation is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError, OutputError, because
from ruvlm.evaluation.store import RESPONSES, ResponseStore, merge_shards, read_responses
from ruvlm.evaluation.stored import (
    json_object,
    letter_use_of,
    lines_of,
    number_of,
    plain,
    score_of,
    text_object,
    verdict_of,
)
from ruvlm.files import LOCK, held, json_line, write_json, write_text
from ruvlm.schema import LetterUse, Response, Result, Score, Verdict

IDENTITY, VERDICTS, SUMMARY = "identity.json", "verdicts.jsonl", "summary.json"
CONTROLS = ("random", "majority", "question-only")
# what file managers leave wherever they look
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")
NAMES = {
    "protocol": "протокол", "prompt": "вопрос к модели", "data": "данные", "split": "часть", "model": "модель", "sample": "выборка",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an evaluation is of: protocol, a mark of its wording, the data's and the model's fingerprints, the split.

    `sample` is of how many rows a sample was drawn, None for all.
    """

    protocol: str
    prompt: str
    data: str
    split: str
    model: str
    sample: int | None = None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Identity:
        """As stored. Raises ValueError naming what is missing or wrong."""
        wanted = ("protocol", "prompt", "data", "split", "model")
        missing = [name for name in wanted if not isinstance(fields.get(name), str)]
        if missing:
            raise ValueError(f"в {IDENTITY} нет {', '.join(missing)}")
        sample = fields.get("sample")
        if sample is not None and not (isinstance(sample, str) and sample.isdecimal()):
            raise ValueError(f"sample = {str(sample)[:40]}")
        return cls(**{name: fields[name] for name in wanted}, sample=None if sample is None else int(sample))

    @property
    def fields(self) -> dict[str, str]:
        """As it is stored: texts alone, without a sample where there is none."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Usage:
    """Tokens read (None where nobody counted) and written, and what they cost where prices were given."""

    input_tokens: int | None
    output_tokens: int
    cost: float | None

    @classmethod
    def of(cls, responses: Iterable[Response], prices: tuple[float, float] | None) -> Usage:
        """Of all answers together; `prices` are of a million tokens in and out."""
        counts = [(response.input_tokens, response.tokens) for response in responses]
        read, written = sum(n for n, _ in counts), sum(n for _, n in counts)
        cost = None if prices is None else round((read * prices[0] + written * prices[1]) / 1e6, 6)
        return cls(read or None, written, cost)  # not every way to reach a model counts what it reads


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One evaluation: who was asked what, and every figure.

    `world` says that the rows are drawn, not published ones.
    """

    folder: Path
    model: str
    parameters: int | None
    source: str
    benchmark: str
    split: str
    protocol: str
    n: int
    scores: dict[str, Score]
    breakdowns: dict[str, dict[str, Score]]
    unparsed: int
    errors: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    letters: tuple[LetterUse, ...]
    fingerprints: dict[str, str]
    sample: int | None

    @property
    def rows(self) -> str:
        """The split in words, with the sample if it is one."""
        return self.split if self.sample is None else f"{self.split}, выборка {self.sample}"

    @property
    def world(self) -> bool:
        return self.source.startswith("world")

    @property
    def control(self) -> bool:
        return self.model in CONTROLS or self.model.startswith(("blind:", "shuffled:"))


class EvaluationFolder:
    """The evaluation in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def begun(self) -> bool:
        """Does the folder say what it is of?"""
        return (self.path / IDENTITY).is_file()

    @property
    def judgements(self) -> Path:
        """Where a judge's readings of unread answers are kept."""
        return self.path / "judged.jsonl"

    @property
    def figures(self) -> Path:
        """The file of its figures."""
        return self.path / SUMMARY

    @property
    def finished_on(self) -> date:
        """The day on which its figures were written."""
        return datetime.fromtimestamp((self.path / SUMMARY).stat().st_mtime, UTC).date()

    # --- while it is made

    @contextmanager
    def claimed(self, identity: Identity, replays: bool = False) -> Iterator[None]:
        """Hold the folder for an evaluation of `identity`. The system lets go of it however the process ends.

        With `replays` the answers come from a file: where only that has changed, what is stored gives way to it.

        Raises OutputError if another process holds it, or if it holds something else, saying what differs.
        """
        busy = f"В {self.path} уже пишет другой процесс: дождитесь его или укажите другую --out."
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with held(self.path / LOCK, busy):
                self._refuse_other(identity, replays)
                yield
        except OSError as error:
            raise OutputError(f"В {self.path} нельзя писать ({because(error)}): укажите другую папку.") from error

    def _refuse_other(self, identity: Identity, replays: bool) -> None:
        path = self.path / IDENTITY
        if not path.is_file():
            if any(entry.name not in (LOCK, *LITTER) and entry.suffix != ".tmp" for entry in self.path.iterdir()):
                raise OutputError(f"Папка {self.path} занята не оценкой: укажите другую --out.")
            write_json(path, identity.fields)
            return
        try:
            known = text_object(path)
        except (OSError, ValueError) as error:
            raise OutputError(f"Файл {path} повреждён ({error}): удалите папку {self.path}.") from error
        wanted = identity.fields
        same_file = str(known.get("model")).split(" ")[:2] == identity.model.split(" ")[:2]
        if replays and same_file and known != wanted and known == {**wanted, "model": known.get("model")}:
            for name in (RESPONSES, VERDICTS, SUMMARY):
                (self.path / name).unlink(missing_ok=True)
            write_json(path, wanted)
            return
        differ = [
            f"{NAMES[key]} – там «{known.get(key)}», здесь «{value}»"
            for key, value in wanted.items()
            if known.get(key) != value
        ]
        if differ:
            raise OutputError(
                f"В {self.path} другая оценка ({'; '.join(differ)}): укажите другую --out или удалите папку."
            )

    def store(self, shard: int | None = None) -> ResponseStore:
        """Its answers, open to be added to; with `shard`, one process's share of them."""
        return ResponseStore(self.path, shard)

    def merge_shards(self) -> None:
        """Put the answers of all processes into one file; those a killed run has left too."""
        merge_shards(self.path)

    def finish(
        self, *, identity: Identity, source: str, benchmark: str, model: str, parameters: int | None, result: Result,
        verdicts: Sequence[Verdict], usage: Usage,
    ) -> None:  # fmt: skip
        """Verdicts, then the figures. Raises OutputError."""
        write_text(self.path / VERDICTS, "".join(json_line(plain(verdict)) for verdict in verdicts))
        breakdowns = {axis: _plain_scores(scores) for axis, scores in result.breakdowns.items()}
        marks = {"data": identity.data, "model": identity.model, "prompt": identity.prompt}
        figures = {
            "n": result.n, "scores": _plain_scores(result.scores), "breakdowns": breakdowns,
            "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
            "letters": [asdict(use) for use in result.letters], "incomplete_groups": list(result.incomplete),
            "unparsed": result.unparsed, "errors": result.errors, "absent": result.absent,
            "warnings": list(result.warnings), "notes": list(result.notes), "model": model, "parameters": parameters,
            "source": source, "benchmark": benchmark, "protocol": identity.protocol, "split": identity.split,
            "usage": asdict(usage), "fingerprints": marks,
        }  # fmt: skip
        write_json(self.path / SUMMARY, figures)

    # --- once it is made

    @property
    def identity(self) -> Identity:
        """Raises DataError if the folder is no finished evaluation, or damaged."""
        with self._explained():
            self._refuse_unfinished()
            return Identity.of(text_object(self.path / IDENTITY))

    @property
    def measured(self) -> Measured:
        """Who was asked, and the figures. Raises DataError as `identity` does."""
        sample = self.identity.sample
        with self._explained(SUMMARY):
            figures = json_object(self.path / SUMMARY)
            parameters = figures["parameters"]
            return Measured(
                folder=self.path, model=str(figures["model"]),
                parameters=None if parameters is None else int(number_of(parameters)), source=str(figures["source"]),
                benchmark=str(figures["benchmark"]), split=str(figures["split"]), protocol=str(figures["protocol"]),
                n=int(figures["n"]), scores=_scores(figures["scores"]),
                breakdowns={axis: _scores(values) for axis, values in figures["breakdowns"].items()},
                unparsed=int(figures["unparsed"]), errors=int(figures["errors"]), notes=tuple(map(str, figures["notes"])),
                warnings=tuple(map(str, figures.get("warnings", ()))),
                letters=tuple(map(letter_use_of, figures["letters"])),
                fingerprints={str(k): str(v) for k, v in figures["fingerprints"].items()}, sample=sample,
            )  # fmt: skip

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By their examples' ids. Raises DataError if they are damaged."""
        path = self.path / VERDICTS
        with self._explained(VERDICTS):
            self._refuse_unfinished()
            verdicts = [_numbered(number, row) for number, row in lines_of(path)]
            if not verdicts:
                raise ValueError("пуст")
        return {verdict.id: verdict for verdict in verdicts}

    @property
    def responses(self) -> dict[str, Response]:
        """By their examples' ids; damaged lines are left out. Raises DataError."""
        path = self.path / RESPONSES
        return {stored.id: stored.response for stored in read_responses(path).values()} if path.is_file() else {}

    def _refuse_unfinished(self) -> None:
        missing = [name for name in (IDENTITY, SUMMARY, VERDICTS) if not (self.path / name).is_file()]
        if not missing:
            return
        if not self.path.is_dir():
            raise DataError(f"Папки {self.path} нет: проверьте путь.")
        inside = sorted(path.parent.name for path in self.path.glob(f"*/{SUMMARY}"))
        if inside:
            raise DataError(
                f"{self.path} – не сама оценка, а папка с оценками: укажите одну из них, например {self.path / inside[0]}."
            )
        raise DataError(f"В {self.path} нет законченной оценки (нет {missing[0]}): закончите её командой ruvlm eval.")

    @contextmanager
    def _explained(self, name: str = IDENTITY) -> Iterator[None]:
        """What reading a file may raise, as a sentence."""
        try:
            yield
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"Оценка в {self.path} повреждена ({name}: {error}): повторите ruvlm eval, ответы уже сохранены."
            ) from error


def evaluations_in(folder: Path) -> list[EvaluationFolder]:
    """Every finished evaluation in a folder, however deep, by path."""
    return [EvaluationFolder(path.parent) for path in sorted(folder.rglob(SUMMARY))]


def holds_evaluations(folder: Path) -> bool:
    """Is it an evaluation, finished or not, or a folder of some?"""
    return (folder / IDENTITY).is_file() or (folder.is_dir() and any(folder.glob(f"*/{IDENTITY}")))


def beside(own: Measured, others: Iterable[Measured]) -> list[Measured]:
    """The controls that were asked the same rows under the same protocol."""
    return [
        other for other in others
        if other.control and other.protocol == own.protocol and other.fingerprints["data"] == own.fingerprints["data"]
        and other.split == own.split
    ]  # fmt: skip


def score_dict(score: Score) -> dict[str, Any]:
    """{"n", "correct", "value", "low", "high", "error"}, values in per cent."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(score).items()}


def _plain_scores(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    return {name: score_dict(score) for name, score in scores.items()}


def _scores(values: dict[str, dict[str, Any]]) -> dict[str, Score]:
    return {name: score_of(score) for name, score in values.items()}


def _numbered(number: int, row: dict[str, Any] | None) -> Verdict:
    try:
        return verdict_of(row)
    except ValueError as error:
        raise ValueError(f"строка {number}: {error}") from error
