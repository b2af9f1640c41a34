"""A new scene of the embedded world, with what may be asked about it and the right answers."""

from __future__ import annotations

from dataclasses import dataclass

from ruvlm.errors import DataError
from ruvlm.schema import LETTERS
from ruvlm.world.export import Chunk, SplitPlan, make

QUESTIONS, CHOICES = 10, 3
HIGHEST = 10**9


@dataclass(frozen=True)
class Riddle:
    """A question about the scene with its right answer; `options` are empty for an open one."""

    question: str
    options: tuple[str, ...]
    answer: str

    @property
    def asked(self) -> str:
        """The question with its options."""
        return f"{self.question} ({'; '.join(self.options)})" if self.options else self.question


@dataclass(frozen=True)
class Drawn:
    """A scene as PNG, and its riddles."""

    png: bytes
    riddles: tuple[Riddle, ...]


def drawn(level: str, seed: int) -> Drawn:
    """The scene of this number: the same one every time, and none that a world's splits hold. Raises DataError."""
    if not 0 <= seed <= HIGHEST:
        raise DataError(f"Номер сцены {seed} не подходит: нужно целое от 0 до {HIGHEST}.")
    plan = SplitPlan("demo", 9, 1, QUESTIONS, CHOICES, rotations=False, shared=True)
    tables = make(Chunk(level, seed, plan, "gqa", 0, 1))
    open_ones = [Riddle(row["question"], (), row["answer"]) for row in tables.instructions]
    choices = []
    for row in tables.choices:
        options = tuple(row[letter] for letter in LETTERS if row.get(letter))
        choices.append(Riddle(row["question"], options, row[row["answer"]]))
    return Drawn(tables.images[0]["image"]["bytes"], tuple(open_ones + choices))
