"""A benchmark's card: TOML without code that says where its rows are, what they hold, how it is asked and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.base import Submission


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which rows are kept: those whose column is one of `values`, or is there, or is not."""

    column: str
    values: tuple[Any, ...] | None
    present: bool | None


@dataclass(frozen=True, kw_only=True)
class Join:
    """Columns of another table: `take` of the row whose `there` is this row's `here`."""

    here: str
    there: tuple[str, ...]
    take: tuple[str, ...]
    rename: str
    splits: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]
    path: str
    repo: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class CardSource:
    """Where the rows are: a data set of the hub or a place beside the card, and how its files are read."""

    repo: str
    path: str
    revision: str
    splits: Mapping[str, tuple[str, ...]]
    split: str
    format: str
    rows: str
    key_as: str
    delimiter: str
    encoding: str
    images: str
    images_root: str
    where: tuple[Where, ...]
    joins: tuple[Join, ...]
    explode: str
    explode_decode: str


@dataclass(frozen=True, kw_only=True)
class CardColumns:
    """Which columns hold what. `options` are paths of each, one path of a list, the same texts for all, or a text's lines."""

    id: str
    images: tuple[str, ...]
    image_id: str
    image_optional: bool
    question: str
    hint: str
    options: tuple[str, ...]
    options_list: str
    options_lines: tuple[str, str]
    options_fixed: tuple[str, ...]
    options_keep: bool

    @property
    def choice(self) -> bool:
        return bool(self.options or self.options_list or self.options_fixed or self.options_lines[0])


@dataclass(frozen=True, kw_only=True)
class CardAnswer:
    """Where the gold answer is, what it is, and which values mean that it is not published.

    `letters` is the alphabet of golds that are letters: «A», or «а», in which В is the third.
    """

    column: str
    form: str
    letters: str
    decode: str
    hidden: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class CardRotation:
    """Whether rows are rotations of one another's options: `rows` of the table, or `roll`, made by us; else `none`."""

    kind: str
    index: str
    step: int


@dataclass(frozen=True, kw_only=True)
class CardStatistics:
    """What is resampled together, over what axis figures are averaged, and whose rows count only together."""

    cluster: str
    macro: str
    group: str


@dataclass(frozen=True, kw_only=True)
class CardProtocol:
    """A way of asking: a template or the row's own, the picture's place, the limits, the rules with the headline first.

    `mark` is a hash of all of it.
    """

    name: str
    mark: str
    choice: bool
    prompt: str
    prompt_column: str
    fill: str
    system: str
    option_line: str
    option_join: str
    labels: str
    image_tag: str
    image_place: str
    image_size: int
    max_new_tokens: int
    stop: tuple[str, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CardFigure:
    """A published figure, in per cent."""

    model: str
    score: float
    rule: str
    source: str
    split: str
    protocol: str
    unit: str
    note: str
    n: int


@dataclass(frozen=True, kw_only=True)
class BenchmarkCard:
    """A whole card; `folder` is where its paths begin.

    `mark` is a hash of all that can change a figure, `rows_mark` of that without the ways of asking.
    """

    path: Path
    name: str
    title: str
    language: str
    licence: str
    licence_note: str
    cite: str
    home: str
    notes: tuple[str, ...]
    hidden_answers: bool
    source: CardSource
    columns: CardColumns
    answer: CardAnswer
    rotation: CardRotation
    axes: Mapping[str, str]
    statistics: CardStatistics
    protocols: tuple[CardProtocol, ...]
    published: tuple[CardFigure, ...]
    submission: Submission | None
    mark: str
    rows_mark: str

    @property
    def folder(self) -> Path:
        return self.path.parent
