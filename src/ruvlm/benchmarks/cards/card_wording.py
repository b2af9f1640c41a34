"""What a card's protocols say of a row, and where its pictures stand in that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard, CardProtocol
from ruvlm.benchmarks.cards.card_pictures import RowFault
from ruvlm.benchmarks.cards.raw_rows import RawRow, blank, missing, texts_of
from ruvlm.benchmarks.cards.templates import Template, UnknownField
from ruvlm.errors import DataError
from ruvlm.schema import LETTERS, RUSSIAN_LETTERS, Example, Wording

LABELS: Mapping[str, Sequence[str]] = {
    "A": LETTERS,
    "1": [str(number) for number in range(1, 27)],
    "а": RUSSIAN_LETTERS.lower(),
}
# stands for the template's word for a picture while texts are filled in
PICTURE = "\0picture\0"
_FIELD = re.compile(r"\{(\w+)\}")


def wording_of(
    card: BenchmarkCard, protocol: CardProtocol, raw: RawRow, name: str, options: tuple[str, ...], pictures: int
) -> Wording:
    """What the model is asked, and where its pictures stand in that."""
    labels = LABELS[protocol.labels]
    listed = protocol.option_join.join(
        protocol.option_line.replace("{letter}", labels[place]).replace("{text}", option)
        for place, option in enumerate(options)
        if option or card.columns.options_keep
    )
    columns = card.columns
    drawn = {
        "question": raw.get(columns.question),
        "hint": None if not columns.hint or blank(raw.get(columns.hint)) else raw.get(columns.hint),
        "options": listed or None,
        "#": (raw.number if raw.place is None else raw.place),
    }

    def said(key: str, text: str) -> str:
        # the word for a picture is the template's: one that a text holds is a text
        marked = text.replace(protocol.image_tag, PICTURE) if protocol.image_tag else text
        return filled(card, f"protocol «{protocol.name}», {key}", marked, raw, drawn)

    text = _own_wording(protocol, raw, name) if protocol.prompt_column else said("prompt", protocol.prompt)
    system = said("system", protocol.system).replace(PICTURE, protocol.image_tag) if protocol.system else ""
    return _placed(protocol, text, system, name, pictures)


def worded(card: BenchmarkCard, example: Example) -> Example:
    """A row made elsewhere, with what each of the card's protocols says of it. Raises DataError for a template it does not fit."""
    columns = card.columns
    facts = {name: ", ".join(values) for name, values in example.facts.items()}
    raw = RawRow({columns.question: example.question, columns.hint or "hint": example.hint, **facts}, 0)
    asked = [protocol for protocol in card.protocols if f"{card.name}/{protocol.name}" not in example.wordings]
    try:
        said = {
            f"{card.name}/{one.name}": wording_of(card, one, raw, example.id, example.options, len(example.images))
            for one in asked
        }
    except RowFault as fault:
        raise DataError(f"Карточка {card.path}: {fault.said}.") from fault
    return replace(example, benchmark=card.name, wordings={**said, **example.wordings})


def _placed(protocol: CardProtocol, text: str, system: str, name: str, pictures: int) -> Wording:
    """The pictures first, last, or each where its word stands."""
    tag, place = protocol.image_tag, protocol.image_place
    if not tag:
        return Wording(text, (text, *("",) * pictures) if place == "last" and pictures else (), system)
    whole = text.replace(PICTURE, "").strip()
    if place == "last" and pictures:
        return Wording(whole, (whole, *("",) * pictures), system)
    if place == "first-keep" and pictures:
        return Wording(text.replace(PICTURE, tag), (), system)
    parts = tuple(text.split(PICTURE))
    if place == "first" or not pictures:
        return Wording(whole, (), system)
    if len(parts) != pictures + 1:
        raise RowFault(
            f"строка {name}, protocol «{protocol.name}»: меток {tag} {len(parts) - 1}, а картинок {pictures}"
        )
    return Wording(whole, parts if any(parts[:-1]) else (), system)


def _own_wording(protocol: CardProtocol, raw: RawRow, name: str) -> str:
    text = raw.get(protocol.prompt_column)
    if missing(text):
        raise RowFault(f"строка {name}, {protocol.prompt_column}: формулировки нет")
    text = str(text).replace(protocol.image_tag, PICTURE) if protocol.image_tag else str(text)
    fields: Any = raw.get(protocol.fill) if protocol.fill else raw.values
    fields = fields if isinstance(fields, Mapping) else {}
    absent = [field for field in _FIELD.findall(text) if missing(fields.get(field))]
    if absent:
        raise RowFault(f"строка {name}, {protocol.prompt_column}: нет значения для {{{absent[0]}}}")
    return _FIELD.sub(lambda match: texts_of([fields[match[1]]])[0], text)


def filled(card: BenchmarkCard, key: str, text: str, raw: RawRow, drawn: Mapping[str, Any]) -> str:
    def value(path: str) -> Any:
        if path in drawn:
            return drawn[path]
        if path == "#":
            return raw.number if raw.place is None else raw.place
        if not raw.has(path):
            raise UnknownField(path)
        return raw.get(path)

    try:
        return Template(text).fill(value)
    except UnknownField as unknown:
        raise DataError(
            f"Карточка {card.path}, {key}: поля «{unknown}» нет (есть question, hint, options, {', '.join(raw.values)})."
        ) from unknown
