"""lmms-eval 0.7.3 beside us: a venv of its own, unmodified, offline, on the same files in the hub's layout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-lmms"
README = """---
configs:
- config_name: testdev_balanced_images
  data_files: [{split: testdev, path: testdev_balanced_images/*.parquet}]
- config_name: testdev_balanced_instructions
  data_files: [{split: testdev, path: testdev_balanced_instructions/*.parquet}]
---
"""
MMBENCH_README = """---
configs:
- config_name: default
  data_files: [{split: dev, path: mmbench_ru_dev.parquet}]
---
"""
# a process's peak includes that of the one it was forked from: this small one stands between
PEAK = """
import os, sys, time
started = time.time()
pid = os.spawnvpe(os.P_NOWAIT, sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], "w").write(f"{time.time() - started} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}")
"""
CANNED = '''"""Answers known beforehand, as a model of lmms-eval: what is timed is everything around the model."""
import json, os, time
from lmms_eval.api.model import lmms
from lmms_eval.api.registry import register_model


@register_model("canned")
class Canned(lmms):
    def __init__(self, answers="", batch_size=1, device="cpu", **kwargs):
        super().__init__()
        with open(answers, encoding="utf-8") as handle:
            self.answers = {str(row["id"]): row["prediction"] for row in map(json.loads, handle)}

    def generate_until(self, requests):
        with open(os.environ["CANNED_STAMP"], "w") as handle:
            handle.write(repr(time.time()))
        found = []
        for request in requests:
            _, _, _, doc_id, task, split = request.args
            doc = self.task_dict[task][split][doc_id]
            found.append(self.answers[str(doc.get("id", doc.get("index")))])
        return found

    def loglikelihood(self, requests):
        raise NotImplementedError

    def generate_until_multi_round(self, requests):
        raise NotImplementedError
'''

FLOAT32 = '''"""lmms-eval's own Qwen 3.5, which it always opens in bfloat16, counting in float32: only so are answers comparable."""
from lmms_eval.api.registry import register_model
from lmms_eval.models.simple.qwen3_5 import Qwen3_5


@register_model("qwen3_5_float32")
class Float32(Qwen3_5):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._model.float()
'''
PLUGINS = {
    "__init__.py": "",
    "tasks/__init__.py": "",
    "models/canned.py": CANNED,
    "models/qwen3_5_float32.py": FLOAT32,
    "models/__init__.py": 'AVAILABLE_MODELS = {"canned": "Canned", "qwen3_5_float32": "Float32"}\n',
}


class QuickJudge(BaseHTTPRequestHandler):
    """A judge that answers at once: without one lmms-eval sleeps 45 seconds at every answer that it cannot read."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"choices": [{"message": {"content": "A"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def ensure_venv() -> Path:
    """The Python of a venv with lmms-eval 0.7.3, made when it is not there. torchvision's CUDA build does not load here."""
    python = VENV / "bin/python"
    if not (VENV / ".ready").exists():
        pip = [str(python), "-m", "pip"]
        # lmms-eval pins a wandb that wants an older protobuf than ours
        pins = [
            line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("protobuf==")
        ]
        constraints = VENV.with_suffix(".txt")
        constraints.write_text("\n".join(pins), encoding="utf-8")
        install = [*pip, "install", "--quiet", "--progress-bar", "off", "--constraint", str(constraints)]
        for command in (
            [sys.executable, "-m", "venv", str(VENV)],
            [*install, "torch"],
            [*install, "lmms-eval==0.7.3", "decord"],
            [*pip, "uninstall", "--quiet", "--yes", "torchvision"],
        ):
            subprocess.run(command, check=True, cwd=ROOT)
        constraints.unlink()
        (VENV / ".ready").touch()
    return python


def ensure_vision() -> Path:
    """A folder with torchvision for lmms-eval's Qwen, which does not start without it; made when it is not there.

    Its compiled operations are for CUDA and do not load; the module that describes them is emptied, and the rest works.
    """
    folder = VENV / "vision"
    if not (folder / ".ready").exists():
        pinned = ["--no-deps", "--target", str(folder), "torchvision==0.28.0"]
        subprocess.run([str(ensure_venv()), "-m", "pip", "install", "--quiet", "--upgrade", *pinned], check=True)
        (folder / "torchvision/_meta_registrations.py").write_text("", encoding="utf-8")
        (folder / ".ready").touch()
    return folder


def hub_slice(world: Path, work: Path, images: int | None) -> Path:
    """The first `images` pictures of a world's testdev with all their questions, and as many groups of MMBench, as the hub
    has them. Both sides read these files. Returns `work`.
    """
    gqa, mmbench = work / "deepvk/GQA-ru", work / "deepvk/MMBench-ru"
    (work / "deepvk").mkdir(parents=True, exist_ok=True)
    shutil.copy(world / "world.json", work / "deepvk")
    source = world / "gqa-ru"
    pictures = _table(source / "testdev_balanced_images").slice(0, images)
    names = set(pictures.column("id").to_pylist())
    questions = _table(source / "testdev_balanced_instructions")
    kept = questions.filter(pa.array([name in names for name in questions.column("imageId").to_pylist()]))
    for folder, table in (("testdev_balanced_images", pictures), ("testdev_balanced_instructions", kept)):
        _write(table, gqa / folder / "testdev-00000-of-00001.parquet", folder.endswith("images"))
    (gqa / "README.md").write_text(README, encoding="utf-8")
    rows = pq.read_table(world / "mmbench-ru/mmbench_ru_dev.parquet")
    bases = [index % 1_000_000 for index in rows.column("index").to_pylist()]
    chosen = set(sorted(set(bases))[: None if images is None else 4 * images])
    _write(rows.filter(pa.array([base in chosen for base in bases])), mmbench / "mmbench_ru_dev.parquet", True)
    (mmbench / "README.md").write_text(MMBENCH_README, encoding="utf-8")
    return work


def _table(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("testdev-*.parquet"))])


def _write(table: pa.Table, path: Path, pictures: bool) -> None:
    """Parquet with the mark by which `datasets` knows a column of pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pictures:
        from_arrow = {"int64": "int64", "string": "string"}
        features = {
            name: {"_type": "Image"} if name == "image" else {"dtype": from_arrow[str(kind)], "_type": "Value"}
            for name, kind in zip(table.column_names, table.schema.types, strict=True)
        }
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=100)


@dataclass(frozen=True)
class Measured:
    """A whole process: wall seconds, peak resident memory in MB, its exit code and the end of what it printed."""

    seconds: float
    memory: float
    code: int
    tail: str
    started: float


def measured(command: list[str], cwd: Path, extra: dict[str, str]) -> Measured:
    """Run a process and measure it."""
    log = cwd / "process.log"
    started = time.time()
    with log.open("w", encoding="utf-8") as handle:
        peak = cwd / "peak.txt"
        subprocess.run(
            [sys.executable, "-S", "-c", PEAK, str(peak), *command],
            cwd=cwd,
            env={**os.environ, **extra},
            stdout=handle,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds, memory, code = peak.read_text().split()
    tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    return Measured(float(seconds), int(memory) / 1024, int(code), tail, started)


def run_lmms(
    work: Path, model: str, model_args: str, task: str, stamp: Path, vision: bool = False
) -> tuple[Measured, dict[str, str]]:
    """One run of lmms-eval, with torchvision if `vision`; its answers by id. Raises SystemExit with its words when it fails."""
    for name, text in PLUGINS.items():
        path = work / "canned" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    logs = work / "lmms_logs"
    before = set(logs.rglob("*samples*.jsonl"))
    command = [
        str(ensure_venv()),
        "-m",
        "lmms_eval",
        "--model",
        model,
        "--model_args",
        model_args,
        "--tasks",
        task,
        "--batch_size",
        "1",
        "--log_samples",
        "--output_path",
        str(logs),
    ]
    judge = ThreadingHTTPServer(("127.0.0.1", 0), QuickJudge)
    threading.Thread(target=judge.serve_forever, daemon=True).start()
    paths = [work, *([ensure_vision()] if vision else [])]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(work / "hf_home"),
        "HF_TOKEN": "x",
        "LMMS_EVAL_PLUGINS": "canned",
        "PYTHONPATH": ":".join(map(str, paths)),
        "CANNED_STAMP": str(stamp),
        "OPENAI_API_KEY": "x",
        "OPENAI_API_URL": f"http://127.0.0.1:{judge.server_port}",
    }
    done = measured(command, work, environment)
    judge.shutdown()
    new = set(logs.rglob("*samples*.jsonl")) - before
    if done.code or not new:
        raise SystemExit(f"lmms-eval: код {done.code}\n{done.tail}")
    return done, _answers(new.pop())


def _answers(path: Path) -> dict[str, str]:
    found = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            answer = row["filtered_resps"]
            found[str(row["doc_id"])] = answer[0] if isinstance(answer, list) else answer
    return found
