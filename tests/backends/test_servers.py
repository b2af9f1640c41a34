"""Servers as they should not be: whatever one sends, a response or one sentence comes out, in bounded time."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ruvlm.backends.base import Access
from ruvlm.backends.openai_http import open_openai
from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.errors import ConfigError, ModelError
from ruvlm.schema import Absent, Generation, Response, Status
from tests.support.house import Ran
from tests.support.rows import example as example_of

Run = Callable[..., Ran]
GENERATION = Generation(16, ("\n\n",))


class Mock:
    """A loopback server that answers by `reply`: (status, body, headers), or a function that writes by itself."""

    def __init__(self) -> None:
        self.reply: object = (200, b"{}", {})
        self.bodies: list[dict] = []
        self.keys: list[str | None] = []
        self.known = True  # does it take settings that only some servers know?
        self.closed = threading.Event()
        mock = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                mock.bodies.append(body)
                mock.keys.append(self.headers.get("Authorization"))
                reply = mock.reply(self, body) if callable(mock.reply) else mock.reply
                if reply is None:
                    return
                status, data, headers = reply
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(data)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def ask(self, count: int = 1, **access: object) -> list[Response]:
        backend = open_openai(f"m@{self.url}", Access(requests=1, retries=0, timeout_s=1.0, **access))
        return list(backend.complete(["Кто?"] * count, GENERATION))


@pytest.fixture
def server() -> Iterator[Mock]:
    mock = Mock()
    yield mock
    mock.closed.set()
    mock.server.shutdown()
    mock.server.server_close()


def said(message: object, finish: object = "stop", **more: object) -> tuple[int, bytes, dict]:
    return 200, json.dumps({"choices": [{"message": message, "finish_reason": finish}], **more}).encode(), {}


@pytest.mark.parametrize(
    ("reply", "text", "absent", "failed"),
    [
        (said({"content": "да"}), "да", None, False),
        (said({"content": [{"type": "text", "text": "д"}, {"type": "text", "text": "а"}]}), "да", None, False),
        (said({"content": 5}), "5", None, False),
        (said({"content": "\n\nнет"}), "\n\nнет", None, False),
        (said({"content": "<think>\nа\n\nб\n</think>\n\nда\n\nещё"}), "<think>\nа\n\nб\n</think>\n\nда", None, False),
        (said({"content": "половина \ud83d"}), "половина �", None, False),
        (said({"content": None, "reasoning_content": "думаю"}, "length"), "", Absent.THOUGHT, False),
        (said({"content": "", "reasoning": "думаю"}), "", Absent.THOUGHT, False),
        (said({"content": "", "thinking": "думаю"}), "", Absent.THOUGHT, False),
        (said({"content": ""}, "length"), "", Absent.CUT, False),
        (said({"content": None, "refusal": "не могу"}), "", Absent.REFUSED, False),
        (said({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls"), "", Absent.TOOLS, False),
        (said({"content": ""}, "content_filter"), "", Absent.FILTERED, False),
        (said({"content": ""}), "", None, False),
        (said({"content": None}), "", None, True),
        (said("да"), "", None, True),
        (said(None), "", None, True),
        (said({"content": "да"}, 7, usage={"completion_tokens": "x"}), "да", None, False),
        (said({"content": "да"}, usage={"completion_tokens": -1, "prompt_tokens": 1e400}), "да", None, False),
        (said({"content": "да"}, usage=[1]), "да", None, False),
        ((200, b'{"choices": "abc"}', {}), "", None, True),
        ((200, b'{"choices": [null]}', {}), "", None, True),
        ((200, b'{"choices": []}', {}), "", None, True),
        ((200, b"[]", {}), "", None, True),
        ((200, b"null", {}), "", None, True),
        ((200, b"", {}), "", None, True),
        ((200, b"<html>login</html>", {"Content-Type": "text/html"}), "", None, True),
        ((200, b"[" * 100_000, {}), "", None, True),
        ((200, '{"choices": [{"message": {"content": "да"}}]}'.encode("cp1251"), {}), "", None, True),
        ((200, b'{"error": {"message": "image too large"}}', {}), "", None, True),
        ((200, gzip.compress(b"0" * 80_000_000), {"Content-Encoding": "gzip"}), "", None, True),
        ((200, b"not gzip", {"Content-Encoding": "gzip"}), "", None, True),
        ((500, b"boom", {}), "", None, True),
        ((400, b'{"error": {"message": "no"}}', {}), "", None, True),
        ((418, b"", {}), "", None, True),
        ((204, b"", {}), "", None, True),
    ],
)
def test_whatever_it_sends_a_response_comes_out(
    server: Mock, reply: tuple, text: str, absent: Absent | None, failed: bool
) -> None:
    server.reply = reply
    (response,) = server.ask()
    assert (response.text, response.absent, response.error is not None) == (text, absent, failed), response


@pytest.mark.parametrize(
    ("error", "words"),
    [({"error": {"message": "image too large"}}, "image too large"), ({"detail": "слишком много"}, "слишком много")],
)
def test_its_own_words_are_kept(server: Mock, error: dict, words: str) -> None:
    for status in (200, 500):
        server.reply = (status, json.dumps(error).encode(), {})
        assert words in (server.ask()[0].error or "")


def test_a_request_has_a_total_time(server: Mock) -> None:
    """A byte now and then keeps a connection alive for ever, and the request not."""

    def dribble(handler: BaseHTTPRequestHandler, body: dict) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        while not server.closed.wait(0.2):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return

    server.reply = dribble
    (response,) = server.ask()
    assert response.error


def test_a_redirect_is_not_followed(server: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUVLM_API_KEY", "sk-0123456789abcdef")
    other = Mock()
    try:
        for status in (301, 302, 307, 308):
            server.reply = (status, b"", {"Location": f"{other.url}/chat/completions"})
            with pytest.raises(ModelError, match="отсылает на другой адрес"):
                server.ask()
        assert not other.bodies
    finally:
        other.server.shutdown()
        other.server.server_close()


@pytest.mark.parametrize("padding", range(150, 215, 4))
def test_no_part_of_the_key_is_kept(server: Mock, padding: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789abcdefghijklmnopqrstuv"
    monkeypatch.setenv("RUVLM_API_KEY", key)
    server.reply = (400, json.dumps({"error": {"message": "x" * padding + f" Bearer {key} {key}"}}).encode(), {})
    (response,) = server.ask()
    assert not any(key[n : n + 6] in (response.error or "") for n in range(len(key) - 6))
    server.reply = said({"content": f"ключ {key}"})
    assert key not in server.ask()[0].text


def test_what_a_server_does_not_know_is_left_out_once(server: Mock) -> None:
    def strict(handler: BaseHTTPRequestHandler, body: dict) -> tuple[int, bytes, dict]:
        return (
            said({"content": "да"})
            if "chat_template_kwargs" not in body
            else (400, b'{"error": {"message": "unknown field"}}', {})
        )

    server.reply = strict
    assert [response.text for response in server.ask(5)] == ["да"] * 5
    assert len(server.bodies) == 6
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert server.bodies[0]["repetition_penalty"] == 1.0
    server.reply = said({"content": "да"})
    server.ask(thinking=True)
    assert server.bodies[-1]["chat_template_kwargs"] == {"enable_thinking": True}


def test_both_names_of_the_limit_refused_is_an_error(server: Mock) -> None:
    server.reply = (400, b'{"error": {"message": "use max_completion_tokens instead"}}', {})
    (response,) = server.ask()
    assert "max_completion_tokens" in (response.error or "")
    assert len(server.bodies) < 6


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/chat/completions"])
def test_an_address_with_and_without_its_path(server: Mock, path: str) -> None:
    def only_v1(handler: BaseHTTPRequestHandler, body: dict) -> tuple[int, bytes, dict]:
        return said({"content": "да"}) if handler.path == "/v1/chat/completions" else (404, b"Not Found", {})

    server.reply = only_v1
    backend = open_openai(f"m@{server.url.removesuffix('/v1')}{path}", Access(requests=2, retries=0))
    assert [r.text for r in backend.complete(["Кто?"] * 4, GENERATION)] == ["да"] * 4


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://[::1/v1", "http://127.0.0.1:x/v1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="не понять"):
        open_openai(f"m@{url}", Access())


def test_another_models_answers_are_told_of(server: Mock) -> None:
    backend = open_openai(f"vendor/m-7b@{server.url}", Access(retries=0))
    server.reply = said({"content": "да"}, model="m-7b-2026")
    list(backend.complete(["Кто?"], GENERATION))
    assert not backend.notes
    server.reply = said({"content": "да"}, model="othermodel")
    list(backend.complete(["Кто?"], GENERATION))
    assert "othermodel" in backend.notes[0]


def test_absent_answers_are_counted_apart_and_not_asked_again(
    server: Mock, little: Path, tmp_path: Path, ruvlm: Run
) -> None:
    server.reply = said({"content": None, "reasoning": "думаю"}, "length")
    command = (
        "eval",
        f"openai:m@{server.url}",
        "--data",
        little,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--retries",
        0,
        "--out",
        tmp_path,
    )
    ran = ruvlm(*command)
    assert ran.code == 0
    assert "рассуждение не закончено" in ran.err
    (path,) = tmp_path.glob("*/summary.json")
    summary = json.loads(path.read_text())
    assert summary["absent"] == {Absent.THOUGHT: summary["n"]}
    assert summary["errors"] == 0
    asked = len(server.bodies)
    assert ruvlm(*command).code == 0
    assert len(server.bodies) == asked


def test_cut_answers_are_known_by_what_the_server_says(server: Mock, little: Path, tmp_path: Path, ruvlm: Run) -> None:
    command = (
        "eval",
        f"openai:m@{server.url}",
        "--data",
        little,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--retries",
        0,
    )
    server.reply = said({"content": "собака, которая"}, "length")
    assert "оборванных" in ruvlm(*command, "--out", tmp_path / "cut").err
    server.reply = said({"content": "собака"}, "stop", usage={"completion_tokens": 16})
    assert "оборванных" not in ruvlm(*command, "--out", tmp_path / "full").err


def test_a_thought_that_was_cut_is_no_answer() -> None:
    example = example_of()
    verdict = protocol_named("gqa-ru/lmms").judge(example, Response("<think>\nда, но надо проверить"))
    assert (verdict.parsed, verdict.status, verdict.scores["gqa-ru/ru"]) == (None, Status.ABSENT, 0)
