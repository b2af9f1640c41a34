"""Where a score stands: a row of the table that a person reads first, and the sentence that it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from ruvlm.benchmarks.catalog import benchmark_or_none, protocols
from ruvlm.evaluation.blind import OWN_WORDS
from ruvlm.evaluation.compare import LEVEL, headline_difference
from ruvlm.evaluation.evaluated import CHANGED, CONTROLS, Evaluated, is_control, same_rows
from ruvlm.numerals import decimal
from ruvlm.schema import Score

# what is asked without its picture
BLINDFOLDS = ("blind", "no-picture", "guess")
# a control as the second half of «не лучше, чем …»
THAN = MappingProxyType(
    {
        "question-only": "угадывание по словам вопроса",
        OWN_WORDS: "угадывание по словам вопроса",
        "majority": "всегда самый частый ответ",
        "random": "ответ наугад",
        "blind": "она же с серой картинкой",
        "no-picture": "она же без картинки",
        "guess": "она же без картинки, с просьбой угадать",
        "shuffled": "она же с чужой картинкой",
    }
)
# the splits that are meant where none is named
USUAL = ("test", "testdev", "dev")
# so many rows a sentence names with their figures
NAMED = 3


class Lead(StrEnum):
    """How a score stands to another: higher beyond chance, not to be told from it though higher, or not higher."""

    ABOVE = "above"
    TIED = "tied"
    BELOW = "below"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A model's headline on some rows under a protocol, beside each control's on the same rows, by the control's kind.

    `label` is what the row is called among its neighbours. `best` is the strongest control, empty where there is none; `lead` is how
    the model stands to that one.
    """

    model: str
    benchmark: str
    protocol: str
    label: str
    score: Score
    controls: Mapping[str, Score]
    best: str
    lead: Lead
    split: str = ""
    source: str = ""

    @property
    def words(self) -> Score | None:
        """What a classifier of the questions' words alone gets."""
        return self.controls.get("question-only", self.controls.get(OWN_WORDS))

    @property
    def blindfolded(self) -> Score | None:
        """The most that the model itself gets without its picture, however that is asked."""
        return self._most(BLINDFOLDS)

    @property
    def floor(self) -> Score | None:
        """What is answered without so much as the question: the most frequent answer or one by lot, whichever gets more."""
        return self._most(("majority", "random"))

    def _most(self, kinds: Sequence[str]) -> Score | None:
        scores = [self.controls[kind] for kind in kinds if kind in self.controls]
        return max(scores, key=lambda score: score.value) if scores else None


def standings(evaluations: Sequence[Evaluated]) -> list[Standing]:
    """A row for every model and protocol, in their order; controls are no rows where there is any model. Raises DataError."""
    return distinct([standing(one, group) for group in same_rows(evaluations) for one in _own(group)])


def distinct(rows: Sequence[Standing]) -> list[Standing]:
    """Rows of one model are told apart: by their split, else by their protocol, else by where their data are from."""
    told = list(rows)
    for more in ("split", "protocol", "source"):
        keys = Counter((row.model, row.label) for row in told)
        told = [
            replace(row, label=f"{row.label}, {getattr(row, more)}")
            if keys[row.model, row.label] > 1 and not (more == "split" and row.split in USUAL)
            else row
            for row in told
        ]
    return told


def standing_of(folders: Iterable[Path]) -> list[Standing]:
    """Of evaluations by their folders, controls among them."""
    from ruvlm.evaluation.folder import EvaluationFolder

    return standings([EvaluationFolder(folder) for folder in folders])


def _own(group: Sequence[Evaluated]) -> list[Evaluated]:
    return [one for one in group if not is_control(one.model)] or list(group[:1])


def standing(own: Evaluated, group: Sequence[Evaluated]) -> Standing:
    """One row: an evaluation beside the controls that were asked the same. Raises DataError."""
    measured = own.measured
    around = [one for one in group if one is not own and _is_control_of(one.model, own.model)]
    # two models of one name have each a blind control of that name: one's own lies beside it
    around.sort(key=lambda one: one.path.parent == own.path.parent)
    beside = {_kind(one.model): one for one in around}
    scores = {kind: one.measured.headline[1] for kind, one in beside.items()}
    if own.blind is not None:
        # of two classifiers of words, the trained one
        known = {*scores, OWN_WORDS} if "question-only" in scores else {*scores}
        scores |= {kind: score for kind, score in own.blind.controls.items() if kind not in known}
    best = max(scores, key=lambda kind: scores[kind].value) if scores else ""
    rule, score = measured.headline
    return Standing(
        model=own.model,
        benchmark=measured.benchmark,
        protocol=measured.protocol,
        label=label_of(measured.benchmark, measured.protocol),
        score=score,
        controls=scores,
        best=best,
        lead=_lead(own, beside.get(best), rule, score, scores[best]) if best else Lead.TIED,
        split=measured.split,
        source=measured.source,
    )


def _is_control_of(name: str, model: str) -> bool:
    return name in CONTROLS or (name.partition(":")[0] in CHANGED and name.partition(":")[2] == model)


def _kind(name: str) -> str:
    """«blind:nano» → «blind»."""
    return name.partition(":")[0]


def label_of(benchmark: str, protocol: str) -> str:
    """What a protocol's figure is called beside others: a choice is made by letters or by likelihood."""
    known = protocols().get(protocol)
    if known is None or not known.choice:
        return benchmark
    return f"{benchmark}, {'буквы' if known.asks_letter else 'правдоподобие'}"


def place_of(benchmark: str, protocol: str) -> tuple[int, str]:
    """Where a protocol stands among those of its benchmark, whose headline comes first: what tables are sorted by."""
    known = benchmark_or_none(benchmark)
    names = [one.name for one in known.protocols] if known is not None else []
    return (names.index(protocol) if protocol in names else len(names)), protocol


def _lead(own: Evaluated, control: Evaluated | None, rule: str, score: Score, other: Score) -> Lead:
    """By a paired test on the same units; by intervals that do not touch where there is nothing to pair."""
    paired = None if control is None else headline_difference(control, own, rule)
    if paired is not None:
        apart = paired.p < LEVEL
        return Lead.BELOW if paired.points <= 0 else Lead.ABOVE if apart else Lead.TIED
    if score.value <= other.value:
        return Lead.BELOW
    apart = score.low is not None and other.high is not None and score.low > other.high
    return Lead.ABOVE if apart else Lead.TIED


def conclusion(rows: Sequence[Standing]) -> str:
    """One sentence on whether a model's scores owe anything to the picture; nothing for a control alone."""
    if not rows or all(is_control(row.model) for row in rows):
        return ""
    bare = [row for row in rows if not row.best]
    if len(bare) == len(rows):
        return "контролей рядом нет: сколько из этого даёт картинка, не известно."
    told = []
    below = [row for row in rows if row.best and row.lead is Lead.BELOW]
    tied = [row for row in rows if row.best and row.lead is Lead.TIED]
    above = [row for row in rows if row.best and row.lead is Lead.ABOVE]
    if below:
        told += [f"не лучше, чем {said}" for said in _named(below)]
    if tied:
        told += [f"выше, но в пределах случайности, чем {said}" for said in _named(tied)]
    if above:
        told.append(f"{'лучше контролей' if below or tied else 'лучше любого контроля'}: {_gains(above)}")
    return "; ".join(told) + "."


def _named(rows: Sequence[Standing]) -> list[str]:
    """«угадывание по словам вопроса: gqa-ru 17,6 против 37,9», the controls apart."""
    if len(rows) > NAMED:
        return [f"лучший контроль: {', '.join(row.label for row in rows)}"]
    said = []
    for kind in dict.fromkeys(THAN.get(row.best, row.best) for row in rows):
        figures = "; ".join(
            f"{row.label} – {decimal(row.score.value)} против {decimal(row.controls[row.best].value)}"
            for row in rows
            if THAN.get(row.best, row.best) == kind
        )
        said.append(f"{kind}: {figures}")
    return said


def _gains(rows: Sequence[Standing]) -> str:
    if len(rows) > NAMED:
        return ", ".join(row.label for row in rows)
    return "; ".join(
        f"{row.label} – {decimal(row.score.value)} против {decimal(row.controls[row.best].value)}" for row in rows
    )
