"""Why two scores differ: other rows, another rule, answers cut off, answers unread, the prompt, the settings, and the model.

The parts add up to the difference. Rows come first (what each side scores beyond the common ones), then the rule (the same
answers under another one), then every common row on which the answers fare unlike is put down to the first cause that it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ruvlm.benchmarks.catalog import protocols
from ruvlm.benchmarks.stats import difference
from ruvlm.errors import DataError
from ruvlm.evaluation.answers import open_answers, refuse_other_rows
from ruvlm.evaluation.evaluated import UNLOGGED, AskedHow, Evaluated
from ruvlm.numerals import decimal
from ruvlm.rules.cleaning import cleaned
from ruvlm.schema import Absent, Response, Status, Verdict
from ruvlm.tabular import Shown, Tabular

CAUSES = MappingProxyType(
    {
        "rows": "строки",
        "rule": "правило",
        "cut": "оборваны",
        "unread": "не прочитаны",
        "prompt": "просьба",
        "settings": "настройки",
        "model": "модель",
    }
)

EXAMPLES = 10
# a rule that moves the difference by so many points is spoken of
NOTABLE = 2.0
# enough for an interval that stands beside six causes
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class SideRow:
    """A row of one side: `own` is what that side's own rule gives, `scores` what each rule that we know gives, 0 to 1."""

    id: str
    own: float
    scores: dict[str, float]
    text: str
    cut: bool
    unread: bool
    parsed: str | None
    prompt: str
    cluster: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """An evaluation as it is explained: its rows by id, by what rule it counts, how it was asked where that is known.

    `circular`: its headline counts a question only where every order of its options is right. `lost` are the clusters
    with a request that nobody answered, `unanswered` how many those are; `wording` marks the words of its protocol.
    """

    name: str
    rule: str
    rows: dict[str, SideRow]
    how: AskedHow | None
    circular: bool = False
    lost: frozenset[str] = frozenset()
    unanswered: int = 0
    wording: str = ""

    def mean(self, ids: Sequence[str]) -> float:
        """Its own score of rows, in per cent."""
        return 100 * sum(self.rows[name].own for name in ids) / len(ids)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The difference in points by cause; the parts add up to it."""

    rows: float = 0.0
    rule: float = 0.0
    cut: float = 0.0
    unread: float = 0.0
    prompt: float = 0.0
    settings: float = 0.0
    model: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ExampleRow:
    """A row that shows a cause: what each side answered, and what it got for that by its own rule."""

    id: str
    a: str
    b: str
    score_a: float
    score_b: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Explanation(Shown):
    """`b` minus `a`: both scores in per cent, over how many common rows, the parts, the paired interval of what is the model's.

    `by_question`: the common ones are questions in all orders of their options, else rows. `common_rule` is what both sides' answers are compared under, empty where they share none.
    """

    a: str
    b: str
    value_a: float
    value_b: float
    n: int
    rule_a: str
    rule_b: str
    common_rule: str
    difference: float
    parts: Parts
    model_low: float | None
    model_high: float | None
    examples: dict[str, tuple[ExampleRow, ...]]
    notes: tuple[str, ...] = ()
    by_question: bool = False

    def tabular(self) -> Tabular:
        title = f"{self.b} {decimal(self.value_b, 2)} минус {self.a} {decimal(self.value_a, 2)}: {decimal(self.difference, 2, signed=True)}"
        rows = tuple((CAUSES[cause], decimal(points, 2, signed=True)) for cause, points in asdict(self.parts).items())
        return Tabular(title, ("причина", "пунктов"), rows, self.notes)


def explain(
    a: Path, b: Path, rule_a: str | None = None, rule_b: str | None = None, same_model: bool = False
) -> Explanation:
    """Explain why the second scores otherwise than the first. `same_model`: what differs is not the model.

    Raises DataError where nothing can be compared, or a rule is asked for that a side was not judged by.
    """
    one, other, common = _sides(a, b, rule_a, rule_b)
    same = same_model or one.name == other.name
    shared = _common_rule(one, other)
    points = {name: _causes(one, other, name, shared, same) for name in common}
    totals = {cause: 100 * sum(p.get(cause, 0.0) for p in points.values()) / len(common) for cause in asdict(Parts())}
    value_a, value_b = one.mean(list(one.rows)), other.mean(list(other.rows))
    totals["rows"] = (value_b - value_a) - (other.mean(common) - one.mean(common))
    # rows of other causes are alike for both: what is left to compare is the model
    of_model = [points[name].get("model", 0.0) for name in common]
    left = [max(0.0, -point) for point in of_model]
    right = [max(0.0, point) for point in of_model]
    clusters = [one.rows[name].cluster for name in common]
    _, low, high = difference(clusters, left, right, RESAMPLES)
    return Explanation(
        a=one.name,
        b=other.name,
        value_a=value_a,
        value_b=value_b,
        n=len(common),
        rule_a=one.rule,
        rule_b=other.rule,
        common_rule=shared,
        difference=value_b - value_a,
        parts=Parts(**totals),
        model_low=low if any(of_model) else None,
        model_high=high if any(of_model) else None,
        examples=_examples(one, other, points),
        notes=(*_other_rules(one, other, common, shared), *_notes(one, other, shared, same)),
        by_question=one.circular and other.circular,
    )


@dataclass(frozen=True, kw_only=True)
class ExplainedRow:
    """One common row as both sides have it, and its own part of the difference by cause: 1 is the whole row."""

    id: str
    a: SideRow
    b: SideRow
    causes: dict[str, float]


def explain_rows(
    a: Path,
    b: Path,
    ids: Sequence[str],
    rule_a: str | None = None,
    rule_b: str | None = None,
    same_model: bool = False,
) -> list[ExplainedRow]:
    """Rows one by one. Raises DataError as `explain` does, and for a row that the two do not share."""
    one, other, common = _sides(a, b, rule_a, rule_b, by_question=False)
    strange = [name for name in ids if name not in set(common)]
    if strange:
        raise DataError(f"--ids: у {a} и {b} нет общих строк {', '.join(strange[:3])}: проверьте номера.")
    same = same_model or one.name == other.name
    shared = _common_rule(one, other)
    rows = [(name, _causes(one, other, name, shared, same)) for name in ids]
    return [
        ExplainedRow(id=name, a=one.rows[name], b=other.rows[name], causes={k: v for k, v in causes.items() if v})
        for name, causes in rows
    ]


def _sides(
    a: Path, b: Path, rule_a: str | None, rule_b: str | None, by_question: bool = True
) -> tuple[Side, Side, list[str]]:
    """Both, and the rows that both have; with `by_question`, questions where both count by them."""
    first, second = open_answers(a), open_answers(b)
    refuse_other_rows(first, second)
    one, other = side_of(first, rule_a), side_of(second, rule_b)
    if by_question and one.circular and other.circular:
        one, other = _by_question(one), _by_question(other)
    common = [name for name in one.rows if name in other.rows]
    if not common:
        lost = " (строки с неудачными запросами не в счёт: повторите ruvlm eval)" if one.lost or other.lost else ""
        raise DataError(
            f"У {a} и {b} нет ни одной общей строки{lost}: строки сопоставлены по id, а без него по номеру; назовите столбец id в обоих "
            "файлах одинаково."
        )
    return one, other, common


def _by_question(side: Side) -> Side:
    """CircularEval: all rows of a question as one, which is worth what its worst row is."""
    questions: dict[str, list[SideRow]] = {}
    for row in side.rows.values():
        if row.cluster not in side.lost:
            questions.setdefault(row.cluster, []).append(row)
    return replace(side, rows={name: _as_one(rows) for name, rows in questions.items()})


def _as_one(rows: Sequence[SideRow]) -> SideRow:
    """The first wrong row speaks for all, the first of all where none is wrong."""
    wrong = [row for row in rows if row.own < 1] or [rows[0]]
    scores = {rule: min(row.scores[rule] for row in rows) for rule in rows[0].scores}
    return replace(wrong[0], own=min(row.own for row in rows), scores=scores)


def _causes(a: Side, b: Side, name: str, shared: str, same: bool) -> dict[str, float]:
    """A common row's part of the difference by cause, b minus a."""
    one, other = a.rows[name], b.rows[name]
    if not shared:
        return {_answers_cause(a, b, one, other, same): other.own - one.own}
    by_rule = (other.own - other.scores[shared]) - (one.own - one.scores[shared])
    # a tool that takes an unread answer for right has thrown dice for it
    dice = (one.unread and one.own > one.scores[shared]) or (other.unread and other.own > other.scores[shared])
    causes = {"unread" if dice else "rule": by_rule}
    cause = _answers_cause(a, b, one, other, same)
    causes[cause] = causes.get(cause, 0.0) + other.scores[shared] - one.scores[shared]
    return causes


def _answers_cause(a: Side, b: Side, one: SideRow, other: SideRow, same: bool) -> str:
    """To what it is put down that two answers fare unlike."""
    if one.cut != other.cut:
        return "cut"
    if one.unread != other.unread:
        return "unread"
    if not same:
        return "model"
    if one.prompt != other.prompt and one.prompt and other.prompt:
        return "prompt"
    if a.how is not None and b.how is not None:
        if _other_words(a, b):
            return "prompt"
        if a.how.settings != b.how.settings:
            return "settings"
    return "model"


def _other_words(a: Side, b: Side) -> bool:
    """Were they asked in other words, as far as is known? Samples of unlike sizes have unlike marks of all that was said."""
    if a.how is None or b.how is None or a.how.said == b.how.said:
        return False
    return not a.wording or a.wording != b.wording


def _common_rule(a: Side, b: Side) -> str:
    """The first side's own rule where both are judged by it, else any that both are."""
    first, second = (next(iter(side.rows.values())).scores for side in (a, b))
    return next((rule for rule in (a.rule, b.rule, *first) if rule in first and rule in second), "")


def _examples(a: Side, b: Side, points: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[ExampleRow, ...]]:
    chosen: dict[str, list[ExampleRow]] = {}
    for name, causes in points.items():
        for cause, point in causes.items():
            if point and len(chosen.setdefault(cause, [])) < EXAMPLES:
                one, other = a.rows[name], b.rows[name]
                shown = other.id if other.own < 1 else one.id
                chosen[cause].append(ExampleRow(id=shown, a=one.text, b=other.text, score_a=one.own, score_b=other.own))
    for cause, side, missing in (("only a", a, b), ("only b", b, a)):
        names = [name for name in side.rows if name not in missing.rows][:EXAMPLES]
        rows = [(name, side.rows[name]) for name in names]
        if rows:
            chosen[cause] = [
                ExampleRow(
                    id=name,
                    a=row.text if side is a else "",
                    b=row.text if side is b else "",
                    score_a=row.own if side is a else 0.0,
                    score_b=row.own if side is b else 0.0,
                )
                for name, row in rows
            ]
    return {cause: tuple(rows) for cause, rows in chosen.items()}


def _other_rules(a: Side, b: Side, common: Sequence[str], shared: str) -> Iterator[str]:
    """The rules by which the difference would be another one: what looks like the models may be the spelling."""
    first = next(iter(a.rows.values())).scores
    both = [rule for rule in first if rule != shared and all(rule in side.rows[common[0]].scores for side in (a, b))]
    plain = _points(a, b, common, shared) if shared else 0.0
    for rule in both:
        other = _points(a, b, common, rule)
        if abs(other - plain) >= NOTABLE:
            yield f"по правилу {rule} те же ответы различаются на {decimal(other, 2, signed=True)}, а не {decimal(plain, 2, signed=True)}"


def _points(a: Side, b: Side, common: Sequence[str], rule: str) -> float:
    return 100 * sum(b.rows[name].scores[rule] - a.rows[name].scores[rule] for name in common) / len(common)


def _notes(a: Side, b: Side, shared: str, same: bool) -> tuple[str, ...]:
    notes = []
    if not shared:
        notes.append("общего правила у сторон нет: различие правил от различия ответов не отделить")
    if not same and _other_words(a, b):
        notes.append("спрошены разными словами, а модели разные: просьбу от модели не отделить")
    for place, side in (("первого", a), ("второго", b)):
        if side.unanswered:
            notes.append(f"без ответа у {place} {side.unanswered} строк: в баллах здесь их нет, повторите ruvlm eval")
    if a.how is None or b.how is None:
        notes.append("как спрашивали, записано не у обеих: просьба и настройки видны, только где они в самих строках")
    return tuple(notes)


# --- a side, whoever wrote it


def side_of(opened: Evaluated, rule: str | None = None) -> Side:
    """An evaluation, a file of answers or a tool's log, row by row. Raises DataError."""
    path = opened.path
    verdicts, responses = opened.verdicts, opened.responses
    named = {name: _plain_rule(opened, name) for name in next(iter(verdicts.values())).scores}
    chosen = rule or named[next(iter(named))]
    if chosen not in named.values():
        raise DataError(f"{path}: правила «{chosen}» среди его баллов нет, есть {', '.join(named.values())}.")
    logged = opened.logged
    how = opened.how
    limit = how.limit if how is not None else 0
    rows = {}
    for name, verdict in verdicts.items():
        if verdict.status is Status.ERROR:
            continue
        scores = {named[label]: score for label, score in verdict.scores.items()}
        tool = logged.get(name, UNLOGGED)
        own = None if rule is not None else tool.score
        response = responses.get(name, Response(""))
        rows[name] = SideRow(
            id=name,
            own=scores[chosen] if own is None else own,
            scores=scores,
            text=response.text,
            cut=_is_cut(response, verdict, limit),
            unread=verdict.parsed is None,
            parsed=verdict.parsed,
            prompt=tool.prompt,
            cluster=verdict.cluster,
        )
    if not rows:
        raise DataError(f"{path}: ни одного ответа, который можно сравнить.")
    owned = rule is None and any(tool.score is not None for tool in logged.values())
    circular = opened.choice and opened.measured.headline[0].endswith("/circular")
    return Side(
        name=opened.model,
        rule="свой балл журнала" if owned else chosen,
        rows=rows,
        how=how,
        circular=circular,
        lost=frozenset(verdict.cluster for verdict in verdicts.values() if verdict.status is Status.ERROR),
        unanswered=sum(verdict.status is Status.ERROR for verdict in verdicts.values()),
        wording="" if opened.identity is None else opened.identity.prompt,
    )


def _plain_rule(opened: Evaluated, label: str) -> str:
    """A rule's own name from what figures by it are called: «gqa-ru/lmms» is «exact»."""
    named = {name: rule for protocol in protocols().values() for name, rule in protocol.rules.items()}
    return named.get(label, label.rsplit("/", 1)[-1])


def _is_cut(response: Response, verdict: Verdict, limit: int) -> bool:
    """Did the answer end before it was over: at a limit, or inside a thought?"""
    if verdict.reason == Absent.THOUGHT or response.absent in (Absent.THOUGHT, Absent.CUT):
        return True
    ended = response.finish == "length" or (not response.finish and 0 < limit <= response.tokens)
    return ended or cleaned(response.text).unfinished
