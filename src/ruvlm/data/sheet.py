"""A contact sheet: pictures with their questions and answers under them, as one PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from ruvlm.data.images import load_image
from ruvlm.errors import DataError
from ruvlm.schema import Example

CELL, MARGIN, LINE = 300, 12, 19
INK, FAINT, ANSWER, PAPER = (20, 20, 24), (110, 110, 120), (0, 90, 40), (255, 255, 255)
RIGHT, WRONG = (30, 80, 170), (185, 30, 30)


@dataclass(frozen=True)
class Card:
    """One picture with some of its questions."""

    examples: tuple[Example, ...]

    @property
    def first(self) -> Example:
        return self.examples[0]


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: Cyrillic without any system font."""
    from matplotlib.font_manager import FontProperties, findfont

    return ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")), size)


def contact_sheet(
    cards: Sequence[Card], columns: int = 4, said: Mapping[str, tuple[str, bool]] | None = None
) -> Image.Image:
    """Lay the cards out in rows of `columns`; a row is as high as its longest card.

    `said` is what a model answered by example id, and whether that is right.
    """
    columns = max(1, min(columns, len(cards)))
    drawn = [_cell(card, said or {}) for card in cards]
    rows = [drawn[start : start + columns] for start in range(0, len(drawn), columns)]
    width = columns * (CELL + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, sum(max(c.height for c in row) + MARGIN for row in rows) + MARGIN), PAPER)
    y = MARGIN
    for row in rows:
        for column, cell in enumerate(row):
            sheet.paste(cell, (MARGIN + column * (CELL + MARGIN), y))
        y += max(cell.height for cell in row) + MARGIN
    return sheet


def png(image: Image.Image) -> bytes:
    """An image's file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _shown(example: Example) -> Image.Image:
    """Its picture at a cell's width; a slip of paper that says why there is none."""
    why = "картинка не читается" if example.images else "вопрос без картинки"
    try:
        picture = load_image(example.image) if example.images else None
    except DataError:
        picture = None
    if picture is None:
        slip = Image.new("RGB", (CELL, CELL // 2), (235, 220, 220))
        ImageDraw.Draw(slip).text((10, 10), why, INK, font(13))
        return slip
    scale = CELL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _cell(card: Card, said: Mapping[str, tuple[str, bool]]) -> Image.Image:
    picture = _shown(card.first)
    lines = [(f"картинка {card.first.image_id}", FAINT, False)]
    for example in card.examples:
        lines += _lines(example)
        if example.id in said:
            text, right = said[example.id]
            lines += [
                (line, RIGHT if right else WRONG, False) for line in wrapped(f"модель: {text or '(ничего)'}", CELL, 13)
            ]
    cell = Image.new("RGB", (CELL, picture.height + 6 + LINE * len(lines)), PAPER)
    cell.paste(picture, ((CELL - picture.width) // 2, 0))
    pen = ImageDraw.Draw(cell)
    for number, (text, colour, bold) in enumerate(lines):
        pen.text((0, picture.height + 6 + number * LINE), text, colour, font(13, bold))
    return cell


def _lines(example: Example) -> list[tuple[str, tuple[int, int, int], bool]]:
    lines = [(line, INK, False) for line in wrapped(example.question, CELL, 13)]
    if not example.options:
        return lines + [(line, ANSWER, True) for line in wrapped(f"→ {example.answer}", CELL, 13)]
    for letter, option in zip(example.letters, example.options, strict=True):
        right = letter == example.answer
        lines += [(line, ANSWER if right else INK, right) for line in wrapped(f"{letter}. {option}", CELL, 13)]
    return lines


def wrapped(text: str, width: int, size: int) -> list[str]:
    """A text in lines that fit; a single word that does not is cut."""
    face, lines = font(size), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while face.getlength(word) > width:
            word = word[:-1]
        lines.append(word)
    return [line for line in lines if line] or [""]
