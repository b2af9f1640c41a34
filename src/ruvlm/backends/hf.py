"""Any Hugging Face image-text-to-text model: all questions of a picture after one run of the picture.

Shapes: N rows, L tokens of an option, V vocabulary.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.backends.greedy import Endings, Written, decode_greedily
from ruvlm.backends.hf_load import Loaded, load_hf
from ruvlm.backends.hf_prompts import Encoded, PromptReader, common_prefix
from ruvlm.backends.shared_prefix import PrefixUnsupportedError, SharedRows, share_prefixes
from ruvlm.data.images import decode, read_bytes
from ruvlm.errors import ModelError
from ruvlm.schema import ImageRef, Prompt, Response

log = logging.getLogger("ruvlm")
ROWS = {"cpu": 96, "mps": 48, "cuda": 256}
CHECKED, CHECKED_TOKENS = 3, 16


@dataclass(frozen=True)
class Sheet:
    """Prompts about one picture, asked the same way."""

    image: Image.Image
    prompts: list[Prompt]

    @property
    def rows(self) -> int:
        """How many rows of the batch they take."""
        return sum(max(1, len(prompt.candidates)) for prompt in self.prompts)


class HfBackend(Backend):
    """A loaded model. The shared prefix is checked against `generate` on the first questions."""

    scores_candidates = True

    def __init__(self, loaded: Loaded, rows: int = 0, shared: bool = True) -> None:
        self.model, self._name, self._fingerprint = loaded.model, loaded.name, loaded.fingerprint
        self.reader = PromptReader(loaded.processor, loaded.model.config.model_type)
        self._rows = rows or ROWS[self.model.device.type]
        self._notes: list[str] = []
        self._checked = self._shared = False
        if shared:
            try:
                share_prefixes(self.model)
                self._shared = True
            except PrefixUnsupportedError as error:
                self._one_by_one(str(error))

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        waiting = sheets(item.prompt for item in asked)
        batch: list[Sheet] = []
        for sheet in itertools.chain(waiting, [None]):
            if batch and (
                sheet is None
                or sum(s.rows for s in batch) + sheet.rows > self._rows
                or _manner(sheet.prompts[0]) != _manner(batch[0].prompts[0])
            ):
                yield from self._answered(batch)
                batch = []
            if sheet is not None:
                batch.append(sheet)

    def _answered(self, batch: list[Sheet]) -> list[Response]:
        """Answers to a batch, in order; a batch too large for the memory is halved, and so are the next."""
        started = time.perf_counter()
        limit = max(self._rows, 1)
        try:
            parts = [part for sheet in batch for part in _split(sheet, limit)]
            joined = [parts] if sum(part.rows for part in parts) <= limit else [[part] for part in parts]
            found = [response for some in joined for response in self._run(some)]
        except torch.OutOfMemoryError as error:
            if limit == 1:
                raise ModelError(
                    f"Модель {self.name} не помещается в память с одним вопросом: возьмите --dtype bfloat16 или 4bit."
                ) from error
            self._rows = limit // 2
            log.warning("не хватило памяти на %d вопросов сразу, дальше по %d", limit, self._rows)
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()
            return [response for sheet in batch for response in self._answered([sheet])]
        seconds = (time.perf_counter() - started) / len(found)
        return [replace(response, seconds=round(seconds, 6)) for response in found]

    @torch.inference_mode()
    def _run(self, batch: list[Sheet]) -> list[Response]:
        scored = bool(batch[0].prompts[0].candidates)
        if self._shared:
            try:
                if scored:
                    return self._score_shared(batch)
                written = self._generate_shared(batch)
                if self._checked or self._agrees(batch[0], written):
                    return self._responses(batch, written)
            except PrefixUnsupportedError as error:
                self._one_by_one(str(error))
        return self._score_plainly(batch) if scored else self._responses(batch, self._generate_plainly(batch))

    def _one_by_one(self, why: str) -> None:
        self._shared = False
        self._notes.append(f"общая часть вопросов считалась для каждого заново ({why})")
        log.warning("быстрый путь выключен: %s", why)

    def _agrees(self, sheet: Sheet, written: list[Written]) -> bool:
        """Are the first tokens of the first answers those of `generate`? If not, all answers come from it."""
        some = replace(sheet, prompts=sheet.prompts[:CHECKED])
        plain = self._generate_plainly([some], min(CHECKED_TOKENS, sheet.prompts[0].generation.max_new_tokens))
        self._checked = True
        ours = [row.tokens[:CHECKED_TOKENS] for row in written[: len(plain)]]
        if [row.tokens for row in plain] == ours:
            return True
        self._one_by_one("ответы разошлись с generate")
        return False

    def _endings(self, prompt: Prompt) -> Endings:
        eos = self.model.generation_config.eos_token_id
        tokens = (
            eos if isinstance(eos, list) else [self.reader.processor.tokenizer.eos_token_id if eos is None else eos]
        )
        return Endings(frozenset(tokens), prompt.generation.stop, self.reader.decode)

    # -- after a shared prefix

    def _responses(self, batch: list[Sheet], written: list[Written]) -> list[Response]:
        endings = self._endings(batch[0].prompts[0])
        return [
            Response(
                endings.text(row.tokens), len(row.tokens),
                probability=None if row.logprob is None else math.exp(row.logprob),
            )
            for row in written
        ]  # fmt: skip

    def _generate_shared(self, batch: list[Sheet]) -> list[Written]:
        limit, endings = batch[0].prompts[0].generation.max_new_tokens, self._endings(batch[0].prompts[0])
        found: list[Written] = []
        for _, encoded in self._encoded(batch):
            started, tails = self._prefixed(encoded, [e.ids for e in encoded])
            found += decode_greedily(started, started.start(tails)[:, -1], limit, endings)
        return found

    def _score_shared(self, batch: list[Sheet]) -> list[Response]:
        """Log-probabilities of the options; a question asked twice of a picture, in another order of options, once."""
        found: list[Response] = []
        for some, encoded in self._encoded(batch):
            rows, options, keys = [], [], []
            for number, (sheet, e) in enumerate(zip(some, encoded, strict=True)):
                mine: dict[tuple[int, str, str], list[int]] = {}
                for prompt, ids in zip(sheet.prompts, e.ids, strict=True):
                    for text in prompt.candidates:
                        key = (number, prompt.text, text)
                        if key not in mine:
                            option = self.reader.option(text, prompt.text)
                            mine[key] = ids + option
                            options.append(option)
                keys += list(mine)
                rows.append(list(mine.values()))
            started, tails = self._prefixed(encoded, rows)
            keep = max(map(len, options)) + 1
            sums = _option_sums(started.start(tails, keep), options)
            known = {key: (total, len(option)) for key, total, option in zip(keys, sums, options, strict=True)}
            for number, sheet in enumerate(some):
                for prompt in sheet.prompts:
                    found.append(_scored(prompt, [known[number, prompt.text, text] for text in prompt.candidates]))
        return found

    def _encoded(self, batch: list[Sheet]) -> Iterator[tuple[list[Sheet], list[Encoded]]]:
        """Sheets whose pictures go through the model together: their inputs have the same shape but for the first axis."""
        try:
            pairs = [(s, self.reader.encode(s.image, [prompt.text for prompt in s.prompts])) for s in batch]
        except (ValueError, IndexError) as error:
            raise PrefixUnsupportedError(str(error)) from error
        for _, group in itertools.groupby(pairs, lambda pair: {k: v.shape[1:] for k, v in pair[1].vision.items()}):
            some, encoded = zip(*group, strict=True)
            yield list(some), list(encoded)

    def _prefixed(
        self, encoded: list[Encoded], rows: list[list[list[int]]]
    ) -> tuple[SharedRows, list[list[list[int]]]]:
        """The pictures' common prefixes, run, and what is left of every row: at least the last token of its question."""
        cuts = [min(common_prefix(own), min(map(len, e.ids)) - 1) for own, e in zip(rows, encoded, strict=True)]
        if any(cut < e.seen for cut, e in zip(cuts, encoded, strict=True)):
            raise PrefixUnsupportedError("the picture does not come first")
        vision = {key: torch.cat([e.vision[key] for e in encoded]) for key in encoded[0].vision}
        types = None if encoded[0].types is None else [e.types[0][:e.seen] + [0] * (cut - e.seen) for cut, e in zip(cuts, encoded, strict=True)]  # type: ignore[index]  # fmt: skip
        prefixes = [own[0][:cut] for own, cut in zip(rows, cuts, strict=True)]
        started = SharedRows(self.model, prefixes, self._moved(vision), types)
        return started, [[row[cut:] for row in own] for own, cut in zip(rows, cuts, strict=True)]

    def _moved(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs on the model's device, numbers with a fraction in its format."""
        dtype = self.model.dtype
        return {k: v.to(self.model.device, dtype if v.is_floating_point() else None) for k, v in inputs.items()}

    # -- as transformers does it

    def _generate_plainly(self, batch: list[Sheet], limit: int | None = None) -> list[Written]:
        from transformers import GenerationConfig, StoppingCriteriaList

        first = batch[0].prompts[0]
        endings = self._endings(first)
        pairs = [(sheet.image, prompt.text) for sheet in batch for prompt in sheet.prompts]
        inputs = self._moved(self.reader.batch([image for image, _ in pairs], [text for _, text in pairs]))
        start = inputs["input_ids"].shape[1]
        config = GenerationConfig(
            do_sample=False, max_new_tokens=first.generation.max_new_tokens if limit is None else limit, eos_token_id=sorted(endings.eos),
            pad_token_id=self.reader.processor.tokenizer.pad_token_id,
        )  # fmt: skip

        def over(ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
            return torch.tensor([endings.reached(row) for row in ids[:, start:].tolist()], device=ids.device)

        ids = self.model.generate(
            **inputs,
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([over]) if endings.stops else None,
        )
        return [Written(endings.cut(row), None) for row in ids[:, start:].tolist()]

    def _score_plainly(self, batch: list[Sheet]) -> list[Response]:
        found = []
        for sheet in batch:
            for prompt in sheet.prompts:
                options = [self.reader.option(text, prompt.text) for text in prompt.candidates]
                longest = max(map(len, options))
                inputs = self.reader.batch([sheet.image], [prompt.text])
                rows = {key: torch.cat([value] * len(options)) for key, value in inputs.items()}
                # on the right: nothing before a pad sees it
                pads = torch.tensor([option + [0] * (longest - len(option)) for option in options])
                rows["input_ids"] = torch.cat([rows["input_ids"], pads], 1)
                for key, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
                    if key in rows:
                        rows[key] = torch.cat([rows[key], torch.full_like(pads, value)], 1)
                logits = self.model(**self._moved(rows), logits_to_keep=longest + 1).logits
                aligned = torch.stack([row.roll(longest - len(o), 0) for row, o in zip(logits, options, strict=True)])
                sums = _option_sums(aligned, options)
                found.append(_scored(prompt, list(zip(sums, map(len, options), strict=True))))
        return found


def _option_sums(logits_NLV: Tensor, options: list[list[int]]) -> list[float]:
    """Sum of the log-probabilities of each row's option, whose tokens are predicted by the logits before the last."""
    sums = []
    for logits_LV, option in zip(logits_NLV, options, strict=True):
        scores = logits_LV[-len(option) - 1 : -1].float().log_softmax(-1)
        sums.append(float(scores.gather(1, torch.tensor(option, device=scores.device)[:, None]).sum()))
    return sums


def _scored(prompt: Prompt, found: list[tuple[float, int]]) -> Response:
    sums = tuple(total for total, _ in found)
    means = tuple(total / max(1, length) for total, length in found)
    return Response(prompt.candidates[means.index(max(means))], mean_logprobs=means, sum_logprobs=sums)


def _manner(prompt: Prompt) -> tuple[bool, object]:
    return bool(prompt.candidates), prompt.generation


def sheets(prompts: Iterator[Prompt] | Sequence[Prompt]) -> Iterator[Sheet]:
    """Neighbouring prompts about the same picture, which may be stored more than once, asked in the same manner."""
    marks: dict[ImageRef, bytes] = {}

    def mark(prompt: Prompt) -> tuple[bytes, object]:
        if prompt.image not in marks:
            marks.clear()
            marks[prompt.image] = hashlib.blake2b(read_bytes(prompt.image), digest_size=16).digest()
        return marks[prompt.image], _manner(prompt)

    for _, group in itertools.groupby(prompts, mark):
        some = list(group)
        ref = some[0].image
        yield Sheet(decode(read_bytes(ref), str(ref)), some)


def _split(sheet: Sheet, limit: int) -> Iterator[Sheet]:
    """A sheet in parts of at most `limit` rows, at least one prompt each."""
    part: list[Prompt] = []
    for prompt in sheet.prompts:
        whole = replace(sheet, prompts=[*part, prompt])
        if part and whole.rows > limit:
            yield replace(sheet, prompts=part)
            part = []
        part.append(prompt)
    yield replace(sheet, prompts=part)


def open_hf(spec: str, access: Access) -> HfBackend:
    """«ID_OR_FOLDER» or «ID_OR_FOLDER+ADAPTER» → backend. Raises ModelError."""
    backend = HfBackend(load_hf(spec, access), access.rows)
    if not backend.reader.templated and not backend.model.config.model_type.startswith("llava"):
        log.warning("у модели %s нет шаблона беседы: вопрос задаётся простым текстом", backend.name)
    return backend
