"""What a benchmark is: where its rows are, how they are asked, by which rules they are judged, how figures break down."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

import numpy as np

from ruvlm.benchmarks.stats import score_columns
from ruvlm.data.hub_sets import HubSet
from ruvlm.numerals import with_count
from ruvlm.schema import Dataset, Example, Generation, Metric, Prompt, Response, Result, Score, Status, Verdict, Wording


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A way to break a figure down: the value of a row on it, None where it has none, several of a row that has them.

    `of_groups` is what the same breakdown over whole rotation groups is called, empty where there is none. `title` is the axis in
    words, `names` are its values in words where they are codes.
    """

    name: str
    value: Callable[[Example], str | tuple[str, ...] | None]
    of_groups: str = ""
    title: str = ""
    names: Mapping[str, str] = field(default_factory=dict)

    def said(self, value: str) -> str:
        """A value in words."""
        return self.names.get(value, value)

    def values(self, example: Example) -> tuple[str, ...]:
        """All that a row has."""
        value = self.value(example)
        return () if value is None else (value,) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure in per cent that others have published, quoted with its source and never measured by us.

    `rule` by which it was counted, under what `protocol`, on what `split`, over what `unit` («row», «group»), as far as that is said; `note` is what else
    keeps it from being compared.
    """

    model: str
    value: float
    source: str
    rule: str = ""
    split: str = ""
    unit: str = ""
    note: str = ""
    n: int = 0
    protocol: str = ""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The file of answers that a benchmark's organisers take: its form and name, two columns, and what an answer is in it.

    `format`: «mera-json», «json», «csv», «jsonl»; `value`: «text», «letter», «index0», «index1».
    """

    format: str
    file: str
    columns: tuple[str, ...]
    value: str


@dataclass(frozen=True, kw_only=True)
class Protocol(ABC):
    """A named way of asking and judging.

    `rules` are what its figures are called, each with the name of the rule that decides it; the first is the headline.
    `choice`: one of a row's options is chosen; `asks_letter`: by writing its letter; `likelihood`: by the probability of
    its text. `usual` protocols are followed where none is asked for. `options_line` opens the list of options. `system`: it has a
    system message; `image_size` is the side of a square that pictures are shrunk to, 0 for none; `mark` stands for what the rows
    themselves say; a `template` with {question} and {options} is said instead of the rest; `fixed`: no
    other words may stand for its own, since each row has some or its rule reads only what they ask for.
    """

    name: str
    benchmark: str
    generation: Generation
    rules: Mapping[str, str]
    instruction: str = ""
    options_line: str = ""
    usual: bool = True
    choice: bool = False
    asks_letter: bool = False
    likelihood: bool = False
    system: bool = False
    image_size: int = 0
    mark: str = ""
    template: str = ""
    fixed: bool = False

    @property
    def headline(self) -> str:
        return next(iter(self.rules))

    @property
    def wording(self) -> str:
        """A short hash of all that it says to the model, and of how the answer is generated.

        It is stored with every evaluation: the fields and their order are those of the first evaluations.
        """
        said = (
            f"Protocol(name={self.name!r}, benchmark={self.benchmark!r}, generation={self.generation!r}, "
            f"options_line={self.options_line!r}, instruction={self.instruction!r}, likelihood={self.likelihood!r})"
            f"{self.mark}{self.template}"
        )
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def limited(self, max_new_tokens: int | None) -> Protocol:
        """With another limit on the answer's length, which makes it another way of asking."""
        if max_new_tokens is None or self.likelihood:
            return self
        return replace(self, generation=replace(self.generation, max_new_tokens=max_new_tokens))

    def text(self, question: str, options: tuple[str, ...] = (), hint: str | None = None) -> str:
        """What it says to the model."""
        asked = f"{hint} {question}" if hint else question
        if not self.template:
            return self.said(asked, options)
        listed = self.listed(options)
        # not one after the other: a question may hold the name of a field
        before, _, after = self.template.partition("{question}")
        return before.replace("{options}", listed) + asked + after.replace("{options}", listed)

    @abstractmethod
    def said(self, asked: str, options: tuple[str, ...]) -> str:
        """Its own words for what is asked, its hint before it."""

    def listed(self, options: tuple[str, ...]) -> str:
        """The options as it lists them; nothing where it does not."""
        return ""

    def prompt(self, example: Example) -> Prompt:
        """The prompt of one example."""
        said = example.wordings.get(self.name) or Wording(self.text(example.question, example.options, example.hint))
        return Prompt(
            protocol=self.name,
            text=said.text,
            parts=said.parts,
            system=said.system,
            image_size=self.image_size,
            images=example.images,
            generation=self.generation,
            candidates=example.options if self.likelihood else (),
            replies=self.replies(example),
        )

    def replies(self, example: Example) -> tuple[str, ...]:
        """What an answer by each of a row's options would be; none where it has no options."""
        return example.options

    def judge(self, example: Example, response: Response, cyrillic: bool = False) -> Verdict:
        """One response under every rule. `cyrillic`: the answerer writes letters а, б, в, г (`rules.parse_ru`)."""
        if response.error is not None:
            return self._none(example, f"ошибка: {response.error}", Status.ERROR)
        if response.absent is not None:
            return self._none(example, response.absent, Status.ABSENT)
        return self._judged(example, response, cyrillic)

    def _none(self, example: Example, reason: str, status: Status) -> Verdict:
        return Verdict(
            id=example.id,
            cluster=example.cluster,
            parsed=None,
            reason=reason,
            scores=dict.fromkeys(self.rules, 0.0),
            status=status,
        )

    @abstractmethod
    def _judged(self, example: Example, response: Response, cyrillic: bool) -> Verdict:
        """Of an answer that is there."""

    def judge_all(self, examples: Sequence[Example], responses: Sequence[Response]) -> list[Verdict]:
        """Verdicts on responses given in the order of the examples."""
        return [self.judge(example, response) for example, response in zip(examples, responses, strict=True)]

    @abstractmethod
    def score(self, axes: Sequence[Axis], examples: Sequence[Example], verdicts: Sequence[Verdict]) -> Result:
        """Every figure that the rules give, and their breakdowns; of one row or more."""


class Rows(ABC):
    """The rows of a benchmark on a disk, in the layout that it is published in.

    `layout` says in words by what a folder of them is known.
    """

    layout: str

    @abstractmethod
    def holds(self, folder: Path) -> bool:
        """Is a folder one of them?"""

    @abstractmethod
    def load(self, place: Place, split: str, grounding: bool, bare: bool) -> Dataset:
        """One split; with `bare`, questions and answers alone, with `grounding`, boxes where there are any. Raises DataError."""

    @abstractmethod
    def files(self, folder: Path, split: str) -> set[Path]:
        """The files that a split's rows and pictures are in. Raises DataError."""

    @abstractmethod
    def copy(self, folder: Path, split: str, examples: Sequence[Example], out: Path) -> None:
        """Write the rows of `examples` and their pictures into the folder `out`, in the same layout. Raises DataError."""

    def graphs(self, folder: Path) -> Path | None:
        """Where scene graphs of its pictures may be; None for a layout without any."""
        return None

    def stream(self, place: Place, split: str) -> Iterator[Example]:
        """The examples of a split one by one. Raises DataError."""
        yield from self.load(place, split, False, False).examples


@dataclass(frozen=True, kw_only=True)
class Place:
    """A benchmark's folder, what figures on it are called, and where scene graphs for its pictures are, if anywhere."""

    folder: Path
    label: str
    graphs: Path | None


Metrics = Callable[[Dataset, Sequence[Verdict]], dict[str, Metric]]
Averages = Callable[[Dataset, Sequence[Verdict]], dict[str, Score]]


@final
@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark: everything that the rest of the house knows of it.

    Args:
        name: what it is called on the command line, in files and folders.
        title: what its repository is called.
        rows: its rows on a disk.
        protocols: the ways it is asked; the first is the headline.
        axes: how its figures break down.
        splits: a user's name of a split → its own, where they differ.
        language: whose rules its answers are read by.
        usual_split: the one that is asked where none is named; none for its «test».
        hub: where it is published.
        metrics: figures beside its rules', computed from a whole data set.
        averages: scores that come before those of its rules, as its official table takes them.
        notes: what every result says.
        published: figures of others.
        submission: the file that its organisers take, where its answers are hidden.
        auditor: `module:function` of its own audit, imported when it is asked for.
        whole_groups: rows of one `group` count together or not at all, so they are sampled together.
        grouped: rows with the same cluster are one question, asked once for every order of its options.
        steering: how many clusters validation during training asks about.
    """

    name: str
    title: str
    rows: Rows
    protocols: tuple[Protocol, ...]
    axes: tuple[Axis, ...] = ()
    splits: Mapping[str, str]
    hub: HubSet | None = None
    metrics: Metrics | None = None
    averages: Averages | None = None
    notes: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    language: str = "ru"
    usual_split: str = ""
    submission: Submission | None = None
    auditor: str = ""
    grouped: bool = False
    whole_groups: bool = False
    steering: int = 50

    @property
    def choice(self) -> bool:
        """Does its headline choose one of a row's options?"""
        return self.protocols[0].choice

    @property
    def open_protocol(self) -> Protocol:
        """How it is asked without letters: the headline for short answers, else by the texts of the options."""
        return next((protocol for protocol in self.protocols if not protocol.asks_letter), self.protocols[0])

    def own_split(self, split: str) -> str:
        """What it calls a split, and the one that is asked where none is named."""
        return self.splits.get(split, split) if split else self.usual_split or self.own_split("test")

    def common_split(self, split: str) -> str:
        """What its split is called among all benchmarks: its «dev» may be the others' «test»."""
        return next((common for common, own in self.splits.items() if own == split), split)

    def unit(self, example: Example) -> str:
        """What is sampled, compared and counted as one: the row, or all rows of one question."""
        return example.cluster if self.grouped else example.group if self.whole_groups and example.group else example.id

    def score(self, protocol: Protocol, dataset: Dataset, verdicts: Sequence[Verdict]) -> Result:
        """Every figure."""
        result = protocol.score(self.axes, dataset.examples, verdicts)
        metrics = {} if self.metrics is None else self.metrics(dataset, verdicts)
        counts = {
            axis.name: len({v for example in dataset.examples for v in axis.values(example)}) for axis in self.axes
        }
        cut = tuple(
            f"разбивка «{name}»: показаны {MOST_VALUES} самых частых значений из {count}"
            for name, count in counts.items()
            if count > MOST_VALUES
        )
        averages = {} if self.averages is None else self.averages(dataset, verdicts)
        absent = Counter(verdict.reason or "" for verdict in verdicts if verdict.status is Status.ABSENT)
        return replace(
            result,
            scores={**averages, **result.scores},
            metrics=metrics,
            notes=(*result.notes, *cut, *self.notes),
            absent=dict(absent),
        )


def scores_of(verdicts: Sequence[Verdict], rules: Collection[str]) -> np.ndarray:
    """What each row scores under each rule: float [N, K], 0 to 1."""
    return np.array([[verdict.scores[rule] for rule in rules] for verdict in verdicts], dtype=np.float64)


def disagreements(rules: Sequence[str], scores_NK: np.ndarray) -> tuple[str, ...]:
    """On how many rows each rule and the next one differ, in words."""
    counts = [int((scores_NK[:, k] != scores_NK[:, k + 1]).sum()) for k in range(len(rules) - 1)]
    return tuple(
        f"{rules[k]} и {rules[k + 1]} "
        + (f"расходятся в {with_count(count, 'строке', 'строках', 'строках')}" if count else "согласны на всех строках")
        for k, count in enumerate(counts)
    )


def breakdowns_of(
    axes: Sequence[Axis], examples: Sequence[Example], scores_N: np.ndarray
) -> dict[str, dict[str, Score]]:
    """The figure of each value on each axis that any row has one on."""
    clusters = [example.cluster for example in examples]
    tables = {axis.name: by_value([axis.values(example) for example in examples], clusters, scores_N) for axis in axes}
    return {name: table for name, table in tables.items() if table}


MOST_VALUES = 60


def by_value(values: Sequence[tuple[str, ...]], clusters: Sequence[str], scores_N: np.ndarray) -> dict[str, Score]:
    """The figure of the rows of each of the most frequent values, those first; a row of several values counts with each."""
    names = [value for value, _ in Counter(value for row in values for value in row).most_common(MOST_VALUES)]
    if not names:
        return {}
    counted_NK = np.array([[name in row for name in names] for row in values])
    scores_NK = np.repeat(np.asarray(scores_N)[:, None], len(names), axis=1)
    return dict(zip(names, score_columns(clusters, scores_NK, counted_NK, resamples=2000), strict=True))


def unparsed(verdicts: Sequence[Verdict]) -> int:
    """How many answers could not be read."""
    return sum(verdict.parsed is None and verdict.status is not Status.ERROR for verdict in verdicts)


def errors(verdicts: Sequence[Verdict]) -> int:
    """How many questions nobody answered."""
    return sum(verdict.status is Status.ERROR for verdict in verdicts)
