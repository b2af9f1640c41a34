"""Any Hugging Face image-text-to-text model: batches that fit, the fast way to answer, checked against the plain one."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.errors import CannotAnswerError, ModelError
from ruvlm.models.vlm.flow import Flow
from ruvlm.models.vlm.greedy import Endings, Written
from ruvlm.models.vlm.load import Loaded, load_hf
from ruvlm.models.vlm.plain import PlainDecoder
from ruvlm.models.vlm.prompts import PromptReader
from ruvlm.models.vlm.shared import SharedDecoder
from ruvlm.models.vlm.shared_cache import PrefixUnsupportedError
from ruvlm.models.vlm.sheets import PictureSheet, Waiting, sheets
from ruvlm.schema import Response

T = TypeVar("T")
# what a model's own code raises where its files do not fit together
FAULTS = (
    ValueError,
    TypeError,
    RuntimeError,
    IndexError,
    KeyError,
    AttributeError,
    AssertionError,
    ImportError,
    ArithmeticError,
)
log = logging.getLogger("ruvlm")
ROWS = {"cpu": 96, "mps": 48, "cuda": 256}
# an interrupt loses the batch under way: the first is small, and none is to take much longer than so many seconds
FIRST_ROWS, PORTION_SECONDS = 8, 10.0
CHECKED, CHECKED_TOKENS = 3, 16
# log-probabilities of an option may differ by so much and be the same: rounding, in full and in half precision
SAME_SCORE = {torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
# pictures that are refused before any is answered, and batches that the fast way cannot hold, until it is given up
REFUSED_MOST, MISSED_MOST = 8, 3


class HfBackend(Backend):
    """A loaded model. Its shared prefix is left for good at the first answer that the plain way gives otherwise."""

    scores_candidates = True
    one_picture, follows_system = False, True

    def __init__(self, loaded: Loaded, rows: int = 0, shared: bool = True, thinking: bool = False) -> None:
        self.model, self.name, self.fingerprint = loaded.model, loaded.name, loaded.fingerprint
        self.reader = PromptReader(loaded.processor, loaded.model.config.model_type, thinking)
        if self.reader.begins_itself:
            self.fingerprint += " own-bos"  # earlier versions added a second one: their answers are another question's
        if self.reader.thinks:
            self.fingerprint += f" thinking {'on' if thinking else 'off'}"
        self._rows = rows or ROWS[self.model.device.type]
        self._portion = min(FIRST_ROWS, self._rows)
        self._notes: list[str] = (
            [] if self.reader.templated else ["у модели нет шаблона беседы: вопрос задан простым текстом"]
        )
        self._plain = PlainDecoder(self.model, self.reader)
        self._shared: SharedDecoder | None = None
        self._unchecked = {"write", "score"}
        self._missed, self._able = 0, False
        self._ties = self._written = 0
        self._batches_checked = False
        self._refused: list[CannotAnswerError] = []
        if shared:
            try:
                self._shared = SharedDecoder(self.model, self.reader)
            except PrefixUnsupportedError as error:
                self._leave_shared(str(error))

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def notes(self) -> tuple[str, ...]:
        fast = ["картинка и общее начало вопросов считались один раз на картинку"]
        notes = [*self._notes, *(fast if self._shared is not None else ())]
        if self.model.dtype in (torch.bfloat16, torch.float16):
            name = str(self.model.dtype).removeprefix("torch.")
            notes.append(
                f"в {name} ответы немного зависят от числа вопросов сразу (здесь до {self._rows}; на грани округления {self._ties} "
                f"из {self._written}): точный повтор – с --dtype float32"
            )
        return tuple(notes)

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        waiting = Waiting(sheets(item.prompt for item in asked))
        while (sheet := waiting.first()) is not None:
            flows = sheet.plain and not sheet.prompts[0].candidates
            if self._shared is not None and "write" not in self._unchecked and flows:
                yield from self._flowing(self._shared, waiting)
            if waiting.first() is not None:
                yield from self._apart(waiting.take(self._portion))
        if self._refused and not self._able:
            raise self._refused[-1]

    def _flowing(self, decoder: SharedDecoder, waiting: Waiting) -> Iterator[Response]:
        """Answers by the fast way, in order, as they are finished. Whatever it fails at is left waiting, and it ends."""
        first = waiting.first()
        assert first is not None, "nothing is waiting"
        flow, full = Flow(decoder, first, self._rows, PORTION_SECONDS), False
        while True:
            batch = [] if full else flow.entering(waiting, self._portion)
            if not batch and not flow.going:
                return
            started = time.perf_counter()
            try:
                if batch:
                    flow.join(batch)
                    self._able = True
                    self._pace(sum(sheet.rows for sheet in batch), time.perf_counter() - started)
                else:
                    flow.step()
            except torch.OutOfMemoryError:
                waiting.back([*flow.left(), *batch])
                self._halve()
                return
            except (PrefixUnsupportedError, *FAULTS):
                waiting.back(batch or flow.left())
                if not batch:
                    return
                full = True  # those under way are answered first
            for row in flow.finished():
                yield self._response(row, flow.endings, first.prompts[0].generation.max_new_tokens)

    def _response(self, row: Written, endings: Endings, limit: int) -> Response:
        self._ties += row.tied
        self._written += 1
        return Response(
            endings.text(row.tokens),
            len(row.tokens),
            probability=None if row.logprob is None else math.exp(row.logprob),
            finish=endings.finish(row.tokens, limit),
            seconds=round(row.seconds, 6),
        )

    def _apart(self, batch: list[PictureSheet]) -> list[Response]:
        """Answers to a batch; a picture that the model's code refuses costs its own questions, and not the others'."""
        try:
            responses = self._answered(batch)
        except CannotAnswerError as error:
            if len(batch) > 1:
                return [response for sheet in batch for response in self._apart([sheet])]
            self._refused.append(error)
            if len(self._refused) >= REFUSED_MOST and not self._able:
                raise
            return [Response("", error=error.why) for _ in batch[0].prompts]
        self._able = True
        return responses

    def _answered(self, batch: list[PictureSheet]) -> list[Response]:
        """Answers to a batch, in order; a batch too large for the memory is halved, and so are the next."""
        started = time.perf_counter()
        limit, parts, responses = self._rows, Waiting(batch), []
        try:
            while parts.first() is not None:
                responses += self._run(parts.take(limit))
        except torch.OutOfMemoryError as error:
            if limit == 1:
                raise ModelError(
                    f"Модель {self.name} не помещается в память с одним вопросом: возьмите --dtype bfloat16 или 4bit."
                ) from error
            self._halve()
            return self._answered(batch)
        spent = time.perf_counter() - started
        self._pace(sum(sheet.rows for sheet in batch), spent)
        seconds = spent / len(responses)
        return [replace(response, seconds=round(seconds, 6)) for response in responses]

    def _pace(self, rows: int, seconds: float) -> None:
        """So many rows took so long: how many the next portion is to have."""
        fitting = int(rows * PORTION_SECONDS / seconds)
        self._portion = max(1, min(fitting, 4 * max(rows, self._portion), self._rows))

    def _halve(self) -> None:
        """The memory did not suffice: half as many rows from now on."""
        before, self._rows = self._rows, max(1, self._rows // 2)
        self._portion = min(self._portion, self._rows)
        log.warning("не хватило памяти на %d вопросов сразу, дальше по %d", before, self._rows)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _run(self, batch: list[PictureSheet]) -> list[Response]:
        try:
            return self._score(batch) if batch[0].prompts[0].candidates else self._write(batch)
        except torch.OutOfMemoryError:
            raise
        except FAULTS as error:
            why = _first_line(error)
            raise CannotAnswerError(
                f"Модель {self.name} не может ответить ({why}): её файлы не подходят друг к другу или такой вид моделей здесь не читается.",
                why,
            ) from error

    def _write(self, batch: list[PictureSheet]) -> list[Response]:
        limit = batch[0].prompts[0].generation.max_new_tokens

        def same(written: list[Written]) -> bool:
            """Are the first answers, and the last one of the last picture, those of `generate`?"""
            picked = [
                replace(batch[0], prompts=batch[0].prompts[:CHECKED]),
                replace(batch[-1], prompts=batch[-1].prompts[-1:]),
            ]
            plain = [row.tokens for sheet in picked for row in self._plain.write([sheet], min(limit, CHECKED_TOKENS))]
            return plain == [row.tokens[:CHECKED_TOKENS] for row in [*written[: len(picked[0].prompts)], written[-1]]]

        written = self._fast("write", lambda decoder: decoder.write(batch, limit), same) if batch[0].plain else None
        if written is None:
            written = self._written_plainly(batch, limit)
        endings = self._plain.endings(batch[0].prompts[0])
        return [self._response(row, endings, limit) for row in written]

    def _written_plainly(self, batch: list[PictureSheet], limit: int) -> list[Written]:
        """By `generate`; one by one where a model's own code answers a padded row otherwise than the row alone (Kosmos-2)."""
        written = self._plain.write(batch, limit)
        rows = [replace(sheet, prompts=[prompt]) for sheet in batch for prompt in sheet.prompts]
        if self._batches_checked or len(rows) < 2 or self.model.dtype != torch.float32:
            return written
        self._batches_checked = True
        # the shortest has most padding before it
        picked = sorted(range(len(rows)), key=lambda n: len(rows[n].prompts[0].text))[:CHECKED]
        alone = [self._plain.write([rows[n]], min(limit, CHECKED_TOKENS))[0].tokens for n in picked]
        if alone == [written[n].tokens[:CHECKED_TOKENS] for n in picked]:
            return written
        self._rows = self._portion = 1
        self._notes.append("вопросы задавались по одному: несколько сразу эта модель читает иначе")
        return [row for sheet in rows for row in self._plain.write([sheet], limit)]

    def _score(self, batch: list[PictureSheet]) -> list[Response]:
        def same(responses: list[Response]) -> bool:
            picked = [
                replace(batch[0], prompts=batch[0].prompts[:1]),
                replace(batch[-1], prompts=batch[-1].prompts[-1:]),
            ]
            plain = [self._plain.score([sheet])[0].sum_logprobs for sheet in picked]
            far = SAME_SCORE.get(self.model.dtype, 0.5)
            pairs = zip(plain, (responses[0].sum_logprobs, responses[-1].sum_logprobs), strict=True)
            return all(np.allclose(one, other, rtol=0, atol=far) for one, other in pairs)

        responses = self._fast("score", lambda decoder: decoder.score(batch), same) if batch[0].plain else None
        return self._plain.score(batch) if responses is None else responses

    def _fast(
        self, kind: str, ask: Callable[[SharedDecoder], list[T]], same: Callable[[list[T]], bool]
    ) -> list[T] | None:
        """What the shared decoder says; None if it cannot, or if its first answers are not those of the plain one."""
        if self._shared is None:
            return None
        try:
            responses = ask(self._shared)
        except (torch.OutOfMemoryError, ModelError):
            raise
        except (PrefixUnsupportedError, *FAULTS) as error:  # the fast way only ever makes things faster
            self._missed += 1
            if kind in self._unchecked or self._missed >= MISSED_MOST:  # else it may be this picture's fault alone
                self._leave_shared(_first_line(error))
            return None
        if kind in self._unchecked and not same(responses):
            self._leave_shared("ответы разошлись с generate")
            return None
        self._unchecked.discard(kind)
        return responses

    def _leave_shared(self, why: str) -> None:
        self._shared = None
        self._notes.append(f"общая часть вопросов считалась для каждого заново ({why})")
        log.warning("быстрый путь выключен: %s", why)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def open_hf(spec: str, access: Access) -> HfBackend:
    """«ID_OR_FOLDER» or «ID_OR_FOLDER+ADAPTER» → backend. Raises ModelError."""
    backend = HfBackend(load_hf(spec, access), access.rows, shared=access.shared, thinking=access.thinking)
    if not backend.reader.templated and not backend.model.config.model_type.startswith("llava"):
        log.warning("у модели %s нет шаблона беседы: вопрос задаётся простым текстом", backend.name)
    return backend
