"""Model cards say what was measured; `ruvlm push` sends exactly what it lists."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ruvlm.reporting.card import write_card
from ruvlm.training.loop import train
from tests.support.house import RECIPES, Ran, tiny
from tests.support.hub import Server, environment
from tests.support.runs import settings
from tests.support.serving import hub

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the command, which writes the card."""
    results = tmp_path_factory.mktemp("card")
    sets = [
        part
        for one in (*tiny("carded", world, results), "train.max_steps=30", "train.validations=1")
        for part in ("--set", one)
    ]
    command = [sys.executable, "-m", "ruvlm", "train", str(RECIPES / "nano_world.toml"), *sets]
    subprocess.run(command, check=True, capture_output=True)
    return results / "carded"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "hub"
    root.mkdir()
    with hub(root) as url:
        yield Server(root, url)


def pushed(server: Server, *arguments: object, token: str = "hf_write", **extra: str) -> Any:
    command = [sys.executable, "-m", "ruvlm", "push", *map(str, arguments)]
    surroundings = environment(server, HF_TOKEN=token, **extra)
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)


def test_training_writes_a_card_that_promises_nothing(run: Path) -> None:
    text = (run / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlanguage:\n- ru\n")
    for part in (
        "license: apache-2.0",
        "## Данные",
        "world-mini",
        "Apache-2.0",
        "Полной проверки не было",
        "завышена",
        "о фотографиях она гадает",
        "training_history.png",
        ["train", "max_steps"][1],
    ):
        assert part in text, part
    facts = json.loads((run / "run.json").read_text())
    assert facts["train"][0]["fingerprint"] in text
    assert facts["code"] in text


def test_an_evaluation_puts_its_figures_with_controls_on_the_card(
    run: Path, world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    folder = tmp_path / "carded"
    shutil.copytree(run, folder)
    done = ruvlm("eval", folder, "--data", world, "--split", "test", "--limit", 40, "--protocol", "gqa-ru/lmms")
    assert done.code == 0, done.err
    assert "Карточка:" in done.err
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "Полной проверки не было" not in text
    (summary,) = (
        json.loads(p.read_text())
        for p in folder.glob("eval/*/summary.json")
        if "carded" in p.read_text() and "blind" not in p.read_text()
    )
    score = summary["scores"]["gqa-ru/lmms"]
    line = next(x for x in text.splitlines() if "| gqa-ru/lmms |" in x)
    assert f"{score['value']:.1f} ({score['low']:.1f}–{score['high']:.1f})".replace(".", ",") in line
    for control in ("majority", "random", "question-only", "blind:"):
        assert control in line


def test_an_adapters_card_names_its_base(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    config = settings(models, world, tmp_path, "vlm.lora_rank=4", "train.max_steps=2")
    text = write_card(train(config, False, lambda _: None, lambda _: None).folder).read_text(encoding="utf-8")
    for part in ("license: other", "base_model:", "library_name: peft", "LoRA ранга 4", "Лицензия – базовой модели"):
        assert part in text, part


def test_a_dry_run_sends_nothing_and_the_push_what_it_listed(run: Path, server: Server) -> None:
    dry = pushed(server, run, "org/nano", "--dry-run", "--json", token="")
    assert dry.returncode == 0, dry.stderr
    listed = json.loads(dry.stdout)
    assert listed["sent"] is None
    assert not (server.root / "received").exists()
    names = {file["name"] for file in listed["files"]}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "run.toml",
        "training_history.png",
    } <= names
    assert not any("checkpoints" in name or "responses" in name for name in names)
    real = pushed(server, run, "org/nano", "--json")
    assert real.returncode == 0, real.stderr
    assert json.loads(real.stdout)["sent"].endswith("/commit/abc")
    folder = server.root / "received" / "org" / "nano"
    arrived = {
        str(p.relative_to(folder)): p.stat().st_size
        for p in folder.rglob("*")
        if p.name != ".visibility" and p.is_file()
    }
    assert arrived == {file["name"]: file["size"] for file in listed["files"]}
    assert (folder / "model.safetensors").read_bytes() == (run / "best_model" / "model.safetensors").read_bytes()
    assert (folder / ".visibility").read_text() in ("private", "True")


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        (("org/nano",), "hf_read", "нет права записи"),
        (("org/nano",), "", "HF_TOKEN"),
        (("nano",), "hf_write", "ОРГАНИЗАЦИЯ/ИМЯ"),
    ],
)
def test_a_refused_push_says_why(
    run: Path, server: Server, tmp_path: Path, arguments: tuple[str, ...], token: str, said: str
) -> None:
    done = pushed(server, run, *arguments, token=token, HF_HOME=str(tmp_path))
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


def test_what_is_no_run_is_not_pushed(run: Path, server: Server, tmp_path: Path) -> None:
    assert "нет модели" in pushed(server, tmp_path, "org/x").stderr
    folder = tmp_path / "bare"
    shutil.copytree(run, folder)
    (folder / "README.md").unlink()
    assert "README.md" in pushed(server, folder, "org/x").stderr
    (folder / "run.json").write_text("{")
    from ruvlm.errors import DataError

    with pytest.raises(DataError, match="повреждена"):
        write_card(folder)
