"""Answers on disk: responses.jsonl, append-only, one line per (example, option order), keyed by what decided it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.errors import DataError, OutputError, because
from ruvlm.evaluation.stored import identity_of, lines_of, plain, response_of
from ruvlm.files import json_line, repair, write_bytes
from ruvlm.schema import Prompt, Response

FLUSH_SECONDS = 1.0


def response_key(example_id: str, image: bytes, prompt: Prompt, model: str) -> str:
    """Hash of example, image mark, prompt, generation settings and model; not of batch size or time limits."""
    digest = hashlib.sha256()
    parts = [example_id, prompt.protocol, prompt.text, repr(prompt.generation), repr(prompt.candidates), model]
    if prompt.parts or prompt.system or prompt.image_size:
        parts.append(repr((prompt.parts, prompt.system, prompt.image_size)))
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    digest.update(image)
    return digest.hexdigest()[:32]


RESPONSES = "responses.jsonl"


class ResponseStore:
    """The responses of one evaluation folder. Opening drops a torn last line, which a kill leaves.

    `damaged` are the numbers of other lines that cannot be read: they are moved to a file beside, and their questions are
    asked again.

    With `shard`, what is added goes to a file of this process's own, which `merge_shards` puts to the others.
    """

    def __init__(self, folder: Path, shard: int | None = None) -> None:
        path = folder / RESPONSES
        self.path = path if shard is None else folder / f"responses.{shard}.jsonl"
        self._flushed = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if shard is None:
                repair(path)
            self.damaged: list[int] = []
            stored = read_responses(path, self.damaged) if path.is_file() else {}
            if self.damaged and shard is None:
                _set_aside(path, self.damaged)
            self._known = {key: one.response for key, one in stored.items()}
            self._handle = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"В {folder} нельзя писать ({because(error)}): укажите другую папку.") from error

    def get(self, key: str) -> Response | None:
        """The stored response, which may be an error; None if there is none."""
        return self._known.get(key)

    def answered(self, key: str) -> bool:
        """Is there a response that is not an error?"""
        stored = self._known.get(key)
        return stored is not None and stored.error is None

    def add(self, key: str, example_id: str, prompt: Prompt, response: Response) -> None:
        """Append one response. It is on disk within seconds: what is lost by a kill is asked again."""
        row = {"key": key, "id": example_id, "protocol": prompt.protocol, "response": plain(response)}
        try:
            self._handle.write(json_line(row))
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


def _set_aside(path: Path, damaged: Sequence[int]) -> None:
    """Move lines that cannot be read out of the way, into responses.damaged."""
    lines = path.read_bytes().split(b"\n")
    bad = set(damaged)
    with path.with_suffix(".damaged").open("ab") as aside:
        aside.writelines(line + b"\n" for number, line in enumerate(lines, 1) if number in bad)
    write_bytes(path, b"\n".join(line for number, line in enumerate(lines, 1) if number not in bad))


@dataclass(frozen=True)
class StoredLine:
    """One stored line: its key, the example's id, the response, and the line as it stands."""

    key: str
    id: str
    response: Response
    line: str


def read_responses(path: Path, damaged: list[int] | None = None) -> dict[str, StoredLine]:
    """StoredLine lines by key; of a key that comes twice (an error, then an answer) the last one counts.

    Lines that cannot be read are left out, their numbers put into `damaged`: one bad line costs no other answer.
    """
    rows: dict[str, StoredLine] = {}
    try:
        for number, row in lines_of(path):
            try:
                if row is None:
                    raise ValueError("не JSON")
                stored = StoredLine(
                    identity_of(row.get("key")),
                    identity_of(row.get("id")),
                    response_of(row.get("response")),
                    json.dumps(row, ensure_ascii=False),
                )
                if (
                    stored.response.error is None
                    or stored.key not in rows
                    or rows[stored.key].response.error is not None
                ):
                    rows[stored.key] = stored  # an error takes no answer's place
            except ValueError:
                if damaged is not None:
                    damaged.append(number)
    except OSError as error:
        raise DataError(f"{path} не удалось прочитать ({because(error)}).") from error
    return rows


def merge_shards(folder: Path) -> None:
    """Put the answers of all processes into one file; those a killed run has left too."""
    shards = sorted(folder.glob("responses.*.jsonl"))
    if not shards:
        return
    path = folder / RESPONSES
    repair(path)
    answered = {
        key for key, stored in (read_responses(path) if path.is_file() else {}).items() if stored.response.error is None
    }
    with path.open("a", encoding="utf-8") as whole:
        for shard in shards:
            repair(shard)
            for key, stored in read_responses(shard).items():
                if key not in answered:
                    whole.write(stored.line + "\n")
                    answered |= {key} if stored.response.error is None else set()
        whole.flush()
        os.fsync(whole.fileno())
    for shard in shards:
        shard.unlink()
