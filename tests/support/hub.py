"""A server that speaks the hub's routes, with faults on demand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.serving import hub as hub_served


@dataclass(frozen=True)
class Server:
    root: Path
    url: str

    def fail(self, **faults: object) -> None:
        (self.root / "faults.json").write_text(json.dumps(faults))

    def sent(self) -> int:
        log = self.root / "sent.jsonl"
        return sum(json.loads(line)["sent"] for line in log.read_text().splitlines()) if log.is_file() else 0

    def forget(self) -> None:
        for name in ("faults.json", "sent.jsonl"):
            (self.root / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def served(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("hub")
    for name, source in (("GQA-ru", "gqa-ru"), ("MMBench-ru", "mmbench-ru")):
        shutil.copytree(world / source, root / "deepvk" / name)
    with hub_served(root) as url:
        yield Server(root, url)


def environment(server: Server, **extra: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {**clean, "HF_ENDPOINT": server.url, "HF_HUB_DISABLE_TELEMETRY": "1", **extra}
