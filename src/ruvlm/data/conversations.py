"""LLaVA-style conversations (deepvk/LLaVA-Instruct-ru): {id, image, conversations: [{from, value}, …]} and a folder of images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError
from ruvlm.schema import Dataset, Example, ImageRef

TOKEN = "<image>"
HUMAN, MODEL = ("human", "user"), ("gpt", "assistant")
# as the file names it, then where COCO's archives put it
PLACES = ("{path}", "{name}", "train2017/{name}", "val2017/{name}", "train2014/COCO_train2014_{name}", "val2014/COCO_val2014_{name}",
          "COCO_train2014_{name}", "COCO_val2014_{name}")  # fmt: skip
PIECE = 1 << 20


@dataclass(frozen=True)
class Turn:
    """What a person said, without the image's mark, and what the model is to say."""

    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """A conversation about one picture, or about none."""

    id: str
    image: ImageRef | None
    turns: tuple[Turn, ...]


def read_conversations(path: Path, images: Path) -> Iterator[Conversation]:
    """The conversations of a JSON list or a JSONL file, one in memory at a time.

    Raises DataError naming the record for one that is not of this shape, or whose picture is not in `images`.
    """
    if not images.is_dir():
        raise DataError(f"Папки с картинками {images} нет: для {path.name} нужны картинки COCO (train2017).")
    known: dict[str, ImageRef] = {}
    for number, row in enumerate(_records(path)):
        where = f"{path}, запись {number}"
        if not isinstance(row, dict) or not isinstance(row.get("conversations"), list):
            raise DataError(f"{where}: нет списка «conversations»: нужен формат LLaVA.")
        name = row.get("image")
        ref = None
        if name:
            ref = known.get(name) or known.setdefault(name, _found(images, str(name), where))
        yield Conversation(str(row.get("id", number)), ref, _turns(row["conversations"], where))


def load(path: Path, images: Path, limit: int | None = None) -> Dataset:
    """Every turn about a picture as an example of its own: question, answer, detailed type «conversation».

    With `limit`, so many conversations, chosen by a hash of their ids. Conversations without a picture are counted and left
    out. Raises DataError.
    """
    chosen, silent = [], 0
    for conversation in read_conversations(path, images):
        if conversation.image is None:
            silent += 1
        else:
            chosen.append(conversation)
    if not chosen:
        raise DataError(f"{path}: нет ни одной беседы о картинке.")
    if limit is not None:
        chosen = sorted(chosen, key=lambda c: hashlib.blake2b(c.id.encode(), digest_size=8).digest())[:limit]
    examples = tuple(example for conversation in chosen for example in _examples(conversation))
    with path.open("rb") as handle:
        mark = hashlib.file_digest(handle, "sha256")
    mark.update(str(limit).encode())
    notes = (f"бесед без картинки: {silent}",) if silent else ()
    return Dataset(
        "gqa-ru", "train", f"conversations {path.name}", mark.hexdigest()[:16], examples, notes, sample=limit
    )


def _examples(conversation: Conversation) -> Iterator[Example]:
    assert conversation.image is not None
    picture = str(conversation.image)
    for number, turn in enumerate(conversation.turns):
        yield Example(
            f"{conversation.id}-{number}", "gqa-ru", turn.question, turn.answer, conversation.image, picture, picture,
            detailed="conversation",
        )  # fmt: skip


def _turns(said: list[Any], where: str) -> tuple[Turn, ...]:
    turns, question = [], None
    for line in said:
        if not isinstance(line, dict) or not isinstance(line.get("value"), str):
            raise DataError(f"{where}: реплика {str(line)[:60]} – не {{from, value}}: исправьте запись.")
        text = line["value"].replace(TOKEN, "").strip()
        if line.get("from") in HUMAN:
            question = text
        elif line.get("from") in MODEL:
            if question and text:
                turns.append(Turn(question, text))
            question = None
        elif line.get("from") != "system":
            raise DataError(f"{where}: реплику сказал «{line.get('from')}», а нужно human или gpt: исправьте запись.")
    return tuple(turns)


def _found(images: Path, name: str, where: str) -> ImageRef:
    for place in PLACES:
        path = images / place.format(path=name, name=Path(name).name)
        if path.is_file():
            return ImageRef(path)
    raise DataError(
        f"{where}: картинки «{name}» нет в {images} (ни в train2017, ни в val2017): скачайте картинки COCO."
    )


def _records(path: Path) -> Iterator[Any]:
    """Objects of a top-level JSON list, or of lines, without holding the file."""
    try:
        with path.open(encoding="utf-8-sig") as handle:
            start = handle.read(1)
            while start.isspace():
                start = handle.read(1)
            if start != "[":
                handle.seek(0)
                for line in handle:
                    if line.strip():
                        yield json.loads(line)
                return
            yield from _listed(handle.read)
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: скачайте его командой ruvlm data fetch llava-instruct-ru.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} не удалось прочитать ({error}).") from error
    except ValueError as error:
        raise DataError(f"{path}: это не JSON ({error}): скачайте файл заново.") from error


def _listed(read: Any) -> Iterator[Any]:
    decoder, buffer = json.JSONDecoder(), ""
    while True:
        piece = read(PIECE)
        buffer = (buffer + piece).lstrip()
        while buffer:
            buffer = buffer.lstrip(", \t\r\n")
            if buffer.startswith("]"):
                return
            try:
                value, end = decoder.raw_decode(buffer)
            except ValueError:
                if not piece:
                    raise
                break
            yield value
            buffer = buffer[end:]
        if not piece:
            raise ValueError("список не закрыт: файл обрезан")
