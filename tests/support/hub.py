"""A server that speaks the hub's routes, with faults on demand."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


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


def environment(server: Server, **extra: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {**clean, "HF_ENDPOINT": server.url, "HF_HUB_DISABLE_TELEMETRY": "1", **extra}
