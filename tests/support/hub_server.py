"""A process that speaks the hub's routes over a folder of repositories in the exact hub layout, and fails on request.

python -m tests.support.hub_server ROOT PORT: serves ROOT/deepvk/GQA-ru and its like. ROOT/faults.json is read at every request:
{"status": 503, "times": 1}       answer so many downloads with this status
{"cut": 1000, "times": 1}         close the connection after so many bytes of a body
{"pause": 0.05}                   seconds between pieces of a body, so that a test can kill the client in between
{"spoil": true, "times": 1}       change a byte of a body
{"gated": "403"|"401", "gone": true}   refuse the repository, or know no revision
Bytes sent go to ROOT/sent.jsonl.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlparse

PIECE = 16_384
LOCK = Lock()


def revision_of(repo: Path) -> str:
    digest = hashlib.sha1()
    for path in files_of(repo):
        digest.update(f"{path.relative_to(repo)} {path.stat().st_size}".encode())
    return digest.hexdigest()


def files_of(repo: Path) -> list[Path]:
    return sorted(path for path in repo.rglob("*") if path.is_file())


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def log_message(self, *args: object) -> None:
        return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        parts = path.strip("/").split("/")
        if path.startswith("/api/datasets/"):
            self._info(self.root / parts[2] / parts[3], parts[5])
        elif parts[0] == "datasets" and parts[3] == "resolve":
            # as the hub does, the file itself comes from elsewhere
            if self._refused(self.root / parts[1] / parts[2], parts[4]):
                return
            self._answer(302, b"", {"Location": "/cdn/" + "/".join([*parts[1:3], *parts[5:]])})
        elif parts[0] == "cdn":
            self._file(self.root.joinpath(*parts[1:]))
        else:
            self._answer(404, b"no such route")

    def do_POST(self) -> None:
        """Uploads, as a commit of files sent inline: what arrives lies in ROOT/received/ORG/NAME."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = unquote(urlparse(self.path).path).strip("/").split("/")
        if self.headers.get("Authorization") != "Bearer hf_write":
            self._answer(403, b'{"error": "no rights"}')
        elif parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            (self.root / "received" / name).mkdir(parents=True, exist_ok=True)
            (self.root / "received" / name / ".visibility").write_text(
                str(asked.get("visibility", asked.get("private")))
            )
            self._answer(200, json.dumps({"url": f"http://{self.headers['Host']}/{name}"}).encode())
        elif parts == ["api", "validate-yaml"]:
            self._answer(200, b'{"errors": [], "warnings": []}')
        elif "preupload" in parts:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._answer(200, json.dumps({"files": files}).encode())
        elif "commit" in parts:
            folder = self.root / "received" / parts[2] / parts[3]
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    path = folder / line["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(line["value"]["content"]))
            answer = {
                "commitUrl": f"http://{self.headers['Host']}/{parts[2]}/{parts[3]}/commit/abc",
                "commitOid": "abc",
            }
            self._answer(200, json.dumps(answer).encode())
        else:
            self._answer(404, b"no such route")

    def _refused(self, repo: Path, revision: str) -> bool:
        faults = self._faults()
        if faults.get("gated") == "401":
            self._answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif faults.get("gated") == "403":
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif faults.get("token") and self.headers.get("Authorization") != f"Bearer {faults['token']}":
            self._answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif not repo.is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", revision_of(repo)):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def _info(self, repo: Path, revision: str) -> None:
        if self._refused(repo, revision):
            return
        siblings = []
        for path in files_of(repo):
            data = path.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, object] = {"rfilename": str(path.relative_to(repo)), "size": len(data), "blobId": blob}
            if path.suffix in (".parquet", ".json"):
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        name = f"{repo.parent.name}/{repo.name}"
        self._answer(200, json.dumps({"id": name, "sha": revision_of(repo), "siblings": siblings}).encode())

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        faults = self._faults()
        if "status" in faults and self._spend(faults):
            self._answer(int(faults["status"]), b"busy")
            return
        data = path.read_bytes()
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        body = data[start:]
        if faults.get("spoil") and self._spend(faults):
            body = bytes([body[0] ^ 1]) + body[1:]
        headers = {"Content-Length": str(len(body)), "ETag": '"x"', "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(206 if asked else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        cut = int(faults["cut"]) if "cut" in faults and self._spend(faults) else len(body)
        sent = 0
        try:
            while sent < min(cut, len(body)):
                piece = body[sent : min(sent + PIECE, cut)]
                self.wfile.write(piece)
                self.wfile.flush()
                sent += len(piece)
                time.sleep(faults.get("pause", 0))
        except OSError:
            pass
        finally:
            with LOCK, (self.root / "sent.jsonl").open("a") as log:
                log.write(json.dumps({"file": path.name, "start": start, "sent": sent}) + "\n")
        if cut < len(body):
            self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _faults(self) -> dict:
        path = self.root / "faults.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def _spend(self, faults: dict) -> bool:
        """Is this fault still due? It is counted down in the file."""
        with LOCK:
            left = int(faults.get("times", 1))
            now = self._faults()
            left = int(now.get("times", 1))
            if left <= 0:
                return False
            (self.root / "faults.json").write_text(json.dumps({**now, "times": left - 1}))
            return True


def main() -> None:
    Hub.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Hub)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
