"""What a report is made of: evaluations of the same rows beside one another, the rows themselves, the runs' histories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruvlm.data.catalog import open_source
from ruvlm.errors import DataError, RuvlmError
from ruvlm.evaluation.compare import Difference, compare
from ruvlm.evaluation.folder import EvaluationFolder, Measured, beside, evaluations_in
from ruvlm.run_folder import Record, RunFolder
from ruvlm.schema import Dataset, Response, Verdict


@dataclass(frozen=True)
class Answers:
    """One evaluation with what was said: responses and verdicts by example id. `name` is unlike those beside it."""

    name: str
    measured: Measured
    said: dict[str, Response]
    verdicts: dict[str, Verdict]


@dataclass(frozen=True)
class Section:
    """Models on the same rows under one protocol, their controls, and the rows where they were found."""

    models: tuple[Answers, ...]
    controls: tuple[Measured, ...]
    dataset: Dataset | None
    differences: tuple[Difference, ...]

    @property
    def first(self) -> Measured:
        return self.models[0].measured


@dataclass(frozen=True)
class RunHistory:
    """A training run: its records and the lines its validation had to beat."""

    name: str
    records: tuple[Record, ...]
    baselines: dict[str, float]


@dataclass(frozen=True)
class Gathered:
    """Everything a report shows."""

    sections: tuple[Section, ...]
    histories: tuple[RunHistory, ...]


def gather(folders: Sequence[Path], data: Sequence[str], report: Callable[[str], None]) -> Gathered:
    """Evaluations found in run folders and evaluation folders. Raises DataError where there is none or one is damaged.

    `data` is where rows may be; the data that a run was trained on is looked at too. Rows that are not found are told of.
    """
    found: list[tuple[Path, Measured]] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"Папки {folder} нет: укажите папку запуска или оценки.")
        here = [place.measured for place in evaluations_in(folder)]
        if not here:
            raise DataError(f"В {folder} нет законченных оценок: сначала ruvlm eval {folder}.")
        found += [(folder, measured) for measured in here]
    kinds: dict[tuple[str, ...], list[tuple[Path, Measured]]] = defaultdict(list)
    for folder, measured in found:
        marks = measured.fingerprints
        kinds[measured.protocol, measured.split, marks["data"], marks["prompt"]].append((folder, measured))
    places = [*data, *(path for folder in folders for path in _trained_on(folder)), "world"]
    sections = []
    for some in kinds.values():
        own = [(folder, m) for folder, m in some if not m.control] or some
        dataset = _rows(own[0][1], places)
        if dataset is None:
            report(f"строк {own[0][1].source} ({own[0][1].split}) нет: вопросы и картинки покажу, если указать --data")
        models = tuple(
            Answers(name, m, EvaluationFolder(m.folder).responses, EvaluationFolder(m.folder).verdicts)
            for name, (_, m) in _named(own)
        )
        controls = tuple({c.model: c for c in beside(own[0][1], [m for _, m in some])}.values())
        differences = _differences(models) if len(models) > 1 else ()
        sections.append(Section(models, controls if own is not some else (), dataset, differences))
    sections.sort(key=lambda s: (s.first.world, s.first.benchmark, s.first.split == "holdout", s.first.protocol))
    return Gathered(tuple(sections), tuple(_histories(folders)))


def _named(own: Sequence[tuple[Path, Measured]]) -> Iterable[tuple[str, tuple[Path, Measured]]]:
    """Each evaluation with a name of its own: the model's, with its folder's where two are alike."""
    names = [m.model for _, m in own]
    for folder, measured in own:
        alike = names.count(measured.model) > 1
        yield f"{measured.model} ({folder.name})" if alike else measured.model, (folder, measured)


def _differences(models: Sequence[Answers]) -> tuple[Difference, ...]:
    folders = {answers.measured.folder: answers.name for answers in models}
    names = list(folders.values())
    rows = compare(list(folders))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    each = len(rows) // len(pairs)
    return tuple(replace(row, a=pairs[n // each][0], b=pairs[n // each][1]) for n, row in enumerate(rows))


def _trained_on(folder: Path) -> list[str]:
    """Where a run's settings say its data is."""
    try:
        return [RunFolder(folder).config.data.path]
    except DataError:
        return []


def _rows(measured: Measured, places: Sequence[str]) -> Dataset | None:
    """The rows that an evaluation was on, by their fingerprint."""
    for place in dict.fromkeys(places):
        try:
            source = open_source(place)
            if measured.benchmark not in source.folders:
                continue
            dataset = source.load(measured.benchmark, measured.split, limit=measured.sample)
        except RuvlmError:
            continue
        if dataset.fingerprint == measured.fingerprints["data"]:
            return dataset
    return None


def _histories(folders: Sequence[Path]) -> Iterable[RunHistory]:
    for folder in folders:
        run = RunFolder(folder)
        try:
            if run.described and run.records:
                yield RunHistory(folder.name, tuple(run.records), run.facts.baselines)
        except DataError:
            continue
