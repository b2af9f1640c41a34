"""Questions gathered by picture: what goes through a Hugging Face model together."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from ruvlm.data.images import decode, read_bytes, sized
from ruvlm.files import picture_mark
from ruvlm.schema import ImageRef, Prompt


@dataclass(frozen=True)
class PictureSheet:
    """Prompts about the same pictures, mostly one, asked in the same manner."""

    pictures: tuple[Image.Image, ...]
    prompts: list[Prompt]

    @property
    def rows(self) -> int:
        """How many rows of a batch they take."""
        return sum(max(1, len(prompt.candidates)) for prompt in self.prompts)

    @property
    def manner(self) -> tuple[object, ...]:
        """What prompts must have in common to be asked together."""
        return manner(self.prompts[0])

    @property
    def plain(self) -> bool:
        """Is there just one picture, so that what stands before the questions can be shared?"""
        return len(self.pictures) == 1

    def cut(self, limit: int) -> tuple[PictureSheet, PictureSheet | None]:
        """Its first prompts, at most `limit` rows but at least one prompt, and what is left of it."""
        rows = itertools.accumulate(max(1, len(prompt.candidates)) for prompt in self.prompts)
        count = max(1, sum(total <= limit for total in rows))
        left = self.prompts[count:]
        return replace(self, prompts=self.prompts[:count]), replace(self, prompts=left) if left else None


def manner(prompt: Prompt) -> tuple[object, ...]:
    """Is it scored or written, by which generation settings, what stands before how many pictures of what size?"""
    lead = (prompt.system, prompt.wording.lead, len(prompt.images), prompt.image_size)
    return bool(prompt.candidates), prompt.generation, lead


def sheets(prompts: Iterable[Prompt]) -> Iterator[PictureSheet]:
    """Neighbouring prompts about the same picture, which may be stored more than once."""
    marks: dict[ImageRef, bytes] = {}

    def mark(prompt: Prompt) -> tuple[object, ...]:
        if any(ref not in marks for ref in prompt.images):
            marks.clear()
            marks.update({ref: picture_mark(read_bytes(ref)) for ref in prompt.images})
        return tuple(marks[ref] for ref in prompt.images), manner(prompt)

    for _, group in itertools.groupby(prompts, mark):
        some = list(group)
        pictures = tuple(sized(decode(read_bytes(ref), str(ref)), some[0].image_size) for ref in some[0].images)
        yield PictureSheet(pictures, some)


class Waiting:
    """Sheets that are still to be asked, in order."""

    def __init__(self, later: Iterable[PictureSheet]) -> None:
        self._later = iter(later)
        self._next: deque[PictureSheet] = deque()

    def first(self) -> PictureSheet | None:
        """The next sheet, left where it is; None after the last."""
        if not self._next:
            self._next.extend(itertools.islice(self._later, 1))
        return self._next[0] if self._next else None

    def take(self, limit: int) -> list[PictureSheet]:
        """The next sheets of one manner, at most `limit` rows together; of a larger sheet the first part, at least a prompt."""
        taken: list[PictureSheet] = []
        while (sheet := self.first()) is not None and (not taken or sheet.manner == taken[0].manner):
            room = limit - sum(one.rows for one in taken)
            if taken and sheet.rows > room:
                break
            self._next.popleft()
            part, left = sheet.cut(limit)
            taken.append(part)
            if left is not None:
                self.back([left])
                break
        return taken

    def back(self, sheets: Sequence[PictureSheet]) -> None:
        """Put sheets before all others."""
        self._next.extendleft(reversed(sheets))
