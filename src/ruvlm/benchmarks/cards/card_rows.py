"""Rows of a card → Example: question, options, gold answers, pictures, values on axes, and the wording of each protocol."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.card_pictures import PictureFinder, RowFault, pictures_of
from ruvlm.benchmarks.cards.card_wording import LABELS, filled, wording_of
from ruvlm.benchmarks.cards.raw_rows import RawRow, blank, decoded, files_of, missing, raw_rows, texts_of
from ruvlm.data.images import load_image, read_bytes
from ruvlm.data.option_columns import option_values
from ruvlm.errors import DataError, MissingSplitError
from ruvlm.files import picture_mark
from ruvlm.rules.named import MOST_OPTIONS
from ruvlm.schema import LETTERS, RUSSIAN_LETTERS, Example, ImageRef

NAMED = 3
# so many rows are looked through for a column that lines of JSON may leave out
REACH = 1000
CLUSTERS = ("image", "row", "group")
TEXTS = ("text", "texts")


def place_of(card: BenchmarkCard) -> Path:
    """The folder or the file that a card's rows are in: beside the card, or where its set of the hub is fetched to.

    Raises DataError where nothing is fetched.
    """
    source = card.source
    if source.path:
        return card.folder / source.path
    for place in (Path("data") / card.name, card.folder / card.name):
        if place.is_dir():
            return place
    named = card.name if card.path.parent == Path(__file__).parent else card.path
    raise DataError(f"Набор {source.repo} карточки {card.name} не скачан: ruvlm data fetch {named}.")


@dataclass(frozen=True)
class CardExamples:
    """The rows of a split that can be asked, what is wrong with each that was left out, how its tables were read."""

    examples: tuple[Example, ...]
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def card_examples(card: BenchmarkCard, base: Path, split: str, skip_bad: bool = False) -> CardExamples:
    """Every row of a split, with the copies that turn its options; with `skip_bad`, of those that can be asked.

    Raises DataError naming rows, values and the card's keys.
    """
    if split not in card.source.splits:
        raise MissingSplitError(f"Карточка {card.path}: части «{split}» нет, есть {', '.join(card.source.splits)}.")
    notes: list[str] = []
    raws = raw_rows(card, base, split, notes)
    _columns_are_there(card, raws[:REACH])
    finder = PictureFinder(card, files_of(card, base, split)[0].parent, base)
    examples: list[Example] = []
    faults: list[str] = []
    for raw in raws:
        try:
            example = _example(card, raw, finder)
            if skip_bad:
                _refuse_unreadable(example)
            examples += _turned(card, raw, example)
        except RowFault as fault:
            faults.append(fault.said)
    twice = _repeated(example.id for example in examples)
    if skip_bad and examples and not twice:
        return CardExamples(tuple(examples), tuple(faults), tuple(notes))
    faults += twice
    if faults:
        more = f"; и ещё {len(faults) - NAMED}" if len(faults) > NAMED else ""
        raise DataError(f"Карточка {card.path}: {'; '.join(faults[:NAMED])}{more}.")
    return CardExamples(tuple(examples), notes=tuple(notes))


def _refuse_unreadable(example: Example) -> None:
    """Raise RowFault for a picture that cannot be shown."""
    for image in example.images:
        try:
            load_image(image)
        except DataError as error:
            raise RowFault(str(error).rstrip(".")) from error


def _columns_are_there(card: BenchmarkCard, raws: Sequence[RawRow]) -> None:
    columns, statistics = card.columns, card.statistics
    paths = {
        "columns.id": (columns.id if columns.id != "#" and "{" not in columns.id else "",),
        "columns.image_id": (columns.image_id,),
        "rotation.index": (card.rotation.index,),
        "statistics.cluster": (statistics.cluster if statistics.cluster not in CLUSTERS else "",),
        "statistics.group": (statistics.group,),
        **{f"protocol «{one.name}», prompt_column": (one.prompt_column, one.fill) for one in card.protocols},
        "columns.question": (columns.question,),
        "columns.hint": (columns.hint,),
        "columns.image": columns.images,
        "columns.options": (*columns.options, columns.options_list, columns.options_lines[0]),
        "answer.column": (card.answer.column,),
        **{f"axes.{name}": (path,) for name, path in card.axes.items()},
    }
    absent = [
        f"{key}: столбца «{path}» нет"
        for key, names in paths.items()
        for path in names
        if path and not any(raw.has(path) for raw in raws)
    ]
    if absent:
        raise DataError(f"Карточка {card.path}: {'; '.join(absent)} (есть {', '.join(raws[0].values)}).")


def refuse_repeated(card: BenchmarkCard, examples: Sequence[Example]) -> None:
    """Raise DataError for ids that are not unlike."""
    twice = _repeated(example.id for example in examples)
    if twice:
        raise DataError(f"Карточка {card.path}: {twice[0]}.")


def _repeated(ids: Iterable[str]) -> list[str]:
    repeated = [one for one, count in Counter(ids).items() if count > 1]
    said = ", ".join(f"«{one}»" for one in repeated[:NAMED])
    return [f"columns.id: номер повторяется у {len(repeated)} строк ({said})"] if repeated else []


def _example(card: BenchmarkCard, raw: RawRow, finder: PictureFinder) -> Example:
    columns = card.columns
    name = _id(card, raw)
    question, hint = raw.get(columns.question), raw.get(columns.hint) if columns.hint else None
    if missing(question):
        raise RowFault(f"строка {name}, {columns.question}: вопроса нет")
    if isinstance(question, list | dict):
        raise RowFault(f"строка {name}, {columns.question}: вопрос – не текст ({str(question)[:40]})")
    options = options_of(card, raw, name)
    _refuse_many(card, name, len(options))
    pictures = pictures_of(card, raw, name, finder)
    if not pictures and not columns.image_optional:
        raise RowFault(f"строка {name}: картинки нет (если так и надо – columns.image_optional = true)")
    image_id = _there(raw, columns.image_id, name) if columns.image_id else _mark(pictures, name)
    index = _index(card, raw, name)
    return Example(
        id=name,
        benchmark=card.name,
        question=texts_of([question])[0],
        answers=_golds(card, raw, name, options),
        images=pictures,
        image_id=image_id,
        cluster=_cluster(card, raw, name, image_id, index % card.rotation.step),
        options=() if card.answer.form in TEXTS else options,
        hint=None if blank(hint) else str(hint),
        rotation=index // card.rotation.step,
        group=_there(raw, card.statistics.group, name) if card.statistics.group else None,
        wordings={
            f"{card.name}/{protocol.name}": wording_of(card, protocol, raw, name, options, len(pictures))
            for protocol in card.protocols
        },
        facts={axis: _values(raw.get(path)) for axis, path in card.axes.items()},
    )


def _mark(pictures: tuple[ImageRef, ...], name: str) -> str:
    """What a row's picture is known by: its bytes; its place where they cannot be read, the row where it has none."""
    if not pictures:
        return name
    try:
        return picture_mark(read_bytes(pictures[0])).hex()
    except DataError:
        return str(pictures[0])


def _turned(card: BenchmarkCard, raw: RawRow, example: Example) -> Iterator[Example]:
    """A row and, where a card asks for that, its copies with the options rolled left by one more each."""
    yield example
    count = len(example.options) if card.rotation.kind == "roll" else 0
    for turn in range(1, count):
        options = example.options[turn:] + example.options[:turn]
        yield replace(
            example,
            id=str(int(example.id) + turn * card.rotation.step) if example.id.isdigit() else f"{example.id}+{turn}",
            options=options,
            answers=tuple(LETTERS[(LETTERS.index(letter) - turn) % count] for letter in example.answers),
            rotation=turn,
            wordings={
                f"{card.name}/{protocol.name}": wording_of(
                    card, protocol, raw, example.id, options, len(example.images)
                )
                for protocol in card.protocols
            },
        )


def _index(card: BenchmarkCard, raw: RawRow, name: str) -> int:
    """The number that tells a row's question and turn; the row's own where rows are no copies of one another."""
    if card.rotation.kind != "rows":
        return raw.number % card.rotation.step
    index = texts_of([raw.get(card.rotation.index)])[0]
    if not index.isdigit():
        raise RowFault(f"строка {name}, {card.rotation.index}: «{index[:40]}» – не номер")
    return int(index)


def _id(card: BenchmarkCard, raw: RawRow) -> str:
    path = card.columns.id
    if not path or path == "#":
        return str(raw.number) if raw.place is None else f"{raw.number}_{raw.place}"
    value = filled(card, "columns.id", path, raw, {}) if "{" in path else raw.get(path)
    if missing(value):
        raise RowFault(f"строка {raw.number}, {path}: номера нет")
    return texts_of([value])[0]


def options_of(card: BenchmarkCard, raw: RawRow, name: str) -> tuple[str, ...]:
    """By letter; one that is empty between others keeps its letter, empty ones at the end have none."""
    columns = card.columns
    if not columns.choice:
        return ()
    values: list[Any] = list(columns.options_fixed) or [raw.get(path) for path in columns.options]
    if columns.options_list:
        listed = option_values(raw.get(columns.options_list))
        if listed is None:
            raise RowFault(
                f"строка {name}, {columns.options_list}: не список вариантов ({str(raw.get(columns.options_list))[:40]})"
            )
        values = listed
    if columns.options_lines[0]:
        values = _lines(str(raw.get(columns.options_lines[0])), columns.options_lines[1])
    if len(values) > len(LETTERS):
        raise RowFault(f"строка {name}: вариантов {len(values)}, а бывает до {len(LETTERS)}")
    if strange := next((value for value in values if isinstance(value, list | dict)), None):
        raise RowFault(f"строка {name}: вариант – не текст ({str(strange)[:40]})")
    options = ["" if blank(value) else texts_of([value])[0].strip() for value in values]
    while options and not options[-1] and not columns.options_keep:
        options.pop()
    count = len(options) if columns.options_keep else sum(map(bool, options))
    if count < 2:
        kept = ' (варианты без текста – картинки? тогда columns.options_empty = "keep")' if count < len(values) else ""
        raise RowFault(f"строка {name}: вариантов {count}, а нужно хотя бы два{kept}")
    return tuple(options)


def _lines(text: str, first: str) -> list[str]:
    """Consecutive lines that begin with «1. », «2. »… or «A. », «B. »…"""
    mark, rest = first[0], first[1:]
    marks = LABELS["1"] if mark.isdigit() else LETTERS
    options: list[str] = []
    for line in text.splitlines():
        start = f"{marks[len(options)]}{rest}" if len(options) < len(marks) else "\0"
        if line.startswith(start):
            options.append(line.removeprefix(start))
        elif options:
            break
    return options


def _golds(card: BenchmarkCard, raw: RawRow, name: str, options: tuple[str, ...]) -> tuple[str, ...]:
    answer = card.answer
    value = raw.get(answer.column)
    if blank(value) or any(type(value) is type(one) and value == one for one in answer.hidden):
        return ()
    if isinstance(value, str) and answer.decode != "plain":
        if value.strip() in ("null", "None"):
            return ()
        value = decoded(value, answer.decode)
        value = sorted(value, key=str) if isinstance(value, set) else list(value) if isinstance(value, tuple) else value
        if value is None:
            raise RowFault(
                f"строка {name}, {answer.column}: не читается как {answer.decode} ({str(raw.get(answer.column))[:40]})"
            )
    if answer.form == "texts" or isinstance(value, list):
        values = [one for one in (value if isinstance(value, list) else [value]) if not blank(one)]
        if not values:
            return ()
        if strange := next((one for one in values if isinstance(one, list | dict)), None):
            raise RowFault(f"строка {name}, {answer.column}: ответ – не текст ({str(strange)[:40]})")
        if answer.form not in TEXTS and len(values) != 1:
            raise RowFault(f"строка {name}, {answer.column}: ответов {len(values)}, а нужен один")
        if answer.form in TEXTS:
            return tuple(texts_of(values))
        value = values[0]
    if isinstance(value, dict):
        raise RowFault(f"строка {name}, {answer.column}: ответ – не текст ({str(value)[:40]})")
    if answer.form == "text":
        return tuple(texts_of([value]))
    return (_letter(card, value, name, options),)


def _letter(card: BenchmarkCard, value: Any, name: str, options: tuple[str, ...]) -> str:
    """The letter that a gold answer of any form means."""
    answer = card.answer
    said = texts_of([value])[0].strip()
    if answer.form == "option":
        places = [place for place, option in enumerate(options) if option == said]
        if len(places) != 1:
            raise RowFault(
                f"строка {name}, {answer.column}: текст «{said[:40]}» равен {len(places)} вариантам, а нужен один"
            )
        return LETTERS[places[0]]
    if answer.form == "letter":
        alphabet = LETTERS if answer.letters == "A" else RUSSIAN_LETTERS
        place = alphabet.find(said.upper()) if len(said) == 1 else -1
        if place < 0:
            russian = len(said) == 1 and said.upper() in RUSSIAN_LETTERS
            hint = ' (ответы кириллицей? тогда answer.letters = "а")' if russian and alphabet is LETTERS else ""
            raise RowFault(f"строка {name}, {answer.column}: «{said[:40]}» – не буква варианта{hint}")
    else:
        if not re.fullmatch(r"-?\d+", said):
            raise RowFault(f"строка {name}, {answer.column}: «{said[:40]}» – не номер варианта")
        place = int(said) - (answer.form == "index1")
    if not 0 <= place < len(options) or not (options[place] or card.columns.options_keep):
        kept = (
            ""
            if card.columns.options_keep
            else ' (вариант без текста – картинка? тогда columns.options_empty = "keep")'
        )
        raise RowFault(f"строка {name}, {answer.column}: «{said}», а варианты есть у {_given(options)}{kept}")
    return LETTERS[place]


def _given(options: Sequence[str]) -> str:
    return ", ".join(letter for letter, option in zip(LETTERS, options, strict=False) if option) or "–"


def _cluster(card: BenchmarkCard, raw: RawRow, name: str, image_id: str, base: int) -> str:
    """What is resampled together; with copies that turn the options always a question with all of its copies."""
    kind = card.statistics.cluster
    if card.rotation.kind == "rows":
        return str(base)
    if card.rotation.kind == "roll" or kind == "row":
        return name
    if kind == "image":
        return image_id
    return _there(raw, card.statistics.group if kind == "group" else kind, name)


def _refuse_many(card: BenchmarkCard, name: str, count: int) -> None:
    """Raise RowFault for more options than a rule knows letters of."""
    for rule in (rule for protocol in card.protocols if protocol.choice for rule in protocol.rules):
        if count >= MOST_OPTIONS.get(rule, len(LETTERS) + 1):
            raise RowFault(f"строка {name}: вариантов {count}, а правило «{rule}» читает до {MOST_OPTIONS[rule] - 1}")


def _there(raw: RawRow, path: str, name: str) -> str:
    """A value that rows are put together by: nothing is no such value."""
    value = raw.get(path)
    if missing(value):
        raise RowFault(f"строка {name}, {path}: значения нет")
    return texts_of([value])[0]


def _values(value: Any) -> tuple[str, ...]:
    """The values of a row on an axis: several of a list, «нет» of nothing."""
    values = [one for one in (value if isinstance(value, list) else [value]) if not missing(one)]
    return tuple(texts_of(values)) or ("нет",)
