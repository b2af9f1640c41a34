"""What a server said, read field by field: servers that speak OpenAI's language speak it with many accents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ruvlm.files import sound
from ruvlm.schema import Absent, Response
from ruvlm.thoughts import until

UNLIKE = "ответ сервера не похож на ответ чата"
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True)
class Reply:
    """One reply: the response it gives, and the name of the model that the server says it is from."""

    response: Response
    model: str | None = None


def read_reply(body: bytes, stops: Sequence[str], seconds: float) -> Reply:
    """A reply's body → response. Whatever it holds, a response comes out: an answer, an absent one, or an error."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return Reply(Response("", seconds=seconds, error=UNLIKE))
    if not isinstance(document, dict):
        return Reply(Response("", seconds=seconds, error=UNLIKE))
    said = server_words(document)
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return Reply(Response("", seconds=seconds, error=f"сервер ответил: {said}" if said else UNLIKE))
    name = document.get("model")
    return Reply(_response(document, choice, message, stops, seconds), name if isinstance(name, str) else None)


def server_words(document: Any) -> str:
    """A server's own message about an error, wherever it puts it; empty if there is none."""
    for _ in range(4):
        if isinstance(document, str):
            return " ".join(sound(document).split())
        if not isinstance(document, dict):
            return ""
        document = next((document[name] for name in ("error", "message", "detail") if document.get(name)), None)
    return ""


def _response(
    document: dict[str, Any], choice: dict[str, Any], message: dict[str, Any], stops: Sequence[str], seconds: float
) -> Response:
    content = _text(message.get("content"))
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    usage = document.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    tokens, read = _count(counts.get("completion_tokens")), _count(counts.get("prompt_tokens"))
    if content is not None and content.strip():
        # stops are cut off here, not sent: `transformers serve` 5.23 answers 500 to any of them for a model with pictures
        return Response(until(sound(content), stops), tokens, seconds, input_tokens=read, finish=finish)
    absent = _why_absent(message, finish)
    if absent is None and content is None:
        return Response("", tokens, seconds, error="сервер прислал пустое сообщение", input_tokens=read)
    return Response("", tokens, seconds, input_tokens=read, finish=finish, absent=absent)


def _text(content: Any) -> str | None:
    """Content as text, also where it comes in parts; None where there is none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if texts else None
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content)
    return None


def _why_absent(message: dict[str, Any], finish: str) -> Absent | None:
    """Why a message without content has none."""
    if isinstance(message.get("refusal"), str) and message["refusal"].strip():
        return Absent.REFUSED
    if finish == "content_filter":
        return Absent.FILTERED
    if message.get("tool_calls") or message.get("function_call") or finish in ("tool_calls", "function_call"):
        return Absent.TOOLS
    if any(isinstance(message.get(name), str) and message[name].strip() for name in _THOUGHTS):
        return Absent.THOUGHT
    return Absent.CUT if finish == "length" else None


def _count(value: Any) -> int:
    """A count of tokens; 0 for what can be none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0
