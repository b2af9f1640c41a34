"""Files of predictions as people have them: which column is the answer, the gold answer, the id, the options.

Columns are decided over all rows, never by the first; what is empty, guessed or converted is counted in the notes.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruvlm.data.answer_tables import NoValue, Table, name_counts, read_table
from ruvlm.data.jsonl import Row
from ruvlm.data.option_columns import is_missing, option_columns, options_of
from ruvlm.data.tool_logs import of_any_tool, table_in
from ruvlm.errors import DataError
from ruvlm.files import sound

PREDICTION = (
    "prediction",
    "pred",
    "response",
    "output",
    "predict",
    "model_answer",
    "generated_text",
    "predicted_answer",
    "model_response",
    "pred_answer",
    "generated_answer",
    "model_output",
    "hypothesis",
    "generation",
    "completion",
    "ответ модели",
    "предсказание",
    "ответ_модели",
    "ответ нейросети",
    "ответ нейронки",
    "ответ сети",
    "ответ системы",
)
GOLD = (
    "gold",
    "reference",
    "target",
    "ground_truth",
    "answer",
    "label",
    "labels",
    "gt",
    "gold_answer",
    "gt_answer",
    "reference_answer",
    "expected",
    "expected_answer",
    "correct_answer",
    "answers",
    "верный ответ",
    "правильный ответ",
    "верный",
    "правильно",
    "эталон",
    "ответ",
)
IDENTITY = ("id", "index", "question_id", "questionid", "qid", "номер", "№", "номер вопроса", "id вопроса")
CLUSTER = ("imageid", "image_id", "image", "image_path", "картинка", "изображение", "фото")
QUESTION = ("question", "вопрос")
_LLAVA = ("question_id", "text")


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """One row of a file. `number` is its line, from 1; a field that the file does not have is None.

    `golds` are the accepted answers, one in most files.
    """

    number: int
    identity: str | None
    prediction: str | None
    golds: tuple[str, ...] | None
    question: str | None
    cluster: str | None
    options: tuple[str | None, ...]
    category: str | None
    l2: str | None

    @property
    def gold(self) -> str | None:
        return self.golds[0] if self.golds else None


@dataclass(frozen=True)
class Columns:
    """Which columns carry what, as a user names them; None is found by its usual names."""

    prediction: str | None = None
    gold: str | None = None
    identity: str | None = None


@dataclass(frozen=True)
class AnswerFile:
    """A file of answers: its lines, and what a reader should know of how they were read.

    `cyrillic` options stood in columns А, Б, В, Г; `raw` is the table as it stands in the file.
    """

    path: Path
    lines: tuple[AnswerLine, ...]
    notes: tuple[str, ...]
    raw: Table
    cyrillic: bool = False


@dataclass
class _Tally:
    """What was converted or missing on the way."""

    counts: Counter[str] = field(default_factory=Counter)

    def notes(self) -> tuple[str, ...]:
        return tuple(f"{what}: {count}" for what, count in self.counts.items())


def read_answers(path: Path, predicted: bool = True, columns: Columns = Columns(), joined: bool = False) -> AnswerFile:
    """Every row of a predictions file, or with `predicted` false of a file of gold answers.

    `joined`: the gold answers come from another file, so that a lone `answer` is the model's. Raises DataError naming
    file, line and field; two columns that might both be meant are a question, not a guess.
    """
    if path.is_dir():
        path = table_in(path)
    raw = read_table(path)
    table = of_any_tool(path, raw)
    rows, renamed = _folded(path, table)
    names = _found(path, rows, predicted, columns, joined, renamed)
    tally = _Tally()
    letters = option_columns(rows)
    lines = tuple(
        _line(path, number, row, names, letters, tally) for number, row in zip(table.lines, rows, strict=True)
    )
    _refuse_repeated(path, lines)
    return AnswerFile(
        path, lines, (*table.notes, *tally.notes()), raw, cyrillic=letters is not None and letters[0][:1] == "а"
    )


def _folded(path: Path, table: Table) -> tuple[list[Row], Mapping[str, str]]:
    """Rows with their field names in lower case and single blanks, and each name as the file has it."""
    names: dict[str, str] = {}
    counts = name_counts(table.rows)
    for name in counts:
        short = " ".join(str(name).replace("\ufeff", "").lower().split())
        if short in names and any(
            name in row and names[short] in row and row[name] != row[names[short]] for row in table.rows
        ):
            raise DataError(f"{path}: поля «{names[short]}» и «{name}» различаются только написанием: оставьте одно.")
        names.setdefault(short, str(name))
    key = {name: " ".join(str(name).replace("\ufeff", "").lower().split()) for name in counts}
    return [{key[name]: value for name, value in row.items()} for row in table.rows], names


@dataclass(frozen=True, kw_only=True)
class _Found:
    identity: str | None
    prediction: str | None
    gold: str | None
    question: str | None
    cluster: str | None


def _found(
    path: Path, rows: Sequence[Row], predicted: bool, columns: Columns, joined: bool, names: Mapping[str, str]
) -> _Found:
    given = {
        what: _named(path, name, names)
        for what, name in (("p", columns.prediction), ("g", columns.gold), ("i", columns.identity))
    }
    counts = name_counts(rows)
    identity = given["i"] or _column(path, rows, counts, IDENTITY, "id")
    prediction = None
    if predicted:
        prediction = given["p"] or _column(path, rows, counts, PREDICTION, "ответа модели")
        if prediction is None and all(name in names for name in _LLAVA):
            prediction = "text"
        if prediction is None and joined:
            prediction = _column(path, rows, counts, ("answer", "text", "ответ"), "ответа модели")
    gold = given["g"] or _column(
        path, rows, counts, tuple(name for name in GOLD if name != prediction), "верного ответа"
    )
    if predicted and prediction is None:
        raise DataError(
            f"{path}: нет поля ответа модели (обычно оно зовётся prediction, response или output; в файле есть "
            f"{', '.join(list(names.values())[:12])}): назовите его ключом --prediction-field."
        )
    for name, what in ((identity, "id"), (gold, "верного ответа")):
        _refuse_partial(path, rows, name, what)
    question = next((name for name in QUESTION if name in names), None)
    cluster = next(
        (name for name in CLUSTER if all(_is_plain(row.get(name)) and len(str(row[name])) < 200 for row in rows)), None
    )
    return _Found(identity=identity, prediction=prediction, gold=gold, question=question, cluster=cluster)


def _named(path: Path, name: str | None, names: Mapping[str, str]) -> str | None:
    if name is None:
        return None
    short = " ".join(name.lower().split())
    if short not in names:
        raise DataError(f"{path}: поля «{name}» нет: есть {', '.join(list(names.values())[:20])}.")
    return short


def _column(
    path: Path, rows: Sequence[Row], counts: Mapping[str, int], names: tuple[str, ...], what: str
) -> str | None:
    present = [name for name in names if name in counts]
    if len(present) > 1 and any(
        len({str(row.get(name)).strip() for name in present if name in row}) > 1 for row in rows
    ):
        raise DataError(
            f"{path}: полей {what} несколько ({', '.join(present)}), и они различаются: оставьте одно или назовите его ключом "
            "--prediction-field, --gold-field или --id-field."
        )
    return max(present, key=lambda name: counts[name]) if present else None


def _refuse_partial(path: Path, rows: Sequence[Row], name: str | None, what: str) -> None:
    """A field that begins in the middle of a file would join half of it."""
    if name is None:
        return
    without = [number for number, row in enumerate(rows, 1) if name not in row or is_missing(row[name])]
    if (
        without
        and (what == "id" or len(without) < len(rows))
        and (what == "id" or any(name not in row for row in rows))
    ):
        raise DataError(
            f"{path}: в {len(without)} из {len(rows)} строк (первая из них – {without[0]}-я) нет поля {what} «{name}», а в "
            "других оно есть: допишите его."
        )


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _line(
    path: Path, number: int, row: Row, names: _Found, letters: tuple[str, ...] | None, tally: _Tally
) -> AnswerLine:
    def text(name: str | None, empty: str = "") -> str | None:
        return None if name is None else _text(path, number, name, row.get(name), tally, empty)

    golds = None
    if names.gold is not None:
        value = _listed(row.get(names.gold))
        values = value if isinstance(value, list) else [value]
        golds = tuple(_text(path, number, names.gold, one, tally, "") for one in values) or ("",)
    identity = text(names.identity)
    return AnswerLine(
        number=number,
        identity=None if identity is None else identity.strip(),
        prediction=text(names.prediction, "пустых ответов модели"),
        golds=golds,
        question=text(names.question),
        cluster=text(names.cluster),
        options=options_of(path, number, row, letters),
        category=_label(row, ("category", "категория")),
        l2=_label(row, ("l2-category", "l2_category")),
    )


def _listed(value: Any) -> Any:
    """A list of accepted answers, also as text of JSON."""
    if isinstance(value, str) and value[:1] == "[" and value.rstrip()[-1:] == "]":
        try:
            inner = json.loads(value.replace("'", '"')) if "'" in value and '"' not in value else json.loads(value)
        except (ValueError, RecursionError):
            return value
        return inner if isinstance(inner, list) and all(isinstance(one, str) for one in inner) and inner else value
    if (
        isinstance(value, list)
        and value
        and all(isinstance(one, dict) and isinstance(one.get("answer"), str) for one in value)
    ):
        return [one["answer"] for one in value]
    return value


def _text(path: Path, number: int, name: str, value: Any, tally: _Tally, empty: str) -> str:
    """A value as text: numbers as they are written, true and false as «да» and «нет», nothing as an empty text."""
    if isinstance(value, NoValue):
        raise DataError(
            f"{path}, ячейка {value.cell}: формула «{value.formula[:60]}» без сохранённого значения: откройте файл в Excel и "
            "сохраните, а если это текст, начните его с апострофа."
        )
    if value is None or (isinstance(value, float) and math.isnan(value)):
        value = ""
    if isinstance(value, bool):
        tally.counts["логических значений прочитано как «да» и «нет»"] += 1
        return "да" if value else "нет"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{path}, строка {number}: поле «{name}» = {str(value)[:80]}, а нужен текст.")
    if empty and not value.strip():
        tally.counts[empty] += 1
    return sound(value)


def _label(row: Row, names: tuple[str, ...]) -> str | None:
    """The first of the named columns that says something."""
    return next((str(row[name]) for name in names if isinstance(row.get(name), str) and row[name]), None)


def _refuse_repeated(path: Path, lines: Sequence[AnswerLine]) -> None:
    twice = [
        name
        for name, count in Counter(line.identity for line in lines if line.identity is not None).items()
        if count > 1
    ]
    if twice:
        raise DataError(f"{path}: id «{twice[0]}» встречается не раз (всего таких {len(twice)}): оставьте по строке.")


# --- joining two files


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a file of answers says under an id beside what the gold answers say under it; None where it says nothing."""

    identity: str
    question: str | None
    own_question: str | None
    gold: str | None
    own_gold: str | None
    options: tuple[str | None, ...] = ()
    own_options: tuple[str | None, ...] = ()


def refuse_foreign(path: Path, other: str, pairs: Sequence[Pair]) -> None:
    """Raise DataError if under the same ids stand other questions, or other gold answers: these are answers to something else."""
    for pair in pairs:
        if pair.options and pair.own_options and pair.options != pair.own_options:
            raise DataError(
                f"{path}: под теми же id другие варианты, чем в {other}: id {pair.identity}, там {_cut(str(pair.options))}, здесь "
                f"{_cut(str(pair.own_options))}: буквы значили бы другое."
            )
    for what, said, own in (("вопрос", "question", "own_question"), ("верный ответ", "gold", "own_gold")):
        differ = [pair for pair in pairs if not _agree(getattr(pair, said), getattr(pair, own))]
        if differ:
            first = differ[0]
            raise DataError(
                f"{path}: под теми же id другие вопросы, чем в {other}: id {first.identity}, {what} там «{_cut(getattr(first, said))}», "
                f"здесь «{_cut(getattr(first, own))}» (таких строк {len(differ)} из {len(pairs)}): это ответы на другой набор."
            )


def _agree(said: str | None, own: str | None) -> bool:
    """The same words, or the one inside the other, as a prompt holds its question."""
    if not said or not own:
        return True
    a, b = (" ".join(re.sub(r"[\W_]+", " ", text.lower().replace("ё", "е")).split()) for text in (said, own))
    if a == b or not a or not b:
        return True
    return min(len(a), len(b)) > 12 and (a in b or b in a)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
