"""`ruvlm doctor`: says what is there, what is not, and what to do; never a traceback."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.house import Ran
from tests.support.hub import Server

Run = Callable[..., Ran]


def test_a_whole_machine_is_well(ruvlm: Run) -> None:
    done = ruvlm("doctor", "--no-hub", "--json")
    assert done.code == 0, done.err
    found = {row["name"]: row for row in json.loads(done.out)}
    assert found["torch"]["found"] == importlib.metadata.version("torch")
    assert found["python"]["state"] == found["write"]["state"] == "ok"
    assert "ядер" in found["device"]["found"] or "карт" in found["device"]["found"]
    assert "hub" not in found
    text = ruvlm("doctor", "--no-hub")
    assert "✓ torch" in text.out
    assert "Всё нужное есть" in text.err


def test_a_missing_and_an_old_package_are_named_with_their_cure(ruvlm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("peft", "jinja2"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "4.1.0" if name == "transformers" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    done = ruvlm("doctor", "--no-hub", "--json")
    assert done.code == 1
    found = {row["name"]: row for row in json.loads(done.out)}
    assert (found["jinja2"]["state"], found["jinja2"]["fix"]) == ("bad", "pip install jinja2")
    # what only models need is a remark
    assert found["peft"]["state"] == "note"
    assert "pip install 'ruvlm[models]'" in found["peft"]["fix"]
    assert found["transformers"]["state"] == "bad"
    assert "transformers" in found["transformers"]["fix"]
    assert "5.23" in found["transformers"]["fix"]


def examined(surroundings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruvlm", "doctor", "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "not an address"])
def test_a_hub_that_is_not_there_is_a_remark(tmp_path: Path, endpoint: str) -> None:
    surroundings = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    done = examined(surroundings)
    assert done.returncode == 0, done.stderr
    hub = next(row for row in json.loads(done.stdout) if row["name"] == "hub")
    assert (hub["state"], "не отвечает" in hub["found"], "HF_TOKEN не задан" in hub["found"]) == ("note", True, True), (
        hub
    )


def test_a_hub_that_answers_is_seen(served: Server, tmp_path: Path) -> None:
    surroundings = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(tmp_path), "HF_TOKEN": "hf_x"}
    done = examined(surroundings)
    hub = next(row for row in json.loads(done.stdout) if row["name"] == "hub")
    assert "отвечает" in hub["found"]
    assert "HF_TOKEN задан" in hub["found"]
    assert "hf_x" not in done.stdout


def test_a_folder_one_may_not_write_to_is_said(ruvlm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    done = ruvlm("doctor", "--no-hub", "--json")
    assert done.code == 1
    assert "писать нельзя" in next(row["found"] for row in json.loads(done.out) if row["name"] == "write")
