"""What an evaluation is, wherever it lies: whom it asked what, its figures, verdicts and answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ruvlm.evaluation.blind import BlindSection
from ruvlm.schema import LetterUse, Response, Score, Verdict, is_drawn

CONTROLS = ("random", "majority", "question-only")
# what a control's name begins with where it is another model asked otherwise
CHANGED = ("blind", "no-picture", "guess", "shuffled")
NAMES = {
    "protocol": "протокол",
    "prompt": "вопрос к модели",
    "data": "данные",
    "split": "часть",
    "model": "модель",
    "sample": "выборка",
}


def is_control(model: str) -> bool:
    """By its name."""
    return model in CONTROLS or model.partition(":")[0] in CHANGED


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an evaluation is of: protocol, a mark of its wording, the data's and the model's fingerprints, the split.

    `sample` is of how many rows a sample was drawn, None for all.
    """

    protocol: str
    prompt: str
    data: str
    split: str
    model: str
    sample: int | None = None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Identity:
        """As stored. Raises ValueError naming what is missing or wrong."""
        wanted = ("protocol", "prompt", "data", "split", "model")
        missing = [name for name in wanted if not isinstance(fields.get(name), str)]
        if missing:
            raise ValueError(f"нет полей {', '.join(missing)}")
        sample = fields.get("sample")
        if sample is not None and not (isinstance(sample, str) and sample.isdecimal()):
            raise ValueError(f"sample = {str(sample)[:40]}")
        return cls(**{name: fields[name] for name in wanted}, sample=None if sample is None else int(sample))

    @property
    def fields(self) -> dict[str, str]:
        """As it is stored: texts alone, without a sample where there is none."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Usage:
    """Tokens read (None where nobody counted) and written, and what they cost where prices were given."""

    input_tokens: int | None
    output_tokens: int
    cost: float | None

    @classmethod
    def of(cls, responses: Iterable[Response], prices: tuple[float, float] | None) -> Usage:
        """Of all answers together; `prices` are of a million tokens in and out."""
        counts = [(response.input_tokens, response.tokens) for response in responses]
        read, written = sum(n for n, _ in counts), sum(n for _, n in counts)
        cost = None if prices is None else round((read * prices[0] + written * prices[1]) / 1e6, 6)
        return cls(read or None, written, cost)  # not every way to reach a model counts what it reads


@dataclass(frozen=True, kw_only=True)
class AskedHow:
    """How a model was asked: a mark of every word that was said to it, the settings of its answers by name, by what name the data
    were found.
    """

    said: str
    settings: dict[str, str]
    data: str = ""

    @property
    def limit(self) -> int:
        """Of new tokens; 0 where it is not known."""
        text = self.settings.get("max_new_tokens", "")
        return int(text) if text.isdecimal() else 0


@dataclass(frozen=True)
class Logged:
    """What a tool wrote of a row beside its answer: its own score of it, 0 to 1, and the prompt, as far as it did."""

    score: float | None
    prompt: str


UNLOGGED = Logged(None, "")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One evaluation: who was asked what, and every figure.

    `drawn` says that the rows are the embedded world's, not published ones.
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
    how: AskedHow | None = None

    @property
    def rows(self) -> str:
        """The split in words, with the sample if it is one."""
        return self.split if self.sample is None else f"{self.split}, выборка {self.sample}"

    @property
    def drawn(self) -> bool:
        return is_drawn(self.source)

    @property
    def headline(self) -> tuple[str, Score]:
        """The rule that models are compared by, and the score under it."""
        return next(iter(self.scores.items()))

    @property
    def control(self) -> bool:
        return is_control(self.model)


@dataclass(frozen=True)
class RowSubject:
    """What a row of a file is about: its question, empty where the file has none, and its right answer."""

    question: str
    gold: str


class Evaluated(ABC):
    """An evaluation that was made before: a folder of ours, or a file of answers that somebody else's tool has written.

    `path` is where it lies, and what tells it from others; `choice` says whether letters of options were asked for.
    """

    path: Path

    @property
    @abstractmethod
    def identity(self) -> Identity | None:
        """What it is of; None where nobody wrote that down. Raises DataError."""

    @property
    @abstractmethod
    def measured(self) -> Measured:
        """Its figures. Raises DataError."""

    @property
    @abstractmethod
    def verdicts(self) -> dict[str, Verdict]:
        """By their examples' ids. Raises DataError."""

    @property
    @abstractmethod
    def responses(self) -> dict[str, Response]:
        """By their examples' ids. Raises DataError."""

    @property
    @abstractmethod
    def choice(self) -> bool: ...

    @property
    def model(self) -> str:
        """Whom it is of."""
        return self.measured.model

    @property
    def how(self) -> AskedHow | None:
        """How it was asked; None where nobody wrote that down."""
        return self.measured.how

    @property
    def blind(self) -> BlindSection | None:
        """What its score owes to the picture; None where that was not measured beside it."""
        return None

    @property
    def logged(self) -> dict[str, Logged]:
        """What another tool wrote of its rows, by id; nothing where none did."""
        return {}

    @property
    def about(self) -> dict[str, RowSubject]:
        """What each row of a file is about, by id: its question and right answer, to tell whether two files speak of the same rows."""
        return {}

    @property
    @abstractmethod
    def finished_on(self) -> date:
        """The day on which it was written."""


def same_rows(evaluations: Sequence[Evaluated]) -> list[list[Evaluated]]:
    """Those that may stand beside one another: of one protocol, wording, split and data.

    A file says none of that: it stands beside the first that was judged on rows of the same ids.
    """
    kinds: dict[tuple[object, ...], list[Evaluated]] = {}
    loose = []
    for one in evaluations:
        identity = one.identity
        if identity is None:
            loose.append(one)
        else:
            # a world's rows and a published set's are never in one table, whatever their fingerprints say
            kind = (one.measured.source, identity.protocol, identity.split, identity.data, identity.prompt)
            kinds.setdefault(kind, []).append(one)
    groups = list(kinds.values())
    for one in loose:
        ids = one.verdicts.keys()
        near = next((g for g in groups if g[0].choice == one.choice and g[0].verdicts.keys() == ids), None)
        if near is None:
            groups.append([one])
        else:
            near.append(one)
    return groups


def measured_together(group: Sequence[Evaluated]) -> list[Measured]:
    """Figures of evaluations on the same rows. What a file does not say of its rows, an evaluation beside it does."""
    known = next((one.measured for one in group if one.identity is not None), None)
    return [
        one.measured
        if known is None or one.identity is not None
        else replace(
            one.measured,
            benchmark=known.benchmark,
            source=known.source,
            split=known.split,
            protocol=known.protocol,
            sample=known.sample,
            fingerprints={**known.fingerprints, "model": one.measured.fingerprints["model"]},
        )
        for one in group
    ]


def beside(own: Measured, others: Iterable[Measured]) -> list[Measured]:
    """The controls that were asked the same rows under the same protocol."""
    return [
        other
        for other in others
        if other.control
        and other.protocol == own.protocol
        and other.fingerprints["data"] == own.fingerprints["data"]
        and other.split == own.split
    ]


def score_dict(score: Score) -> dict[str, Any]:
    """{"n", "correct", "value", "low", "high", "error"}, values in per cent."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(score).items()}
