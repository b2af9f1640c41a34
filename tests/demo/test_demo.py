"""The web page, as a real process, in a real browser: ask, read the answer, bring a wrong file, come by two; leave nothing behind."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from ruvlm.backends.base import Look
from ruvlm.demo.drawing import drawn
from ruvlm.demo.mistakes import ALL, KINDS, RIGHT, UNREAD, WRONG, chosen, described, evaluated
from ruvlm.demo.spotlight import spotlight
from ruvlm.errors import DataError
from tests.support.browsing import browsing, violations
from tests.support.house import Ran
from tests.support.runs import moved_away
from tests.support.serving import page_of

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("demo")

Run = Callable[..., Ran]


@dataclass(frozen=True)
class Served:
    """A page that is open: its address, and folders that it should leave as they were."""

    url: str
    here: Path
    home: Path
    temporary: Path


def contents(*folders: Path) -> list[str]:
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def asked_runs(runs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the first with evaluations."""
    from ruvlm.evaluation.plan import evaluate_model

    root = tmp_path_factory.mktemp("demo")
    for name in ("nano", "cnn_lstm"):
        shutil.copytree(runs / name, root / name)
    evaluate_model(str(root / "nano"), str(world), "test", limit=60, controls=False)
    return root


@pytest.fixture(scope="module")
def served(asked_runs: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`ruvlm demo` in a process of its own; it has to end by SIGINT, with nothing left on the disk."""
    root = tmp_path_factory.mktemp("served")
    here, home, temporary = (root / name for name in ("here", "home", "tmp"))
    for folder in (here, home, temporary):
        folder.mkdir()
    command = [
        sys.executable,
        "-m",
        "ruvlm",
        "demo",
        str(asked_runs / "nano"),
        "--against",
        str(asked_runs / "cnn_lstm"),
        "--run",
        str(asked_runs / "nano"),
        "--data",
        str(world),
        "--seconds",
        "20",
    ]
    settings = os.environ | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(
        command,
        cwd=here,
        env=settings,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    url, said = page_of(process)
    yield Served(url, here, home, temporary)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0, rest
    assert "Страница закрыта" in rest
    assert "Traceback" not in said + rest, said + rest
    assert contents(here, home, temporary) == [], "the page left something behind"


def settled(page: Any) -> None:
    """Until the page is there: it keeps a connection open, so its network is never idle."""
    page.get_by_role("button", name="Спросить", exact=True).wait_for()
    page.wait_for_timeout(500)


@contextmanager
def opened(served: Served) -> Iterator[Any]:
    with browsing() as page:
        page.goto(served.url)
        settled(page)
        yield page


def answer(page: Any, number: int = 0) -> str:
    """What the label of a model says, once it says something."""
    label = page.get_by_test_id("label-output-value").nth(number)
    label.wait_for()
    return str(label.inner_text())


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "сцена.png"
    path.write_bytes(drawn("mini", 5).png)
    return path


def ask(page: Any, picture: Path, question: str, options: str = "") -> None:
    page.locator("input[type=file]").first.set_input_files(str(picture))
    page.locator("img[alt]").first.wait_for()
    page.get_by_label("Вопрос", exact=True).first.fill(question)
    page.get_by_label("Варианты ответа").fill(options)
    page.get_by_role("button", name="Спросить", exact=True).click()


@pytest.mark.slow
def test_upload_ask_read_the_answers_of_two_models(served: Served, picture: Path, asked_runs: Path, ruvlm: Run) -> None:
    with opened(served) as page:
        ask(page, picture, "Кто в рубашке?")
        first, second = answer(page, 0), answer(page, 1)
        for name, seen in (("nano", first), ("cnn_lstm", second)):
            done = ruvlm("ask", asked_runs / name, picture, "Кто в рубашке?")
            assert re.split(r" \(\d+ %\)", done.out)[0].strip() == seen, "page and command line must agree"
        warning = page.locator(".ruvlm-note").first
        assert "на фотографиях она гадает" in warning.inner_text()
        label = page.get_by_test_id("label-output-value").first
        assert 0 < label.bounding_box()["y"] - warning.bounding_box()["y"] < 200, "the warning stands by the answer"
        notes = page.get_by_label("Как отвечала")
        assert "взгляда" in notes.nth(0).input_value(), "nano says where it looked"
        assert "взгляда" not in notes.nth(1).input_value(), "cnn_lstm cannot"
        assert page.get_by_label("Куда смотрела").count() >= 0
        ask(page, picture, "Кто на картинке?", "кошка; собака; птица")
        page.wait_for_function("document.body.innerText.includes('птица')")
        assert answer(page) in ("кошка", "собака", "птица")
        assert page.said == []


@pytest.mark.slow
def test_a_page_for_this_machine_answers_to_its_names_alone(served: Served) -> None:
    """Whatever name a stranger's site gives this address: its requests carry that name."""
    port = urlsplit(served.url).port
    codes = []
    for name in (f"127.0.0.1:{port}", f"localhost:{port}", f"evil.example:{port}"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/config", headers={"Host": name})
        codes.append(connection.getresponse().status)
        connection.close()
    assert codes == [200, 200, 400]


@pytest.mark.slow
def test_what_cannot_be_asked_is_said_in_russian(served: Served, picture: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[:900])
    words = tmp_path / "words.png"
    words.write_text("это не картинка")
    with opened(served) as page:
        page.get_by_role("button", name="Спросить", exact=True).click()
        page.get_by_text("Картинки нет").wait_for()
        for file, question, options, said in (
            (words, "Кто здесь?", "", "не похож на картинку"),
            (cut, "Кто здесь?", "", "повреждена или обрезана"),
            (picture, "", "", "Вопрос пуст"),
            (picture, "Кто здесь?", "один", "нужно от 2 до"),
        ):
            page.goto(served.url)
            settled(page)
            page.locator("input[type=file]").first.set_input_files(str(file))
            settled(page)
            page.get_by_label("Вопрос", exact=True).first.fill(question)
            page.get_by_label("Варианты ответа").fill(options)
            page.get_by_role("button", name="Спросить", exact=True).click()
            page.get_by_text(said).wait_for()
            assert "Traceback" not in page.inner_text("body")


@pytest.mark.slow
def test_two_users_at_once_each_get_their_own_answer(
    served: Served, tmp_path: Path, asked_runs: Path, ruvlm: Run
) -> None:
    asked = []
    for number, question in ((3, "Какое это место?"), (8, "Сколько здесь людей?")):
        path = tmp_path / f"{number}.png"
        path.write_bytes(drawn("mini", number).png)
        asked.append((path, question))
    with browsing() as one:
        two = one.context.new_page()
        for page, (path, question) in zip((one, two), asked, strict=True):
            page.goto(served.url)
            settled(page)
            page.locator("input[type=file]").first.set_input_files(str(path))
            page.get_by_label("Вопрос", exact=True).first.fill(question)
        for page in (one, two):
            page.get_by_role("button", name="Спросить", exact=True).click()
        for page, (path, question) in zip((one, two), asked, strict=True):
            page.bring_to_front()
            done = ruvlm("ask", asked_runs / "nano", path, question)
            assert re.split(r" \(\d+ %\)", done.out)[0].strip() == answer(page)


@pytest.mark.slow
def test_a_scene_is_drawn_and_asked_about(served: Served) -> None:
    with opened(served) as page:
        page.get_by_role("tab", name="Нарисовать сцену").click()
        panel = page.get_by_role("tabpanel").filter(has_text="Номер сцены")
        panel.get_by_role("button", name="Спросить модель").click()
        gold = panel.get_by_label("Верный ответ")
        page.wait_for_function("e => e.value !== ''", arg=gold.element_handle())
        assert gold.input_value() == drawn("mini", 1).riddles[0].answer
        score = panel.get_by_label("Счёт")
        assert re.search(r"nano: верно [01] из 1; cnn_lstm: верно [01] из 1", score.input_value())
        # one's own words about the scene: answered, and not counted
        panel.get_by_label("Или свой вопрос").fill("Сколько здесь людей?")
        panel.get_by_label("Или свой вопрос").press("Enter")
        page.wait_for_function("e => e.value.includes('ваш')", arg=gold.element_handle())
        assert "из 1;" in score.input_value()
        panel.get_by_role("button", name="Спросить всё").click()
        riddles = drawn("mini", 1).riddles
        page.wait_for_function(f"e => e.value.includes('из {1 + len(riddles)};')", arg=score.element_handle())
        rows = panel.locator(".ruvlm-sheet tbody tr")
        assert rows.count() == len(riddles)
        right = int(re.search(r"nano: верно (\d+)", score.input_value())[1])
        marks = [row.locator("td").nth(1).inner_text()[:1] for row in rows.all()]
        assert marks.count("✓") in (right, right - 1)
        before = panel.locator("img").first.get_attribute("src")
        panel.get_by_role("button", name="Нарисовать новую сцену").click()
        page.wait_for_function("([e, src]) => e.src !== src", arg=[panel.locator("img").first.element_handle(), before])
        assert gold.input_value() == ""


@pytest.mark.slow
def test_mistakes_are_walked_through_and_the_page_is_accessible(served: Served) -> None:
    with opened(served) as page:
        page.get_by_role("tab", name="Ошибки").click()
        status = page.locator("#ruvlm-status")
        status.get_by_text("Строка 1 из").wait_for()
        first = page.locator("#ruvlm-row").inner_text()
        page.get_by_role("button", name="Следующая").click()
        status.get_by_text("Строка 2 из").wait_for()
        assert page.locator("#ruvlm-row").inner_text() != first
        page.get_by_label("Слова вопроса или ответа").fill("нет таких слов")
        page.get_by_label("Слова вопроса или ответа").press("Enter")
        status.get_by_text("Таких строк нет").wait_for()
        own = [line for line in violations(page) if "ruvlm-" in line]
        assert own == []


def test_filters_choose_rows_and_hostile_answers_stay_text(asked_runs: Path, world: Path) -> None:
    one = evaluated([asked_runs / "nano"], [str(world)])[0]
    every = chosen(one, ALL, None, "")
    assert len(every) == len(one.dataset.examples)
    assert sorted(chosen(one, WRONG, None, "") + chosen(one, RIGHT, None, "")) == every
    assert set(chosen(one, UNREAD, None, "")) <= set(chosen(one, WRONG, None, ""))
    for type_ in one.types:
        assert 0 < len(chosen(one, ALL, type_, "")) <= len(every)
    word = one.dataset.examples[0].question.split()[-1].strip("?")
    assert 0 in chosen(one, ALL, None, word.upper())
    assert set(KINDS) == {ALL, WRONG, RIGHT, UNREAD}
    example = one.dataset.examples[0]
    said = {example.id: replace(one.answers.said[example.id], text="<script>x</script>" + "А" * 100_000)}
    page = described(replace(one, answers=replace(one.answers, said=said)), 0)
    assert "<script" not in page
    assert len(page) < 5_000


def test_a_look_is_lit_where_it_fell_and_sums_to_one(asked_runs: Path, picture: Path) -> None:
    import torch

    from ruvlm.backends.local import load_local
    from ruvlm.evaluation.single import question_asked

    look = load_local(str(asked_runs / "nano"), torch.device("cpu")).look(
        question_asked(picture, "Кто в рубашке?", None)
    )
    assert look.weights.shape == (8, 8)
    assert look.weights.sum() == pytest.approx(1)
    assert 0 < look.share <= 1
    assert not load_local(str(asked_runs / "cnn_lstm"), torch.device("cpu")).looks
    weights = np.zeros((8, 8))
    weights[1, 6] = 1
    lit = np.asarray(spotlight(Image.new("RGB", (300, 200), "white"), Look(weights, 1.0)))
    row, column = np.unravel_index(lit[..., 0].argmax(), lit.shape[:2])
    assert (row * 8 // lit.shape[0], column * 8 // lit.shape[1]) == (1, 6)


def test_a_drawn_scene_is_the_same_every_time_and_has_right_answers() -> None:
    assert drawn("mini", 7) == drawn("mini", 7) != drawn("mini", 8)
    for level in ("mini", "full"):
        there = drawn(level, 11)
        assert len(there.riddles) >= 8
        assert all(riddle.answer for riddle in there.riddles)
        assert all(riddle.answer in riddle.options for riddle in there.riddles if riddle.options)
    with pytest.raises(DataError, match="от 0 до"):
        drawn("mini", -1)


def test_a_slow_model_is_not_waited_for(asked_runs: Path, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ruvlm.demo import opened as demo_opened
    from ruvlm.errors import ModelError

    models = demo_opened.Models([str(asked_runs / "nano")], "cpu", 0.2)
    monkeypatch.setattr(demo_opened, "answered", lambda *_: time.sleep(1))
    with pytest.raises(ModelError, match=r"не ответила за 0\.2 с"):
        models.ask(picture, "Кто здесь?", "")


def test_too_many_pixels_are_refused(asked_runs: Path, tmp_path: Path) -> None:
    from ruvlm.demo.opened import Models

    path = tmp_path / "huge.png"
    Image.new("1", (6000, 5000)).save(path)
    with pytest.raises(DataError, match="6000×5000"):
        Models([str(asked_runs / "nano")], "cpu", 5).ask(path, "Кто здесь?", "")


def test_wrong_arguments_are_one_sentence(ruvlm: Run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, said in (
            (["demo", tmp_path / "нет"], "нет"),
            (["demo", "nano", "--port", port], "занят"),
            (["demo", "nano", "--port", "0"], "не меньше 1"),
            (["demo", "nano", "--run", tmp_path], "нет законченных оценок"),
            (["demo", "nano", "--host", "not.a.host.invalid"], "--host"),
        ):
            done = ruvlm(*arguments)
            assert (done.code, said in done.err) == (2, True), done.err


def test_two_pages_opened_at_once_take_two_ports(asked_runs: Path) -> None:
    """A port seen free before the models are loaded may be another page's by the time they are."""
    command = [sys.executable, "-m", "ruvlm", "demo", str(asked_runs / "nano")]
    with ExitStack() as stack:
        pages: list[subprocess.Popen[str]] = []
        for _ in range(2):
            pages.append(stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True)))
            stack.callback(pages[-1].kill)
        urls = {page_of(page)[0] for page in pages}
        for page in pages:
            page.terminate()
            page.communicate(timeout=30)
    assert len(urls) == 2
    assert [page.returncode for page in pages] == [0, 0]


def test_evaluations_that_cannot_be_shown_do_not_close_the_page(asked_runs: Path, tmp_path: Path) -> None:
    """The model's own folder has evaluations, but their rows are gone: a note, and an empty tab."""
    from ruvlm.demo.serving import _own

    shutil.copytree(asked_runs / "nano" / "eval", tmp_path / "run" / "eval")
    moved_away(tmp_path / "run" / "eval")
    said: list[str] = []
    assert _own([str(tmp_path / "run"), "nano"], [], said.append) == []
    assert "«Ошибки» будет пуста" in said[0]
