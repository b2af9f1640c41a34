"""LLaVA-style conversations (deepvk/LLaVA-Instruct-ru): {id, image, conversations: [{from, value}, …]} and a folder of images.

Also as other tools write them: `image` as a list or {path}, `images`, `messages` of {role, content}. What cannot be taught as
it stands (several pictures, a video, a question without its answer) is left out and counted, never taught as something else.
It is a set to train on and no benchmark: nobody has said by which rule a long answer is right.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruvlm.data.hub_sets import HubSet
from ruvlm.data.picture_folder import COCO_PLACES, PictureFolder
from ruvlm.errors import DataError
from ruvlm.files import sound
from ruvlm.schema import Dataset, Example, ImageRef
from ruvlm.thoughts import apart

HUMAN, MODEL, SYSTEM = ("human", "user", "человек"), ("gpt", "assistant", "bot", "model", "chatgpt"), ("system",)
# a picture's mark, as LLaVA and as others write it
_MARKS = re.compile(
    r"<image>|<ImageHere>|<image_placeholder>|<img>[^<]{0,300}</img>|<\|vision_start\|><\|image_pad\|><\|vision_end\|>|<\|image(?:_\d|_pad)?\|>|\[IMG\]"
    r"|<image_\d>|\[IMAGE\]|<IMAGE>|<start_of_image>|<img>(?:<IMG_CONTEXT>)*</img>|<img>"
)
_VIDEO = re.compile(r"<video>|<\|video\|>|\[VIDEO\]|<\|video_pad\|>|<audio>|<VideoHere>")
_ENDS = re.compile(r"</s>|<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|<end_of_turn>|<eos>")
PIECE = 1 << 20
# of all pictures that are named, how many may be missing before that is an error
MISSING = 0.5


LLAVA_INSTRUCT = HubSet(
    name="llava-instruct-ru",
    repo="deepvk/LLaVA-Instruct-ru",
    splits=MappingProxyType({"train": ("llava_instruct_ru_train.json",), "val": ("llava_instruct_ru_val.json",)}),
    default="train",
    licence="Apache-2.0",
)


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


class Left:
    """What was left out, by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, reason: str, count: int = 1) -> None:
        self.counts[reason] += count

    def notes(self) -> tuple[str, ...]:
        return tuple(f"{reason}: {count}" for reason, count in self.counts.items() if count)


def read_conversations(path: Path, images: Path, left: Left | None = None) -> Iterator[Conversation]:
    """The conversations of a JSON list or a JSONL file, one in memory at a time; the file is read twice.

    Raises DataError naming the record for one that is not of this shape, or where most pictures are not in `images`.
    """
    if not images.is_dir():
        raise DataError(f"Папки с картинками {images} нет: для {path.name} нужны его картинки.")
    left = left or Left()
    names = [name for row in _records(path) for name in (_pictures(row) if isinstance(row, dict) else ())]
    folder = PictureFolder(images, names, COCO_PLACES)
    known: dict[str, ImageRef | None] = {}
    ids: Counter[str] = Counter()
    first_missing = ""
    for number, row in enumerate(_records(path)):
        where = f"{path}, запись {number}"
        turns = _turns(_said(row, where), where, left)
        pictures = _pictures(row)
        if len(pictures) > 1 or row.get("video") or row.get("videos") or row.get("audio"):
            left.add("бесед о нескольких картинках или о видео")
            continue
        ref = None
        if pictures:
            name = pictures[0]
            if name not in known:
                path_found = folder.find(name)
                known[name] = None if path_found is None else ImageRef(path_found)
            ref = known[name]
            if ref is None:
                first_missing = first_missing or f"{where}: картинки «{name[:200]}» нет"
                left.add(f"бесед, чьей картинки нет в {images}")
                continue
        identity = sound(str(row.get("id", number)))
        ids[identity] += 1
        yield Conversation(identity if ids[identity] == 1 else f"{identity}#{ids[identity]}", ref, turns)
    missing = sum(ref is None for ref in known.values())
    if missing > MISSING * len(known):
        raise DataError(
            f"{first_missing} в {images}, как и {missing} из {len(known)} картинок файла: проверьте папку с картинками."
        )
    if folder.by_base:
        left.add("картинок найдено по имени без папки", folder.by_base)


def load(path: Path, images: Path, limit: int | None = None) -> Dataset:
    """Every turn about a picture as an example of its own: question, answer, detailed type «conversation».

    With `limit`, so many conversations, chosen by a hash of their ids. What is left out is counted in the notes. Raises
    DataError.
    """
    left = Left()
    chosen = []
    for conversation in read_conversations(path, images, left):
        if conversation.image is None:
            left.add("бесед без картинки")
        elif not conversation.turns:
            left.add("бесед без вопроса с ответом")
        else:
            chosen.append(conversation)
    if not chosen:
        raise DataError(
            f"{path}: нет ни одной беседы о картинке, которой можно учить ({'; '.join(left.notes()) or 'файл пуст'})."
        )
    if limit is not None:
        chosen = sorted(chosen, key=lambda c: hashlib.blake2b(c.id.encode(), digest_size=8).digest())[:limit]
    examples = tuple(example for conversation in chosen for example in _examples(conversation))
    with path.open("rb") as handle:
        mark = hashlib.file_digest(handle, "sha256")
    mark.update(str(limit).encode())
    return Dataset(
        name="conversations",
        split="train",
        source=f"conversations {path.name}",
        fingerprint=mark.hexdigest()[:16],
        examples=examples,
        notes=left.notes(),
        sample=limit,
    )


def _examples(conversation: Conversation) -> Iterator[Example]:
    assert conversation.image is not None
    picture = str(conversation.image)
    for number, turn in enumerate(conversation.turns):
        yield Example(
            id=f"{conversation.id}-{number}",
            benchmark="",
            question=turn.question,
            answers=(turn.answer,),
            images=(conversation.image,),
            image_id=picture,
            cluster=picture,
            detailed="conversation",
        )


def _pictures(row: dict[str, Any]) -> list[str]:
    """The names of a record's pictures, under whatever key: a name, {path}, or a list of either."""
    names: dict[str, None] = {}
    for value in (*(row.get(key) for key in ("image", "images", "image_path", "img")), *_parts(row)):
        for one in value if isinstance(value, list) else [value]:
            name = one.get("path") or one.get("url") if isinstance(one, dict) else one
            if name:
                names[str(name)] = None
    return list(names)


def _parts(row: dict[str, Any]) -> list[Any]:
    """Pictures named inside the messages' parts."""
    turns = row.get("messages") or row.get("conversations") or []
    contents = [turn.get("content") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    pictures = [
        part.get("image") or part.get("image_url") or part.get("path")
        for part in parts
        if part.get("type") in ("image", "image_url")
    ]
    return [one for one in pictures if one]


def _said(row: Any, where: str) -> list[Any]:
    """A record's turns as {from, value}."""
    turns = (
        (row.get("conversations") or row.get("messages") or row.get("conversation")) if isinstance(row, dict) else None
    )
    if not isinstance(turns, list):
        pair = (row.get("question"), row.get("answer")) if isinstance(row, dict) else (None, None)
        if all(isinstance(text, str) for text in pair):
            return [{"from": "human", "value": pair[0]}, {"from": "gpt", "value": pair[1]}]
        if isinstance(row, dict) and isinstance(row.get("conversations"), list):
            return []
        raise DataError(f"{where}: нет списка «conversations» или «messages»: нужен формат LLaVA.")
    return turns


def _text(line: dict[str, Any]) -> str | None:
    """A turn's words; of a list of parts, those of its texts."""
    value = line.get("value", line.get("content"))
    if isinstance(value, list):
        parts = [
            part.get("text", "<video>" if part.get("type") == "video" else "")
            for part in value
            if isinstance(part, dict)
        ]
        return "\n".join(part for part in parts if isinstance(part, str) and part)
    return sound(value) if isinstance(value, str) else None


def _turns(said: list[Any], where: str, left: Left) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    question: str | None = None
    for line in said:
        text = _text(line) if isinstance(line, dict) else None
        if text is None:
            raise DataError(f"{where}: реплика {str(line)[:60]} – не {{from, value}}: исправьте запись.")
        speaker = str(line.get("from", line.get("role", ""))).lower()
        if speaker in HUMAN:
            left.add("вопросов без ответа", question is not None)
            question = text
        elif speaker in MODEL and (
            line.get("weight") == 0 or line.get("loss") is False or line.get("loss_weight") == 0
        ):
            left.add("реплик, помеченных «не учить»")
            question = None
        elif speaker in MODEL:
            turn = _turn(question, text, left)
            turns += [turn] if turn else []
            question = None
        elif speaker in SYSTEM:
            left.add("системных реплик (они не учатся)")
        else:
            raise DataError(f"{where}: реплику сказал «{speaker[:40]}», а нужно human или gpt: исправьте запись.")
    left.add("вопросов без ответа", question is not None)
    return tuple(turns)


def _turn(question: str | None, answer: str, left: Left) -> Turn | None:
    """A question with its answer; None, counted, for what would teach something else."""
    if question is None:
        left.add("ответов без вопроса")
        return None
    if _VIDEO.search(question) or _VIDEO.search(answer):
        left.add("вопросов о видео или звуке")
        return None
    if apart(answer).thought:
        left.add("ответов с рассуждением (учится то, что после него)")
    asked, said = _MARKS.sub("", question).strip(), _MARKS.sub("", _ENDS.sub("", apart(answer).said)).strip()
    if not asked or not said:
        left.add("вопросов из одной картинки или пустых ответов")
        return None
    return Turn(asked, said)


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
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: это не JSON ({error}): скачайте файл заново.") from error


def _listed(read: Any) -> Iterator[Any]:
    decoder, buffer = json.JSONDecoder(), ""
    while True:
        piece = read(PIECE)
        buffer = (buffer + piece).lstrip()
        while buffer:
            buffer = buffer.lstrip(", \t\r\n")
            if buffer.startswith("]"):
                if (buffer[1:] + read(PIECE)).strip():
                    raise ValueError("после списка есть ещё что-то: в файле два списка?")
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
