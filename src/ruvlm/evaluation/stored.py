"""What evaluation folders hold, read back with every field checked: one reader of responses, verdicts and identities.

A file that another hand or a bad disk has touched gives ValueError here, and a sentence from whoever asked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields as dataclass_fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruvlm.files import sound
from ruvlm.schema import Absent, LetterUse, Response, Score, Status, Verdict

_NUMBER = (int, float)
_FIELDS: MappingProxyType[str, tuple[type, ...]] = MappingProxyType(
    {"text": (str,), "tokens": (int,), "seconds": _NUMBER, "input_tokens": (int,), "finish": (str,)}
)
_OPTIONAL: MappingProxyType[str, tuple[type, ...]] = MappingProxyType({"error": (str,), "probability": _NUMBER})


_NAMES = {kind: tuple(field.name for field in dataclass_fields(kind)) for kind in (Response, Verdict)}


def plain(noun: Response | Verdict) -> dict[str, Any]:
    """A flat noun's fields. `dataclasses.asdict` copies deeply and is ten times slower, which thousands of rows feel."""
    return {name: getattr(noun, name) for name in _NAMES[type(noun)]}


def response_of(fields: Any) -> Response:
    """A stored response; fields of a newer version are passed over. Raises ValueError naming the field that is wrong."""
    row = _object(fields, "ответ")
    known: dict[str, Any] = {}
    for name, kinds in (*_FIELDS.items(), *_OPTIONAL.items()):
        if name in row and not (row[name] is None and name in _OPTIONAL):
            known[name] = _checked(name, row[name], kinds)
    if "text" not in known:
        raise ValueError("нет поля text")
    for name in ("mean_logprobs", "sum_logprobs"):
        values = row.get(name) or ()
        if not isinstance(values, list | tuple):
            raise ValueError(f"поле {name} = {str(values)[:40]}")
        known[name] = tuple(_checked(name, value, _NUMBER) for value in values)
    absent = row.get("absent")
    return Response(**known, absent=None if absent is None else Absent(absent))


def verdict_of(fields: Any) -> Verdict:
    """A stored verdict. Raises ValueError naming the field that is wrong."""
    row = _object(fields, "вердикт")
    # the first verdicts knew only right and wrong
    name = "scores" if "scores" in row else "correct"
    parsed, reason, scores = row.get("parsed"), row.get("reason"), _object(row.get(name), name)
    for field, value in (("parsed", parsed), ("reason", reason)):
        if value is not None:
            _checked(field, value, (str,))
    if not all(isinstance(score, bool | int | float) and 0 <= score <= 1 for score in scores.values()):
        raise ValueError(f"поле {name}")
    # before verdicts had a status, an error was told by its reason
    early = Status.ERROR if (reason or "").startswith("ошибка") else Status.ANSWERED
    return Verdict(
        id=identity_of(row.get("id")),
        cluster=identity_of(row.get("cluster")),
        parsed=parsed,
        reason=reason,
        scores={rule: float(score) for rule, score in scores.items()},
        status=Status(row.get("status", early)),
    )


def score_of(fields: Any) -> Score:
    """A stored score. Raises ValueError naming the field that is wrong."""
    row = _object(fields, "балл")
    bounds = {name: None if row.get(name) is None else number_of(row[name]) for name in ("low", "high", "error")}
    return Score(
        n=int(number_of(row.get("n"))),
        correct=int(number_of(row.get("correct"))),
        value=number_of(row.get("value")),
        **bounds,
    )


def letter_use_of(fields: Any) -> LetterUse:
    """How a letter was used, as stored. Raises ValueError."""
    row = _object(fields, "буква")
    counts = {name: int(number_of(row.get(name))) for name in ("chosen", "gold", "right")}
    return LetterUse(letter=str(_checked("letter", row.get("letter"), (str,))), **counts)


def number_of(value: Any) -> float:
    """A finite number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1 << 53:
        raise ValueError(f"не число: {str(value)[:40]}")
    return value


def identity_of(value: Any) -> str:
    """An id as text. Raises ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"id = {str(value)[:40]}")
    return sound(str(value))


def json_object(path: Path) -> dict[str, Any]:
    """A JSON file that is an object. Raises OSError or ValueError."""
    try:
        return _object(_loaded(path.read_bytes()), path.name)
    except RecursionError as error:
        raise ValueError("вложен слишком глубоко") from error


def text_object(path: Path) -> dict[str, str]:
    """A JSON file that is an object of texts, as identity.json is. Raises OSError or ValueError."""
    fields = json_object(path)
    for name, value in fields.items():
        _checked(name, value, (str,))
    return {sound(name): sound(value) for name, value in fields.items()}


def lines_of(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Every line that is not empty, numbered from 1; None for one that is no JSON object, or not even text."""
    # not splitlines: an answer may hold U+2028 and other ends of line that JSON does not escape
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip(b"\0 \t\r"):
            try:
                yield number, _object(_loaded(line), "строка")
            except (ValueError, RecursionError):
                yield number, None


def _loaded(data: bytes) -> Any:
    """JSON whose texts can all be written again."""
    value = json.loads(data.decode("utf-8"))
    return _sound(value) if b"\\u" in data else value


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, list):
        return [_sound(one) for one in value]
    return {sound(name): _sound(one) for name, one in value.items()} if isinstance(value, dict) else value


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} – не объект с полями ({str(value)[:40]})")
    return value


def _checked(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    if isinstance(value, bool) or not isinstance(value, kinds) or (isinstance(value, float) and math.isnan(value)):
        raise ValueError(f"поле {name} = {str(value)[:40]}")
    if isinstance(value, int) and abs(value) > 1 << 53:
        raise ValueError(f"поле {name} = {str(value)[:40]}")
    return sound(value) if isinstance(value, str) else value
