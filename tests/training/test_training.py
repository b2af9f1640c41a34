"""Training: a whole run folder, interruption by a real signal, resume, damage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from ruvlm.run_folder import checkpoints
from tests.support.house import RECIPES, tiny


def command(name: str, world: Path, results: Path, *more: str) -> list[str]:
    sets = [part for override in tiny(name, world, results) for part in ("--set", override)]
    return [sys.executable, "-m", "ruvlm", "train", str(RECIPES / "nano_world.toml"), *sets, *more]


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["nano", "cnn_lstm"])
def test_a_run_leaves_everything_it_promises(runs: Path, name: str) -> None:
    folder = runs / name
    for part in ("run.toml", "run.json", "metrics.jsonl", "training_history.png", "final_model/config.json"):
        assert (folder / part).is_file(), part
    assert (folder / "best_model" / "model.safetensors").is_file()
    assert not list(folder.rglob("*.bin"))
    assert not list(folder.rglob("*.pt"))
    kinds = [record["kind"] for record in records(folder)]
    assert "train" in kinds
    assert "validation" in kinds
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert facts["source"].startswith("world-mini")
    assert facts["code"]


def test_the_loss_falls(world: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command("n", world, tmp_path, "--set", "train.max_steps=60", "--set", "train.validations=0"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    losses = [r["answers"] for r in records(tmp_path / "n") if r.get("stage") == "answers"]
    assert losses[-1] < 0.8 * losses[0]


def test_ctrl_c_saves_and_resume_goes_on(world: Path, tmp_path: Path) -> None:
    arguments = command("n", world, tmp_path, "--set", "train.max_steps=100", "--set", "train.validations=0")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "n" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and len(metrics.read_text(encoding="utf-8").splitlines()) > 3):
        assert time.monotonic() < deadline, "the run did not get going"
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    stopped = records(tmp_path / "n")[-1]["step"]
    assert stopped < 130
    done = subprocess.run([*arguments, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = [r["step"] for r in records(tmp_path / "n") if r["kind"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] > stopped
    assert (tmp_path / "n" / "final_model").is_dir()


def test_accelerate_launch_on_a_cpu_is_told_of(world: Path, tmp_path: Path) -> None:
    """It starts one process whatever it is asked for, and says nothing."""
    base = [*tiny("n", world, tmp_path), "train.max_steps=2", "train.validations=0"]
    sets = [part for o in base for part in ("--set", o)]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "ruvlm"]
    done = subprocess.run(
        [*launch, "train", str(RECIPES / "nano_world.toml"), *sets],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "запустил один процесс" in done.stderr
    assert "torchrun" in done.stderr


def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(world: Path, tmp_path: Path) -> None:
    """CPU, fp32: stopping between steps and going on changes nothing."""
    from ruvlm.config import load_config
    from ruvlm.training.loop import train

    def config(name: str):  # type: ignore[no-untyped-def]
        return load_config(RECIPES / "nano_world.toml", [*tiny(name, world, tmp_path), "train.max_steps=40"])

    train(config("whole"), False, lambda _: None, lambda _: None)

    def stop(tick) -> None:  # type: ignore[no-untyped-def]
        if tick.stage == "answers":
            raise KeyboardInterrupt

    first = train(config("parts"), False, stop, lambda _: None)
    assert first.interrupted
    second = train(config("parts"), True, lambda _: None, lambda _: None)
    assert not second.interrupted
    whole, parts = (load_file(tmp_path / n / "final_model" / "model.safetensors") for n in ("whole", "parts"))
    assert all(bool((whole[key] == parts[key]).all()) for key in whole)


def test_a_damaged_checkpoint_is_refused(world: Path, tmp_path: Path, ruvlm) -> None:  # type: ignore[no-untyped-def]
    from ruvlm.config import load_config
    from ruvlm.training.loop import train

    def stop(tick) -> None:  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    train(load_config(RECIPES / "nano_world.toml", tiny("n", world, tmp_path)), False, stop, lambda _: None)
    path = checkpoints(tmp_path / "n" / "checkpoints")[0] / "state.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 255
    path.write_bytes(bytes(data))
    sets = [part for override in tiny("n", world, tmp_path) for part in ("--set", override)]
    ran = ruvlm("train", RECIPES / "nano_world.toml", *sets, "--resume")
    assert ran.code == 2
    assert "Контрольная сумма" in ran.err


def test_other_settings_cannot_resume(world: Path, tmp_path: Path, ruvlm) -> None:  # type: ignore[no-untyped-def]
    from ruvlm.config import load_config
    from ruvlm.training.loop import train

    def stop(tick) -> None:  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    train(load_config(RECIPES / "nano_world.toml", tiny("n", world, tmp_path)), False, stop, lambda _: None)
    sets = [part for override in [*tiny("n", world, tmp_path), "train.lr=0.5"] for part in ("--set", override)]
    ran = ruvlm("train", RECIPES / "nano_world.toml", *sets, "--resume")
    assert (ran.code, "другими настройками" in ran.err) == (2, True)
