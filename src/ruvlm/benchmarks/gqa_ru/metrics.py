"""GQA's own metrics, as far as testdev lets them exist (Hudson and Manning 2019, and the official eval.py).

Consistency sees only the entailed questions that are in the evaluated set, validity needs the answers of a training split;
plausibility needs a file of choices that testdev does not have, grounding a model's attention: these two are not computed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ruvlm.rules.match import normalised
from ruvlm.schema import Dataset, Example, Metric, Verdict, Vocabulary

NOT_COMPUTED = "не посчитано: plausibility (на testdev нет файла вариантов), grounding (нужны карты внимания)"


def gqa_metrics(dataset: Dataset, verdicts: Sequence[Verdict]) -> dict[str, Metric]:
    """Every metric that can be computed, by the headline rule."""
    right_N = np.array([verdict.right for verdict in verdicts])
    metrics = {
        "consistency": consistency(dataset.examples, right_N),
        "validity": validity(dataset.examples, verdicts, dataset.vocabulary),
        "distribution": distribution(dataset.examples, verdicts),
    }
    return {name: metric for name, metric in metrics.items() if metric is not None}


def consistency(examples: Sequence[Example], right_N: np.ndarray) -> Metric | None:
    """Of the questions that follow from a question answered right, what share is answered right, averaged over the latter.

    In per cent; None where no question that was answered right has another one of the set following from it.
    """
    right = {example.id: bool(hit) for example, hit in zip(examples, right_N, strict=True)}
    shares, links, inside = [], 0, 0
    for example in examples:
        others = [name for name in example.entailed if name != example.id]
        known = [name for name in others if name in right]
        links += len(others)
        inside += len(known)
        if right[example.id] and known:
            shares.append(sum(right[name] for name in known) / len(known))
    if not shares:
        return None
    return Metric(100 * sum(shares) / len(shares), len(shares), f"в наборе {inside} из {links} следствий")


def validity(examples: Sequence[Example], verdicts: Sequence[Verdict], vocabulary: Vocabulary | None) -> Metric | None:
    """Per cent of answers that some training question of the same detailed type has; None without training answers."""
    if vocabulary is None:
        return None
    known = {kind: {normalised(answer) for answer in answers} for kind, answers in vocabulary.items()}
    asked = [(known[e.detailed], v.parsed) for e, v in zip(examples, verdicts, strict=True) if e.detailed in known]
    if not asked:
        return None
    valid = sum(answer in answers for answers, answer in asked)
    return Metric(100 * valid / len(asked), len(asked), f"типов с ответами из train: {len(known)}")


def distribution(examples: Sequence[Example], verdicts: Sequence[Verdict]) -> Metric | None:
    """Chi-square between gold and given answers inside each global group, weighted by its size. Lower is better."""
    gold: dict[str, Counter[str]] = defaultdict(Counter)
    given: dict[str, Counter[str]] = defaultdict(Counter)
    for example, verdict in zip(examples, verdicts, strict=True):
        if example.group:
            gold[example.group][normalised(example.answer)] += 1
            given[example.group][verdict.parsed or ""] += 1
    total = sum(counts.total() for counts in gold.values())
    if not total:
        return None
    weighted = 0.0
    for group, counts in gold.items():
        score = sum((given[group][answer] - count) ** 2 / count for answer, count in counts.items())
        weighted += score * counts.total()
    return Metric(weighted / total, total, f"групп: {len(gold)}; меньше – лучше")
