"""What a report is made of: evaluations of the same rows beside one another, the rows themselves, the runs' histories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import ConfigError, DataError, RuvlmError
from ruvlm.evaluation.answers import answers_under
from ruvlm.evaluation.blind import BlindSection, blind_section, row_biases, sighted_together
from ruvlm.evaluation.causes import Explanation, explain
from ruvlm.evaluation.compare import Difference, compare
from ruvlm.evaluation.evaluated import Evaluated, Measured, beside, measured_together, same_rows
from ruvlm.evaluation.standing import Standing, place_of, standing
from ruvlm.run_folder import Record, RunFolder
from ruvlm.schema import Dataset, Response, Score, Verdict

# pairs of models whose difference a report takes apart
EXPLAINED = 4


@dataclass(frozen=True)
class Answers:
    """One evaluation with what was said: responses and verdicts by example id. `name` is unlike those beside it.

    `blind` is what its score owes to the picture, None where that is not known.
    """

    name: str
    measured: Measured
    said: dict[str, Response]
    verdicts: dict[str, Verdict]
    blind: BlindSection | None = None


@dataclass(frozen=True)
class ReportSection:
    """Models on the same rows under one protocol, their controls, and the rows where they were found.

    `standings` are the models' headlines beside their controls'. `sighted` is each model's figure on the `sighted_units` that no blind control of any of them answers, where there are several.
    """

    models: tuple[Answers, ...]
    controls: tuple[Measured, ...]
    dataset: Dataset | None
    differences: tuple[Difference, ...]
    sighted_units: int = 0
    sighted: Mapping[str, Score] = field(default_factory=dict)
    standings: tuple[tuple[Answers, Standing], ...] = ()

    @property
    def blind(self) -> tuple[Answers, ...]:
        """The models of which it is known what their scores owe to the picture."""
        return tuple(answers for answers in self.models if answers.blind is not None)

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

    sections: tuple[ReportSection, ...]
    histories: tuple[RunHistory, ...]
    explanations: tuple[Explanation, ...] = ()


def gather(paths: Sequence[Path], data: Sequence[str], report: Callable[[str], None]) -> Gathered:
    """Evaluations found in run folders and evaluation folders, and files of answers.

    `data` is where rows may be; the data that a run was trained on is looked at too. Rows that are not found are told of. Raises
    DataError where there is no evaluation or one is damaged.
    """
    pairs = [(path, one) for path in paths for one in answers_under(path)]
    origins = {one.path: path.name for path, one in pairs}
    asked = (one.how.data for _, one in pairs if one.how is not None and one.how.data)
    places = [*data, *asked, *(where for path in paths for where in _trained_on(path)), "world"]
    sections = [_section(group, origins, places, report) for group in same_rows([one for _, one in pairs])]
    sections.sort(
        key=lambda s: (
            s.first.drawn,
            s.first.benchmark,
            s.first.split == "holdout",
            place_of(s.first.benchmark, s.first.protocol),
        )
    )
    return Gathered(tuple(sections), tuple(_histories(paths)), tuple(_explanations(sections)))


def _explanations(sections: Sequence[ReportSection]) -> Iterator[Explanation]:
    """Why neighbours' scores differ: models of one section, and of two where the rows are the same and something else is not."""
    models = [(section, answers) for section in sections for answers in section.models]
    pairs = [
        (one, other)
        for n, (section, one) in enumerate(models)
        for beside, other in models[n + 1 :]
        if not (one.measured.control or other.measured.control)
        and section.first.benchmark == beside.first.benchmark
        and one.verdicts.keys() & other.verdicts.keys()
    ]
    for one, other in pairs[:EXPLAINED]:
        try:
            explanation = explain(one.measured.folder, other.measured.folder)
        except DataError:  # nobody answered on one side: its section says so
            continue
        yield replace(explanation, a=one.name, b=other.name)


def _section(
    group: Sequence[Evaluated], origins: Mapping[Path, str], places: Sequence[str], report: Callable[[str], None]
) -> ReportSection:
    """`origins` are the names of what was given on the command line, by where each evaluation lies."""
    together = list(zip(group, measured_together(group), strict=True))
    own = [pair for pair in together if not pair[1].control] or together
    first = own[0][1]
    dataset = _rows(first, places)
    if dataset is None and all(one.identity is None for one in group):
        report(f"{first.source}: это файл ответов, вопросы и картинки покажу рядом с оценкой на тех же строках")
    elif dataset is None:
        report(
            f"строк набора «{first.source}» ({first.split}) не нашлось: вопросы и картинки покажу, если указать --data"
        )
    names = _named([one for one, _ in own], origins)
    models = tuple(
        Answers(name, m, one.responses, one.verdicts, one.blind or _by_words(m, one.verdicts, dataset))
        for name, (one, m) in zip(names, own, strict=True)
    )
    controls = {c.model: c for c in beside(first, [m for _, m in together])}
    differences = _differences(models) if len(models) > 1 else ()
    units, sighted = _sighted(models, dataset)
    beside_them = tuple(controls.values()) if len(own) < len(group) else ()
    # of several names for one model, each has the row of its own evaluation
    rows = tuple((answers, standing(one, group)) for answers, (one, m) in zip(models, own, strict=True) if m.scores)
    return ReportSection(models, beside_them, dataset, differences, units, sighted, rows)


def _sighted(models: Sequence[Answers], dataset: Dataset | None) -> tuple[int, dict[str, Score]]:
    """The sighted figures of two models or more, on rows that are the same for all."""
    sections = [answers.blind for answers in models if answers.blind is not None]
    if dataset is None or len(sections) < 2 or len(sections) < len(models):
        return 0, {}
    own = {answers.name: [answers.verdicts[example.id] for example in dataset.examples] for answers in models}
    return sighted_together(dataset, protocol_named(models[0].measured.protocol), own, sections)


def _by_words(measured: Measured, verdicts: Mapping[str, Verdict], dataset: Dataset | None) -> BlindSection | None:
    """What the words of the questions give away, where no blind control was asked beside an evaluation or a file."""
    if measured.control or dataset is None or any(example.id not in verdicts for example in dataset.examples):
        return None
    try:
        known = protocol_named(measured.protocol)
    except ConfigError:  # of a benchmark that is not here
        return None
    biases = row_biases(known, dataset.examples)
    own = [verdicts[example.id] for example in dataset.examples]
    return blind_section(dataset, known, own, {}, biases) if biases else None


def _named(own: Sequence[Evaluated], origins: Mapping[Path, str]) -> list[str]:
    """A name of its own for each evaluation: the model's, with its origin's where two are alike."""
    models = [one.measured.model for one in own]
    return [
        f"{model} ({origins[one.path]})" if models.count(model) > 1 else model
        for model, one in zip(models, own, strict=True)
    ]


def _differences(models: Sequence[Answers]) -> tuple[Difference, ...]:
    names = [answers.name for answers in models]
    rows = compare([answers.measured.folder for answers in models])
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
            source = open_source(place, skip_bad=True)
            if measured.benchmark not in source.benchmarks:
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
