"""A real model server for tests, `transformers serve`, and a loopback proxy that breaks its traffic on request."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """`transformers serve` of a model folder; it can be killed and started again on the same port."""

    def __init__(self, model: Path, home: Path) -> None:
        self.model, self.home, self.port = model, home, free_port()
        (home / "hub").mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(self.home),
            "TRANSFORMERS_VERBOSITY": "error",
        }
        command = [
            str(Path(sys.executable).parent / "transformers"),
            "serve",
            str(self.model),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--device",
            "cpu",
        ]
        self._log = (self.home / "server.log").open("ab")
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                assert self._process.poll() is None, (self.home / "server.log").read_text()[-2000:]
                time.sleep(0.2)
        raise TimeoutError("transformers serve did not come up")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._log.close()


class Proxy:
    """Passes requests on to a server; `faults` are used up one a request, `rule` may look at its body.

    A fault is «429», «500», «401», «garbage», «empty» (the connection closes without an answer) or «hang».
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.faults: list[str] = []
        self.rule = lambda body: None
        self.requests: list[dict[str, object]] = []
        self.times: list[float] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.handle(self, body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            self.requests.append(json.loads(body))
            self.times.append(time.monotonic())
            fault = self.rule(self.requests[-1]) or (self.faults.pop(0) if self.faults else None)
        if fault == "hang":
            time.sleep(3)
        if fault in ("hang", "empty"):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault == "garbage":
            self._reply(handler, 200, b'{"choices": [{"mess')
            return
        if fault is not None:
            self._reply(
                handler, int(fault), b'{"error": {"message": "no"}}', {"Retry-After": "1"} if fault == "429" else {}
            )
            return
        request = urllib.request.Request(
            self.target + "/chat/completions", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self._reply(handler, answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                self._reply(handler, error.code, error.read())
        except (urllib.error.URLError, OSError):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)

    def _reply(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        try:
            handler.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **(headers or {}),
            }.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def hub(root: Path) -> Iterator[str]:
    """A process that speaks the hub's routes over a folder; its address."""
    command = [sys.executable, "-m", "tests.support.hub_server", str(root), "0"]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def page_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The address of a demo page once it is open, and all that was said before: the server speaks too where a port is taken."""
    assert process.stderr is not None
    said = ""
    while not (opened := re.search(r"Страница открыта: (\S+)", said)):
        line = process.stderr.readline()
        assert line, said
        said += line
    return opened[1], said


class ChatServer:
    """A loopback OpenAI-compatible server that answers by a function of the question's words and its pictures' bytes.

    A system message stands before the words, with «|||» between. An answer of None is an error 500.
    """

    def __init__(self, answer: Callable[[str, list[bytes]], str | None]) -> None:
        self.requests: list[tuple[str, list[bytes]]] = []
        self._lock = threading.Lock()
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = body["messages"][-1]["content"]
                parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
                text = "".join(part["text"] for part in parts if part["type"] == "text")
                if body["messages"][0]["role"] == "system":
                    text = f"{body['messages'][0]['content']}|||{text}"
                urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
                pictures = [base64.b64decode(url.partition(",")[2]) for url in urls]
                with chat._lock:
                    chat.requests.append((text, pictures))
                said = answer(text, pictures)
                reply = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}], "model": body["model"]}
                data = json.dumps(reply).encode()
                self.send_response(200 if said is not None else 500)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.spec = f"openai:m@http://127.0.0.1:{self.server.server_port}/v1"


@contextmanager
def chatting(answer: Callable[[str, list[bytes]], str | None]) -> Iterator[ChatServer]:
    chat = ChatServer(answer)
    try:
        yield chat
    finally:
        chat.server.shutdown()
        chat.server.server_close()
