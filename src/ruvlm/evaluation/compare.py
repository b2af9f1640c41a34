"""Two or more stored evaluations side by side on the same rows: differences with intervals, exact tests, words.

McNemar's exact test on paired units (rows, or CircularEval groups) where they are right or wrong, else a cluster
bootstrap; a cluster-bootstrap interval of the difference, Holm's correction over the whole table (PROTOCOLS.md, Statistics).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from ruvlm.benchmarks.stats import difference, holm, paired_p
from ruvlm.errors import DataError
from ruvlm.evaluation.answers import answers_under, open_answers, refuse_other_rows
from ruvlm.evaluation.evaluated import NAMES, Evaluated, Identity, is_control, same_rows
from ruvlm.evaluation.folder import IDENTITY, evaluations_in
from ruvlm.schema import Status, Verdict

LEVEL = 0.05


@dataclass(frozen=True)
class Stored:
    """One evaluation as its folder holds it: what it is of, and by rule what each unit scores, 0 to 1.

    A unit is a row, for CircularEval a group of rows; `clusters` gives each unit's resampling cluster, `rows` the ids that
    it was judged on. `unanswered` are the units with a request that nobody answered.
    """

    folder: Path
    model: str
    identity: Identity | None
    scores: dict[str, dict[str, float]]
    clusters: dict[str, str]
    rows: frozenset[str]
    unanswered: frozenset[str]


@dataclass(frozen=True)
class Difference:
    """`b` minus `a` under one rule, in points, with its 95 % interval and p-values before and after Holm.

    `left_out` units are not compared: one of the two has no answer there, which is not a wrong answer.
    """

    a: str
    b: str
    rule: str
    n: int
    value_a: float
    value_b: float
    points: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    left_out: int = 0

    @property
    def words(self) -> str:
        """What may be said of it."""
        if self.p_holm >= LEVEL:
            return "неотличимы"
        better = self.b if self.points > 0 else self.a
        return f"различие значимо: лучше {better}"


def compare(paths: list[Path]) -> list[Difference]:
    """Every pair of evaluations, or files of answers, under every rule they share. A file's rows are known by their ids alone.

    Raises DataError if they are of different data, splits or protocols, or judged by different rules, saying which.
    """
    opened = [open_answers(path) for path in paths]
    for one in opened[1:]:
        refuse_other_rows(opened[0], one)
    stored = _distinct([read_stored(one) for one in opened])
    for other in stored[1:]:
        _comparable(stored[0], other)
    shared = [rule for rule in stored[0].scores if all(rule in one.scores for one in stored)]
    asked = [(a, b, rule) for a, b in combinations(stored, 2) for rule in shared]
    differences = [_difference(a, b, rule) for a, b, rule in asked]
    # rules that decide every row of a pair alike ask one question, and it is corrected for once
    questions = [(a.folder, b.folder, *map(_decided, (a, b), (rule, rule))) for a, b, rule in asked]
    p_values = {question: row.p for question, row in zip(questions, differences, strict=True)}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [replace(row, p_holm=corrected[question]) for row, question in zip(differences, questions, strict=True)]


def _decided(stored: Stored, rule: str) -> frozenset[tuple[str, float]]:
    """What each unit scores under a rule."""
    return frozenset(stored.scores[rule].items())


def paired_evaluations(sides: Sequence[Path | Sequence[Path]]) -> list[list[Path]]:
    """What is compared with what, in the order that it was given in: evaluations and files, or what lies in run folders, in groups on
    the same rows by one protocol.

    A side of several paths is one model's evaluations. Raises DataError where two sides have nothing that may stand side by side.
    """
    opened = [_of_path(side) if isinstance(side, Path) else [open_answers(path) for path in side] for side in sides]
    if all(len(several) == 1 for several in opened):
        return [[several[0].path for several in opened]]
    groups = []
    for group in same_rows([one for several in opened for one in several]):
        chosen = [[one.path for one in several if any(one is member for member in group)] for several in opened]
        if all(chosen):
            groups.append([path for paths in chosen for path in paths])
    if groups:
        return groups
    there = "; ".join(
        f"{', '.join(sorted({f'{one.measured.source} {one.measured.rows} {one.measured.protocol}' for one in several}))}"
        for several in opened
    )
    raise DataError(f"Сравнивать нечего: одних и тех же строк под одним протоколом в этих папках нет ({there}).")


def _of_path(path: Path) -> list[Evaluated]:
    """One evaluation or file, or all of a model that lie in a run's folder, its controls left out.

    Where there are only controls, the one that was asked first is the model.
    """
    if not path.is_dir() or (path / IDENTITY).exists() or not evaluations_in(path):
        return [open_answers(path)]
    several = answers_under(path)
    own = [one for one in several if not is_control(one.model)]
    if own:
        return own
    first = min(several, key=lambda one: (one.path / IDENTITY).stat().st_mtime_ns).model
    return [one for one in several if one.model == first]


def headline_difference(a: Evaluated, b: Evaluated, rule: str) -> Difference | None:
    """`b` minus `a` on the units that both answered, under one rule; None where the rule does not judge single units, or
    nothing was answered by both.
    """
    one, other = read_stored(a), read_stored(b)
    if rule not in one.scores or rule not in other.scores or one.rows != other.rows:
        return None
    answered = one.scores[rule].keys() - one.unanswered - other.unanswered
    return _difference(one, other, rule) if answered else None


def _distinct(stored: Sequence[Stored]) -> list[Stored]:
    """Names that tell the evaluations apart: with the folder's where two models are called alike."""
    names = [one.model for one in stored]
    return [replace(one, model=f"{one.model} ({one.folder})") if names.count(one.model) > 1 else one for one in stored]


def _difference(a: Stored, b: Stored, rule: str) -> Difference:
    units = [unit for unit in a.scores[rule] if unit not in a.unanswered | b.unanswered]
    if not units:
        raise DataError(
            f"Оценки {a.folder} и {b.folder} не сравнить: нет ни одной строки, на которую ответили обе; повторите ruvlm eval, она "
            "спросит только неотвеченные."
        )
    left, right = ([stored.scores[rule][unit] for unit in units] for stored in (a, b))
    # a file may not say which picture a row is about
    clusters = (b if a.identity is None else a).clusters
    names = [clusters[unit] for unit in units]
    points, low, high = difference(names, left, right)
    p = paired_p(names, left, right)
    return Difference(
        a=a.model,
        b=b.model,
        rule=rule,
        n=len(units),
        value_a=100 * sum(left) / len(units),
        value_b=100 * sum(right) / len(units),
        points=points,
        low=low,
        high=high,
        p=p,
        p_holm=p,
        left_out=len(a.scores[rule]) - len(units),
    )


def read_stored(place: Evaluated) -> Stored:
    """Raises DataError if it is no evaluation, unfinished, or its figures are not those of its verdicts."""
    measured, verdicts = place.measured, list(place.verdicts.values())
    if any(verdict.scores.keys() != verdicts[0].scores.keys() for verdict in verdicts):
        raise DataError(f"Оценка в {place.path} повреждена (в вердиктах разные правила): повторите ruvlm eval.")
    stored = _units(place, measured.model, verdicts)
    for rule, scores in stored.scores.items():
        full = sum(score == 1 for score in scores.values())
        if rule in measured.scores and measured.scores[rule].correct != full:
            raise DataError(
                f"Оценка в {place.path} повреждена: по правилу {rule} в баллах верных {measured.scores[rule].correct}, а в вердиктах "
                f"{full}: повторите ruvlm eval, ответы уже сохранены."
            )
    return stored


def _units(place: Evaluated, model: str, verdicts: Sequence[Verdict]) -> Stored:
    """Verdicts of rows, or of the groups of rows that CircularEval counts, if any question was asked in a second order."""
    choice = place.choice
    circular = choice and f"{verdicts[0].rule}/circular" in place.measured.scores
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    clusters: dict[str, str] = {}
    unanswered = set()
    for verdict in verdicts:
        unit = verdict.cluster if circular else verdict.id
        clusters[unit] = verdict.cluster
        if verdict.status is Status.ERROR:
            unanswered.add(unit)
        for rule, score in verdict.scores.items():
            name = f"{rule}/{'circular' if circular else 'vanilla'}" if choice else rule
            # of a group every row must be right
            scores[name][unit] = min(scores[name].get(unit, 1.0), score)
    return Stored(
        folder=place.path,
        model=model,
        identity=place.identity,
        scores=dict(scores),
        clusters=clusters,
        rows=frozenset(verdict.id for verdict in verdicts),
        unanswered=frozenset(unanswered),
    )


def _comparable(a: Stored, b: Stored) -> None:
    differ = []
    if a.identity is not None and b.identity is not None:
        kinds = ("data", "split", "protocol", "prompt")
        pairs = [(name, getattr(a.identity, name), getattr(b.identity, name)) for name in kinds]
        differ = [f"{NAMES[name]} ({own} и {other})" for name, own, other in pairs if own != other]
    # a judge may have been asked about one of the two
    unlike = {rule for rule in set(a.scores) ^ set(b.scores) if "judge" not in rule}
    if unlike:
        differ.append(f"правила ({', '.join(sorted(unlike))})")
    elif (
        a.scores.keys() and set(next(iter(a.scores.values()))) != set(next(iter(b.scores.values())))
    ) or a.rows != b.rows:
        differ.append("наборы строк")
    if differ:
        raise DataError(f"Оценки {a.folder} и {b.folder} не сравнить: различаются {'; '.join(differ)}.")
