"""Answers on disk: responses.jsonl, append-only, one line per (example, option order), keyed by what decided it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ruvlm.data.files import write_bytes
from ruvlm.errors import DataError, OutputError, because
from ruvlm.schema import Prompt, Response, Verdict

FLUSH_SECONDS = 1.0


def image_mark(data: bytes) -> bytes:
    """A hash of a picture's bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def response_key(example_id: str, image: bytes, prompt: Prompt, model: str) -> str:
    """Hash of example, image mark, prompt, generation settings and model; not of batch size or time limits."""
    digest = hashlib.sha256()
    parts = (example_id, prompt.protocol, prompt.text, repr(prompt.generation), repr(prompt.candidates), model)
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    digest.update(image)
    return digest.hexdigest()[:32]


RESPONSES = "responses.jsonl"


class ResponseStore:
    """The responses of one evaluation folder. Opening drops a torn last line and says so in `repaired`.

    With `shard`, what is added goes to a file of this process's own, which `merge_shards` puts to the others.
    """

    def __init__(self, folder: Path, shard: int | None = None) -> None:
        path = folder / RESPONSES
        self.path = path if shard is None else folder / f"responses.{shard}.jsonl"
        self._flushed = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.repaired = shard is None and repair(path)
            self._known = {key: response for key, _, response in _read(path)} if path.is_file() else {}
            self._handle = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"В {folder} нельзя писать ({because(error)}): укажите другую папку.") from error

    def get(self, key: str) -> Response | None:
        """The stored response, which may be an error; None if there is none."""
        return self._known.get(key)

    def answered(self, key: str) -> bool:
        """Is there a response that is not an error?"""
        found = self._known.get(key)
        return found is not None and found.error is None

    def add(self, key: str, example_id: str, prompt: Prompt, response: Response) -> None:
        """Append one response. It is on disk within seconds: what is lost by a kill is asked again."""
        row = {"key": key, "id": example_id, "protocol": prompt.protocol, "response": _plain(response)}
        try:
            self._handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as error:
            raise OutputError(f"Не удалось записать {self.path} ({because(error)}): освободите место.") from error
        self._known[key] = response
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Everything added so far is on disk when this returns."""
        try:
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError as error:
            raise OutputError(f"Не удалось записать {self.path} ({because(error)}): освободите место.") from error
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._handle.close()


def repair(path: Path) -> bool:
    """Drop a last line that a killed process left half-written. Was there one?"""
    if not path.is_file():
        return False
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole == len(data):
        return False
    with path.open("r+b") as handle:
        handle.truncate(whole)
    return True


def responses_by_id(folder: Path) -> dict[str, Response]:
    """The stored responses by their examples' ids."""
    path = folder / RESPONSES
    return {name: response for _, name, response in _read(path)} if path.is_file() else {}


def _read(path: Path) -> Iterator[tuple[str, str, Response]]:
    """Key, id and response of each line; of a key that comes twice (an error, then an answer) the last one counts."""
    # not splitlines: an answer may hold U+2028 and other ends of line that JSON does not escape
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            response = {**row["response"]}
            for field in ("mean_logprobs", "sum_logprobs"):
                response[field] = tuple(response.get(field) or ())
            yield row["key"], row["id"], Response(**response)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, строка {number}: не похоже на ответ ({error}): удалите файл.") from error


def merge_shards(folder: Path) -> None:
    """Put the answers of all processes into one file; those a killed run has left too."""
    shards = sorted(folder.glob("responses.*.jsonl"))
    if not shards:
        return
    path = folder / RESPONSES
    repair(path)
    answered = {key for key, _, response in (_read(path) if path.is_file() else ()) if response.error is None}
    with path.open("a", encoding="utf-8") as whole:
        for shard in shards:
            repair(shard)
            for line in filter(None, shard.read_text(encoding="utf-8").split("\n")):
                key = json.loads(line)["key"]
                if key not in answered:
                    whole.write(line + "\n")
        whole.flush()
        os.fsync(whole.fileno())
    for shard in shards:
        shard.unlink()


def _plain(noun: Response | Verdict) -> dict[str, Any]:
    """A flat noun's fields. `dataclasses.asdict` copies deeply and is ten times slower, which thousands of rows feel."""
    return {name: getattr(noun, name) for name in noun.__match_args__}


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """verdicts.jsonl, whole or not at all."""
    write_text(path, "".join(json.dumps(_plain(v), ensure_ascii=False) + "\n" for v in verdicts))


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all. Raises OutputError on a full or read-only disk."""
    write_bytes(path, text.encode())


def verdicts_by_id(folder: Path) -> dict[str, Verdict]:
    """The stored verdicts by their examples' ids. Raises DataError if they are damaged."""
    path = folder / "verdicts.jsonl"
    try:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
        return {found["id"]: Verdict(**found) for found in map(json.loads, lines)}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} не читается ({error}): повторите ruvlm score {folder}.") from error
