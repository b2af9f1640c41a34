"""What a report says first: a sentence a model, scores beside their controls, types against models, answers taken for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ruvlm.benchmarks.base import Axis
from ruvlm.benchmarks.catalog import benchmark_or_none
from ruvlm.evaluation.standing import THAN, USUAL, Standing, conclusion, distinct
from ruvlm.reporting.gathered import Answers, Gathered, ReportSection
from ruvlm.schema import Score

# of how many models and pairs of answers the first screen speaks
SENTENCES, CONFUSIONS = 4, 6
# a table of more types is no first screen
MOST_TYPES = 24
# a longer answer is no class to be taken for another
LONGEST = 40


@dataclass(frozen=True)
class Matrix:
    """A figure of each value on an axis (a row) for each model (a column); `n` is of how many rows it is."""

    title: str
    models: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[Score | None, ...]], ...]


@dataclass(frozen=True)
class Confusion:
    """A right answer and what was said instead, so many times."""

    gold: str
    said: str
    count: int


@dataclass(frozen=True)
class Headline:
    """A model's score on some rows, and the control that comes nearest."""

    where: str
    name: str
    standing: Standing
    control: str


@dataclass(frozen=True)
class Overview:
    """The first screen. `sentences` are (model, what its scores come to), the best first."""

    sentences: tuple[tuple[str, str], ...]
    headlines: tuple[Headline, ...]
    matrices: tuple[tuple[str, Matrix], ...]
    confusions: tuple[tuple[str, tuple[Confusion, ...]], ...]


def overview(gathered: Gathered) -> Overview:
    """Of all sections together."""
    rows: dict[str, list[Standing]] = {}
    headlines = []
    for section in gathered.sections:
        for answers, standing in section.standings:
            rows.setdefault(answers.name, []).append(standing)
            control = THAN.get(standing.best, standing.best)
            headlines.append(Headline(_where(section, standing), answers.name, standing, control))
    best = sorted(rows, key=lambda name: -max(row.score.value for row in rows[name]))
    sentences = [(name, said) for name in best[:SENTENCES] if (said := conclusion(distinct(rows[name])))]
    return Overview(tuple(sentences), tuple(headlines), tuple(_first_matrices(gathered)), tuple(_confused(gathered)))


def _where(section: ReportSection, standing: Standing) -> str:
    """A section in a few words."""
    usual = section.first.split in USUAL
    return standing.label if usual else f"{standing.label}, {section.first.split}"


def _first_matrices(gathered: Gathered) -> Iterator[tuple[str, Matrix]]:
    """Of each benchmark the first that has a few rows: the types of its questions."""
    done = set()
    for section in sorted(gathered.sections, key=lambda section: -len(section.models)):
        if section.first.benchmark in done:
            continue
        first = next((matrix for matrix in matrices(section) if 1 < len(matrix.rows) <= MOST_TYPES), None)
        if first is not None:
            done.add(section.first.benchmark)
            yield section.first.benchmark, first


def matrices(section: ReportSection) -> list[Matrix]:
    """Every breakdown of a section: the benchmark's own axes in their order, what else there is after them."""
    names = tuple(answers.name for answers in section.models)
    tables = [answers.measured.breakdowns for answers in section.models]
    shown = []
    for key in _ordered(section.first.benchmark, list(dict.fromkeys(key for table in tables for key in table))):
        title, axis = _axis(section.first.benchmark, key)
        values = dict.fromkeys(value for table in tables for value in table.get(key, {}))
        rows = []
        for value in values:
            scores = tuple(table.get(key, {}).get(value) for table in tables)
            words = value if axis is None else axis.said(value)
            rows.append((words, max(score.n for score in scores if score is not None), scores))
        shown.append(Matrix(title, names, tuple(sorted(rows, key=lambda row: -row[1]))))
    return shown


def _ordered(benchmark: str, keys: Sequence[str]) -> list[str]:
    """Whole groups stand for the rows that they are made of: a breakdown over rows that has one over groups is left out."""
    known = benchmark_or_none(benchmark)
    axes = () if known is None else known.axes
    own = [axis.of_groups if axis.of_groups in keys else axis.name for axis in axes]
    doubled = {axis.name for axis in axes if axis.of_groups in keys}
    return [key for key in dict.fromkeys((*own, *keys)) if key in keys and key not in doubled]


def _axis(benchmark: str, key: str) -> tuple[str, Axis | None]:
    known = benchmark_or_none(benchmark)
    for axis in () if known is None else known.axes:
        if key in (axis.name, axis.of_groups):
            whole = ", вопрос целиком" if key == axis.of_groups else ""
            return f"{axis.title or axis.name}{whole}", axis
    return key, None


def in_words(benchmark: str, value: str) -> str:
    """A type of question in words, its code after them."""
    known = benchmark_or_none(benchmark)
    words = next((axis.names[value] for axis in (known.axes if known else ()) if value in axis.names), "")
    return f"{words} ({value})" if words else value


def _confused(gathered: Gathered) -> Iterator[tuple[str, tuple[Confusion, ...]]]:
    """What the best model of each section of short answers takes for what."""
    for section in gathered.sections:
        best = best_of(section.models)
        pairs = confusions(best, section)
        if pairs:
            yield f"{best.name}, {section.first.benchmark}, {section.first.rows}", tuple(pairs)


def best_of(models: Sequence[Answers]) -> Answers:
    """By the headline."""
    return max(models, key=lambda answers: answers.measured.headline[1].value)


def confusions(answers: Answers, section: ReportSection) -> list[Confusion]:
    """The most frequent pairs of a right answer and a wrong one that was read; none where letters are asked for."""
    if section.dataset is None or any(example.options for example in section.dataset.examples):
        return []
    pairs: Counter[tuple[str, str]] = Counter()
    for example in section.dataset.examples:
        verdict = answers.verdicts.get(example.id)
        if verdict is None or verdict.right or not verdict.parsed or len(verdict.parsed) > LONGEST:
            continue
        pairs[example.answer, verdict.parsed] += 1
    return [Confusion(gold, said, count) for (gold, said), count in pairs.most_common(CONFUSIONS) if count > 1]
