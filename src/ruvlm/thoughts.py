"""Where a model's thoughts end and its answer begins, in every mark in use, and the stop texts that count after them.

`<think>`, `<thinking>`, `<reasoning>`, `[THINK]`, `◁think▷`, `<|START_THINKING|>` and their like; the channels of Gemma 4
(`<|channel>thought … <channel|>`) and of gpt-oss (`<|channel|>analysis<|message|> … <|channel|>final<|message|>`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NAMES = r"(?:seed:|longcat_|antml:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|scratchpad|rationale|cot|plan|размышление|рассуждение)"
_MARK = re.compile(
    rf"<(?P<close1>/)?{_NAMES}>|\[(?P<close2>/)?{_NAMES}\]|◁(?P<close3>/)?{_NAMES}▷"
    r"|<\|(?:(?P<close4>end(?:_of)?)|start|begin(?:_of)?)_(?:thinking|thought)\|>"
    r"|<\|(?P<close7>/)?(?:think|thinking)\|>|<\|channel>thought|(?P<close5><channel\|>)|<unused9(?:4|(?P<close6>5))>",
    re.IGNORECASE,
)
_HARMONY = re.compile(r"<\|channel\|>\s*(\w{1,40})\b[^<]{0,200}<\|message\|>")
_ANSWER = re.compile(r"<(?:final_)?answer>", re.IGNORECASE)
_HARMONY_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
# the same with its special tokens dropped in decoding
_HARMONY_BARE = re.compile(r"\A\s*analysis\S.*?(?:assistant)?final(?=[^\W\d_a-z]|\d|[\s*\"«(])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Thinking:
    """An answer apart from its thoughts.

    `said` is what followed the first closed thought, up to the next mark, or, where nothing did, what stood before it;
    `place` is where in the text it begins. `unfinished`: a thought was begun and never closed, and nothing else was said.
    """

    said: str
    place: int
    thought: bool
    unfinished: bool


def apart(text: str, opened: bool = False) -> Thinking:
    """Split an answer from its thoughts. `opened`: the prompt had begun a thought for the model."""
    channels = list(_HARMONY.finditer(text))
    if channels:
        return _by_channel(text, channels)
    bare = _HARMONY_BARE.match(text)
    if bare is not None:
        return Thinking(text[bare.end() :], bare.end(), thought=True, unfinished=False)
    inside, start, thought, closed = opened, 0, opened, False
    before = (0, 0)
    for mark in _MARK.finditer(text):
        closes = any(mark[name] for name in _CLOSES)
        # what precedes a closing mark that nothing opened is a thought that the prompt had begun
        if not inside and (thought or not closes) and text[start : mark.start()].strip():
            if closed:
                return Thinking(text[start : mark.start()], start, thought=True, unfinished=False)
            before = before if before[1] else (start, mark.start())
        start, thought = mark.end(), True
        inside, closed = not closes, closed or closes
    if not thought:
        return Thinking(text, 0, thought=False, unfinished=False)
    answer = _ANSWER.search(text, start) if inside else None
    if answer is not None:  # the answer's own mark ends a thought that nothing else has closed
        return Thinking(text[answer.start() :], answer.start(), thought=True, unfinished=False)
    if not inside and text[start:].strip():
        return Thinking(text[start:], start, thought=True, unfinished=False)
    return Thinking(text[slice(*before)], before[0], thought=True, unfinished=inside and not before[1])


_CLOSES = ("close1", "close2", "close3", "close4", "close5", "close6", "close7")


def _by_channel(text: str, channels: Sequence[re.Match[str]]) -> Thinking:
    """gpt-oss: the last message of the final channel is the answer; without one there is none yet."""
    final = [mark for mark in channels if mark[1].lower() == "final"]
    if not final:
        return Thinking("", 0, thought=True, unfinished=True)
    start = final[-1].end()
    end = _HARMONY_END.search(text, start)
    return Thinking(text[start : end.start() if end else len(text)], start, thought=True, unfinished=False)


def opens(prompt: str) -> bool:
    """Does a prompt end inside a thought that it has begun for the model?"""
    marks = list(_MARK.finditer(prompt[-200:]))
    return bool(marks) and not any(marks[-1][name] for name in _CLOSES)


def marked(text: str) -> bool:
    """Does a text hold any mark of a thought?"""
    return _MARK.search(text) is not None or _HARMONY.search(text) is not None


def until(text: str, stops: Sequence[str], opened: bool = False) -> str:
    """An answer up to the first of the texts that end it; what a thought or the blank before the answer holds ends nothing."""
    end = stopped(text, stops, opened)
    return text if end is None else text[:end]


def stopped(text: str, stops: Sequence[str], opened: bool = False) -> int | None:
    """Where a stop text ends an answer: None while it has not come, or stands in a thought or before the answer's first word."""
    if not any(stop in text for stop in stops):
        return None
    split = apart(text, opened)
    if not split.said.strip():
        return None
    begins = split.place + len(split.said) - len(split.said.lstrip())
    ends = [end for stop in stops if (end := text.find(stop, begins)) >= 0]
    return min(ends) if ends else None
