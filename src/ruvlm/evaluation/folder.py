"""An evaluation's folder: its files' names and keys, known here and nowhere else; whose it is, and what it holds.

Answers are appended to it one by one (`store.py`), verdicts and figures are written at its end: where there are figures, the
evaluation is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, final

from ruvlm.benchmarks.catalog import protocols
from ruvlm.benchmarks.wordings import MARK
from ruvlm.errors import DataError, OutputError, because
from ruvlm.evaluation.blind import BlindRow, BlindSection
from ruvlm.evaluation.evaluated import NAMES, AskedHow, Evaluated, Identity, Measured, Usage, score_dict
from ruvlm.evaluation.store import RESPONSES, ResponseStore, merge_shards, read_responses
from ruvlm.evaluation.stored import (
    identity_of,
    json_object,
    letter_use_of,
    lines_of,
    number_of,
    plain,
    score_of,
    text_object,
    verdict_of,
)
from ruvlm.files import LOCK, held, json_line, sweep, write_json, write_text
from ruvlm.schema import Response, Result, Score, Verdict

IDENTITY, VERDICTS, SUMMARY = "identity.json", "verdicts.jsonl", "summary.json"
# what the model and its blind controls answer without the picture: figures, and what is known of each row
BLIND, BIAS = "blind.json", "bias.jsonl"
# what file managers leave wherever they look
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")


@final
class EvaluationFolder(Evaluated):
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
    def probed(self) -> Path:
        """Where the answers of a server's probe are kept."""
        return self.path / "probe.jsonl"

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
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with held(
                self.path / LOCK, f"В {self.path} уже пишет другой процесс: дождитесь его или укажите другую --out."
            ):
                sweep(self.path)
                self._refuse_other(identity, replays)
                yield
        except OSError as error:
            raise OutputError(f"В {self.path} нельзя писать ({because(error)}): укажите другую папку.") from error

    def _refuse_other(self, identity: Identity, replays: bool) -> None:
        path = self.path / IDENTITY
        if not path.is_file():
            if any(entry.name not in (LOCK, *LITTER) for entry in self.path.iterdir()):
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
            for name in (RESPONSES, VERDICTS, SUMMARY, BLIND, BIAS):
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
        self,
        *,
        identity: Identity,
        source: str,
        benchmark: str,
        model: str,
        parameters: int | None,
        result: Result,
        verdicts: Sequence[Verdict],
        usage: Usage,
        how: AskedHow,
    ) -> None:
        """Verdicts, then the figures; a blind section of earlier verdicts gives way. Raises OutputError."""
        for name in (BLIND, BIAS):
            (self.path / name).unlink(missing_ok=True)
        write_text(self.path / VERDICTS, "".join(json_line(plain(verdict)) for verdict in verdicts))
        breakdowns = {axis: _plain_scores(scores) for axis, scores in result.breakdowns.items()}
        marks = {"data": identity.data, "model": identity.model, "prompt": identity.prompt}
        figures = {
            "n": result.n,
            "scores": _plain_scores(result.scores),
            "breakdowns": breakdowns,
            "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
            "letters": [asdict(use) for use in result.letters],
            "incomplete_groups": list(result.incomplete),
            "unparsed": result.unparsed,
            "errors": result.errors,
            "absent": result.absent,
            "warnings": list(result.warnings),
            "notes": list(result.notes),
            "model": model,
            "parameters": parameters,
            "source": source,
            "benchmark": benchmark,
            "protocol": identity.protocol,
            "split": identity.split,
            "usage": asdict(usage),
            "fingerprints": marks,
            "asked": asdict(how),
        }
        write_json(self.path / SUMMARY, figures)

    def keep_blind(self, section: BlindSection) -> None:
        """Write the blind section beside the figures. Raises OutputError."""
        write_text(self.path / BIAS, "".join(json_line(asdict(row)) for row in section.rows))
        write_json(self.path / BLIND, blind_dict(section))

    # --- once it is made

    @property
    def blind(self) -> BlindSection | None:
        """What its score owes to the picture; None where no control stood beside it. Raises DataError if damaged."""
        if not (self.path / BLIND).is_file() or not (self.path / BIAS).is_file():
            return None
        with self._explained(BLIND):
            figures = json_object(self.path / BLIND)
            return BlindSection(
                rule=str(figures["rule"]),
                whole=score_of(figures.get("whole")),
                controls=_scores(figures["controls"]),
                units=int(number_of(figures.get("units"))),
                answered=int(number_of(figures.get("answered"))),
                sighted=None if figures.get("sighted") is None else score_of(figures["sighted"]),
                rows=tuple(_blind_row(number, row) for number, row in lines_of(self.path / BIAS)),
            )

    @property
    def identity(self) -> Identity:
        """Raises DataError if the folder is no finished evaluation, or damaged."""
        with self._explained():
            self._refuse_unfinished()
            return Identity.of(text_object(self.path / IDENTITY))

    @property
    def choice(self) -> bool:
        protocol = protocols().get(self.identity.protocol.partition(MARK)[0])
        if protocol is not None:
            return protocol.choice
        # a benchmark that is not here any more: only choices are scored over rows and groups
        return any(name.endswith(("/circular", "/vanilla")) for name in self.measured.scores)

    @property
    def measured(self) -> Measured:
        """Who was asked, and the figures. Raises DataError as `identity` does."""
        sample = self.identity.sample
        with self._explained(SUMMARY):
            figures = json_object(self.path / SUMMARY)
            parameters = figures["parameters"]
            return Measured(
                folder=self.path,
                model=str(figures["model"]),
                parameters=None if parameters is None else int(number_of(parameters)),
                source=str(figures["source"]),
                benchmark=str(figures["benchmark"]),
                split=str(figures["split"]),
                protocol=str(figures["protocol"]),
                n=int(figures["n"]),
                scores=_scores(figures["scores"]),
                breakdowns={axis: _scores(values) for axis, values in figures["breakdowns"].items()},
                unparsed=int(figures["unparsed"]),
                errors=int(figures["errors"]),
                notes=tuple(map(str, figures["notes"])),
                warnings=tuple(map(str, figures.get("warnings", ()))),
                letters=tuple(map(letter_use_of, figures["letters"])),
                fingerprints={str(k): str(v) for k, v in figures["fingerprints"].items()},
                sample=sample,
                how=_how(figures.get("asked")),
            )

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


def _how(asked: Any) -> AskedHow | None:
    """None for what earlier versions wrote."""
    if not isinstance(asked, dict) or not isinstance(asked.get("settings"), dict):
        return None
    return AskedHow(
        said=str(asked.get("said")),
        settings={str(k): str(v) for k, v in asked["settings"].items()},
        data=str(asked.get("data", "")),
    )


def blind_dict(section: BlindSection) -> dict[str, Any]:
    """A blind section's figures, without its rows, as they are stored and printed."""
    return {
        "rule": section.rule,
        "whole": score_dict(section.whole),
        "controls": _plain_scores(section.controls),
        "units": section.units,
        "answered": section.answered,
        "sighted": None if section.sighted is None else score_dict(section.sighted),
    }


def _blind_row(number: int, row: dict[str, Any] | None) -> BlindRow:
    try:
        fields = row or {}
        bias = fields.get("bias")
        names = fields.get("answered_by")
        if not isinstance(names, list):
            raise ValueError(f"поле answered_by = {str(names)[:40]}")
        return BlindRow(
            id=identity_of(fields.get("id")),
            bias=None if bias is None else number_of(bias),
            answered_by=tuple(map(str, names)),
        )
    except ValueError as error:
        raise ValueError(f"{BIAS}, строка {number}: {error}") from error


def _plain_scores(scores: Mapping[str, Score]) -> dict[str, dict[str, Any]]:
    return {name: score_dict(score) for name, score in scores.items()}


def _scores(values: dict[str, dict[str, Any]]) -> dict[str, Score]:
    return {name: score_of(score) for name, score in values.items()}


def _numbered(number: int, row: dict[str, Any] | None) -> Verdict:
    try:
        return verdict_of(row)
    except ValueError as error:
        raise ValueError(f"строка {number}: {error}") from error
