"""Answers of our compact VLM: pictures are run once, all their questions decoded together after the shared prefix.

Shapes: N prompts of a batch, B pictures, P visual tokens, T text tokens, D width, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ruvlm.backends.base import Alternative, Asked, Look
from ruvlm.backends.local import LocalBackend
from ruvlm.checkpoint import read_network, weights_fingerprint
from ruvlm.data.images import load_image, remembered_by
from ruvlm.data.pixels import square
from ruvlm.errors import DataError
from ruvlm.models.nano.layers import HIDDEN, log_attention
from ruvlm.models.nano.model import Nano, NanoNetwork, NanoShape
from ruvlm.models.nano.tokenizer import CHOICE_LETTERS, EOS, load_tokenizer
from ruvlm.schema import Prompt, Response

BATCH = 256
LONGEST_ANSWER = 24


class NanoBackend(LocalBackend):
    """A nano checkpoint, or a model in training."""

    looks = True
    most_options = len(CHOICE_LETTERS)
    model: NanoNetwork

    def __init__(
        self,
        model: NanoNetwork,
        tokenizer: Tokenizer,
        name: str,
        fingerprint: str,
        device: torch.device,
    ) -> None:
        super().__init__(model, name, fingerprint, device)
        self.tokenizer = tokenizer
        self._eos = tokenizer.token_to_id(EOS)

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device) -> NanoBackend:
        """From a model folder. Raises ModelError."""
        model = read_network(Nano, NanoShape, folder)
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        return cls(model.eval(), tokenizer, name, weights_fingerprint(folder), device)

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for start in range(0, len(asked), BATCH):
            yield from self._batch([item.prompt for item in asked[start : start + BATCH]])

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[Prompt]) -> list[Response]:
        started = time.perf_counter()
        training = self.model.training
        self.model.eval()
        try:
            scored = [bool(prompt.candidates) for prompt in prompts]
            responses: list[Response] = [None] * len(prompts)  # type: ignore[list-item]
            for kind, run in ((False, self._generate), (True, self._score)):
                chosen = [n for n, flag in enumerate(scored) if flag is kind]
                if chosen:
                    for n, response in zip(chosen, run([prompts[n] for n in chosen]), strict=True):
                        responses[n] = response
        finally:
            self.model.train(training)
        seconds = (time.perf_counter() - started) / len(prompts)
        return [replace(response, seconds=round(seconds, 6)) for response in responses]

    def _seen(self, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Pixels of the different pictures [B, 3, S, S] and which picture each prompt asks about [N].

        Equal pictures are run once, whichever rows they came from: MMBench stores one with every rotation.
        """
        size = self.model.shape.image_size
        refs = {ref: remembered_by(ref) for ref in dict.fromkeys(prompt.image for prompt in prompts)}
        kept = {
            key: self._pixels[key] if key in self._pixels else square(load_image(ref), size)
            for ref, key in refs.items()
        }
        self._pixels = kept if len(kept) <= 4 * BATCH else {}
        keys = {ref: kept[key].tobytes() for ref, key in refs.items()}
        places: dict[bytes, int] = {}
        owners = [places.setdefault(keys[prompt.image], len(places)) for prompt in prompts]
        different = [np.frombuffer(key, dtype=np.uint8).reshape(3, size, size) for key in places]
        pixels = torch.from_numpy(np.stack(different)).to(self.device)
        return pixels.float().div_(255).sub_(0.5).mul_(4), torch.tensor(owners, device=self.device)

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        longest = self.model.shape.max_text_positions - 4
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        for text, ids in zip(texts, tokens, strict=True):
            if len(ids) > longest:
                raise DataError(
                    f"Вопрос длиной {len(text)} знаков занимает {len(ids)} токенов, модель читает не больше {longest}: "
                    f"сократите его («{text[:60]}…»)."
                )
        return tokens

    def _generate(self, prompts: Sequence[Prompt]) -> list[Response]:
        pixels, owner = self._seen(prompts)
        ids = self._encoded([prompt.text for prompt in prompts])
        limit = min(LONGEST_ANSWER, max(prompt.generation.max_new_tokens for prompt in prompts))
        tokens, logprobs = self._greedy(pixels, owner, ids, limit)
        return [
            Response(self._text(row), len(row), probability=float(np.exp(sum(scores))))
            for row, scores in zip(tokens, logprobs, strict=True)
        ]

    def _text(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode([t for t in tokens if t != self._eos])).strip()

    def _greedy(
        self, pixels: Tensor, owner: Tensor, ids: list[list[int]], limit: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Greedy tokens (with the closing EOS) and their log-probabilities."""
        cache = _TextCache(self.model, pixels, owner, ids)
        hidden = cache.last
        done = torch.zeros(len(ids), dtype=torch.bool, device=self.device)
        tokens: list[list[int]] = [[] for _ in ids]
        scores: list[list[float]] = [[] for _ in ids]
        room = self.model.shape.max_text_positions - max(map(len, ids))
        for _ in range(min(limit, room)):
            logprob, choice = self.model.logits(hidden).float().log_softmax(-1).max(-1)
            for n in (~done).nonzero().flatten().tolist():
                tokens[n].append(int(choice[n]))
                scores[n].append(float(logprob[n]))
            done |= choice == self._eos
            if bool(done.all()):
                break
            hidden = cache.step(choice)
        return tokens, scores

    def _score(self, prompts: Sequence[Prompt]) -> list[Response]:
        pixels, owner = self._seen(prompts)
        ids = self._encoded([prompt.text for prompt in prompts])
        flat = [(n, text) for n, prompt in enumerate(prompts) for text in prompt.candidates]
        # rotations of a question ask for the same options: each is scored once
        keys = [(int(owner[n]), prompts[n].text, text) for n, text in flat]
        firsts = {key: n for key, (n, _) in zip(reversed(keys), reversed(flat), strict=True)}
        options = self._encoded([f" {text}" for _, _, text in firsts])
        which = torch.tensor(list(firsts.values()), device=self.device)
        starts = [len(ids[n]) for n in firsts.values()]
        rows = [ids[n] + option for n, option in zip(firsts.values(), options, strict=True)]
        sums_of = dict(zip(firsts, self._option_sums(pixels, owner[which], rows, starts), strict=True))
        lengths = dict(zip(firsts, map(len, options), strict=True))
        sums = [sums_of[key] for key in keys]
        means = [sums_of[key] / max(1, lengths[key]) for key in keys]
        responses = []
        cursor = 0
        for prompt in prompts:
            end = cursor + len(prompt.candidates)
            best = int(np.argmax(means[cursor:end]))
            responses.append(
                Response(
                    prompt.candidates[best],
                    mean_logprobs=tuple(means[cursor:end]),
                    sum_logprobs=tuple(sums[cursor:end]),
                )
            )
            cursor = end
        return responses

    def _option_sums(self, pixels: Tensor, owner: Tensor, rows: list[list[int]], starts: list[int]) -> list[float]:
        """Sum of the log-probabilities of the tokens from `starts` on, a row each."""
        cache = _TextCache(self.model, pixels, owner, rows)
        sums = []
        for n, (row, start) in enumerate(zip(rows, starts, strict=True)):
            logits = self.model.logits(cache.hidden[n, start - 1 : len(row) - 1]).float().log_softmax(-1)
            wanted = torch.tensor(row[start:], device=self.device)
            sums.append(float(logits.gather(1, wanted[:, None]).sum()))
        return sums

    @torch.inference_mode()
    def alternatives(self, asked: Asked, top: int = 5) -> list[Alternative]:
        """The best first tokens, each continued greedily; for a multiple choice the letters' probabilities."""
        self.model.eval()
        prompt, options = asked.prompt, asked.example.options
        if options:
            letters = self._score([replace(prompt, candidates=tuple(asked.example.letters))])[0].sum_logprobs
            shares = torch.tensor(letters).softmax(0).tolist()
            ranked = sorted(zip(options, shares, strict=True), key=lambda item: -item[1])
            return [Alternative(text, share) for text, share in ranked]
        pixels, owner = self._seen([prompt])
        ids = self._encoded([prompt.text])
        first = self.model.logits(_TextCache(self.model, pixels, owner, ids).last).float().log_softmax(-1)
        scores, tokens = first[0].topk(top)
        rows = [ids[0] + [int(token)] for token in tokens]
        rest, logprobs = self._greedy(pixels, owner.repeat(top), rows, LONGEST_ANSWER)
        probabilities: dict[str, float] = {}
        for token, score, tail, tail_scores in zip(tokens.tolist(), scores.tolist(), rest, logprobs, strict=True):
            if token != self._eos:
                text = self._text([token, *tail])
                probabilities[text] = probabilities.get(text, 0.0) + float(np.exp(score + sum(tail_scores)))
        best = sorted(probabilities.items(), key=lambda item: -item[1])
        return [Alternative(text, probability) for text, probability in best]

    @torch.inference_mode()
    def look(self, asked: Asked) -> Look:
        """Where the head taught to find what the answer is about looks from the prompt's last word."""
        self.model.eval()
        pixels, owner = self._seen([asked.prompt])
        cache = _TextCache(self.model, pixels, owner, self._encoded([asked.prompt.text]), looking=True)
        grid = self.model.shape.grid
        seen_P = cache.looked_NS[0, : grid * grid].double().cpu().numpy()
        share = float(seen_P.sum())
        return Look((seen_P / max(share, 1e-12)).reshape(grid, grid), share)


class _TextCache:
    """Keys and values of a batch of prompts after their pictures; grows by one token a step.

    With `looking`, `looked_NS` is where the last word of each prompt looks for the thing it is about.
    """

    def __init__(
        self,
        model: NanoNetwork,
        pixels: Tensor,
        owner: Tensor,
        ids: list[list[int]],
        looking: bool = False,
    ) -> None:
        self.model, self.owner = model, owner
        self.prefix = model.prefix(pixels)
        device = pixels.device
        longest = max(map(len, ids))
        padded = torch.zeros(len(ids), longest, dtype=torch.long)
        for n, row in enumerate(ids):
            padded[n, : len(row)] = torch.tensor(row)
        self.lengths = torch.tensor([len(row) for row in ids], device=device)
        positions = torch.arange(longest, device=device).expand(len(ids), longest)
        self.valid = positions < self.lengths[:, None]
        images = model.shape.num_image_tokens
        own = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()[None] & self.valid[:, None]
        own |= torch.eye(longest, dtype=torch.bool, device=device)
        mask = torch.cat([own.new_ones(len(ids), longest, images), own], dim=2)[:, None]
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        x = model.read(padded.to(device), positions)
        for number, layer in enumerate(model.stack):
            q, k, v = layer.project(x)
            self.keys.append(torch.cat([self.prefix.keys[number][owner], k], dim=2))
            self.values.append(torch.cat([self.prefix.values[number][owner], v], dim=2))
            attended = torch.nn.functional.scaled_dot_product_attention(
                q, self.keys[-1], self.values[-1], attn_mask=mask
            )
            x = layer.finish(x, attended)
            if looking and number == model.taught_layers[1]:
                at = (torch.arange(len(ids), device=device) * longest) + self.lengths - 1
                bias = torch.zeros(mask.shape, dtype=q.dtype, device=device).masked_fill_(~mask, HIDDEN)
                self.looked_NS = log_attention(q, self.keys[-1], bias, at, 0).exp()
        self.hidden = x
        self.last = x[torch.arange(len(ids), device=device), self.lengths - 1]
        self.valid = torch.cat([self.valid.new_ones(len(ids), images), self.valid], dim=1)

    def step(self, tokens_N: Tensor) -> Tensor:
        """Feed one token a row; the hidden state that predicts the next. [N] → [N, D]."""
        positions = self.lengths.clamp(max=self.model.shape.max_text_positions - 1)
        x = self.model.read(tokens_N[:, None], positions[:, None])
        self.lengths = self.lengths + 1
        self.valid = torch.cat([self.valid, self.valid.new_ones(len(tokens_N), 1)], dim=1)
        for number, layer in enumerate(self.model.stack):
            q, k, v = layer.project(x)
            self.keys[number] = torch.cat([self.keys[number], k], dim=2)
            self.values[number] = torch.cat([self.values[number], v], dim=2)
            attended = torch.nn.functional.scaled_dot_product_attention(
                q, self.keys[number], self.values[number], attn_mask=self.valid[:, None, None]
            )
            x = layer.finish(x, attended)
        return x[:, 0]
