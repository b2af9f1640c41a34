"""Servers that lie: each kind of mixing pictures up is named within thirty-two rows, and an honest server is not accused."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from tests.support.house import Ran
from tests.support.serving import chatting

Run = Callable[..., Ran]
Answer = Callable[[str, list[bytes]], str]
COLOURS = ("красный", "синий", "зелёный", "жёлтый", "чёрный")


def seen(text: str, pictures: list[bytes]) -> str:
    """An honest model: its answer hangs on what the picture shows, not on its file, and on the question's own words."""
    question = text.split(". ", 1)[-1]
    shown = [
        Image.open(io.BytesIO(picture)).convert("RGB").resize((64, 64)).crop((4, 4, 60, 60)) for picture in pictures
    ]
    colours = [tuple(round(mean / 12) for mean in ImageStat.Stat(one).mean) for one in shown]
    mark = hashlib.sha256(f"{question} {colours}".encode()).digest()
    return COLOURS[mark[0] % len(COLOURS)]


def honest() -> Answer:
    return seen


def keyed(key: Callable[[str, list[bytes]], object]) -> Callable[[], Answer]:
    """A cache that keeps the first picture of whatever has the same key."""

    def make() -> Answer:
        kept: dict[object, list[bytes]] = {}
        lock = threading.Lock()

        def answer(text: str, pictures: list[bytes]) -> str:
            with lock:
                first = kept.setdefault(key(text, pictures), pictures) if pictures else pictures
            return seen(text, first)

        return answer

    return make


def size(picture: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def last_picture() -> Answer:
    """Under load the answer is about the picture of another request."""
    shown: list[list[bytes]] = []
    busy = threading.Semaphore(1)
    gate = threading.Event()

    def answer(text: str, pictures: list[bytes]) -> str:
        shown.append(pictures)
        alone = busy.acquire(blocking=False)
        try:
            gate.wait(0.05)  # long enough for other requests to be under way
            return seen(text, pictures if alone and shown[-1] is pictures else shown[-1])
        finally:
            if alone:
                busy.release()

    return answer


def dice() -> Answer:
    """A server that does not take temperature 0."""
    count = iter(range(10**6))
    return lambda text, pictures: COLOURS[next(count) % len(COLOURS)]


MIXING = {
    "by the words": keyed(lambda text, pictures: text),
    "by the first words": keyed(lambda text, pictures: text[:12]),
    "by nothing": keyed(lambda text, pictures: size(pictures[0])),
    "by the first bytes": keyed(lambda text, pictures: pictures[0][:33]),
}


@pytest.mark.parametrize("kind", MIXING)
def test_doctor_names_a_server_that_mixes_pictures_up(kind: str, world: Path, ruvlm: Run) -> None:
    with chatting(MIXING[kind]()) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world, "--json")
    assert ran.code == 1, ran.err
    report = json.loads(ran.out)
    assert not report["honest"]
    assert "путает картинки" in report["faults"][0]
    assert report["rows"] <= 32


@pytest.mark.parametrize(("make", "said"), [(last_picture, "разом с другими"), (dice, "ещё раз")])
def test_doctor_names_a_server_that_answers_otherwise(
    make: Callable[[], Answer], said: str, world: Path, ruvlm: Run
) -> None:
    with chatting(make()) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world)
    assert ran.code == 1, ran.err
    assert "по-разному" in ran.out
    assert said in ran.out


def test_doctor_believes_an_honest_server(world: Path, ruvlm: Run) -> None:
    with chatting(honest()) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world)
    assert ran.code == 0, ran.out
    assert "честно" in ran.err


def test_doctor_says_that_a_model_does_not_look(world: Path, ruvlm: Run) -> None:
    with chatting(lambda text, pictures: "да") as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world, "--json")
    assert ran.code == 0
    assert "не видит" in json.loads(ran.out)["notes"][0]


@pytest.mark.parametrize("kind", MIXING)
def test_an_evaluation_says_so_itself(kind: str, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    arguments = (
        "--data",
        world,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--limit",
        "32",
        "--out",
        tmp_path / "e",
    )
    with chatting(MIXING[kind]()) as chat:
        ran = ruvlm("eval", chat.spec, *arguments)
        assert ran.code == 0, ran.err
        assert "путает картинки" in ran.err
        asked = len(chat.requests)
        again = ruvlm("eval", chat.spec, *arguments)
        assert len(chat.requests) == asked  # neither rows nor probe are asked twice
    assert "путает картинки" in again.err
    (folder,) = (tmp_path / "e").iterdir()
    warnings = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["warnings"]
    assert any("путает картинки" in warning for warning in warnings)
    assert ruvlm("report", folder, "--data", world, "--out", tmp_path / "r.html").code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert '<p class="alarm">' in page
    assert "путает картинки" in page


def test_an_honest_evaluation_is_not_warned_of(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    arguments = ("--data", world, "--protocol", "gqa-ru/lmms", "--no-controls", "--limit", "32", "--json")
    with chatting(honest()) as chat:
        probed = ruvlm("eval", chat.spec, *arguments, "--out", tmp_path / "probed")
        count = len(chat.requests)
        plain = ruvlm("eval", chat.spec, *arguments, "--out", tmp_path / "plain", "--no-probe")
        assert len(chat.requests) - count == 32
    assert json.loads(probed.out) == json.loads(plain.out)
    assert json.loads(plain.out)[0]["warnings"] == []


def test_only_a_server_is_examined(world: Path, ruvlm: Run) -> None:
    ran = ruvlm("doctor", "majority", "--data", world)
    assert ran.code == 2
    assert "openai:МОДЕЛЬ@URL" in ran.err
