"""Answers of the CNN+LSTM baseline: one of its classes. A multiple choice is the likeliest option it has a class for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ruvlm.backends.base import Alternative, Asked
from ruvlm.backends.local import LocalBackend
from ruvlm.checkpoint import read_network, weights_fingerprint
from ruvlm.data.images import load_image, remembered_by
from ruvlm.data.pixels import square
from ruvlm.models.cnn_lstm.model import IMAGE_SIZE, CnnLstm, CnnLstmShape, encode
from ruvlm.schema import LETTERS, ImageRef, Response

BATCH = 256
UNKNOWN_LOGPROB = -100.0


class CnnLstmBackend(LocalBackend):
    """A cnn_lstm checkpoint, or a model in training. It reads the question, not the prompt's instructions."""

    model: CnnLstm

    def __init__(self, model: CnnLstm, name: str, fingerprint: str, device: torch.device) -> None:
        super().__init__(model, name, fingerprint, device)
        self._index = {word: number + 2 for number, word in enumerate(model.shape.words)}

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device) -> CnnLstmBackend:
        """From a model folder. Raises ModelError."""
        return cls(read_network(CnnLstm, CnnLstmShape, folder).eval(), name, weights_fingerprint(folder), device)

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for start in range(0, len(asked), BATCH):
            yield from self._batch(asked[start : start + BATCH])

    def logprobs(self, refs: Sequence[ImageRef], questions: Sequence[str]) -> torch.Tensor:
        """Log-probabilities of the classes. [N, C]."""
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            words = torch.tensor([encode(question, self._index) for question in questions], device=self.device)
            places: dict[ImageRef, int] = {}
            owner = torch.tensor([places.setdefault(ref, len(places)) for ref in refs], device=self.device)
            pixels = torch.from_numpy(np.stack([self._picture(ref) for ref in places])).to(self.device)
            scores = self.model(pixels.float().div_(255).sub_(0.5).mul_(4), words, owner)
            logprobs_NC: torch.Tensor = scores.float().log_softmax(-1)
        self.model.train(training)
        return logprobs_NC.cpu()

    def _batch(self, asked: Sequence[Asked]) -> list[Response]:
        started = time.perf_counter()
        scores = self.logprobs([a.prompt.image for a in asked], [a.example.question for a in asked])
        seconds = round((time.perf_counter() - started) / len(asked), 6)
        return [self._response(item, row, seconds) for item, row in zip(asked, scores, strict=True)]

    def _response(self, asked: Asked, logprobs_C: torch.Tensor, seconds: float) -> Response:
        answers = self.model.shape.answers
        if not asked.example.options:
            best = int(logprobs_C.argmax())
            return Response(answers[best], 1, seconds, probability=float(logprobs_C[best].exp()))
        known = {answer.lower(): float(score) for answer, score in zip(answers, logprobs_C, strict=True)}
        scores = tuple(known.get(option.lower(), UNKNOWN_LOGPROB) for option in asked.example.options)
        letter = LETTERS[int(np.argmax(scores))]
        return Response(letter, 1, seconds, mean_logprobs=scores, sum_logprobs=scores)

    def alternatives(self, asked: Asked, top: int = 5) -> list[Alternative]:
        """The likeliest classes; for a multiple choice the options, those without a class at zero."""
        scores = self.logprobs([asked.prompt.image], [asked.example.question])[0]
        if asked.example.options:
            logprobs = self._response(asked, scores, 0.0).mean_logprobs
            shares = torch.tensor(logprobs).softmax(0).tolist()
            ranked = sorted(zip(asked.example.options, shares, strict=True), key=lambda item: -item[1])
            return [Alternative(text, share) for text, share in ranked]
        best, index = scores.exp().topk(min(top, len(scores)))
        return [Alternative(self.model.shape.answers[i], p) for i, p in zip(index.tolist(), best.tolist(), strict=True)]

    def _picture(self, ref: ImageRef) -> np.ndarray:
        key = remembered_by(ref)
        if key not in self._pixels:
            if len(self._pixels) > 2 * BATCH:
                self._pixels.clear()
            self._pixels[key] = square(load_image(ref), IMAGE_SIZE)
        return self._pixels[key]
