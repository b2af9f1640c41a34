"""What a model wrote around its answer comes off: thoughts, the template's tokens, role words, the question again, wrappers.

One cleaning for both Russian readers, of letters and of short answers. The reference rules read the raw text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from ruvlm.thoughts import apart

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\ufe0e\ufe0f\0]")
_ENDS = re.compile(
    r"</s>|<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|return|eos|end_of_sentence)\|>|<eos>|<end_of_turn>|<turn\|>"
    r"|<end_of_utterance>|<｜end▁of▁sentence｜>|<\|END_OF_TURN_TOKEN\|>|<\|END_RESPONSE\|>|\[/?STOP\]"
)
# who speaks: a mark of a template, a word before a colon, a word alone on its line, «assistant» glued to what precedes it
_ROLE = re.compile(
    r"<\|im_start\|>\s*(\w+)|<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>|<start_of_turn>\s*(\w+)|<\|turn>\s*(\w+)"
    r"|<\|(user|assistant|system|bot)\|>|(\[/?INST\])"
    r"|(?:^|(?<=[\s.!?>\]]))(?:\#{2,3} )?(user|human|assistant|gpt|model|пользователь|ассистент|помощник)[ \t]*:(?!//)"
    r"|^[ \t]*(user|model|assistant)[ \t]*$|(?:(?<=[а-яё.!?…»\"])|(?<=\b[a-e]))(assistant)\b",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWERER = frozenset({"assistant", "gpt", "model", "bot", "ассистент", "помощник", "[/inst]"})
_SPECIAL = re.compile(
    r"<\|[^<>|\n]{1,40}\|?>|<[｜][^<>\n]{1,40}[｜]>|</?(?:s|bos|eos|pad|unk|image|video|global-img|start_of_turn|end_of_turn"
    r"|end_of_utterance|fake_token_around_image|row_\d+_col_\d+)>|\[/?INST\]|\[IMG\]|<channel\|>|<turn\|>"
)
_PROMPT = re.compile(r"\?|There are several options|Варианты ответа|Выбери |Ответь |Напиши только", re.IGNORECASE)
_BOXES = (
    re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|\Z)", re.DOTALL),
    re.compile(r"<\|begin_of_solution\|>(.*?)(?:<\|end_of_solution\|>|\Z)", re.DOTALL),
    re.compile(r"<\|START_RESPONSE\|>(.*?)(?:<\|END_RESPONSE\|>|\Z)", re.DOTALL),
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit|mathit)\s*\{([^{}]*)\}")
_FENCE = re.compile(r"\A\s*```[\w-]*[ \t]*\n(.*?)(?:\n[ \t]*```.*|\Z)", re.DOTALL)
_KEYS = (
    "answer",
    "ответ",
    "final_answer",
    "prediction",
    "option",
    "choice",
    "letter",
    "вариант",
    "буква",
    "result",
    "value",
)
_NEW_QUESTION = re.compile(r"^[ \t#*]*(?:вопрос|question)\b[^\n]{0,20}:", re.IGNORECASE | re.MULTILINE)
_DECLARED = re.compile(
    r"^[ \t>*_#-]*(?:(?:итак|следовательно|значит|таким образом|поэтому|so|thus|therefore)[, ]+)?"
    r"(?:(?:правильный|верный|краткий|окончательный|итоговый|финальный|мой|the|final|correct|short)\s+)*"
    r"(?:ответ|answer)(?:\s+на\s+вопрос)?[*_]*\s*(?:[:=–—-]+|это\s|is\b:?|будет\b:?)[*_ \t]*",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The answer without what stood around it. `unfinished`: it is a thought that was never closed, and no answer."""

    text: str
    unfinished: bool = False


def plain(text: str) -> str:
    """One spelling for what looks the same: composed, full-width signs folded (NFKC), nothing invisible."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


@lru_cache(maxsize=1 << 12)
def cleaned(raw: str) -> Cleaned:
    """An answer as its writer meant it: full-width signs folded, nothing invisible, no thoughts, marks or wrappers."""
    thinking = apart(raw)
    if thinking.unfinished:
        return Cleaned("", unfinished=True)
    return Cleaned(_unwrapped(_spoken(plain(thinking.said))).strip())


def _spoken(text: str) -> str:
    """What the answerer said, of a dialogue that was decoded whole or that the model went on with by itself."""
    start, role = 0, ""
    asked = ""
    replies: list[str] = []
    for mark in _ROLE.finditer(text):
        _keep(replies, role, text[start : mark.start()])
        asked = asked or ("" if role else text[start : mark.start()])
        role = next(group for group in mark.groups() if group).lower()
        start = mark.end()
    _keep(replies, role, text[start:])
    said = _without_tokens(asked if role else text)
    if said and not (replies and _PROMPT.search(said)):
        return said
    return replies[0] if replies else said


def _keep(replies: list[str], role: str, said: str) -> None:
    reply = _without_tokens(said) if role in _ANSWERER else ""
    if reply:
        replies.append(reply)


def _without_tokens(text: str) -> str:
    """The first stretch between end tokens that says anything, special tokens blanked."""
    for stretch in _ENDS.split(text):
        said = _boxed_out(stretch) or _SPECIAL.sub(" ", stretch).strip()
        if said:
            return said
    return ""


def _boxed_out(text: str) -> str:
    """What a model put into an answer's own mark; empty without one."""
    for box in _BOXES:
        boxed = box.findall(text)
        if boxed:
            return str(boxed[-1]).strip()
    return ""


def _unwrapped(text: str) -> str:
    r"""The content of a code fence, a JSON object, `\boxed{}`; formulas without their dollars."""
    fence = _FENCE.match(text)
    if fence is not None:
        text = fence[1].strip()
    value = _json_answer(text)
    if value is not None:
        return value
    boxed = _BOXED.findall(text)
    if boxed:
        text = boxed[-1]
    text = _LATEX.sub(r"\1", text)
    inner = text.strip()
    if len(inner) > 2 and inner[0] == "$" == inner[-1]:
        text = inner.strip("$")
    return text


def _json_answer(text: str) -> str | None:
    """The answer in a JSON object that is the whole text."""
    inner = text.strip()
    if not inner.startswith("{") or not inner.endswith("}"):
        return None
    try:
        fields = json.loads(inner)
    except (ValueError, RecursionError):
        return None
    folded = {str(key).lower(): value for key, value in fields.items()}
    value = next((folded[key] for key in _KEYS if key in folded), None)
    if value is None and len(folded) == 1:
        value = next(iter(folded.values()))
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def short_answer(text: str) -> str:
    """The lines of a cleaned text that are its short answer: the last «Ответ: …», else what follows a repeated question."""
    again = _NEW_QUESTION.search(text)
    if again is not None and text[: again.start()].strip():
        text = text[: again.start()]
    text = text.rstrip()
    declared = [found.end() for found in _DECLARED.finditer(text) if found.end() < len(text)]
    if declared:
        return text[declared[-1] :].strip()
    lines = [line for line in text.split("\n") if line.strip()]
    first = next((n for n, line in enumerate(lines) if not line.rstrip(" *_").endswith("?")), len(lines) - 1)
    return "\n".join(lines[first:])
