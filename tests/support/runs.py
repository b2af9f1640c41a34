"""Runs that take seconds: their settings, and how they are started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from ruvlm.config import RunConfig, load_config
from ruvlm.models.vlm.learner import VlmLearner
from ruvlm.training import loop
from tests.support.house import RECIPES, tiny


def settings(models: dict[str, Path], world: Path, results: Path, *more: str) -> RunConfig:
    return load_config(RECIPES / "llava_stage1.toml", overrides(models, world, results, *more))


def overrides(models: dict[str, Path], world: Path, results: Path, *more: str) -> list[str]:
    return [
        f'vlm.path="{models["llava"]}"',
        f'results="{results}"',
        f'data.path="{world}"',
        'name="v"',
        'device="cpu"',
        "train.max_steps=6",
        "train.images_per_step=3",
        "train.questions_per_image=5",
        "train.validations=0",
        "train.warmup_steps=1",
        "data.limit_images=12",
        *more,
    ]


def moved_away(evaluations: Path) -> None:
    """Evaluations whose data are no longer where they were."""
    for path in evaluations.glob("*/summary.json"):
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["asked"]["data"] = "moved/away"
        path.write_text(json.dumps(summary), encoding="utf-8")


def task(config: RunConfig) -> VlmLearner:
    return VlmLearner.build(config, torch.device("cpu"), lambda _: None)


def ranked(count: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command under torchrun with so many gloo processes."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        str(count),
        "--master_port",
        str(port),
        "-m",
        "ruvlm",
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=False)


def nano(world: Path, results: Path, name: str, *more: str) -> RunConfig:
    base = [*tiny(name, world, results), "train.max_steps=30", "train.validations=0"]
    return load_config(RECIPES / "nano_world.toml", [*base, *more])


def trained(config: RunConfig, resume: bool = False) -> tuple[loop.Finished, list[str]]:
    said: list[str] = []
    return loop.train(config, resume, lambda _: None, said.append), said
