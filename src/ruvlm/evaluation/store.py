"""Answers on disk: responses.jsonl, append-only, one line per (example, option order), keyed by what decided it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError, OutputError
from ruvlm.schema import Prompt, Response, Verdict


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


class ResponseStore:
    """The responses of one evaluation folder. Opening repairs a torn last line and says so in `repaired`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "responses.jsonl"
        self.repaired = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._known = self._read()
            self._handle = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"В {folder} нельзя писать ({error.strerror}): укажите другую папку.") from error

    def _read(self) -> dict[str, tuple[str, Response]]:
        known: dict[str, tuple[str, Response]] = {}
        if not self.path.is_file():
            return known
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            self.repaired = True
            with self.path.open("r+b") as handle:
                handle.truncate(len(whole))
        for number, line in enumerate(whole.decode("utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                response = {**row["response"]}
                for field in ("mean_logprobs", "sum_logprobs"):
                    response[field] = tuple(response.get(field) or ())
                known[row["key"]] = (row["id"], Response(**response))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{self.path}, строка {number}: не похоже на ответ ({error}): удалите файл.") from error
        return known

    def get(self, key: str) -> Response | None:
        """The stored response, None if there is none or it was an error."""
        found = self._known.get(key)
        return found[1] if found and found[1].error is None else None

    def add(self, key: str, example_id: str, prompt: Prompt, response: Response) -> None:
        """Append one response."""
        row = {"key": key, "id": example_id, "protocol": prompt.protocol, "response": asdict(response)}
        try:
            self._handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as error:
            raise OutputError(f"Не удалось записать {self.path} ({error.strerror}): освободите место.") from error
        self._known[key] = (example_id, response)

    def flush(self) -> None:
        try:
            self._handle.flush()
            os.fsync(self._handle.fileno())
        except OSError as error:
            raise OutputError(f"Не удалось записать {self.path} ({error.strerror}): освободите место.") from error

    def close(self) -> None:
        self._handle.close()


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> None:
    """verdicts.jsonl, whole or not at all."""
    write_text(path, "".join(json.dumps(asdict(v), ensure_ascii=False) + "\n" for v in verdicts))


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all. Raises OutputError on a full or read-only disk."""
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as handle:
            name = handle.name
            handle.write(text)
        os.replace(name, path)
    except OSError as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        raise OutputError(
            f"Не удалось записать {path} ({error.strerror}): освободите место или смените папку."
        ) from error
