"""What a scene graph teaches beside the answer: words of the cells, descriptions of things, the words that decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Encoding, Tokenizer

from ruvlm.models.nano.tokenizer import word_families
from ruvlm.schema import Box, Example, Region

IGNORED = -1
CELL_WORDS = 6
YES, NO = "да", "нет"
COLOURS = frozenset(
    {"красный", "оранжевый", "жёлтый", "зелёный", "голубой", "синий", "фиолетовый"}
    | {"розовый", "коричневый", "чёрный", "белый", "серый"}
)
# what a question that sets its things against each other, or claims something of them, has in its program
_CLAIMS = ("verify", "choose", "same", "different")
# centres closer than this along an axis are level: no relation word is taught
LEVEL = 0.08
NEAR = 0.41
# «над» and «под» need the two things roughly one above the other
UPRIGHT = 0.22


class Lexicon:
    """Words as tokens: a word's token, and the lemma's token of every form."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, int] = {}
        self._heads = {token: family[0] for family in word_families(tokenizer) for token in family}

    def token(self, word: str) -> int:
        """The lemma's token of a word; of a word in pieces, the first piece."""
        if word not in self._known:
            self._known[word] = self.head(self._tokenizer.encode(f" {word}", add_special_tokens=False).ids[0])
        return self._known[word]

    def head(self, token: int) -> int:
        """The token of its lemma, or the token itself."""
        return self._heads.get(token, token)


def covered_cells(boxes: Sequence[Box], grid: int) -> np.ndarray:
    """Which cells of a grid×grid picture each box covers: by 40 % of the cell, or by the box's centre. bool [N, P]."""
    box = np.asarray(boxes, dtype=np.float32).reshape(-1, 4) * grid
    lines = np.arange(grid, dtype=np.float32)
    wide = np.clip(np.minimum(box[:, 2:3], lines + 1) - np.maximum(box[:, 0:1], lines), 0, 1)
    high = np.clip(np.minimum(box[:, 3:4], lines + 1) - np.maximum(box[:, 1:2], lines), 0, 1)
    covered: np.ndarray = (high[:, :, None] * wide[:, None, :] >= 0.4).reshape(len(box), grid * grid)
    column = np.clip((box[:, 0] + box[:, 2]) / 2, 0, grid - 1).astype(int)
    row = np.clip((box[:, 1] + box[:, 3]) / 2, 0, grid - 1).astype(int)
    covered[np.arange(len(box)), row * grid + column] = True
    return covered


def word_targets(regions: Sequence[Region], place: str | None, grid: int, lexicon: Lexicon) -> np.ndarray:
    """Which words each cell shows, as token ids: its things' words, the place's where there is nothing. [P, W]."""
    targets = np.full((grid * grid, CELL_WORDS), IGNORED, dtype=np.int16)
    if place is not None:
        targets[:, 0] = lexicon.token(place)
    used = np.zeros(grid * grid, dtype=np.int64)
    if regions:
        for cells, region in zip(covered_cells([r.box for r in regions], grid), regions, strict=True):
            for word in region.words:
                token = lexicon.token(word)
                for cell in np.flatnonzero(cells & (used < CELL_WORDS)):
                    targets[cell, used[cell]] = token
                    used[cell] += 1
    return targets


def description(region: Region) -> tuple[str, ...]:
    """What a token that has found a thing should know of it: its words, and which side of the picture it is on."""
    x, y = _centre(region)
    across = ("слева",) if x < 0.4 else ("справа",) if x > 0.6 else ()
    down = ("вверху",) if y < 0.4 else ("внизу",) if y > 0.6 else ()
    return (*region.words, *across, *down)


def names(regions: Sequence[Region]) -> tuple[str, ...]:
    """What several things are called."""
    return tuple(dict.fromkeys(region.words[0] for region in regions if region.words))


def relation(first: Region, second: Region) -> tuple[str, ...]:
    """Where the first of two things is as seen from the second."""
    (ax, ay), (bx, by) = _centre(first), _centre(second)
    dx, dy = ax - bx, ay - by
    across = ("слева",) if dx < -LEVEL else ("справа",) if dx > LEVEL else ()
    upright = abs(dx) < UPRIGHT
    down = ("над",) if upright and dy < -LEVEL else ("под",) if upright and dy > LEVEL else ()
    near = ("рядом",) if (dx * dx + dy * dy) ** 0.5 < NEAR else ()
    return (*across, *down, *near)


def likeness(first: Region, second: Region) -> tuple[str, ...]:
    """Whether two things have the same colour, in the forms that questions use, and which; nothing of colourless ones."""
    alike = same_colour(first, second)
    if not alike:
        return () if alike is None else ("разного", "разные")
    return ("одного", "одинаковый", *(word for word in first.words if word in second.words and word in COLOURS))


def same_colour(first: Region, second: Region) -> bool | None:
    """Have two things a colour in common? None where one has no colour."""
    mine, other = COLOURS & set(first.words), COLOURS & set(second.words)
    return bool(mine & other) if mine and other else None


def compared(example: Example) -> tuple[Region, Region] | None:
    """The two things that a question sets against each other, None where it names fewer or asks if they are there."""
    if len(example.mentions) >= 2 and not _seeks(example):
        return example.mentions[0].region, example.mentions[1].region
    return None


def _seeks(example: Example) -> bool:
    """Does it ask whether things are there, and nothing more of them?"""
    return example.answer in (YES, NO) and not any(claim in example.program for claim in _CLAIMS)


def decisive_tokens(example: Example, prompt: Encoding, lexicon: Lexicon) -> list[int]:
    """The tokens of a prompt that the answer hangs on, for its last token to look at.

    For «да» the words that are so, for «нет» none of them (the last token itself), for a choice the chosen word.
    Empty where nothing can be told.
    """
    if example.answer == NO:
        return [len(prompt.ids) - 1]
    if example.answer == YES:
        pair = compared(example)
        words = {word for region in example.answer_regions for word in region.words}
        words |= set(relation(*pair)) if pair else set()
        given = () if _seeks(example) else example.mentions
        named = {n for mention in given for n in inside(prompt, mention.start, mention.end)}
        return [n for n in _bearing(words, prompt, lexicon) if n not in named]
    if example.structural in ("choose", "compare"):
        return _bearing({example.answer}, prompt, lexicon)
    return []


def inside(prompt: Encoding, start: int, end: int) -> list[int]:
    """The tokens that overlap characters [start, end)."""
    return [n for n, (a, b) in enumerate(prompt.offsets) if a < end and b > start]


def _bearing(words: Iterable[str], prompt: Encoding, lexicon: Lexicon) -> list[int]:
    tokens = {lexicon.token(word) for word in words}
    return [n for n, token in enumerate(prompt.ids) if lexicon.head(token) in tokens]


def _centre(region: Region) -> tuple[float, float]:
    return (region.box[0] + region.box[2]) / 2, (region.box[1] + region.box[3]) / 2
