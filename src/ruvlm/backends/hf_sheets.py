"""Questions gathered by picture: what goes through a Hugging Face model together."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from PIL import Image

from ruvlm.data.images import decode, read_bytes
from ruvlm.schema import ImageRef, Prompt


@dataclass(frozen=True)
class Sheet:
    """Prompts about one picture, asked in the same manner."""

    image: Image.Image
    prompts: list[Prompt]

    @property
    def rows(self) -> int:
        """How many rows of a batch they take."""
        return sum(max(1, len(prompt.candidates)) for prompt in self.prompts)

    @property
    def manner(self) -> tuple[bool, object]:
        """What prompts must have in common to be asked together."""
        return manner(self.prompts[0])

    def split(self, limit: int) -> Iterator[Sheet]:
        """Parts of at most `limit` rows, at least one prompt each."""
        part: list[Prompt] = []
        for prompt in self.prompts:
            if part and replace(self, prompts=[*part, prompt]).rows > limit:
                yield replace(self, prompts=part)
                part = []
            part.append(prompt)
        yield replace(self, prompts=part)


def manner(prompt: Prompt) -> tuple[bool, object]:
    """Is it scored or written, and by which generation settings?"""
    return bool(prompt.candidates), prompt.generation


def sheets(prompts: Iterable[Prompt]) -> Iterator[Sheet]:
    """Neighbouring prompts about the same picture, which may be stored more than once."""
    marks: dict[ImageRef, bytes] = {}

    def mark(prompt: Prompt) -> tuple[bytes, object]:
        if prompt.image not in marks:
            marks.clear()
            marks[prompt.image] = hashlib.blake2b(read_bytes(prompt.image), digest_size=16).digest()
        return marks[prompt.image], manner(prompt)

    for _, group in itertools.groupby(prompts, mark):
        some = list(group)
        ref = some[0].image
        yield Sheet(decode(read_bytes(ref), str(ref)), some)


def batches(found: Iterable[Sheet], limit: Callable[[], int]) -> Iterator[list[Sheet]]:
    """Sheets of one manner, at most `limit()` rows together; a larger sheet comes alone."""
    batch: list[Sheet] = []
    for sheet in found:
        full = sum(s.rows for s in batch) + sheet.rows > limit()
        if batch and (full or sheet.manner != batch[0].manner):
            yield batch
            batch = []
        batch.append(sheet)
    if batch:
        yield batch
