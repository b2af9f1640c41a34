"""What a model wrote around its answer comes off: thoughts, the template's tokens, role words, the question again, wrappers.

One cleaning for both Russian readers, of letters and of short answers. The reference rules read the raw text.
"""

from __future__ import annotations

import ast
import html
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ruvlm.thoughts import apart

# super- and subscripts, fractions, circled numbers: folded, «м²» would be «м2», and «2³» 23
_OWN_SIGNS = re.compile("([²³¹¼-¾⁰-₟⅐-\u218f①-⓿]+)")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\ufe0e\ufe0f\0]")
_ENDS = re.compile(
    r"</s>|<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id|end|return|eos|end_of_sentence)\|>|<eos>|<end_of_turn>|<turn\|>"
    r"|<end_of_utterance>|<｜end▁of▁sentence｜>|<\|END_OF_TURN_TOKEN\|>|<\|END_RESPONSE\|>|\[/?STOP\]"
)
# who speaks: a mark of a template, a word before a colon, a word alone on its line, «assistant» glued to what precedes it
_ROLE = re.compile(
    r"<\|im_start\|>\s*(\w+)|<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>|<start_of_turn>\s*(\w+)|<\|turn>\s*(\w+)"
    r"|<\|(user|assistant|system|bot)\|>|(\[/?INST\])"
    r"|(?:^|(?<=[\s.!?>\]]))(?:\#{2,3} )?(user|human|assistant|gpt|model|bot|ai|response|пользователь|ассистент|помощник|модель|бот)"
    r"[ \t]*:(?!//)"
    r"|^[ \t]*(user|model|assistant)[ \t]*$|(?:(?<=[а-яё.!?…»\"])|(?<=\b[a-e]))(assistant)\b",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWERER = frozenset(
    {"assistant", "gpt", "model", "bot", "ai", "response", "ассистент", "помощник", "модель", "бот", "[/inst]"}
)
_MARKUP = re.compile(r"</?(?:b|i|p|br|strong|em|u|span|div|code)\s*/?>", re.IGNORECASE)
_SPECIAL = re.compile(
    r"<\|[^<>|\n]{1,40}\|?>|<[｜][^<>\n]{1,40}[｜]>|</?(?:s|bos|eos|pad|unk|image|video|global-img|start_of_turn|end_of_turn"
    r"|end_of_utterance|fake_token_around_image|row_\d+_col_\d+)>|\[/?INST\]|\[IMG\]|\[(?:EOS|BOS|PAD|SEP|CLS)\]|<channel\|>|<turn\|>"
)
_PROMPT = re.compile(r"\?|There are several options|Варианты ответа|Выбери |Ответь |Напиши только", re.IGNORECASE)
_BOXES = (
    re.compile(r"<(?:final_)?answer>(.*?)(?:</(?:final_)?answer>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"<(response|output|final|conclusion|ответ)>(?P<said>.*?)(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE),
    re.compile(r"\[answer\](.*?)(?:\[/answer\]|\Z)", re.DOTALL | re.IGNORECASE),
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
_NEW_QUESTION = re.compile(r"^[ \t#*]*(?:вопрос|question)\b[^\n]{0,20}[:.]", re.IGNORECASE | re.MULTILINE)
# the question again on the answer's own line, and the prompt's instruction
_ECHO = re.compile(
    r"\A\s*(?:кто|что|какой|какая|какое|какие|какого|где|сколько|есть ли|видно ли|это|да или)\b[^?.!\n]{0,200}\?\s+(?=\S)",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(r"^\s*(?:Ответь|Ответьте|Напиши|Выбери)\b.{0,80}[.:]?\s*$", re.IGNORECASE)
_LEAD = r"(?:(?:итак|следовательно|значит|таким образом|поэтому|so|thus|therefore)[, ]+)?"
_KIND = r"(?:(?:правильный|верный|краткий|короткий|окончательный|итоговый|финальный|мой|the|final|correct|short)\s+)*"
_DECLARED = re.compile(
    rf"(?:^[ \t>*_#-]*|(?<=[.!?;] )){_LEAD}{_KIND}"
    r"(?:(?:ответ|answer)(?:\s+на\s+вопрос|\s+одним\s+словом)?|итог|вывод|одним\s+словом)"
    r"[*_]*[ \t]*(?:[:=–—]+|-+(?=\s)|это\s|is\b:?|будет\b:?|такой\b:?|[*_ \t]*(?=\n))(?:\s*это\s)?[*_\s]*",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The answer without what stood around it. `unfinished`: it is a thought that was never closed, and no answer."""

    text: str
    unfinished: bool = False


def plain(text: str) -> str:
    """One spelling for what looks the same: composed, full-width signs folded (NFKC), nothing invisible."""
    parts = _OWN_SIGNS.split(text) if _OWN_SIGNS.search(text) else (text,)
    folded = "".join(part if number % 2 else unicodedata.normalize("NFKC", part) for number, part in enumerate(parts))
    return _INVISIBLE.sub("", folded)


@lru_cache(maxsize=1 << 12)
def cleaned(raw: str) -> Cleaned:
    """An answer as its writer meant it: full-width signs folded, nothing invisible, no thoughts, marks or wrappers."""
    thinking = apart(raw)
    if thinking.unfinished:
        return Cleaned("", unfinished=True)
    text = html.unescape(plain(thinking.said)).replace("▁", " ")
    return Cleaned(_one_exchange(_without_markup(_unwrapped(_spoken(text)))).strip())


def _without_markup(text: str) -> str:
    """Without tags; a capital letter alone in angle brackets that nothing closes is an answer (PM4Bench asks for «<B>»)."""

    def kept(tag: re.Match[str]) -> str:
        letter = tag[0][1:-1]
        alone = len(letter) == 1 and letter.isupper() and not text[tag.end() : tag.end() + 1].isalnum()
        return f" {letter} " if alone and f"</{letter}>".lower() not in text.lower() else " "

    return _MARKUP.sub(kept, text)


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
        boxed = [match["said"] if "said" in box.groupindex else match[1] for match in box.finditer(text)]
        if boxed:
            return boxed[-1].strip()
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
    if inner[:1] not in ("{", "[") or inner[-1:] not in ("}", "]") or len(inner) > 1 << 16:
        return None
    fields = _literal(inner)
    while isinstance(fields, list) and len(fields) == 1:
        fields = fields[0]
    if isinstance(fields, str):
        return fields
    if not isinstance(fields, dict):
        return None
    folded = {str(key).lower(): value for key, value in fields.items()}
    value = next((folded[key] for key in _KEYS if key in folded), None)
    if value is None and len(folded) == 1:
        value = next(iter(folded.values()))
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return "да" if value else "нет"
    return str(value) if isinstance(value, str | int | float) else None


def _literal(text: str) -> Any:
    """JSON, or the same with Python's quotes; None for neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _one_exchange(text: str) -> str:
    """An answer without the next question that a model went on to ask itself."""
    for again in _NEW_QUESTION.finditer(text):
        before = [line for line in text[: again.start()].split("\n") if line.strip()]
        if any(not _NEW_QUESTION.match(line) and not line.rstrip().endswith("?") for line in before):
            return text[: again.start()]
    return text


def short_answer(text: str) -> str:
    """The lines of a cleaned text that are its short answer: the last «Ответ: …», else what follows a repeated question."""
    text = text.rstrip()
    declared = [match for match in _DECLARED.finditer(text) if match.end() < len(text)]
    if declared:
        # a question of its own after an answer begins another exchange
        last = next(
            (n for n in range(1, len(declared)) if _asks(text[declared[n - 1].end() : declared[n].start()])),
            len(declared),
        )
        return text[declared[last - 1].end() :].strip()
    lines = [line for line in text.split("\n") if line.strip()]
    first = next((n for n, line in enumerate(lines) if not line.rstrip(" *_").endswith("?")), len(lines) - 1)
    if lines and _INSTRUCTION.match(lines[first]) and first + 1 < len(lines):
        first += 1
    rest = "\n".join(lines[first:])
    again = _ECHO.match(rest)
    return rest[again.end() :] if again else rest


def _asks(text: str) -> bool:
    """Does a stretch between two answers hold a line that asks something?"""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return any(line.endswith("?") for line in lines[1:])
