"""The benchmark that a card describes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import final

import numpy as np

from ruvlm.benchmarks.base import Axis, Benchmark, Place, Protocol, Published, Rows
from ruvlm.benchmarks.cards.card_fields import BenchmarkCard, CardProtocol
from ruvlm.benchmarks.cards.card_rows import CardExamples, card_examples, refuse_repeated
from ruvlm.benchmarks.cards.card_wording import LABELS, worded
from ruvlm.benchmarks.cards.raw_rows import files_of
from ruvlm.benchmarks.choice import LetterProtocol, LikelihoodProtocol
from ruvlm.benchmarks.short import ShortProtocol
from ruvlm.benchmarks.stats import mean_of_means
from ruvlm.data.split_files import fingerprint
from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Example, Generation, Metric, Score, Verdict

PLUGINS = "ruvlm.benchmarks"


def benchmark_of(card: BenchmarkCard, skip_bad: bool = False) -> Benchmark:
    """Its rows are read when they are asked for. With `skip_bad` rows that cannot be asked are left out and counted."""
    protocols = tuple(_protocol(card, one) for one in card.protocols)
    return Benchmark(
        name=card.name,
        title=card.title,
        rows=CardRows(card, skip_bad),
        protocols=protocols,
        axes=tuple(Axis(name=name, value=partial(_value, name)) for name in card.axes),
        splits=MappingProxyType(
            {
                **dict.fromkeys(("test", "testdev", "dev"), card.source.split),
                **{name: name for name in card.source.splits},
            }
        ),
        metrics=partial(_whole_groups, card.statistics.group) if card.statistics.group else None,
        averages=partial(_macro, card.statistics.macro) if card.statistics.macro else None,
        notes=(*card.notes, f"карточка {card.path.name}, отпечаток {card.mark}, {_licence(card)}"),
        published=tuple(
            Published(
                model=one.model,
                value=one.score,
                source=one.source,
                rule=one.rule,
                split=one.split,
                unit=one.unit,
                note=one.note,
                n=one.n,
                protocol=one.protocol,
            )
            for one in card.published
        ),
        language=card.language,
        usual_split=card.source.split,
        submission=card.submission,
        auditor="ruvlm.audit.card_audit:check",
        grouped=card.rotation.kind != "none",
        whole_groups=bool(card.statistics.group),
    )


def _licence(card: BenchmarkCard) -> str:
    """Under what the rows are, whom to cite, where they are at home, as far as the card says."""
    cited = [f"цитировать {card.cite}"] if card.cite else []
    said = [f"лицензия {card.licence}", *filter(None, (card.licence_note, *cited, card.home))]
    return ", ".join(said)


def _value(axis: str, example: Example) -> tuple[str, ...]:
    return example.facts.get(axis, ("нет",))


def _protocol(card: BenchmarkCard, protocol: CardProtocol) -> Protocol:
    """How a card's protocol is asked: every row holds its own wording, so a hash of the template stands for them all."""
    rules = MappingProxyType({f"{card.name}/{rule}": rule for rule in protocol.rules})
    generation = Generation(protocol.max_new_tokens, protocol.stop)
    kind: Callable[..., Protocol] = ShortProtocol
    if protocol.choice:
        likelihood = protocol.rules == ("likelihood",)
        kind = partial(
            LikelihoodProtocol if likelihood else LetterProtocol,
            labels=LABELS[protocol.labels],
            keep_empty=card.columns.options_keep,
        )
    return kind(
        name=f"{card.name}/{protocol.name}",
        benchmark=card.name,
        generation=generation,
        rules=rules,
        mark=f"{card.rows_mark} {protocol.mark}",
        usual=protocol is card.protocols[0],
        system=bool(protocol.system),
        fixed=_is_fixed(protocol),
        image_size=protocol.image_size,
    )


# read a letter wherever a sentence has one
FREE_READERS = ("letters-lmms", "letters-ru", "letters-vlmevalkit")


def _is_fixed(protocol: CardProtocol) -> bool:
    """Do its rows, its system message, its labels or its rule need the words that are there?"""
    reads_any = not protocol.choice or (protocol.labels == "A" and protocol.rules[0] in FREE_READERS)
    return bool(protocol.prompt_column or protocol.system) or not reads_any


def _whole_groups(column: str, dataset: Dataset, verdicts: Sequence[Verdict]) -> dict[str, Metric]:
    """The share of groups all of whose rows are right (MERA's ruHHH)."""
    right: dict[str | None, bool] = {}
    for example, verdict in zip(dataset.examples, verdicts, strict=True):
        right[example.group] = right.get(example.group, True) and verdict.right
    share = 100 * sum(right.values()) / len(right)
    return {f"group:{column}": Metric(share, len(right), f"группа «{column}» засчитана, если верны все её строки")}


def _macro(axis: str, dataset: Dataset, verdicts: Sequence[Verdict]) -> dict[str, Score]:
    """The mean over an axis's values, each weighing the same, under every rule: the official table's figure."""
    clusters = [verdict.cluster for verdict in verdicts]
    values = [example.facts[axis] for example in dataset.examples]
    return {
        f"{rule}/macro:{axis}": mean_of_means(clusters, np.array([v.scores[rule] for v in verdicts]), values)
        for rule in verdicts[0].scores
    }


@final
class CardRows(Rows):
    """The rows that a card's sources hold."""

    layout = "карточка .toml"

    def __init__(self, card: BenchmarkCard, skip_bad: bool) -> None:
        self.card, self._skip_bad = card, skip_bad
        self._read: dict[tuple[Path, str], CardExamples] = {}
        self._marks: dict[tuple[Path, str], str] = {}

    def _examples(self, folder: Path, split: str) -> CardExamples:
        """Read once: controls go by the same rows as the model."""
        if (folder, split) not in self._read:
            made = self._from_plugin(split)
            self._read[folder, split] = made or card_examples(self.card, folder, split, self._skip_bad)
        return self._read[folder, split]

    def _from_plugin(self, split: str) -> CardExamples | None:
        """What somebody's package makes of a card that no table can say; None where none is installed for it.

        An entry point of the group `ruvlm.benchmarks`, named as the benchmark, gives `examples(card) -> Iterator[Example]`; the
        card's `source.split` is the one that is asked.
        """
        for entry in entry_points(group=PLUGINS, name=self.card.name):
            card = replace(self.card, source=replace(self.card.source, split=split))
            examples = tuple(worded(card, example) for example in entry.load()(card))
            refuse_repeated(card, examples)
            return CardExamples(examples)
        return None

    def _rows_mark(self, folder: Path, split: str) -> str:
        """Of everything that was read, once as that is."""
        if (folder, split) not in self._marks:
            self._marks[folder, split] = self._mark(folder, split)
        return self._marks[folder, split]

    def _mark(self, folder: Path, split: str) -> str:
        if not entry_points(group=PLUGINS, name=self.card.name):
            pictures = {
                image.path for e in self._examples(folder, split).examples for image in e.images if image.row is None
            }
            shown = f" {fingerprint(sorted(pictures))}" if pictures else ""
            return fingerprint(files_of(self.card, folder, split)) + shown
        rows = [(e.id, e.question, e.options, e.answers) for e in self._examples(folder, split).examples]
        return f"{rows} {fingerprint(sorted(self.files(folder, split)))}"

    def holds(self, folder: Path) -> bool:
        return False

    def load(self, place: Place, split: str, grounding: bool, bare: bool) -> Dataset:
        """Rows without a published answer are left out, and counted; where all are, and answers can be handed in, all are there.

        Raises DataError where no row has an answer and there is nobody to hand one in to.
        """
        read = self._examples(place.folder, split)
        examples = read.examples
        if self.card.hidden_answers:  # some may be there all the same: of shots
            examples = tuple(replace(example, answers=()) for example in examples)
        answered = tuple(example for example in examples if example.answers)
        if not answered and self.card.submission is not None:
            answered = examples
        if not answered:
            raise DataError(
                f"Карточка {self.card.path}: в части {split} нет ни одного опубликованного ответа, балла не посчитать: возьмите "
                f"другую часть ({', '.join(self.card.source.splits)})."
            )
        hidden = len(examples) - len(answered)
        skipped = f" без {len(read.faults)}" if read.faults else ""
        mark = hashlib.sha256(f"{self.card.rows_mark}{skipped} {self._rows_mark(place.folder, split)}".encode())
        return Dataset(
            name=self.card.name,
            split=split,
            source=place.label,
            fingerprint=mark.hexdigest()[:16],
            examples=answered,
            notes=read.notes,
            warnings=(
                *((f"строк без опубликованного ответа: {hidden}, они не спрошены",) if hidden else ()),
                *(
                    (f"негодных строк пропущено: {len(read.faults)} (первая – {read.faults[0]})",)
                    if read.faults
                    else ()
                ),
            ),
        )

    def stream(self, place: Place, split: str) -> Iterator[Example]:
        """All rows, those without a published answer too."""
        yield from self._examples(place.folder, split).examples

    def files(self, folder: Path, split: str) -> set[Path]:
        if entry_points(group=PLUGINS, name=self.card.name):
            return {image.path for example in self._examples(folder, split).examples for image in example.images}
        return set(files_of(self.card, folder, split))

    def copy(self, folder: Path, split: str, examples: Sequence[Example], out: Path) -> None:
        raise DataError(
            f"Карточка {self.card.path}: выборка в новую папку делается только из GQA-ru и MMBench-ru, у остальных есть --limit команды ruvlm eval."
        )
