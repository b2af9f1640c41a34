"""The nouns that flow through the house: Example → Prompt → Response → Verdict → Result. All frozen, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ruvlm.files import FileState
from ruvlm.numerals import around, decimal
from ruvlm.tabular import Shown, Tabular

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# the letters of as many options in a Russian list, which goes without Ё, Й, Ъ, Ы, Ь
RUSSIAN_LETTERS = "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭ"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where a picture is: row `row` of a column of parquet file `path`, or the image file `path` itself."""

    path: Path
    row: int | None = None
    column: str = "image"

    def __str__(self) -> str:
        return f"{self.path}" if self.row is None else f"{self.path}, строка {self.row}"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture (fractions of its sides) and the words that describe it: «мяч», «красный»."""

    box: Box
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """Characters [start, end) of the question that name the thing in `region`."""

    start: int
    end: int
    region: Region


@dataclass(frozen=True, slots=True)
class Wording:
    """What is said to a model, and where the pictures stand in it.

    `text` is all of it without pictures. `parts` are the texts before, between and after the pictures, one more than there
    are pictures; none where the pictures come first and the text after them. `system` is a message of its own before that.
    """

    text: str
    parts: tuple[str, ...] = ()
    system: str = ""

    def content(self, pictures: int) -> list[str | None]:
        """Texts in their order, None where the next picture stands; empty texts left out."""
        parts = self.parts or (*("",) * pictures, self.text)
        return [one for part in parts for one in (part, None) if one is None or one][:-1]

    @property
    def lead(self) -> str:
        """What stands before the first picture."""
        return self.parts[0] if self.parts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One question about its pictures: mostly one, now and then none or several.

    `answers` are the gold answers that are accepted, for multiple choice the gold letter; none where they are not
    published. `benchmark` is whose question it is, empty for a training text that is no benchmark's. `cluster` is the
    resampling unit of the statistics: mostly the picture, with rotated options the base question. `wordings` is what a
    protocol says to the model where the row itself knows it, `facts` the row's values on axes that are no field here.
    """

    id: str
    benchmark: str
    question: str
    answers: tuple[str, ...]
    images: tuple[ImageRef, ...]
    image_id: str
    cluster: str
    options: tuple[str, ...] = ()
    hint: str | None = None
    rotation: int = 0
    category: str | None = None
    l2: str | None = None
    structural: str | None = None
    semantic: str | None = None
    detailed: str | None = None
    group: str | None = None
    program: str = ""
    entailed: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    answer_regions: tuple[Region, ...] = ()
    wordings: Mapping[str, Wording] = field(default_factory=dict, hash=False)
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def answer(self) -> str:
        """The first accepted answer, empty where none is published."""
        return self.answers[0] if self.answers else ""

    @property
    def image(self) -> ImageRef:
        """The first picture."""
        return self.images[0]

    @property
    def letters(self) -> str:
        return LETTERS[: len(self.options)]


def is_drawn(source: str) -> bool:
    """Are the rows of a source drawn by the embedded world? Figures on them are never called a published set's score."""
    return source.startswith("world-") and "/" not in source


# detailed question type -> the answers that a training split gives to questions of that type
Vocabulary = Mapping[str, frozenset[str]]


@dataclass(frozen=True, kw_only=True, repr=False)
class Dataset(Shown):
    """Examples of one split of one benchmark, or of a training set that is none, with where they came from.

    `source` is «world-mini», «deepvk/GQA-ru@revision» or «local»; figures on a world are never called a score on the
    real benchmark. `warnings` are what is missing of its rows. `sample` is the limit under which it was drawn from a larger set. `files` are
    those of its pictures as they were when it was loaded.
    """

    name: str
    split: str
    source: str
    fingerprint: str
    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    sample: int | None = None
    files: Mapping[Path, FileState | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def drawn(self) -> bool:
        return is_drawn(self.source)

    @property
    def hidden(self) -> bool:
        """Are the answers of none of its questions published? They can be asked, and nothing more."""
        return not any(example.answers for example in self.examples)

    def tabular(self) -> Tabular:
        pictures = len({example.image_id for example in self.examples if example.images})
        drawn = ", рисунки встроенного мира" if self.drawn else ""
        title = (
            f"{self.name}, часть {self.split}: строк {len(self.examples)}, картинок {pictures} ({self.source}{drawn})"
        )
        rows = tuple((e.id, e.question, "; ".join(e.options), " | ".join(e.answers)) for e in self.examples[:5])
        more = ("…",) if len(self.examples) > len(rows) else ()
        return Tabular(title, ("id", "вопрос", "варианты", "ответ"), rows, more)


@dataclass(frozen=True, slots=True)
class Generation:
    """How an answer is generated: greedy, at most `max_new_tokens`, stopped at any of `stop`."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is given. With `candidates` it scores these texts instead of writing one.

    `parts` and `system` are those of a `Wording`; `image_size` the side of a square that pictures are shrunk to, 0 for as they
    are. `replies` is what an answer by each of the row's options would be: its letter, its number or its text.
    """

    protocol: str
    text: str
    images: tuple[ImageRef, ...]
    generation: Generation
    candidates: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    system: str = ""
    image_size: int = 0

    @property
    def wording(self) -> Wording:
        """What it says."""
        return Wording(self.text, self.parts, self.system)

    @property
    def image(self) -> ImageRef:
        """The first picture."""
        return self.images[0]


class Absent(StrEnum):
    """Why there is no answer although the model was asked and gave what it gave: asking again would change nothing."""

    THOUGHT = "рассуждение не закончено"
    REFUSED = "отказ отвечать"
    FILTERED = "ответ скрыт фильтром сервера"
    TOOLS = "вызов инструмента вместо ответа"
    CUT = "ответ оборван до первого слова"


@dataclass(frozen=True, slots=True)
class Response:
    """What a model gave back: text, or log-probabilities of the candidates (mean per token, and sum).

    `error`: nobody answered, ask again. `absent`: there is no answer and will be none. `finish` is «stop» or «length»
    where it is known how the answer ended.
    """

    text: str
    tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    probability: float | None = None
    mean_logprobs: tuple[float, ...] = ()
    sum_logprobs: tuple[float, ...] = ()
    input_tokens: int = 0
    finish: str = ""
    absent: Absent | None = None


class Status(StrEnum):
    """What became of a question: an answer (read or not), an answer that is absent, or an error on the way to it."""

    ANSWERED = "answered"
    ABSENT = "absent"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an answer was read and judged. `parsed` is None when it could not be read, `reason` says why.

    `scores` has one entry a rule, 0 to 1: most rules know only the two ends. `cluster` is the example's resampling unit.
    """

    id: str
    cluster: str
    parsed: str | None
    reason: str | None
    scores: dict[str, float]
    status: Status = Status.ANSWERED

    @property
    def rule(self) -> str:
        """The headline rule: a protocol names it first."""
        return next(iter(self.scores))

    @property
    def score(self) -> float:
        """Under the headline rule."""
        return self.scores[self.rule]

    @property
    def right(self) -> bool:
        """Has it the full score under the headline rule?"""
        return self.full(self.rule)

    def full(self, rule: str) -> bool:
        """Has it the full score under a rule? Not under one that it was not judged by."""
        return self.scores.get(rule) == 1


@dataclass(frozen=True, slots=True)
class Score:
    """A figure with its certainty, in per cent: `low` and `high` bound the 95 % interval, None below two clusters.

    `correct` of `n` rows have the full score; `value` is the mean, which for a rule that gives parts of one is more.
    """

    n: int
    correct: int
    value: float
    low: float | None = None
    high: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is no share of rows: its value, over how many it is taken, and what it could and could not see."""

    value: float
    n: int
    note: str


@dataclass(frozen=True, slots=True)
class LetterUse:
    """How often a letter was chosen, how often it was right to, and how often the model was right when it was."""

    letter: str
    chosen: int
    gold: int
    right: int


@dataclass(frozen=True, repr=False)
class Result(Shown):
    """All figures of one evaluation: scores by rule, breakdowns by (axis, value), a benchmark's own metrics.

    Multiple choice also has how each letter was used, and the base questions that lack some rotation. `absent` counts the
    answers that are none, by reason; `warnings` are what a reader must know before the figures.
    """

    n: int
    scores: dict[str, Score]
    breakdowns: dict[str, dict[str, Score]] = field(default_factory=dict)
    unparsed: int = 0
    errors: int = 0
    notes: tuple[str, ...] = ()
    metrics: dict[str, Metric] = field(default_factory=dict)
    letters: tuple[LetterUse, ...] = ()
    incomplete: tuple[str, ...] = ()
    absent: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def headline(self) -> tuple[str, Score]:
        """The rule that models are compared by, and the score under it: a protocol names its reference rule first."""
        return next(iter(self.scores.items()))

    def tabular(self) -> Tabular:
        rows = tuple(
            (rule, str(score.n), str(score.correct), decimal(score.value, 2), around(score) or "нет")
            for rule, score in self.scores.items()
        )
        columns = ("правило", "n", "верно", "%", "95 %")
        title = f"строк {self.n}, не прочитано {self.unparsed}, без ответа {self.errors}"
        return Tabular(title, columns, rows, tuple(f"Внимание: {warning}." for warning in self.warnings))
