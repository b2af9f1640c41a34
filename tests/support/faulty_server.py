"""A process that speaks OpenAI's chat route and fails at random: python -m tests.support.faulty_server FOLDER.

FOLDER/port is written when it listens; FOLDER/faults.json is read at every request: {"share": 0.3, "kinds": ["drop", …]}.
What it answers hangs on the question alone, so that an evaluation has one true result.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KINDS = ("drop", "stall", "garble", "redirect", "500", "429", "half", "html")
STALL_S = 3


class Faulty(BaseHTTPRequestHandler):
    folder: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        faults = json.loads((self.folder / "faults.json").read_text())
        kind = random.choice(faults["kinds"]) if random.random() < faults["share"] else ""
        if kind == "stall":
            time.sleep(STALL_S)
        if kind in ("drop", "stall"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif kind in ("500", "429"):
            self._say(int(kind), b'{"error": {"message": "busy"}}')
        elif kind == "redirect":
            self._say(307, b"", {"Location": "http://127.0.0.1:9/v1/chat/completions"})
        elif kind == "html":
            self._say(200, b"<html>login</html>")
        elif kind == "garble":
            self._say(200, b'{"choices": [{"mess')
        elif kind == "half":
            self._say(200, self._answer(body)[:40], {"Content-Length": "400"})
        else:
            self._say(200, self._answer(body))

    def _answer(self, body: bytes) -> bytes:
        asked = json.loads(body)["messages"][-1]["content"]
        words = "".join(part.get("text", "") for part in asked) if isinstance(asked, list) else asked
        said = ("да", "нет", "A", "кот")[hashlib.sha256(words.encode()).digest()[0] % 4]
        message = {"role": "assistant", "content": said}
        return json.dumps(
            {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
        ).encode()

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


def main() -> None:
    Faulty.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.daemon_threads = True
    partial = Faulty.folder / "port.part"
    partial.write_text(str(server.server_port))
    partial.rename(Faulty.folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main()
