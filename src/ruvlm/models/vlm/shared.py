"""Answers after a shared prefix: every picture goes through the model once, all its questions after it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from ruvlm.models.vlm.decoder import Decoder, option_sums, scored
from ruvlm.models.vlm.greedy import Greedy, Written
from ruvlm.models.vlm.prompts import Encoded, PromptReader, common_prefix
from ruvlm.models.vlm.shared_cache import PrefixUnsupportedError
from ruvlm.models.vlm.shared_prefix import SharedRows, share_prefixes
from ruvlm.models.vlm.sheets import PictureSheet
from ruvlm.schema import Response, Wording


class SharedDecoder(Decoder):
    """Raises PrefixUnsupportedError, when made or when used, for a model that does not allow it."""

    def __init__(self, model: Any, reader: PromptReader) -> None:
        super().__init__(model, reader)
        self._attention = share_prefixes(model)
        # may the inputs of pictures prepared one by one be put together? Not known before two have been
        self._joins: bool | None = None

    def write(self, batch: list[PictureSheet], limit: int) -> list[Written]:
        greedy = Greedy(limit, self.endings(batch[0].prompts[0]))
        written = self.join(greedy, batch)
        while greedy.going:
            self.step(greedy)
        return written

    def join(self, greedy: Greedy, batch: list[PictureSheet]) -> list[Written]:
        """Let a batch's rows come to those under way; where their answers will stand, in the order of the prompts."""
        with self._attention.on():
            starts = [self._prefixed(encoded, [e.ids for e in encoded]) for _, encoded in self._encoded(batch)]
            logits = [started.start(tails)[:, -1] for started, tails in starts]
        # only once nothing can go wrong any more
        return [row for (started, _), rows in zip(starts, logits, strict=True) for row in greedy.join(started, rows)]

    def step(self, greedy: Greedy) -> list[Written]:
        """One more token for every row under way; the rows that this ended."""
        with self._attention.on():
            return greedy.step()

    def score(self, batch: list[PictureSheet]) -> list[Response]:
        with self._attention.on():
            return [response for sheets, encoded in self._encoded(batch) for response in self._scored(sheets, encoded)]

    def _scored(self, batch: list[PictureSheet], encoded: list[Encoded]) -> list[Response]:
        """A question asked twice of a picture, with its options in another order, is scored once."""
        options: dict[tuple[int, Wording, str], list[int]] = {}
        rows: list[list[list[int]]] = []
        for number, (sheet, e) in enumerate(zip(batch, encoded, strict=True)):
            mine = {
                (number, prompt.wording, text): ids
                for prompt, ids in zip(sheet.prompts, e.ids, strict=True)
                for text in prompt.candidates
            }
            options |= {key: self.reader.option(key[2], key[1]) for key in mine}
            rows.append([ids + options[key] for key, ids in mine.items()])
        started, tails = self._prefixed(encoded, rows)
        logits = started.start(tails, max(map(len, options.values())) + 1)
        sums = dict(zip(options, option_sums(logits, list(options.values())), strict=True))
        keys = [
            (prompt, [(n, prompt.wording, text) for text in prompt.candidates])
            for n, s in enumerate(batch)
            for prompt in s.prompts
        ]
        return [scored(prompt, [(sums[key], len(options[key])) for key in some]) for prompt, some in keys]

    def _encoded(self, batch: list[PictureSheet]) -> Iterator[tuple[list[PictureSheet], list[Encoded]]]:
        """Sheets whose pictures go through the model together: their inputs have the same shape but for the first axis."""
        try:
            pairs = [(s, self.reader.encode(s.pictures[0], [prompt.wording for prompt in s.prompts])) for s in batch]
        except (ValueError, IndexError) as error:
            raise PrefixUnsupportedError(str(error)) from error
        for _, group in itertools.groupby(pairs, lambda pair: {k: v.shape[1:] for k, v in pair[1].vision.items()}):
            members = list(group)
            if len(members) > 1 and self._joins is None:
                self._joins = self._joinable(members[:2])
            for part in [members] if self._joins else [[pair] for pair in members]:
                sheets, encoded = zip(*part, strict=True)
                yield list(sheets), list(encoded)

    def _joinable(self, pairs: list[tuple[PictureSheet, Encoded]]) -> bool:
        """Are two pictures' inputs, put together, what the processor makes of both? Molmo 2 numbers patches through a batch."""
        whole = self.reader.batch(
            [sheet.pictures for sheet, _ in pairs], [sheet.prompts[0].wording for sheet, _ in pairs]
        )
        joined = {key: torch.cat([e.vision[key] for _, e in pairs]) for key in pairs[0][1].vision}
        return all(key in whole and torch.equal(whole[key], value) for key, value in joined.items())

    def _prefixed(
        self, encoded: list[Encoded], rows: list[list[list[int]]]
    ) -> tuple[SharedRows, list[list[list[int]]]]:
        """The pictures' common prefixes, run, and what is left of every row: at least the last token of its question."""
        cuts = [min(common_prefix(own), min(map(len, e.ids)) - 1) for own, e in zip(rows, encoded, strict=True)]
        if any(cut < e.seen for cut, e in zip(cuts, encoded, strict=True)):
            raise PrefixUnsupportedError("картинка стоит не перед вопросом")
        vision = {key: torch.cat([e.vision[key] for e in encoded]) for key in encoded[0].vision}
        kinds = {name: [e.types[name][:cut] for e, cut in zip(encoded, cuts, strict=True)] for name in encoded[0].types}
        prefixes = [own[0][:cut] for own, cut in zip(rows, cuts, strict=True)]
        started = SharedRows(self.model, prefixes, self.moved(vision), kinds)
        return started, [[row[cut:] for row in own] for own, cut in zip(rows, cuts, strict=True)]
