"""GQA's own metrics by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ruvlm.benchmarks.gqa_ru.metrics import consistency, distribution, validity
from ruvlm.benchmarks.gqa_ru.rows import answer_vocabulary
from ruvlm.schema import Example, Verdict
from tests.support.rows import example


def row(
    name: str, answer: str = "да", entailed: tuple[str, ...] = (), group: str | None = None, kind: str = "color"
) -> Example:
    return example("q", answer, id=name, detailed=kind, group=group, entailed=entailed)


def said(name: str, text: str) -> Verdict:
    return Verdict(id=name, cluster="i", parsed=text, reason=None, scores={})


def test_consistency_counts_what_follows_inside_the_set() -> None:
    rows = [
        row("a", entailed=("a", "b", "c", "outside")),
        row("b", entailed=("c",)),
        row("c"),
        row("d", entailed=("x",)),
    ]
    found = consistency(rows, np.array([True, True, False, True]))
    # a: b right, c wrong → 1/2; b: c wrong → 0; d has nothing inside the set
    assert found is not None
    assert (found.value, found.n) == (25.0, 2)
    assert found.note == "в наборе 3 из 5 следствий"
    assert consistency(rows, np.array([False, False, True, True])) is None


def test_distribution_is_the_official_chi_square() -> None:
    rows = [row(str(n), answer, group="colour") for n, answer in enumerate(["red", "red", "blue", "red"])]
    rows += [row("m", "wood", group="material"), row("z", "x")]
    verdicts = [said(e.id, text) for e, text in zip(rows, ["red", "blue", "blue", "green", "wood", "x"], strict=True)]
    # colour: red (1 − 3)²/3, blue (2 − 1)²/1 → 7/3 over 4 rows; material: 0 over 1 row
    found = distribution(rows, verdicts)
    assert found is not None
    assert found.value == pytest.approx(7 / 3 * 4 / 5)
    assert found.n == 5
    assert distribution([row("a")], [said("a", "да")]) is None


def test_validity_asks_the_training_answers_of_the_type() -> None:
    known = {"color": frozenset({"Красный", "синий"}), "material": frozenset({"дерево"})}
    rows = [row("a"), row("b"), row("c", kind="material"), row("d", kind="unseen")]
    verdicts = [said("a", "красный"), said("b", "дерево"), said("c", "дерево"), said("d", "да")]
    found = validity(rows, verdicts, known)
    assert found is not None
    assert (round(found.value, 2), found.n) == (66.67, 3)
    assert validity(rows, verdicts, None) is None


def test_a_world_has_a_vocabulary(world: Path) -> None:
    known = answer_vocabulary(world / "gqa-ru")
    assert known is not None
    assert any("красный" in answers for answers in known.values())
    assert answer_vocabulary(world / "mmbench-ru") is None
