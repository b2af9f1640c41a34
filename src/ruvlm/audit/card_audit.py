"""A benchmark by a card: what its rows are, the floors of chance, pictures that cannot be read, questions that repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ruvlm.audit.findings import Checked, Fact, FindingKind, Findings, Task
from ruvlm.audit.pictures import Picture, look, report
from ruvlm.backends.base import Asked
from ruvlm.backends.question_only import cross_fitted
from ruvlm.benchmarks.base import Place, Protocol
from ruvlm.data.images import read_bytes
from ruvlm.errors import DataError, MissingSplitError
from ruvlm.numerals import decimal
from ruvlm.schema import Example, ImageRef

REPEATED = FindingKind("duplicate-question", "вопрос о той же картинке повторяется", serious=False)
EQUAL = FindingKind("equal-options", "варианты с одинаковым текстом", serious=False)
HIDDEN = FindingKind("hidden-answer", "верный ответ не опубликован: строка не спрашивается", serious=False)


def check(task: Task) -> Checked:
    """Every split that is there. Raises DataError for rows that are not what the card says."""
    checked = Checked()
    place = Place(folder=task.folder, label=task.benchmark.title, graphs=None)
    absent: list[MissingSplitError] = []
    splits = list(dict.fromkeys(task.benchmark.splits.values()))
    for split in splits:
        try:
            examples = list(task.benchmark.rows.stream(place, split))
        except MissingSplitError as error:
            absent.append(error)
            continue
        where = f"{task.benchmark.title} {split}"
        checked.facts += [Fact(where, name, value) for name, value in _facts(task, examples)]
        _look_at_rows(examples, where, task.findings)
        if task.images:
            pictures = _pictures(examples)
            report(pictures, where, task.findings)
            checked.albums.append((split, pictures))
    if len(absent) == len(splits):
        raise absent[0]
    return checked


def _facts(task: Task, examples: Sequence[Example]) -> list[tuple[str, str]]:
    counts = Counter(len(example.images) for example in examples)
    facts = [("строк", str(len(examples)))]
    facts += [(f"строк с картинками: {number}", str(count)) for number, count in sorted(counts.items())]
    facts.append(("разных картинок", str(len({image for example in examples for image in example.images}))))
    answered = [example for example in examples if example.answers]
    if answered:
        options = Counter(len(example.options) for example in examples)
        if set(options) != {0}:
            facts.append(("вариантов в вопросе", ", ".join(f"{n} – {count}" for n, count in sorted(options.items()))))
            protocol = task.benchmark.protocols[0]
            chance = sum(1 / max(1, len(list(filter(None, protocol.replies(e))))) for e in answered) / len(answered)
            facts.append(("пол: наугад", f"{decimal(100 * chance)} %"))
        answer, times = Counter(one for example in answered for one in set(example.answers)).most_common(1)[0]
        facts.append((f"пол: всегда «{answer[:30]}»", f"{decimal(100 * times / len(answered))} %"))
        if (blind := question_only(task.benchmark.protocols[0], answered)) is not None:
            facts.append(("пол: только вопрос", f"{decimal(100 * blind)} %"))
    first = examples[0]
    facts += [(f"первый вопрос, {name}", wording.text) for name, wording in first.wordings.items()]
    facts.append(("его верный ответ", ", ".join(first.answers) or "не опубликован"))
    return facts


def question_only(protocol: Protocol, answered: Sequence[Example]) -> float | None:
    """The share right by the words of the question alone, learnt from the other parts of the same rows; None for too few."""
    scores: list[float] = []
    for held, control in cross_fitted(answered):
        asked = [Asked(protocol.prompt(example), example) for example in held]
        verdicts = protocol.judge_all(held, list(control.answer(asked)))
        scores += [verdict.score for verdict in verdicts]
    return sum(scores) / len(scores) if scores else None


def _look_at_rows(examples: Sequence[Example], where: str, findings: Findings) -> None:
    asked: set[tuple[object, ...]] = set()
    for example in examples:
        key = (example.question, example.images, example.options, example.hint)
        if key in asked:
            findings.add(REPEATED, where, f"строка {example.id}: {example.question[:60]}")
        asked.add(key)
        texts = [option for option in example.options if option]
        if len(set(texts)) < len(texts):
            findings.add(EQUAL, where, f"строка {example.id}: {', '.join(texts)[:60]}")
        if not example.answers:
            findings.add(HIDDEN, where, f"строка {example.id}")


def _pictures(examples: Sequence[Example]) -> list[Picture]:
    """Every picture once, by the first row that has it."""
    named: dict[ImageRef, str] = {}
    for example in examples:
        for image in example.images:
            named.setdefault(image, example.id)
    return [look(f"строка {name}", _bytes(image)) for image, name in named.items()]


def _bytes(image: ImageRef) -> bytes | None:
    """None for a picture that is not there: a finding like any other."""
    try:
        return read_bytes(image)
    except DataError:
        return None
