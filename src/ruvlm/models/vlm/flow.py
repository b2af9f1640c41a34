"""Continuous batching: as questions are answered, those about waiting pictures take their places."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import torch

from ruvlm.models.vlm.greedy import Greedy, Written
from ruvlm.models.vlm.shared import SharedDecoder
from ruvlm.models.vlm.sheets import PictureSheet, Waiting


class Flow:
    """Prompts of one manner under way through the fast decoder, in the order in which they came.

    Args:
        rows: how many may be under way.
        patience: after so many seconds without a finished answer no more prompts enter.
    """

    def __init__(self, decoder: SharedDecoder, first: PictureSheet, rows: int, patience: float) -> None:
        self._decoder, self._manner = decoder, first.manner
        self._rows, self._patience = rows, patience
        prompt = first.prompts[0]
        self.endings = decoder.endings(prompt)
        self._greedy = Greedy(prompt.generation.max_new_tokens, self.endings)
        self._under_way: deque[tuple[PictureSheet, Written]] = deque()
        self._answered = time.perf_counter()

    @property
    def going(self) -> int:
        """How many answers are being written."""
        return self._greedy.going

    def entering(self, waiting: Waiting, portion: int) -> list[PictureSheet]:
        """What is to enter now, at most `portion` rows: nothing while there is little room, or answers are long in coming."""
        sheet = waiting.first()
        if sheet is None or sheet.manner != self._manner:
            return []
        free = self._rows - self.going
        # a picture's questions go together if that does not keep half the places empty; and few at a time cost more than many
        wanted = max(min(sheet.rows, self._rows // 2, portion), self._rows // 4, 1)
        waited = time.perf_counter() - self._answered
        if self.going and (free < wanted or waited > self._patience):
            return []
        return waiting.take(min(free, portion))

    def join(self, batch: list[PictureSheet]) -> None:
        """Let sheets enter. If this raises, they have not."""
        with torch.inference_mode():
            written = self._decoder.join(self._greedy, batch)
        prompts = [replace(sheet, prompts=[prompt]) for sheet in batch for prompt in sheet.prompts]
        self._under_way.extend(zip(prompts, written, strict=True))

    def step(self) -> None:
        """One more token for all."""
        with torch.inference_mode():
            ended = self._decoder.step(self._greedy)
        if ended:
            now = time.perf_counter()
            for row in ended:
                row.seconds = (now - self._answered) / len(ended)
            self._answered = now

    def finished(self) -> Iterator[Written]:
        """Answers before the first that is still being written; each comes once."""
        while self._under_way and self._under_way[0][1].done:
            yield self._under_way.popleft()[1]

    def left(self) -> list[PictureSheet]:
        """What has not come out of `finished` yet."""
        pictures = itertools.groupby((sheet for sheet, _ in self._under_way), lambda sheet: id(sheet.pictures))
        groups = [list(sheets) for _, sheets in pictures]
        return [replace(group[0], prompts=[sheet.prompts[0] for sheet in group]) for group in groups]
