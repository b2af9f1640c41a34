"""Greedy decoding of many rows at once: rows that are done leave the batch, and others may enter it.

Shapes: N rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ruvlm.errors import ModelError
from ruvlm.models.vlm.shared_prefix import SharedRows
from ruvlm.thoughts import stopped, until

# dropping rows copies the others' keys and values: worth it once so many are done
LEAVE_AT = 0.25


@dataclass(frozen=True)
class Endings:
    """When an answer is over: at one of the tokens `eos`, or when its text holds one of `stops` after its thoughts.

    `opened`: the prompt has begun a thought for the model.
    """

    eos: frozenset[int]
    stops: tuple[str, ...]
    decode: Callable[[Sequence[int]], str]
    opened: bool = False

    def reached(self, tokens: Sequence[int]) -> bool:
        """Is the answer over after its last token?"""
        if tokens[-1] in self.eos:
            return True
        if not self.stops:
            return False
        longest = max(len(stop.encode()) for stop in self.stops)
        tail = self.decode(tokens[-longest:])
        return (
            any(stop in tail for stop in self.stops)
            and stopped(self.decode(tokens), self.stops, self.opened) is not None
        )

    def cut(self, tokens: Sequence[int]) -> list[int]:
        """Tokens up to and with the one that ended the answer; what generate pads after it falls away."""
        return list(tokens[: next((n for n in range(1, len(tokens) + 1) if self.reached(tokens[:n])), len(tokens))])

    def text(self, tokens: Sequence[int]) -> str:
        """The answer's text, up to the first stop."""
        said = self.decode([token for token in tokens if token not in self.eos])
        if self.opened:  # what is stored says that it began inside a thought
            said = f"<think>{said}"
        return until(said, self.stops)

    def finish(self, tokens: Sequence[int], limit: int) -> str:
        """How an answer ended: «stop» by itself, «length» at its limit."""
        return "length" if len(tokens) >= limit and not self.reached(tokens) else "stop"


@dataclass(eq=False)
class Written:
    """What one row has written: its tokens, with the closing one, and the sum of their log-probabilities if known.

    `tied`: somewhere its best token led the next by no more than the rounding of the model's number format. `seconds`: its
    share of the time that it took together with others.
    """

    tokens: list[int] = field(default_factory=list)
    logprob: float | None = 0.0
    done: bool = False
    tied: bool = False
    seconds: float = 0.0

    def add(self, token: int, score: float, tied: bool) -> None:
        """One more token, and its log-probability."""
        self.tokens.append(token)
        self.logprob = (self.logprob or 0.0) + score
        self.tied = self.tied or tied


class Greedy:
    """Rows under way, all with one limit and the same endings: each step gives every row its likeliest token."""

    def __init__(self, limit: int, endings: Endings) -> None:
        self.limit, self.endings = limit, endings
        self._rows: SharedRows | None = None
        self._logits_NV = torch.empty(0, 0)
        self._written: list[Written] = []

    @property
    def going(self) -> int:
        """How many rows are not done."""
        return sum(not row.done for row in self._written)

    def join(self, rows: SharedRows, logits_NV: Tensor) -> list[Written]:
        """Rows that were started, and the logits after them, come after those under way; where their answers will stand."""
        if self._rows is None:
            self._rows, self._logits_NV = rows, logits_NV
        else:
            self._rows.join(rows)
            self._logits_NV = torch.cat([self._logits_NV, logits_NV])
        joined = [Written() for _ in range(len(logits_NV))]
        self._written = [*self._written, *joined]
        return joined

    def step(self) -> list[Written]:
        """One more token a row; the rows that this ended."""
        assert self._rows is not None, "nothing is under way"
        scores, choice_N = self._logits_NV.float().log_softmax(-1).max(-1)
        if not bool(torch.isfinite(scores).all()):
            raise ModelError("Модель дала вместо чисел NaN: возьмите --dtype bfloat16 или float32.")
        ended = []
        ties = _tied(self._logits_NV)
        for row, token, score, tie in zip(self._written, choice_N.tolist(), scores.tolist(), ties, strict=True):
            if row.done:
                continue
            row.add(token, score, tie)
            row.done = len(row.tokens) >= self.limit or self.endings.reached(row.tokens)
            if row.done:
                ended.append(row)
        self._feed(choice_N)
        return ended

    def _feed(self, choice_N: Tensor) -> None:
        """Run the model on the tokens of the rows that go on."""
        assert self._rows is not None, "nothing is under way"
        going = [not row.done for row in self._written]
        if not any(going):
            self._rows, self._written = None, []
            return
        if going.count(False) >= LEAVE_AT * len(going):
            kept_N = choice_N.new_tensor(going).bool()
            self._rows.keep(kept_N)
            choice_N = choice_N[kept_N]
            self._written = [row for row in self._written if not row.done]
        self._logits_NV = self._rows.step(choice_N)


def _tied(logits_NV: Tensor) -> list[bool]:
    """Do the two largest logits of a row lie within two steps of their number format?"""
    best_N2 = logits_NV.topk(2).values.float()
    step_N = torch.finfo(logits_NV.dtype).eps * best_N2[:, 0].abs()
    close: list[bool] = (best_N2[:, 0] - best_N2[:, 1] <= 2 * step_N).tolist()
    return close
