"""The blind section: what a score owes to the picture, and the score on the rows that nobody answers without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ruvlm.backends.base import Asked
from ruvlm.backends.question_only import FOLDS, cross_fitted
from ruvlm.benchmarks.base import Protocol
from ruvlm.benchmarks.catalog import benchmark_named, score
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import DataError, MissingSplitError
from ruvlm.schema import Dataset, Example, Score, Status, Verdict

# what the control trained on the other parts of the same rows is called
OWN_WORDS = f"question-only-{FOLDS}-fold"


@dataclass(frozen=True, kw_only=True)
class RowBias:
    """A row's bias: how much of the belief of a classifier of words alone falls on its right answer, 0 to 1.

    The classifier has learnt from the other rows of the same set; `score` is what its one answer gets, 0 to 1.
    """

    id: str
    bias: float
    score: float

    @property
    def right(self) -> bool:
        """Has its one answer the full score?"""
        return self.score == 1


@dataclass(frozen=True, kw_only=True)
class BlindRow:
    """What is known of a row without its picture: its bias (None where rows are too few to learn from), who answers it."""

    id: str
    bias: float | None
    answered_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BlindSection:
    """What an evaluation's headline, `rule`, owes to the picture.

    `controls` are the same figure of each blind control; `units` are what counts as one (rows, or all rows of a question), of
    which `answered` are answered by some blind control. `sighted` is the model's figure on the others, None where there are none.
    """

    rule: str
    whole: Score
    controls: dict[str, Score]
    units: int
    answered: int
    sighted: Score | None
    rows: tuple[BlindRow, ...]


@dataclass(frozen=True, kw_only=True)
class SetBias:
    """What the words of a set's questions give away: by row, and over all the share right in per cent and the mean bias."""

    benchmark: str
    split: str
    right: float
    bias: float
    rows: tuple[RowBias, ...]


def set_biases(data: str, split: str) -> list[SetBias]:
    """Of every benchmark in the data that has the split. Raises DataError for sets without it, and for too few rows."""
    source = open_source(data)
    sets = []
    absent: list[MissingSplitError] = []
    for name in source.benchmarks:
        try:
            dataset = source.load(name, split, bare=True)
        except MissingSplitError as error:
            absent.append(error)
            continue
        biases = row_biases(benchmark_named(name).protocols[0], dataset.examples)
        rows = tuple(biases[example.id] for example in dataset.examples if example.id in biases)
        if rows:
            right = 100 * sum(row.right for row in rows) / len(rows)
            bias = sum(row.bias for row in rows) / len(rows)
            sets.append(SetBias(benchmark=name, split=dataset.split, right=right, bias=bias, rows=rows))
    if len(absent) == len(source.benchmarks):
        raise absent[0]
    if not sets:
        raise DataError(
            f"В {data} слишком мало строк с известными ответами, чтобы учиться на соседних: нужно хотя бы {2 * FOLDS} разных картинок."
        )
    return sets


def row_biases(protocol: Protocol, examples: Sequence[Example]) -> dict[str, RowBias]:
    """By row; nothing where they are too few to learn from."""
    biases: dict[str, RowBias] = {}
    for held, control in cross_fitted([example for example in examples if example.answers]):
        verdicts = protocol.judge_all(held, list(control.answer([Asked(protocol.prompt(e), e) for e in held])))
        for example, verdict in zip(held, verdicts, strict=True):
            share = control.gold_share(example)
            biases[example.id] = RowBias(id=example.id, bias=round(share, 4), score=verdict.score)
    return biases


def blind_section(
    dataset: Dataset,
    protocol: Protocol,
    own: Sequence[Verdict],
    controls: Mapping[str, Sequence[Verdict]],
    biases: Mapping[str, RowBias],
) -> BlindSection:
    """Of the verdicts on a model and on its blind controls, each in the order of the examples."""
    judged = {name: list(verdicts) for name, verdicts in controls.items()}
    rule, whole = score(protocol, dataset, tuple(own)).headline
    figures = {name: _figure(protocol, dataset, verdicts) for name, verdicts in judged.items()}
    if len(biases) == len(dataset.examples):
        # a classifier's answers are judged by the rule that stands first alone
        by_words = [_as_judged(verdict, biases[verdict.id].score) for verdict in own]
        judged[OWN_WORDS], figures[OWN_WORDS] = by_words, _figure(protocol, dataset, by_words)
    rows = tuple(_row(example, biases, judged, n) for n, example in enumerate(dataset.examples))
    unit = benchmark_named(dataset.name).unit
    blind = blind_units(dataset, [rows])
    _, sighted = _on_others(dataset, protocol, {"own": own}, blind)
    return BlindSection(
        rule=rule,
        whole=whole,
        controls=figures,
        units=len({unit(example) for example in dataset.examples}),
        answered=len(blind),
        sighted=sighted.get("own"),
        rows=rows,
    )


def sighted_together(
    dataset: Dataset, protocol: Protocol, own: Mapping[str, Sequence[Verdict]], sections: Sequence[BlindSection]
) -> tuple[int, dict[str, Score]]:
    """Several models on the rows that no blind control of any of them answers, and each of them did: how many units, their figures.

    Each model's own sighted figure is on rows of its own, which no other's is.
    """
    unit = benchmark_named(dataset.name).unit
    lost = {
        unit(example)
        for verdicts in own.values()
        for example, verdict in zip(dataset.examples, verdicts, strict=True)
        if verdict.status is Status.ERROR
    }
    blind = blind_units(dataset, [section.rows for section in sections])
    return _on_others(dataset, protocol, own, blind | lost)


def _on_others(
    dataset: Dataset, protocol: Protocol, own: Mapping[str, Sequence[Verdict]], left_out: set[str]
) -> tuple[int, dict[str, Score]]:
    """How many units are not left out, and each model's figure on them; none where there are none."""
    unit = benchmark_named(dataset.name).unit
    kept = [n for n, example in enumerate(dataset.examples) if unit(example) not in left_out]
    if not kept:
        return 0, {}
    rows = replace(dataset, examples=tuple(dataset.examples[n] for n in kept))
    figures = {name: _figure(protocol, rows, [verdicts[n] for n in kept]) for name, verdicts in own.items()}
    return len({unit(example) for example in rows.examples}), figures


def blind_units(dataset: Dataset, tables: Sequence[Sequence[BlindRow]]) -> set[str]:
    """What counts as one (a row, or all rows of a question) and is answered by some blind control in all its rows."""
    unit = benchmark_named(dataset.name).unit
    units: dict[str, list[str]] = defaultdict(list)
    for example in dataset.examples:
        units[unit(example)].append(example.id)
    blind: set[str] = set()
    for table in tables:
        names = {row.id: set(row.answered_by) for row in table}
        blind |= {one for one, ids in units.items() if set.intersection(*(names.get(name, set()) for name in ids))}
    return blind


def _as_judged(verdict: Verdict, score: float) -> Verdict:
    return replace(verdict, scores=dict.fromkeys(verdict.scores, score))


def _figure(protocol: Protocol, dataset: Dataset, verdicts: Sequence[Verdict]) -> Score:
    return score(protocol, dataset, tuple(verdicts)).headline[1]


def _row(
    example: Example, biases: Mapping[str, RowBias], judged: Mapping[str, Sequence[Verdict]], place: int
) -> BlindRow:
    own = biases.get(example.id)
    names = tuple(name for name, verdicts in judged.items() if verdicts[place].right)
    return BlindRow(id=example.id, bias=None if own is None else own.bias, answered_by=names)
