"""Responses → verdicts → result: which rules apply to a protocol, and every figure and breakdown they give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from ruvlm.evaluation.circular import groups_of, letter_use
from ruvlm.evaluation.cleaning import cleaned, short_answer
from ruvlm.evaluation.gqa_metrics import NOT_COMPUTED, gqa_metrics
from ruvlm.evaluation.match import MATCHERS, match_all, normalised
from ruvlm.evaluation.parse import Reading, read_reference
from ruvlm.evaluation.parse_ru import read_russian, writes_cyrillic
from ruvlm.evaluation.parse_vlmevalkit import read_vlmevalkit
from ruvlm.evaluation.stats import score_columns
from ruvlm.schema import LETTERS, Absent, Dataset, Example, Response, Result, Score, Status, Verdict, Vocabulary

Reader = Callable[[str, Sequence[str | None], bool], Reading]
# the references know nothing of the answerer's alphabet
READERS: MappingProxyType[str, Reader] = MappingProxyType(
    {
        "mmbench-ru/lmms": lambda text, options, cyrillic: read_reference(text, options),
        "mmbench-ru/ru": read_russian,
        "mmbench-ru/vlmevalkit": lambda text, options, cyrillic: read_vlmevalkit(text, options),
    }
)
SPATIAL = ("to the left of", "to the right of", ",above", ",below", ",near")


def is_spatial(example: Example) -> bool:
    """Does the program relate things in space?"""
    return any(name in example.program for name in SPATIAL)


def judge(protocol: str, example: Example, response: Response, cyrillic: bool = False) -> Verdict:
    """One response under every rule of its protocol. `cyrillic`: the answerer writes letters а, б, в, г (`writes_cyrillic`)."""
    if response.error is not None:
        wrong = dict.fromkeys(rules_of(protocol), False)
        return Verdict(example.id, example.cluster, None, f"ошибка: {response.error}", wrong, Status.ERROR)
    if response.absent is not None:
        wrong = dict.fromkeys(rules_of(protocol), False)
        return Verdict(example.id, example.cluster, None, response.absent, wrong, Status.ABSENT)
    if protocol.startswith("gqa-ru"):
        correct = dict(zip(MATCHERS, match_all(response.text, example.answer), strict=True))
        said = cleaned(response.text)
        if said.unfinished:
            return Verdict(example.id, example.cluster, None, Absent.THOUGHT, correct, Status.ABSENT)
        return Verdict(example.id, example.cluster, normalised(short_answer(said.text)), None, correct)
    if protocol == "mmbench-ru/likelihood":
        return _judge_likelihood(example, response)
    read = {rule: reader(response.text, example.options, cyrillic) for rule, reader in READERS.items()}
    first = read[rules_of(protocol)[0]]
    correct = {rule: reading.letter == example.answer for rule, reading in read.items()}
    if read["mmbench-ru/ru"].reason == Absent.THOUGHT:
        return Verdict(example.id, example.cluster, first.letter, Absent.THOUGHT, correct, Status.ABSENT)
    return Verdict(example.id, example.cluster, first.letter, first.reason, correct)


def _judge_likelihood(example: Example, response: Response) -> Verdict:
    best = LETTERS[int(np.argmax(response.mean_logprobs))] if response.mean_logprobs else None
    by_sum = LETTERS[int(np.argmax(response.sum_logprobs))] if response.sum_logprobs else None
    correct = {"mmbench-ru/likelihood": best == example.answer, "mmbench-ru/likelihood-sum": by_sum == example.answer}
    return Verdict(example.id, example.cluster, best, None if best else "модель не умеет оценивать варианты", correct)


def judge_all(dataset: Dataset, protocol: str, responses: Sequence[Response]) -> list[Verdict]:
    """Verdicts on responses given in the order of the examples."""
    cyrillic = protocol in READERS and writes_cyrillic(response.text for response in responses)
    return [
        judge(protocol, example, response, cyrillic)
        for example, response in zip(dataset.examples, responses, strict=True)
    ]


def score(dataset: Dataset, protocol: str, verdicts: Sequence[Verdict]) -> Result:
    """Every figure of a benchmark."""
    if dataset.name == "gqa-ru":
        result = score_gqa(dataset.examples, verdicts, dataset.vocabulary)
    else:
        result = score_mmbench(protocol, dataset.examples, verdicts)
    return replace(result, absent=dict(Counter(v.reason or "" for v in verdicts if v.status is Status.ABSENT)))


def rules_of(protocol: str) -> tuple[str, ...]:
    """The rules a protocol is judged by, the headline first."""
    if protocol.startswith("gqa-ru"):
        return tuple(MATCHERS)
    if protocol == "mmbench-ru/likelihood":
        return ("mmbench-ru/likelihood", "mmbench-ru/likelihood-sum")
    return tuple(READERS)


@dataclass(frozen=True)
class Axis:
    """A way to break a figure down: the value of a row on it, None where it has none."""

    name: str
    value: Callable[[Example], str | None]


def _length(question: str) -> str:
    """How many words a question has, in threes."""
    start = 3 * min(5, (max(1, len(question.split())) - 1) // 3) + 1
    return f"{start}–{start + 2}" if start < 16 else "16 и больше"


GQA_AXES = (
    Axis("structural", lambda e: e.structural),
    Axis("semantic", lambda e: e.semantic),
    Axis("detailed", lambda e: e.detailed),
    Axis("spatial", lambda e: "пространственные" if is_spatial(e) else None),
    Axis("steps", lambda e: str(min(9, e.program.count("->") + 1)) if e.program else None),
    Axis("length", lambda e: _length(e.question)),
    Axis("answer", lambda e: "да/нет" if e.answer.strip().lower() in ("да", "нет") else "открытый"),
)
MMBENCH_AXES = (
    Axis("category", lambda e: e.category),
    Axis("l2-category", lambda e: e.l2),
    Axis("letter", lambda e: e.answer),
)


def score_gqa(examples: Sequence[Example], verdicts: Sequence[Verdict], vocabulary: Vocabulary | None = None) -> Result:
    """The rules side by side with image-clustered intervals, the reference rule by type, and GQA's own metrics."""
    clusters = [example.cluster for example in examples]
    rules = rules_of("gqa-ru")
    right = np.array([[verdict.correct[rule] for rule in rules] for verdict in verdicts])
    scores = dict(zip(rules, score_columns(clusters, right, np.ones_like(right)), strict=True))
    notes = (*disagreements(rules, right), NOT_COMPUTED)
    breakdowns = _breakdowns(GQA_AXES, examples, clusters, right[:, 0])
    metrics = gqa_metrics(examples, verdicts, right[:, 0], vocabulary)
    return Result(len(examples), scores, breakdowns, _unparsed(verdicts), _errors(verdicts), notes, metrics)


def disagreements(rules: Sequence[str], right_NK: np.ndarray) -> tuple[str, ...]:
    """On how many rows each rule and the next one differ, in words."""
    return tuple(
        f"{a} и {b} расходятся в {int((right_NK[:, i] != right_NK[:, i + 1]).sum())} строках"
        for i, (a, b) in enumerate(pairwise(rules))
    )


def score_mmbench(protocol: str, examples: Sequence[Example], verdicts: Sequence[Verdict]) -> Result:
    """Circular accuracy over all, based and complete groups, vanilla over rows and base rows, and breakdowns."""
    rule = rules_of(protocol)[0]
    right = [verdict.correct[rule] for verdict in verdicts]
    groups = groups_of(examples, right)
    circular = np.array([group.right for group in groups])
    counted = np.array([[True, group.based, group.complete] for group in groups])
    names = (f"{rule}/circular", f"{rule}/circular-reference", f"{rule}/circular-complete")
    group_scores = score_columns([g.base for g in groups], np.repeat(circular[:, None], 3, 1), counted)
    rows = np.array(right)
    base = np.array([example.rotation == 0 for example in examples])
    clusters = [example.cluster for example in examples]
    row_scores = score_columns(clusters, np.stack([rows, rows], 1), np.stack([np.ones_like(rows), base], 1))
    rotated = any(example.rotation for example in examples)  # else no question was asked in a second order
    named = [*zip(names, group_scores, strict=True)] if rotated else []
    named += zip((f"{rule}/vanilla", f"{rule}/vanilla-base"), row_scores, strict=True)
    scores = {name: found for name, found in named if found.n and (rotated or name != f"{rule}/vanilla-base")}
    rules = tuple(verdicts[0].correct)
    for extra in rules[1:] if rotated else ():
        extra_groups = groups_of(examples, [v.correct[extra] for v in verdicts])
        column = np.array([[g.right] for g in extra_groups])
        scores[f"{extra}/circular"] = score_columns([g.base for g in extra_groups], column, np.ones_like(column))[0]
    if not rotated:
        others = np.array([[verdict.correct[extra] for extra in rules[1:]] for verdict in verdicts])
        scored = score_columns(clusters, others, np.ones_like(others))
        scores |= {f"{extra}/vanilla": one for extra, one in zip(rules[1:], scored, strict=True)}
    breakdowns = _breakdowns(MMBENCH_AXES, examples, clusters, rows)
    for axis in ("category", "l2") if rotated else ():
        breakdowns |= {
            f"circular {axis}": _by_value([getattr(g, axis) for g in groups], [g.base for g in groups], circular)
        }
    used = letter_use(examples, [v.parsed for v in verdicts], right)
    notes = tuple(f"буква {u.letter}: выбрана {u.chosen}, верна {u.gold}, угадана {u.right}" for u in used)
    notes += disagreements(rules, np.array([[verdict.correct[rule] for rule in rules] for verdict in verdicts]))
    incomplete = tuple(group.base for group in groups if not group.complete) if rotated else ()
    if not rotated:
        notes += ("перестановок вариантов нет: каждый вопрос задан один раз, circular не посчитан",)
    if incomplete:
        notes += (f"неполных групп: {len(incomplete)}",)
    return Result(
        len(examples), scores, breakdowns, _unparsed(verdicts), _errors(verdicts), notes, letters=tuple(used),
        incomplete=incomplete,
    )  # fmt: skip


def _breakdowns(
    axes: Iterable[Axis], examples: Sequence[Example], clusters: Sequence[str], right_N: np.ndarray
) -> dict[str, dict[str, Score]]:
    found = {}
    for axis in axes:
        scores = _by_value([axis.value(example) for example in examples], clusters, right_N)
        if scores:
            found[axis.name] = scores
    return found


def _by_value(values: Sequence[str | None], clusters: Sequence[str], right_N: np.ndarray) -> dict[str, Score]:
    counts = Counter(value for value in values if value is not None)
    names = [value for value, _ in counts.most_common()]
    if not names:
        return {}
    column = np.array(values, dtype=object)
    counted = np.stack([column == name for name in names], axis=1)
    right = np.repeat(np.asarray(right_N)[:, None], len(names), axis=1)
    return dict(zip(names, score_columns(clusters, right, counted, resamples=2000), strict=True))


def _unparsed(verdicts: Sequence[Verdict]) -> int:
    return sum(v.parsed is None and v.status is not Status.ERROR for v in verdicts)


def _errors(verdicts: Sequence[Verdict]) -> int:
    return sum(v.status is Status.ERROR for v in verdicts)
