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
        "id": (
            (),
            ("id", "questionid", "qid", "index", "uid", "номер", "№", "№п/п", "n", "#", "номервопроса", "idвопроса"),
        ),
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
    own = [name for name in columns if name not in by_role.values()]
    lists = [name for name in own if _plain(name) in _OPTION_LISTS]
    options = () if lists else _options(table, own, bool(by_role["answer"]))
    return Roles(**by_role, options=options, options_list=lists[0] if lists else "")


def _options(table: str, columns: Sequence[str], answered: bool) -> tuple[str, ...]:
    """The columns of options in their order. Raises DataError where one of their kind would be left out."""
    named: dict[str, str] = {}
    for name in columns:
        plain = name.strip().lower()
        # beside a gold answer «Ответ 1», «Вариант № 1» and a bare «1» are options
        if answered:
            plain = re.sub(r"^(?:вариант(?:\s+ответа)?|ответ)\s*№?\s*(?=[a-zа-яё]$|\d{1,2}$)", "option ", plain)
            plain = re.sub(r"^(\d{1,2})$", r"option \1", plain)
        named.setdefault(plain, name)
    options = tuple(named[name] for name in option_columns([dict.fromkeys(named)]) or ())
    marks = {option_mark(plain) for plain, name in named.items() if name in options}
    left = [
        name
        for plain, name in named.items()
        if options
        and name not in options
        and (mark := option_mark(plain))
        and mark.isalpha() == next(iter(marks)).isalpha()
    ]
    if left:
        raise DataError(
            f"{table}: столбец «{left[0]}» похож на вариант, а идут они не подряд ({', '.join(options)}): перечислите их в карточке, "
            "columns.options."
        )
    return options


def option_mark(name: str) -> str:
    """The letter or number of an option that a column's name ends in; empty where it has none."""
    match = re.fullmatch(r"(?:.*[ _-])?\(?([a-zа-яё]|\d{1,2})\)?[.)]?", name.strip().lower())
    return match[1] if match else ""


def _column(table: str, role: str, columns: Sequence[str], rows: Sequence[RawRow]) -> str:
    """The first name in the order of the list; two that mean the role and nothing else must hold the same."""
    certain, possible = _NAMES[role]
    by_name: dict[str, list[str]] = {}
    for name in columns:
        by_name.setdefault(_plain(name), []).append(name)
    fitting = [name for known in certain for name in by_name.get(known, ())]
    fitting = fitting or [name for known in possible for name in by_name.get(known, ())]
    sure = fitting if certain else fitting[:1]  # an id, a hint, a category: the first is as good as another
    differing = [one for one in sure[1:] if any(_text(row.get(sure[0])) != _text(row.get(one)) for row in rows)]
    if differing:
        key = "answer.column" if role == "answer" else f"columns.{role}"
        raise DataError(
            f"{table}: столбцы «{sure[0]}» и «{differing[0]}» подходят на одно место: назовите нужный в карточке, {key}."
        )
    return next(iter(fitting), "")


def _text(value: Any) -> str:
    return "" if missing(value) else str(value)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()
