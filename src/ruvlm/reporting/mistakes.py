"""The rows of the mistakes browser: every question with what each model said, and the pictures of those shown first."""

from __future__ import annotations

import base64
import io
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.data.images import load_image
from ruvlm.errors import DataError
from ruvlm.evaluation.blind import BlindRow, blind_units
from ruvlm.reporting.gathered import Answers, ReportSection
from ruvlm.reporting.overview import best_of, in_words
from ruvlm.reporting.shown import BLINDNESS, types_of
from ruvlm.schema import Dataset, Example, Verdict

SIDE, QUALITY = 320, 72
# a model may say anything, at any length
LONGEST = 600


@dataclass(frozen=True)
class Browser:
    """Rows as the page's script reads them (see report.js), pictures by image id as JPEG in base64; `best` is the number of the
    model that is looked at first.
    """

    rows: list[list[Any]]
    types: list[str]
    rules: list[str]
    models: list[str]
    pictures: dict[str, str]
    total: int
    best: int


def browser(section: ReportSection, pictures: int, seed: int = 0) -> Browser | None:
    """All rows of a section, with up to `pictures` pictures; None where the rows were not found."""
    if section.dataset is None:
        return None
    verdict, *_ = section.models[0].verdicts.values()
    rules = list(verdict.scores)
    types = sorted({name for example in section.dataset.examples for name in types_of(example)})
    numbers = {name: n for n, name in enumerate(types)}
    known = _without_picture(section.models)
    blind = blind_units(section.dataset, [answers.blind.rows for answers in section.blind if answers.blind is not None])
    unit = benchmark_named(section.dataset.name).unit
    rotated = benchmark_named(section.dataset.name).grouped
    rows = [
        [
            *_row(example, section.models, rules, numbers, known.get(example.id)),
            int(unit(example) in blind),
            unit(example) if rotated else "",
        ]
        for example in section.dataset.examples
    ]
    best = section.models.index(best_of(section.models))
    shown = _shown(section.dataset, section.models, best, rules[0], pictures, seed)
    return Browser(
        rows,
        [in_words(section.dataset.name, name) for name in types],
        rules,
        [answers.name for answers in section.models],
        {name: picture for name in shown if (picture := _picture(shown[name])) is not None},
        len({example.image_id for example in section.dataset.examples if example.images}),
        best,
    )


def _without_picture(models: Sequence[Answers]) -> dict[str, BlindRow]:
    """What is known of each row without its picture: who answers it, whichever model's control that is."""
    known: dict[str, BlindRow] = {}
    for row in (row for model in models if model.blind is not None for row in model.blind.rows):
        names = known[row.id].answered_by if row.id in known else ()
        known[row.id] = replace(row, answered_by=tuple(dict.fromkeys((*names, *row.answered_by))))
    return known


def _row(
    example: Example, models: Sequence[Answers], rules: Sequence[str], types: dict[str, int], blind: BlindRow | None
) -> list[Any]:
    """[id, image, question, hint, options, gold, types, answers, bias, blind] (what stands after them is added above); an answer is [said, read, why, right under each
    rule], `bias` a share or null, `blind` what answers it without its picture.
    """
    answers = []
    for model in models:
        verdict = model.verdicts.get(example.id)
        response = model.said.get(example.id)
        if verdict is None:
            answers.append(["", None, "ответа нет", 0])
            continue
        said = response.text if response is not None else ""
        if len(said) > LONGEST:
            said = f"{said[:LONGEST]}… (всего знаков: {len(said)})"
        bits = sum(verdict.full(rule) << n for n, rule in enumerate(rules))
        answers.append([said, _cut(verdict), verdict.reason, bits])
    return [
        example.id,
        example.image_id if example.images else "",
        example.question,
        example.hint,
        list(example.options),
        example.answer if len(example.answers) < 2 else " | ".join(example.answers),
        [types[name] for name in dict.fromkeys(types_of(example))],
        answers,
        None if blind is None else blind.bias,
        [] if blind is None else [BLINDNESS.get(name, name) for name in blind.answered_by],
    ]


def _cut(verdict: Verdict) -> str | None:
    return verdict.parsed[:LONGEST] if verdict.parsed is not None else None


def _shown(
    dataset: Dataset, models: Sequence[Answers], best: int, rule: str, count: int, seed: int
) -> dict[str, Example]:
    """Pictures to embed: first those of the best model's mistakes, which are what one reads, then those where models differ, then
    other mistakes, then the rest; by lot within each.
    """
    weights: dict[str, int] = defaultdict(int)
    firsts: dict[str, Example] = {}
    for example in dataset.examples:
        firsts.setdefault(example.image_id, example)
        verdicts = [model.verdicts.get(example.id) for model in models]
        right = [verdict is not None and verdict.full(rule) for verdict in verdicts]
        weight = 3 if not right[best] else 2 if len(set(right)) > 1 else 0
        weights[example.image_id] = max(weights[example.image_id], weight)
    names = list(firsts)
    random.Random(f"ruvlm report {seed}").shuffle(names)
    names.sort(key=lambda name: -weights[name])
    return {name: firsts[name] for name in names[:count]}


def _picture(example: Example) -> str | None:
    if not example.images:
        return None
    try:
        image = load_image(example.image)
    except DataError:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
