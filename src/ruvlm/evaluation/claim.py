"""Whose an evaluation folder is: one process at a time, and always the same model, data and prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruvlm.errors import OutputError, because
from ruvlm.evaluation.store import RESPONSES
from ruvlm.evaluation.stored import text_object
from ruvlm.files import LOCK, held, write_json

IDENTITY = "identity.json"
# what file managers leave wherever they look
LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".directory")
NAMES = {"protocol": "протокол", "prompt": "вопрос к модели", "data": "данные", "split": "часть", "model": "модель"}


@contextmanager
def claimed(folder: Path, identity: dict[str, str], replays: bool = False) -> Iterator[None]:
    """Hold a folder for an evaluation of `identity`. The system lets go of it however the process ends.

    With `replays` the answers come from a file: where only that has changed, what is stored gives way to it.

    Raises OutputError if another process holds it, or if it holds something else, saying what differs.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / LOCK, f"В {folder} уже пишет другой процесс: дождитесь его или укажите другую --out."):
            _check(folder, identity, replays)
            yield
    except OSError as error:
        raise OutputError(f"В {folder} нельзя писать ({because(error)}): укажите другую папку.") from error


def _check(folder: Path, identity: dict[str, str], replays: bool) -> None:
    path = folder / IDENTITY
    if not path.is_file():
        if any(found.name not in (LOCK, *LITTER) and found.suffix != ".tmp" for found in folder.iterdir()):
            raise OutputError(f"Папка {folder} занята не оценкой: укажите другую --out.")
        write_json(path, identity)
        return
    try:
        known = text_object(path)
    except (OSError, ValueError) as error:
        raise OutputError(f"Файл {path} повреждён ({error}): удалите папку {folder}.") from error
    same_file = str(known.get("model")).split(" ")[:2] == identity["model"].split(" ")[:2]
    if replays and same_file and known != identity and known == {**identity, "model": known.get("model")}:
        for name in (RESPONSES, "verdicts.jsonl", "summary.json"):
            (folder / name).unlink(missing_ok=True)
        write_json(path, identity)
        return
    differ = [
        f"{NAMES.get(key, key)} – там «{known.get(key)}», здесь «{value}»"
        for key, value in identity.items()
        if known.get(key) != value
    ]
    if differ:
        raise OutputError(f"В {folder} другая оценка ({'; '.join(differ)}): укажите другую --out или удалите папку.")
