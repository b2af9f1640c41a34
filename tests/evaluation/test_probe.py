"""Servers that lie: each kind of mixing pictures up is named within thirty-two rows, and an honest server is not accused."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from ruvlm.evaluation.probe import How, ProbeAnswer, honesty, kept_probe
from tests.support.cards import hidden
from tests.support.house import Ran
from tests.support.serving import chatting

Run = Callable[..., Ran]
Answer = Callable[[str, list[bytes]], str]
COLOURS = ("красный", "синий", "зелёный", "жёлтый", "чёрный")


def dark_and_bright(picture: bytes) -> tuple[int, int]:
    """Which parts of a picture are the darkest and the most colourful: a thin frame changes that for one picture of ten."""
    image = Image.open(io.BytesIO(picture)).convert("HSV").resize((64, 64)).crop((8, 8, 56, 56))
    cells = [image.crop((x, y, x + 12, y + 12)) for x in range(0, 48, 12) for y in range(0, 48, 12)]
    means = [ImageStat.Stat(cell).mean for cell in cells]
    parts = range(len(means))
    return min(parts, key=lambda n: means[n][2]), max(parts, key=lambda n: means[n][1])


def seen(text: str, pictures: list[bytes]) -> str:
    """An honest model: its answer hangs on what the picture shows, not on its file, and on the question's own words."""
    question = text.rpartition("|||")[2].split(". ", 1)[-1]
    colours = [dark_and_bright(picture) for picture in pictures]
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


def previous() -> Answer:
    """With company, every request is answered about the picture that came before it."""
    lock, state = threading.Lock(), {"busy": 0, "last": [b""]}

    def answer(text: str, pictures: list[bytes]) -> str:
        with lock:
            state["busy"] += 1
            before, state["last"] = state["last"], pictures
        time.sleep(0.05)  # others come meanwhile
        with lock:
            company = state["busy"] > 1
        shown = before if company and before[0] else pictures
        with lock:
            state["busy"] -= 1
        return seen(text, shown)

    return answer


MIXING = {
    "by the words": keyed(lambda text, pictures: text),
    "by the first words": keyed(lambda text, pictures: text[:12]),
    "by nothing": keyed(lambda text, pictures: size(pictures[0])),
    "by the first bytes": keyed(lambda text, pictures: pictures[0][:33]),
    # a template that puts every picture before all that the user says: only a system message stands before it
    "by what stands before": keyed(lambda text, pictures: text.partition("|||")[0] if "|||" in text else ""),
}


@pytest.mark.parametrize("kind", MIXING)
def test_doctor_names_a_server_that_mixes_pictures_up(kind: str, world: Path, ruvlm: Run) -> None:
    with chatting(MIXING[kind]()) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world, "--json")
    assert ran.code == 1, ran.err
    report = json.loads(ran.out)
    assert not report["honest"]
    assert "путает картинки" in report["faults"][0]
    assert 8 <= report["rows"] <= 16


@pytest.mark.parametrize(
    ("make", "said"), [(last_picture, "разом с другими"), (previous, "разом с другими"), (dice, "ещё раз")]
)
def test_doctor_names_a_server_that_answers_otherwise(
    make: Callable[[], Answer], said: str, world: Path, ruvlm: Run
) -> None:
    with chatting(make()) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world)
    assert ran.code == 1, ran.err
    assert "по-разному" in ran.out
    assert said in ran.out


def test_doctor_does_not_vouch_for_what_was_not_answered(world: Path, ruvlm: Run) -> None:
    """Whoever is refused with company is not honest: nothing is known of it."""
    lock, busy = threading.Lock(), [0]

    def answer(text: str, pictures: list[bytes]) -> str | None:
        with lock:
            busy[0] += 1
            company = busy[0] > 1
        time.sleep(0.02)
        with lock:
            busy[0] -= 1
        return None if company else seen(text, pictures)

    with chatting(answer) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world, "--retries", "0")
    assert ran.code == 1
    assert "без ответа" in ran.out
    assert "не на всё" in ran.err
    assert "честно" not in ran.err


def test_doctor_believes_an_honest_server(world: Path, ruvlm: Run) -> None:
    with chatting(honest()) as chat:
        ran = ruvlm("doctor", chat.spec, "--data", world)
    assert ran.code == 0, ran.out
    assert "честно" in ran.err


def test_an_honest_server_is_rarely_accused_of_mixing_pictures_up() -> None:
    """By the verdicts alone: its answers change with the words before them and with a frame, for both pictures alike."""
    accused = 0
    for trial in range(300):
        answers = []
        for row in range(8):
            names = [f"{trial} {row} {how}" for how in How]
            for how, name in zip(How, names, strict=True):
                other = "other" in how
                lot = hashlib.sha256(name.encode()).digest()[0] / 256
                # both pictures have one answer on half of the rows; a fifth of all that is asked with other words turns out otherwise
                same = hashlib.sha256(f"{trial} {row}".encode()).digest()[0] % 2 == 0
                turned = lot < 0.2 and how not in (How.ALONE, How.AGAIN, How.REVERSED, How.OTHER_PICTURE)
                text = "иначе" if turned else "да" if same or not other else "нет"
                answers.append(ProbeAnswer(id=str(row), how=how, text=text))
        accused += honesty(answers).mixes
    assert accused <= 15  # one of twenty


def test_a_server_that_is_gone_is_left_soon(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """A probe stops at a first question without an answer, the evaluation after sixteen; and what was not heard is asked again."""
    up = []

    def answer(text: str, pictures: list[bytes]) -> str | None:
        return seen(text, pictures) if up else None

    arguments = ("--data", world, "--protocol", "gqa-ru/lmms", "--no-controls", "--limit", "32", "--retries", "0")
    with chatting(answer) as chat:
        ran = ruvlm("eval", chat.spec, *arguments, "--out", tmp_path / "e")
        assert ran.code == 2
        assert "подряд 16" in ran.err
        assert len(chat.requests) < 40
        up.append(True)
        again = ruvlm("eval", chat.spec, *arguments, "--out", tmp_path / "e", "--json")
        assert again.code == 0, again.err
    (probed,) = (tmp_path / "e").glob("*/probe.jsonl")
    assert all(json.loads(line)["text"] is not None for line in probed.read_text(encoding="utf-8").splitlines())


def test_a_half_deaf_probe_is_not_kept(tmp_path: Path) -> None:
    asked = []

    def ask() -> list[ProbeAnswer]:
        asked.append(1)
        return [ProbeAnswer(id="1", how=How.ALONE, text="да" if len(asked) > 1 else None)]

    for _ in range(3):
        kept_probe(tmp_path / "probe.jsonl", ask)
    assert len(asked) == 2


def test_hidden_answers_do_not_hide_a_server(tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no score, and what is sent to the organisers is worth no more for it."""
    monkeypatch.chdir(tmp_path)
    hidden(tmp_path / "data", 12)
    with chatting(dice()) as chat:
        ran = ruvlm("eval", chat.spec, "--data", "labtabvqa", "--out", tmp_path / "e")
    assert ran.code == 0, ran.err
    assert "по-разному" in ran.err


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
    scored = ruvlm("score", next((tmp_path / "e").iterdir()), "--data", world)
    assert "путает картинки" in scored.err
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
