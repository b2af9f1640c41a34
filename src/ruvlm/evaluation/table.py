"""Score a file of answers, against its own gold answers or those of another file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ruvlm.benchmarks.base import Protocol, disagreements
from ruvlm.benchmarks.catalog import CHOICE, SHORT
from ruvlm.benchmarks.circular import ROTATION, reference_figures
from ruvlm.benchmarks.stats import score_columns
from ruvlm.data.answer_tables import Table
from ruvlm.data.predictions import AnswerFile, AnswerLine, Columns, Pair, read_answers, refuse_foreign
from ruvlm.errors import DataError
from ruvlm.evaluation.gold import Lettering, Marked, gold_letters
from ruvlm.rules.cleaning import cleaned
from ruvlm.rules.named import MOST_OPTIONS, best_match
from ruvlm.rules.parse_ru import writes_cyrillic
from ruvlm.schema import LETTERS, Absent, Example, ImageRef, Response, Result, Score, Status, Verdict

# a file says no benchmark: its short answers are matched by these, called as GQA-ru calls them
SHORT_RULES = SHORT.protocols[0].rules


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer beside its accepted gold answers, from one file or two. `number` is its line among the predictions."""

    number: int
    identity: str | None
    prediction: str
    golds: tuple[str, ...]
    cluster: str | None
    options: tuple[str | None, ...]
    category: str | None
    l2: str | None
    question: str = ""

    @property
    def gold(self) -> str:
        return self.golds[0]

    @property
    def name(self) -> str:
        """Its id, or its line where it has none."""
        return self.identity if self.identity is not None else f"строка {self.number}"


@dataclass(frozen=True)
class AnswerSheet:
    """All rows of a file, or of two joined, what was noted on the way, the letters where it is a choice, the table as it stands."""

    path: Path
    rows: list[Answered]
    notes: tuple[str, ...]
    lettering: Lettering | None
    raw: Table


@dataclass(frozen=True)
class Dispute:
    """A line on which rules differ: its number from 1, and which rules take it for right."""

    line: int
    predicted: str
    gold: str
    right_by: tuple[str, ...]


def score_file(
    path: Path,
    gold: Path | None = None,
    reference_random: bool = False,
    columns: Columns = Columns(),  # noqa: B008
) -> Result:
    """Scores of a file under every rule; multiple choice where its rows have options.

    With `reference_random`, also lmms-eval's circular figure with a random letter for what it could not read. Rows of one image, where it is named, are resampled together. Raises DataError naming file, line and field.
    """
    return scored(answered(path, gold, columns), reference_random)


def scored(sheet: AnswerSheet, reference_random: bool = False) -> Result:
    """Scores of answers that stand beside their gold answers."""
    if sheet.lettering is not None:
        result = _score_choices(sheet, sheet.lettering, reference_random)
        return replace(result, notes=(*result.notes, *sheet.notes))
    rows = sheet.rows
    scores_NK = _matched(rows)
    named = all(row.cluster is not None for row in rows)
    clusters = [row.cluster or "" if named else str(row.number) for row in rows]
    scores = score_columns(clusters, scores_NK, np.ones_like(scores_NK, dtype=bool))
    unfinished = sum(cleaned(row.prediction).unfinished for row in rows)
    notes = [*disagreements(list(SHORT_RULES), scores_NK)]
    notes.append("интервалы – по картинкам" if named else "картинки не названы: интервалы – по строкам")
    padded = sum(row.gold != row.gold.strip() for row in rows)
    notes += (
        [
            f"верных ответов с пробелами по краям: {padded}, по правилу {next(iter(SHORT_RULES))} они не совпадут ни с чем"
        ]
        if padded
        else []
    )
    return Result(
        n=len(rows),
        scores=dict(zip(SHORT_RULES, scores, strict=True)),
        unparsed=unfinished,
        notes=(*notes, *sheet.notes),
        absent={Absent.THOUGHT.value: unfinished} if unfinished else {},
        warnings=_unfinished(unfinished, len(rows)),
    )


def _unfinished(count: int, rows: int) -> tuple[str, ...]:
    return (f"ответов с незаконченным рассуждением: {count} из {rows}, они не ответы",) if count else ()


def judged(sheet: AnswerSheet) -> list[Verdict]:
    """Every row's verdict, in their order."""
    if sheet.lettering is not None:
        return _judged(sheet, sheet.lettering)[1]
    return [
        Verdict(
            id=row.name,
            cluster=row.cluster or row.name,
            parsed=row.prediction,
            reason=None,
            scores=dict(zip(SHORT_RULES, scores, strict=True)),
            status=Status.ABSENT if cleaned(row.prediction).unfinished else Status.ANSWERED,
        )
        for row, scores in zip(sheet.rows, _matched(sheet.rows).tolist(), strict=True)
    ]


def disputes(path: Path, gold: Path | None = None, columns: Columns = Columns()) -> list[Dispute]:  # noqa: B008
    """The lines of a file on which its rules differ."""
    sheet = answered(path, gold, columns)
    verdicts = [verdict.scores for verdict in judged(sheet)]
    return [
        Dispute(row.number, row.prediction, row.gold, tuple(rule for rule, score in scores.items() if score == 1))
        for row, scores in zip(sheet.rows, verdicts, strict=True)
        if len(set(scores.values())) > 1
    ]


def answered(path: Path, gold: Path | None, columns: Columns = Columns()) -> AnswerSheet:  # noqa: B008
    """Predictions beside gold answers, and what was left out. Raises DataError if a gold answer has no prediction."""
    own = columns if gold is None else replace(columns, gold=None)
    answers = read_answers(path, columns=own, joined=gold is not None)
    if gold is None:
        rows = [_own(path, line) for line in answers.lines]
        return _sheet(answers, rows, answers.notes, answers.cyrillic)
    wanted = read_answers(gold, predicted=False, columns=replace(columns, prediction=None))
    rows, notes = _join(answers, wanted)
    return _sheet(answers, rows, (*answers.notes, *notes, *wanted.notes), answers.cyrillic or wanted.cyrillic)


def _sheet(answers: AnswerFile, rows: list[Answered], notes: tuple[str, ...], cyrillic: bool) -> AnswerSheet:
    path = answers.path
    for row in rows:
        if not any(gold.strip() for gold in row.golds):
            raise DataError(f"{path}, строка {row.number}: верный ответ пуст: впишите его или удалите строку.")
    lettering = gold_letters(path, [Marked(row.number, row.gold, row.options) for row in rows], cyrillic)
    several = next((row for row in rows if lettering is not None and len(row.golds) > 1), None)
    if several is not None:
        raise DataError(
            f"{path}, строка {several.number}: у вопроса с вариантами несколько верных ответов: оставьте один."
        )
    if (
        lettering is None
        and rows
        and all(len(row.gold.strip()) == 1 and row.gold.strip().upper() in f"{LETTERS[:5]}АБВГД" for row in rows)
    ):
        notes = (*notes, "все верные ответы – одни буквы, а вариантов в файле нет: посчитано как короткие ответы")
    if lettering is not None and lettering.note is not None:
        notes = (*notes, lettering.note)
    return AnswerSheet(path, rows, notes, lettering, answers.raw)


def _join(answers: AnswerFile, wanted: AnswerFile) -> tuple[list[Answered], tuple[str, ...]]:
    for file in (answers, wanted):
        if file.lines[0].identity is None:
            raise DataError(
                f"{file.path}: нет поля id, index или question_id, по которому сопоставить ответы: добавьте его или назовите "
                "ключом --id-field."
            )
    given = {line.identity: line for line in answers.lines}
    missing = [line.identity for line in wanted.lines if line.identity not in given]
    if missing:
        raise DataError(
            f"{answers.path}: нет ответов на {len(missing)} из {len(wanted.lines)} вопросов {wanted.path} (первый – {missing[0]}): "
            "дополните файл."
        )
    together = [(given[line.identity], line) for line in wanted.lines]
    refuse_foreign(
        answers.path,
        str(wanted.path),
        [
            Pair(
                identity=own.identity or "",
                question=said.question,
                own_question=own.question,
                gold=said.gold,
                own_gold=own.gold,
                options=said.options,
                own_options=own.options,
            )
            for said, own in together
        ],
    )
    extra = len(answers.lines) - len(wanted.lines)
    notes = (f"лишних ответов, которых нет в {wanted.path.name}: {extra}",) if extra else ()
    return [_joined(wanted.path, said, own) for said, own in together], notes


def _own(path: Path, line: AnswerLine) -> Answered:
    if line.golds is None:
        raise DataError(
            f"{path}: нет поля верного ответа (gold, answer…): назовите его ключом --gold-field или укажите --gold ФАЙЛ."
        )
    return Answered(
        number=line.number,
        identity=line.identity,
        prediction=line.prediction or "",
        golds=line.golds,
        cluster=line.cluster,
        options=line.options,
        category=line.category,
        l2=line.l2,
        question=line.question or "",
    )


def _joined(gold: Path, given: AnswerLine, wanted: AnswerLine) -> Answered:
    if wanted.golds is None:
        raise DataError(
            f"{gold}: нет поля верного ответа (gold, answer…): добавьте его или назовите ключом --gold-field."
        )
    return Answered(
        number=given.number,
        identity=wanted.identity,
        prediction=given.prediction or "",
        golds=wanted.golds,
        cluster=wanted.cluster,
        options=wanted.options or given.options,
        category=wanted.category or given.category,
        l2=wanted.l2 or given.l2,
        question=wanted.question or given.question or "",
    )


def _matched(rows: Sequence[Answered]) -> np.ndarray:
    """[N, K] float, 0 to 1: what row n scores under rule k against the accepted answer that it fits best."""
    return np.array([best_match(tuple(SHORT_RULES.values()), row.prediction, row.golds) for row in rows])


def _judged(sheet: AnswerSheet, lettering: Lettering) -> tuple[list[Example], list[Verdict]]:
    rotated = _rotated(sheet)
    examples = [
        _example(sheet.path, row, letter, rotated) for row, letter in zip(sheet.rows, lettering.letters, strict=True)
    ]
    said = [_as_letter(row.prediction, lettering) for row in sheet.rows]
    cyrillic = lettering.cyrillic or writes_cyrillic(said, max(len(row.options) for row in sheet.rows))
    protocol = _protocol(sheet)
    verdicts = [protocol.judge(example, Response(text), cyrillic) for example, text in zip(examples, said, strict=True)]
    return examples, verdicts


_NUMBERED = re.compile(r"^\s*(?:(?:ответ|вариант)\s*[:№]?\s*)?(\d{1,2})(?:\.0)?(?:[.)]\s|[.)]?\s*$)", re.IGNORECASE)


def _as_letter(prediction: str, lettering: Lettering) -> str:
    """A bare number where the gold answers were numbers of options, as its letter; all else as it is."""
    text = _NUMBERED.match(prediction)
    if lettering.first is None or text is None:
        return prediction
    place = int(text[1]) - lettering.first
    return LETTERS[place] if 0 <= place < len(LETTERS) else prediction


def _protocol(sheet: AnswerSheet) -> Protocol:
    """How a file's letters are read: not by a reader that does not know as many letters as its rows have options."""
    lettered = CHOICE.protocols[0]
    most = max(len(row.options) for row in sheet.rows)
    rules = {label: rule for label, rule in lettered.rules.items() if most <= MOST_OPTIONS.get(rule, len(LETTERS))}
    return replace(lettered, rules=rules)


def _score_choices(sheet: AnswerSheet, lettering: Lettering, reference_random: bool) -> Result:
    examples, verdicts = _judged(sheet, lettering)
    protocol = _protocol(sheet)
    result = protocol.score(CHOICE.axes, examples, verdicts)
    unfinished = sum(cleaned(row.prediction).unfinished for row in sheet.rows)
    absent = {Absent.THOUGHT.value: unfinished} if unfinished else {}
    result = replace(result, absent=absent, warnings=_unfinished(unfinished, len(sheet.rows)))
    if not reference_random:
        return result
    hits = list(reference_figures(examples, [verdict.parsed for verdict in verdicts], draw=True).hits.values())
    if not hits:  # no group has its first row: the reference counts nothing
        return result
    drawn = Score(len(hits), sum(hits), 100 * sum(hits) / len(hits))
    return replace(result, scores={**result.scores, f"{protocol.headline}/circular-reference-random": drawn})


def _rotated(sheet: AnswerSheet) -> bool:
    """Are the ids MMBench's indices, of which some name a rotation? Raises DataError for two spellings of one index."""
    ids = [row.identity for row in sheet.rows]
    if not all(name is not None and name.isascii() and name.isdigit() and len(name) < 19 for name in ids):
        return False
    numbers = Counter(int(name) for name in ids if name is not None)
    number, count = numbers.most_common(1)[0]
    if count > 1:
        same = [name for name in ids if name is not None and int(name) == number]
        raise DataError(f"{sheet.path}: index «{same[0]}» и «{same[1]}» – одно и то же число: оставьте по строке.")
    if max(numbers) < ROTATION:
        return False
    # large ids of one's own are no rotations: those of one question have the same options
    groups: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for row in sheet.rows:
        groups[int(row.identity or 0) % ROTATION].append(
            tuple(" ".join((o or "").lower().split()) for o in row.options)
        )
    # a copy may be translated anew: one option in common is enough
    several = [bool(set.intersection(*map(set, kinds))) for kinds in groups.values() if len(kinds) > 1]
    if not several or max(numbers) // ROTATION >= max(len(row.options) for row in sheet.rows):
        return False
    return sum(several) * 2 >= len(several)


def _example(path: Path, row: Answered, letter: str, rotated: bool) -> Example:
    """A row as an example; without rotations each one is a question of its own."""
    index = int(row.name) if rotated else 0
    base = str(index % ROTATION) if rotated else row.name
    return Example(
        id=row.name,
        benchmark=CHOICE.name,
        question="",
        answers=(letter,),
        images=(ImageRef(path),),
        image_id=base,
        cluster=base,
        options=tuple(option or "" for option in row.options),
        rotation=index // ROTATION,
        category=row.category,
        l2=row.l2,
    )
