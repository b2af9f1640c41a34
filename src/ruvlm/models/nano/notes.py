"""A question in its row of text, and what lessons note of it while it is packed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tokenizers import Encoding

from ruvlm.models.nano.grounding import compared, inside
from ruvlm.schema import Mention, Region
from ruvlm.training.texts import TrainingText


@dataclass(frozen=True)
class Placed:
    """A question in its row: its first and last token there, and the first of its answering slots."""

    item: TrainingText
    prompt: Encoding
    start: int
    last: int
    slot: int

    @cached_property
    def mentions(self) -> dict[Mention, int]:
        """Each mention's last token."""
        tokens = {m: inside(self.prompt, m.start, m.end) for m in self.item.example.mentions}
        return {mention: self.start + own[-1] for mention, own in tokens.items() if own}

    @cached_property
    def pair(self) -> tuple[int, int, tuple[Region, Region]] | None:
        """Two things that it sets against each other, with the tokens that name them."""
        things = compared(self.item.example)
        first, second = (self.mentions.get(m) for m in self.item.example.mentions[:2]) if things else (None, None)
        return None if things is None or first is None or second is None else (first, second, things)

    @cached_property
    def options(self) -> list[int]:
        """The last token of each listed option."""
        offsets = self.prompt.offsets
        return [
            self.start + max(n for n, (a, b) in enumerate(offsets) if a < end and b <= end)
            for end in self.item.option_ends
        ]


class Note:
    """What a lesson notes of a question; which it is, its class says."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Mentioned(Note):
    """A token that names a thing."""

    token: int
    region: Region


@dataclass(frozen=True, slots=True)
class Pointed(Note):
    """The last token of a question whose answer these things decide."""

    token: int
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Compared(Note):
    """A token at which both of two things are known."""

    token: int
    things: tuple[Region, Region]


@dataclass(frozen=True, slots=True)
class Matched(Note):
    """The second of two coloured things, and the token it should look at: the first if they are alike, else itself."""

    token: int
    column: int
    things: tuple[Region, Region]


@dataclass(frozen=True, slots=True)
class Decided(Note):
    """A question's first answering slot, and the tokens of the prompt that its answer hangs on."""

    slot: int
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listed(Note):
    """The last token of each listed option, and which option is right."""

    tokens: tuple[int, ...]
    right: int
