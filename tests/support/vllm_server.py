"""A real vLLM for tests and `bench/`: from an environment of its own, started on a folder, stopped with all that it started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from tests.support.serving import free_port

START_SECONDS = 300
SETTINGS = ("--dtype", "float32", "--max-model-len", "1024", "--enforce-eager", "--limit-mm-per-prompt", '{"image":1}')
# the reason of an end among the lines of a log, behind the process's name and the time
ERROR = re.compile(r"\b(?:[A-Z]\w*Error|error): (?!\[Errno).*")


def without_beginning(folder: Path) -> Path:
    """The folder with a tokenizer that adds nothing by itself, as Qwen's."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(tokenizer | {"post_processor": None}), encoding="utf-8")
    return folder


def with_published_names(folder: Path) -> Path:
    """The weights' names that every published LLaVA has: transformers 5.23 leaves a word of them out when it saves."""
    path = folder / "model.safetensors"
    named = {
        name if "vision_model" in name else name.replace("vision_tower.", "vision_tower.vision_model."): weight
        for name, weight in load_file(path).items()
    }
    save_file(named, path, metadata={"format": "pt"})
    return folder


@dataclass(frozen=True)
class Served:
    """A folder and the server that answers from it."""

    folder: Path
    name: str
    url: str


@contextmanager
def vllm(command: str, folder: Path, log: Path) -> Iterator[Served]:
    """`vllm serve` of a folder, up and listening; what it started goes with it. `command` is the executable."""
    port, name = free_port(), "served"
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_SERVER_DEV_MODE": "1",  # caches may be emptied between measurements
    }
    line = [
        command,
        "serve",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--served-model-name",
        name,
        *SETTINGS,
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(line, env=environment, stdout=out, stderr=out, start_new_session=True)
        try:
            wait_for(process, f"http://127.0.0.1:{port}/v1/models", log)
            yield Served(folder, name, f"http://127.0.0.1:{port}/v1")
        finally:
            stop(process)


def wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until the address answers; an AssertionError with what the process said if it ends before, or hangs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, f"vLLM не поднялся, журнал {log}:\n{errors(log)}"
            time.sleep(0.2)
    raise AssertionError(f"vLLM молчит {START_SECONDS} с, журнал {log}:\n{errors(log)}")


def errors(log: Path) -> str:
    """What a log names as errors, or its end: after the reason vLLM tells at length that its engine has not started."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    named = dict.fromkeys(found[0][:400] for line in lines if (found := ERROR.search(line)))
    return "\n".join(named or lines[-40:])


def stop(process: subprocess.Popen[bytes]) -> None:
    """The server and its engine, which is a process of its own in the server's group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
