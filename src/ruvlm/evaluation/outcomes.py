"""What asking and comparing give as a whole: sequences that show themselves as the table that is read first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar, final, overload

from ruvlm.errors import DataError
from ruvlm.evaluation.asking import Evaluation
from ruvlm.evaluation.compare import Difference
from ruvlm.evaluation.standing import Standing, conclusion, standing_of
from ruvlm.numerals import around, bounds, chance, decimal
from ruvlm.schema import Result, Score
from ruvlm.tabular import Shown, Tabular

MemberT = TypeVar("MemberT")


@dataclass(frozen=True, repr=False)
class Members(Shown, Sequence[MemberT]):
    """A sequence that shows itself as a table."""

    members: tuple[MemberT, ...]

    @overload
    def __getitem__(self, index: int) -> MemberT: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[MemberT, ...]: ...
    def __getitem__(self, index: int | slice) -> MemberT | tuple[MemberT, ...]:
        return self.members[index]

    def __len__(self) -> int:
        return len(self.members)


@final
@dataclass(frozen=True, repr=False)
class Evaluations(Members[Evaluation]):
    """What `evaluate` gave: the model's evaluations first, then its controls', one a protocol."""

    @property
    def result(self) -> Result:
        """Of the model under the first protocol."""
        return self.members[0].result

    @property
    def score(self) -> Score:
        """The headline of that: per cent, with its 95 % interval. Raises DataError where the answers are not published."""
        if not self.result.scores:
            raise DataError(
                f"Верные ответы {self.members[0].dataset.name} не опубликованы: балла нет, есть ответы модели."
            )
        return self.result.headline[1]

    @property
    def standings(self) -> list[Standing]:
        """The model's headlines beside its controls'."""
        return standing_of(one.folder for one in self.members if one.folder is not None and one.result.scores)

    @property
    def conclusion(self) -> str:
        """One sentence on what the scores owe to the picture."""
        return conclusion(self.standings)

    def tabular(self) -> Tabular:
        sources = dict.fromkeys((one.dataset.source, one.dataset.drawn) for one in self.members)
        named = ", ".join(f"{s} (рисунки, не опубликованный набор)" if drawn else s for s, drawn in sources)
        return headlines(f"{self.members[0].model} на {named}", self.standings)


@final
@dataclass(frozen=True, repr=False)
class Differences(Members[Difference]):
    """What `compare` gave: every pair under every rule."""

    def tabular(self) -> Tabular:
        columns = ("правило", "первый", "второй", "n", "разность", "95 %", "p", "вывод")
        rows = tuple(
            (
                d.rule,
                f"{d.a} {decimal(d.value_a)}",
                f"{d.b} {decimal(d.value_b)}",
                str(d.n),
                decimal(d.points, 2, signed=True),
                bounds(d.low, d.high),
                chance(d.p_holm),
                d.words,
            )
            for d in self.members
        )
        return Tabular("Разность – второй минус первый, пункты", columns, rows)


# what stands beside a score, and what that is
COLUMNS = MappingProxyType(
    {"слова": "по одним вопросам", "вслепую": "она же без картинки", "пол": "не глядя и в вопрос"}
)


def headlines(title: str, rows: Sequence[Standing]) -> Tabular:
    """A row a benchmark and protocol: the score, and beside it what is answered without looking; then what it comes to."""
    beside = {
        "слова": [r.words for r in rows],
        "вслепую": [r.blindfolded for r in rows],
        "пол": [r.floor for r in rows],
    }
    shown = {name: scores for name, scores in beside.items() if any(scores)}
    cells = tuple(
        (row.label, str(row.score.n), _figure(row.score), *(_or_dash(scores[n]) for scores in shown.values()))
        for n, row in enumerate(rows)
    )
    legend = "; ".join(f"{name} – {COLUMNS[name]}" for name in shown)
    said = conclusion(rows)
    lines = (*((legend,) if legend else ()), *((f"Вывод: {said}",) if said else ()))
    return Tabular(title, ("набор", "n", "верно, % (95 %)", *shown), cells, lines)


def _figure(score: Score) -> str:
    return f"{decimal(score.value)} ({around(score)})" if around(score) else decimal(score.value)


def _or_dash(score: Score | None) -> str:
    return "–" if score is None else decimal(score.value)
