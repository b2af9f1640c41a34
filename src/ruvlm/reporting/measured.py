"""Evaluations as they lie on the disk: summary.json → figures, for cards, reports and leaderboards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError
from ruvlm.evaluation.stored import json_object, letter_use_of, number_of, score_of, text_object
from ruvlm.schema import LetterUse, Score

CONTROLS = ("random", "majority", "question-only")


@dataclass(frozen=True)
class Measured:
    """One evaluation: who was asked what, and every figure. `sample` is of how many rows a sample was drawn, None for all.

    `world` says that the rows are drawn, not published ones.
    """

    folder: Path
    model: str
    parameters: int | None
    source: str
    benchmark: str
    split: str
    protocol: str
    n: int
    scores: dict[str, Score]
    breakdowns: dict[str, dict[str, Score]]
    unparsed: int
    errors: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    letters: tuple[LetterUse, ...]
    fingerprints: dict[str, str]
    sample: int | None

    @property
    def rows(self) -> str:
        """The split in words, with the sample if it is one."""
        return self.split if self.sample is None else f"{self.split}, выборка {self.sample}"

    @property
    def world(self) -> bool:
        return self.source.startswith("world")

    @property
    def control(self) -> bool:
        return self.model in CONTROLS or self.model.startswith(("blind:", "shuffled:"))


def read_measured(folder: Path) -> Measured:
    """An evaluation folder's figures. Raises DataError if its summary is missing or damaged."""
    path = folder / "summary.json"
    try:
        found = json_object(path)
        return Measured(
            folder, str(found["model"]), None if found["parameters"] is None else int(number_of(found["parameters"])), str(found["source"]), str(found["benchmark"]), str(found["split"]),
            str(found["protocol"]), int(found["n"]), _scores(found["scores"]),
            {axis: _scores(values) for axis, values in found["breakdowns"].items()}, int(found["unparsed"]),
            int(found["errors"]), tuple(map(str, found["notes"])), tuple(map(str, found.get("warnings", ()))), tuple(map(letter_use_of, found["letters"])), {str(k): str(v) for k, v in found["fingerprints"].items()}, _sample(folder),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise DataError(
            f"В {folder} нет законченной оценки (summary.json): закончите её командой ruvlm eval."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} повреждён ({error}): повторите ruvlm score {folder}.") from error


def measured_under(folder: Path) -> list[Measured]:
    """Every evaluation in a folder, however deep, by path. Raises DataError for a damaged one."""
    return [read_measured(path.parent) for path in sorted(folder.rglob("summary.json"))]


def beside(own: Measured, others: Iterable[Measured]) -> list[Measured]:
    """The controls that were asked the same rows under the same protocol."""
    return [
        other for other in others
        if other.control and other.protocol == own.protocol and other.fingerprints["data"] == own.fingerprints["data"]
        and other.split == own.split
    ]  # fmt: skip


def _sample(folder: Path) -> int | None:
    identity = text_object(folder / "identity.json")
    return int(identity["sample"]) if "sample" in identity else None


def _scores(values: dict[str, dict[str, Any]]) -> dict[str, Score]:
    return {name: score_of(score) for name, score in values.items()}
