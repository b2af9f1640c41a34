"""Is a server honest? The same questions cold, cached, in another order, beside another picture, alone and all at once.

Prefix and picture caches of servers have mixed pictures up more than once (vllm#20261, fastllm#750, sglang-omni#146): what then
comes back is the answer about another picture, and no score shows it. The probe asks some rows again and says what differs.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from PIL import Image

from ruvlm.backends.base import Asked, Backend
from ruvlm.data.images import load_image, read_bytes
from ruvlm.errors import DataError
from ruvlm.files import json_line, picture_mark, write_text
from ruvlm.schema import ImageRef, Response

# each costs four requests, and four or eight more where another picture changed nothing
ROWS = 8
# pixels added on each side, of its own picture and of the other one: new to every cache, the same to a model
FRAME, OTHER_FRAMES = 1, (2, 3)
# a chance or two is none: so many answers must change past the caches, and a third of those that did not before
MIXED = 3
# so many answers that differ by how they were asked are no near tie any more
DIFFERING = 2


class How(StrEnum):
    """How a probe's question was asked."""

    ALONE = "alone"
    AGAIN = "again"
    REVERSED = "reversed"
    AT_ONCE = "at once"
    OTHER_PICTURE = "other picture"
    # past the caches, with words before the picture that none has seen and a frame round it that makes its size another: about
    # its own picture and about the other, each twice: an answer that other words or a frame change says nothing of the picture
    FRESH = "fresh"
    FRESH_AGAIN = "fresh again"
    FRESH_OTHER = "fresh other picture"
    FRESH_OTHER_AGAIN = "fresh other picture again"
    # the same with those words in a system message: some servers put every picture before all that the user says
    SYSTEM = "system"
    SYSTEM_AGAIN = "system again"
    SYSTEM_OTHER = "system other picture"
    SYSTEM_OTHER_AGAIN = "system other picture again"


PAST_CACHES = (
    (How.FRESH, How.FRESH_AGAIN, How.FRESH_OTHER, How.FRESH_OTHER_AGAIN),
    (How.SYSTEM, How.SYSTEM_AGAIN, How.SYSTEM_OTHER, How.SYSTEM_OTHER_AGAIN),
)
SAME = (How.AGAIN, How.REVERSED, How.AT_ONCE)
WORDS = {How.AGAIN: "ещё раз", How.REVERSED: "в обратном порядке", How.AT_ONCE: "разом с другими"}


@dataclass(frozen=True, kw_only=True)
class ProbeAnswer:
    """What was said to a row asked in some way; `text` is None where nothing was."""

    id: str
    how: How
    text: str | None


@dataclass(frozen=True, kw_only=True)
class Honesty:
    """Of `rows` rows: how many answers differ from the first one by how they were asked; how many other pictures changed nothing,
    and of those how many do once the caches are stepped past. `unanswered` requests got no answer: what they would show is not known.
    """

    rows: int
    differing: dict[How, int]
    swapped: int
    unchanged: int
    mixed: int
    unanswered: int = 0

    @property
    def mixes(self) -> bool:
        """Are answers given about a picture that was not sent?"""
        return self.mixed >= MIXED and 3 * self.mixed >= self.unchanged

    @property
    def honest(self) -> bool:
        """One row that differs may be a near tie of a server that counts in bfloat16: it is said, and is no lie."""
        return not self.mixes and max(self.differing.values()) < DIFFERING

    @property
    def faults(self) -> tuple[str, ...]:
        """In words; nothing for an honest server."""
        said = []
        if self.mixes:
            said.append(
                f"сервер путает картинки: {self.unchanged} из {self.swapped} вопросов о другой картинке получили прежний ответ, а "
                f"в обход кешей {self.mixed} из них – другой; отключите на сервере кеш префиксов и картинок"
            )
        ways = ", ".join(f"{WORDS[how]} {count}" for how, count in self.differing.items() if count)
        if ways:
            said.append(
                f"сервер отвечает на одно и то же по-разному: из {self.rows} вопросов {ways}; балл не повторить"
            )
        return tuple(said)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is no fault of the server's for certain."""
        if self.swapped > 1 and self.unchanged == self.swapped and not self.mixes:
            return (f"на {self.swapped} вопросов о двух разных картинках ответы одинаковы: модель картинки не видит",)
        return ()


def probe(backend: Backend, asked: Sequence[Asked], rows: int = ROWS) -> list[ProbeAnswer]:
    """Ask up to `rows` of these one at a time, in every way but all at once: the evaluation does that anyway.

    Nothing where there are no two different pictures.
    """
    chosen = _chosen(asked, rows)
    if len(chosen) < 2:
        return []
    others = {item.example.id: chosen[(n + 1) % len(chosen)].prompt.images[0] for n, item in enumerate(chosen)}

    def alone(
        how: How, items: Sequence[Asked], change: Callable[[Asked], Asked] = lambda item: item
    ) -> list[ProbeAnswer]:
        # one call a question: nothing else is under way then
        responses = [response for item in items for response in backend.answer([change(item)])]
        return [_said(item, how, response) for item, response in zip(items, responses, strict=True)]

    def swapped(item: Asked) -> Asked:
        return _pictured(item, others[item.example.id])

    first = alone(How.ALONE, chosen[:1])
    if first[0].text is None:
        return first  # a server that does not answer: the evaluation will say so sooner
    answers = first + alone(How.ALONE, chosen[1:]) + alone(How.OTHER_PICTURE, chosen, swapped)
    answers += alone(How.AGAIN, chosen) + alone(How.REVERSED, chosen[::-1])
    text = {(answer.id, answer.how): answer.text for answer in answers}
    pairs = {i.example.id: (text[i.example.id, How.ALONE], text[i.example.id, How.OTHER_PICTURE]) for i in chosen}
    like = [item for item in chosen if None not in (pair := pairs[item.example.id]) and pair[0] == pair[1]]
    with tempfile.TemporaryDirectory(prefix="ruvlm-probe-") as folder:

        def framed(item: Asked, image: ImageRef, width: int) -> Asked:
            return _pictured(item, _framed(image, width, Path(folder) / f"{chosen.index(item)} {width}.png"))

        own_framed = [framed(item, item.prompt.images[0], FRAME) for item in like]
        other_framed, other_wider = (
            [framed(item, others[item.example.id], width) for item in like] for width in OTHER_FRAMES
        )
        for own, again, other, other_again in PAST_CACHES:
            if honesty(answers).mixes:
                break  # named already
            answers += alone(own, like, partial(_fresh, how=own)) + alone(again, own_framed, partial(_fresh, how=again))
            answers += alone(other, other_framed, partial(_fresh, how=other))
            answers += alone(other_again, other_wider, partial(_fresh, how=other_again))
    return answers


def at_once(backend: Backend, asked: Sequence[Asked], rows: int = ROWS) -> list[ProbeAnswer]:
    """The same rows all at once, with those about other pictures among them, in an order drawn by lot."""
    chosen = _chosen(asked, rows)
    others = [_pictured(item, chosen[(n + 1) % len(chosen)].prompt.images[0]) for n, item in enumerate(chosen)]
    mixed = [(True, item) for item in chosen] + [(False, item) for item in others]
    # neighbours about one picture would hide that a server answers about its last one
    random.Random("ruvlm probe").shuffle(mixed)
    responses = backend.answer([item for _, item in mixed])
    both = zip(mixed, responses, strict=True)
    return [_said(item, How.AT_ONCE, response) for (own, item), response in both if own]


def honesty(answers: Sequence[ProbeAnswer]) -> Honesty:
    """What a probe's answers show; what was not answered counts for nothing."""
    text: dict[How, dict[str, str]] = {how: {} for how in How}
    for answer in answers:
        if answer.text is not None:
            text[answer.how][answer.id] = answer.text
    first, other = text[How.ALONE], text[How.OTHER_PICTURE]
    unchanged = [name for name in first if other.get(name) == first[name]]
    return Honesty(
        rows=len(first),
        differing={how: sum(first.get(name, said) != said for name, said in text[how].items()) for how in SAME},
        swapped=sum(name in other for name in first),
        unchanged=len(unchanged),
        unanswered=sum(answer.text is None for answer in answers),
        mixed=sum(_mixed(name, text) for name in unchanged),
    )


def _mixed(name: str, text: Mapping[How, Mapping[str, str]]) -> bool:
    """Does the picture matter past the caches, where other words before it and a frame round it do not?"""
    for ways in PAST_CACHES:
        own, again, other, other_again = (text[how].get(name) for how in ways)
        if None not in (own, other) and own == again and other == other_again and own != other:
            return True
    return False


def with_evaluation(answers: Sequence[ProbeAnswer], responses: Mapping[str, Response]) -> list[ProbeAnswer]:
    """A probe's answers and those that the evaluation itself got, many at once."""
    names = dict.fromkeys(answer.id for answer in answers)
    said = [(name, responses[name]) for name in names if name in responses]
    return [*answers, *(ProbeAnswer(id=name, how=How.AT_ONCE, text=_text(one)) for name, one in said)]


def kept_probe(path: Path, ask: Callable[[], list[ProbeAnswer]]) -> list[ProbeAnswer]:
    """The answers stored in a file, else those asked for now, stored. Raises DataError for a damaged file."""
    if not path.is_file():
        answers = ask()
        if any(answer.text is None for answer in answers):
            return answers  # the next time asks again
        write_text(path, "".join(json_line(asdict(answer)) for answer in answers))
        return answers
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [ProbeAnswer(id=str(row["id"]), how=How(row["how"]), text=row["text"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} повреждён ({error}): удалите файл, и сервер спросят заново.") from error


def _chosen(asked: Sequence[Asked], rows: int) -> list[Asked]:
    """Rows about one picture each, all pictures different, the first of each from the start of the set."""
    chosen: dict[bytes, Asked] = {}
    for item in asked:
        if len(chosen) == rows:
            break
        if len(item.prompt.images) == 1:
            chosen.setdefault(picture_mark(read_bytes(item.prompt.images[0])), item)
    return list(chosen.values())


def _said(item: Asked, how: How, response: Response) -> ProbeAnswer:
    return ProbeAnswer(id=item.example.id, how=how, text=_text(response))


def _text(response: Response) -> str | None:
    return response.text.strip() if response.error is None else None


def _pictured(item: Asked, image: ImageRef) -> Asked:
    return replace(item, prompt=replace(item.prompt, images=(image,)))


def _fresh(item: Asked, how: How) -> Asked:
    """With words before its picture that begin unlike anything asked before, and mean nothing."""
    mark = hashlib.sha256(f"{item.example.id} {how}".encode()).hexdigest()[:6]
    words, prompt = f"{mark}. ", item.prompt
    if how in PAST_CACHES[1]:
        return replace(item, prompt=replace(prompt, system=words + prompt.system))
    parts = prompt.parts or ("", prompt.text)
    return replace(item, prompt=replace(prompt, text=words + prompt.text, parts=(words + parts[0], *parts[1:])))


def _framed(image: ImageRef, width: int, path: Path) -> ImageRef:
    """The picture with a thin grey frame: of another size and in another file."""
    picture = load_image(image)
    framed = Image.new("RGB", (picture.width + 2 * width, picture.height + 2 * width), (128, 128, 128))
    framed.paste(picture, (width, width))
    framed.save(path)
    return ImageRef(path)
