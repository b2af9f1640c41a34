"""What the columns of a table that nobody described hold, by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ruvlm.benchmarks.cards.raw_rows import RawRow, missing
from ruvlm.data.option_columns import option_columns
from ruvlm.errors import DataError

# by role: names that mean nothing else, then names that may; blanks, «_» and «-» do not count, nor does case
_NAMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "question": (("question", "вопрос"), ("query", "prompt", "text", "текст")),
        "answer": (
            (
                "answers",
                "answer",
                "ответы",
                "ответ",
                "правильныйответ",
                "верныйответ",
                "эталон",
                "gold",
                "correctanswer",
                "groundtruth",
            ),
            ("label", "target", "correct", "answerkey"),
        ),
        "image": (
            ("image", "img", "picture", "картинка", "изображение", "фото", "images"),
            ("imagepath", "файл", "имяфайла", "filename", "file", "path"),
        ),
        "id": ((), ("id", "questionid", "qid", "index", "uid", "номер")),
        "hint": ((), ("hint", "context", "подсказка", "контекст")),
        "category": ((), ("category", "категория", "type", "тип", "subject")),
    }
)
_OPTION_LISTS = ("options", "choices", "варианты", "вариантыответа")


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The columns of each role, empty where a table has none; `options` are columns of their own, `options_list` one of lists."""

    question: str
    answer: str
    image: str
    id: str
    hint: str
    category: str
    options: tuple[str, ...]
    options_list: str

    @property
    def asks(self) -> bool:
        """Does the table hold questions with answers?"""
        return bool(self.question and self.answer)


def roles_of(table: str, rows: Sequence[RawRow]) -> Roles:
    """Raises DataError where two columns may have one role."""
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    by_role = {role: _column(table, role, columns, rows) for role in _NAMES}
    own = {name.strip().lower(): name for name in columns if name not in by_role.values()}
    series = option_columns([dict.fromkeys(own)]) or ()
    lists = [name for name in columns if _plain(name) in _OPTION_LISTS]
    options = () if lists else tuple(own[name] for name in series)
    return Roles(**by_role, options=options, options_list=lists[0] if lists else "")


def _column(table: str, role: str, columns: Sequence[str], rows: Sequence[RawRow]) -> str:
    """The first name in the order of the list; two that mean the role and nothing else must hold the same."""
    certain, possible = _NAMES[role]
    by_name: dict[str, str] = {}
    for name in columns:
        by_name.setdefault(_plain(name), name)
    sure = [by_name[name] for name in certain if name in by_name]
    if len(sure) > 1 and any(_text(row.get(sure[0])) != _text(row.get(sure[1])) for row in rows):
        key = "answer.column" if role == "answer" else f"columns.{role}"
        raise DataError(
            f"{table}: столбцы «{sure[0]}» и «{sure[1]}» подходят на одно место: назовите нужный в карточке, {key}."
        )
    return next(iter([*sure, *(by_name[name] for name in possible if name in by_name)]), "")


def _text(value: Any) -> str:
    return "" if missing(value) else str(value)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()
