"""The HTTP backend against a real server (`transformers serve`), which dies, balks and comes back."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ruvlm.backends.base import Access
from ruvlm.backends.openai_http import data_uri, open_openai
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import ConfigError, ModelError
from ruvlm.evaluation.asking import evaluate
from ruvlm.models.vlm.backend import open_hf
from ruvlm.schema import Generation
from tests.support.house import Ran
from tests.support.serving import Proxy, Server, proxied

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("openai_http")

Run = Callable[..., Ran]
SECRET = "sk-очень-секретный".encode("ascii", "ignore").decode() + "0123456789"


@pytest.fixture(scope="module")
def server(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(models["llava"], tmp_path_factory.mktemp("hf_home"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with proxied(server.url) as broken:
        yield broken


def command(server: Server, url: str, data: Path, out: Path, *extra: object) -> tuple[object, ...]:
    return (
        "eval",
        f"openai:{server.model}@{url}",
        "--data",
        data,
        "--out",
        out,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--no-probe",
        "--requests",
        "4",
        *extra,
    )


def summary_of(out: Path) -> dict[str, object]:
    (path,) = out.glob("*/summary.json")
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def taken(proxy: Proxy) -> list[dict[str, object]]:
    """Requests less those with settings that this server does not know, which it refused."""
    return [body for body in proxy.requests if "chat_template_kwargs" not in body]


def test_the_server_answers_as_the_model_itself(server: Server, little: Path, tmp_path: Path) -> None:
    data = open_source(str(little)).load("gqa-ru", "test")
    there = evaluate(open_openai(f"{server.model}@{server.url}", Access()), data, "gqa-ru/lmms", tmp_path / "http")
    here = evaluate(open_hf(str(server.model), Access()), data, "gqa-ru/lmms", tmp_path / "hf")
    assert [v.parsed for v in there.verdicts] == [v.parsed for v in here.verdicts]
    assert there.result.scores == here.result.scores
    usage = json.loads((tmp_path / "http/summary.json").read_text(encoding="utf-8"))["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0


def test_faults_that_pass_cost_only_time(
    server: Server, proxy: Proxy, little: Path, tmp_path: Path, ruvlm: Run
) -> None:
    proxy.faults = ["429", "500", "empty", "hang", "500", "429"]
    ran = ruvlm(*command(server, proxy.url, little, tmp_path, "--timeout", "1.5", "--prices", "1,2"))
    assert ran.code == 0, ran.err
    found = summary_of(tmp_path)
    assert found["errors"] == 0
    # six faults, and one refusal of what the server does not know; on a busy machine an answer may come too late as well
    assert len(proxy.requests) >= found["n"] + 7
    usage = found["usage"]
    assert usage["cost"] == pytest.approx((usage["input_tokens"] + 2 * usage["output_tokens"]) / 1e6)
    assert proxy.requests[0]["temperature"] == 0
    assert proxy.requests[0]["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_retry_after_is_waited_for(server: Server, proxy: Proxy, little: Path, tmp_path: Path) -> None:
    proxy.faults = ["429"]
    backend = open_openai(f"{server.model}@{proxy.url}", Access(requests=1))
    assert next(iter(backend.complete(["Кто?"], Generation(4)))).error is None
    assert proxy.times[1] - proxy.times[0] >= 1.0


def test_what_fails_for_good_is_an_error_and_is_asked_again(
    server: Server, proxy: Proxy, little: Path, tmp_path: Path, ruvlm: Run
) -> None:
    first = open_source(str(little)).load("gqa-ru", "test").examples[5].question
    bad = {"500": lambda b: "500" if first in json.dumps(b, ensure_ascii=False) else None}
    proxy.rule = bad["500"]
    ran = ruvlm(*command(server, proxy.url, little, tmp_path, "--retries", "1"))
    assert ran.code == 1
    failed = summary_of(tmp_path)["errors"]
    assert failed >= 1
    assert f"Запросов без ответа: {failed}" in ran.err
    proxy.rule = lambda body: None
    proxy.requests.clear()
    again = ruvlm(*command(server, proxy.url, little, tmp_path))
    assert again.code == 0, again.err
    assert len(taken(proxy)) == failed
    assert summary_of(tmp_path)["errors"] == 0


def test_garbage_is_an_error(server: Server, proxy: Proxy) -> None:
    proxy.faults = ["garbage"]
    answers = list(
        open_openai(f"{server.model}@{proxy.url}", Access(requests=1)).complete(["Кто?", "Где?"], Generation(4))
    )
    assert answers[0].error
    assert answers[1].error is None


def test_a_server_that_dies_and_comes_back(
    models: dict[str, Path], little: Path, tmp_path: Path, ruvlm: Run, server: Server
) -> None:
    mortal = Server(models["llava"], tmp_path / "home")
    mortal.start()

    def die_and_return() -> None:
        while len(proxy.requests) < 10:
            time.sleep(0.01)
        mortal.kill()
        time.sleep(0.5)
        mortal.start()

    try:
        with proxied(mortal.url) as proxy:
            doom = threading.Thread(target=die_and_return)
            doom.start()
            ran = ruvlm(*command(mortal, proxy.url, little, tmp_path / "out", "--retries", "12"))
            doom.join()
        assert ran.code == 0, ran.err
        found = summary_of(tmp_path / "out")
        assert found["errors"] == 0
        undisturbed = ruvlm(*command(server, server.url, little, tmp_path / "calm"))
        assert undisturbed.code == 0
        assert found["scores"] == summary_of(tmp_path / "calm")["scores"]
    finally:
        mortal.kill()


def test_a_server_that_is_gone_is_left_soon_and_nothing_is_lost(
    server: Server, proxy: Proxy, little: Path, tmp_path: Path, ruvlm: Run
) -> None:
    proxy.rule = lambda body: "empty" if len(taken(proxy)) > 20 else None
    ran = ruvlm(*command(server, proxy.url, little, tmp_path, "--retries", "0"))
    assert ran.code == 2
    assert "не отвечает: неудачных запросов подряд 16" in ran.err
    (responses,) = tmp_path.glob("*/responses.jsonl")
    lines = [json.loads(line) for line in responses.read_text(encoding="utf-8").split("\n") if line]
    assert sum(line["response"]["error"] is None for line in lines) == 20
    assert not list(tmp_path.glob("*/summary.json"))


def test_ctrl_c_does_not_wait_for_a_silent_server(server: Server, little: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        arguments = [str(part) for part in command(server, url, little, tmp_path)]
        process = subprocess.Popen([sys.executable, "-m", "ruvlm", *arguments], stderr=subprocess.PIPE, text=True)
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)  # a request may take 120 seconds
    assert process.returncode == 130
    assert "та же команда продолжит" in said
    assert "Traceback" not in said


def test_the_key_is_never_written(
    server: Server, proxy: Proxy, little: Path, tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUVLM_API_KEY", SECRET)
    proxy.faults = ["500"]
    fine = ruvlm(*command(server, proxy.url, little, tmp_path / "a", "--retries", "0"))
    proxy.rule = lambda body: "401"
    refused = ruvlm(*command(server, proxy.url, little, tmp_path / "b"))
    assert (fine.code, refused.code) == (1, 2)
    assert "не принял ключ" in refused.err
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
    assert SECRET not in fine.out + fine.err + refused.out + refused.err


def test_a_judge_reads_what_rules_cannot(
    server: Server, proxy: Proxy, little: Path, tmp_path: Path, ruvlm: Run
) -> None:
    judge = f"openai:{server.model}@{proxy.url}"
    arguments = (
        "eval",
        f"hf:{server.model}",
        "--data",
        little,
        "--out",
        tmp_path,
        "--protocol",
        "mmbench-ru/lmms",
        "--no-controls",
        "--max-new-tokens",
        "6",
        "--judge",
        judge,
    )
    ran = ruvlm(*arguments)
    assert ran.code == 0, ran.err
    found = summary_of(tmp_path)
    assert len(taken(proxy)) == found["unparsed"] > 0
    assert "mmbench-ru/lmms+judge/circular" in found["scores"]
    assert any("судья прочитал" in note for note in found["notes"])
    (judged,) = tmp_path.glob("*/judged.jsonl")
    assert len(judged.read_text(encoding="utf-8").splitlines()) >= found["unparsed"] // 2
    proxy.requests.clear()
    assert ruvlm(*arguments).code == 0
    assert not proxy.requests
    assert summary_of(tmp_path) == found
    refused = ruvlm(*arguments[:-1], "majority")
    assert refused.code == 2
    assert "судьёй может быть сервер" in refused.err


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("m", "нужно openai:МОДЕЛЬ@http"),
        ("m@ftp://x/v1", "нужно openai:МОДЕЛЬ@http"),
        ("m@http://user:пароль@host/v1", "ключ или пароль"),
        ("@http://host/v1", "нужно openai:МОДЕЛЬ@http"),
    ],
)
def test_bad_addresses(spec: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match=said):
        open_openai(spec, Access())


def test_an_unknown_model_stops_at_once(server: Server, proxy: Proxy) -> None:
    proxy.rule = lambda body: "404"
    with pytest.raises(ModelError, match="нет модели"):
        list(open_openai(f"m@{proxy.url}", Access()).complete(["Кто?"], Generation(4)))


def test_pictures_travel_as_they_are_unless_they_lie_on_their_side(shared: Path) -> None:
    photo = next((shared / "real/coco_photos/images").glob("*.jpg"))
    data = photo.read_bytes()
    assert data_uri(data, "x").startswith("data:image/jpeg;base64,")
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        turned = BytesIO()
        image.save(turned, "JPEG", exif=exif)
    assert data_uri(turned.getvalue(), "x").startswith("data:image/png;base64,")
