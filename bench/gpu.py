"""What one GPU does: nano_small on the full world (fp32, bf16, compiled), eight minutes of training, shared-prefix evaluation.

python bench/gpu.py [--minutes 8] [--write]: needs CUDA; --quick runs every part on whatever there is, in about a minute and
with figures that mean nothing. With --write a section with date and card is added to bench/gpu.md.

Samples are questions answered, tokens those of the rows and the pictures' own (padding not counted). MFU: floating-point
operations of an eager step, as torch's FlopCounterMode counts them, over the card's dense bf16 (or TF32-free fp32) peak.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.random_models import llava

from ruvlm.backends.base import Access, Asked
from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.config import RunConfig, load_config
from ruvlm.evaluation.plan import evaluate_model
from ruvlm.models.nano.learner import NanoLearner
from ruvlm.models.vlm.backend import HfBackend
from ruvlm.models.vlm.load import load_hf
from ruvlm.processes import Group, Ranks
from ruvlm.runtime import keep_freed_memory, quiet_transformers
from ruvlm.training.checks import used_memory
from ruvlm.training.loop import train
from ruvlm.training.step import Stepper
from ruvlm.world.export import build, plans

ROOT = Path(__file__).parents[1]
# dense peaks, FLOP/s: bf16 on tensor cores, fp32 outside of them (vendors' data sheets)
PEAKS = {
    "H100": (989e12, 67e12),
    "H200": (989e12, 67e12),
    "A100": (312e12, 19.5e12),
    "L40": (181e12, 90e12),
    "4090": (165e12, 82.6e12),
    "3090": (71e12, 35.6e12),
    "T4": (65e12, 8.1e12),
}


@dataclass(frozen=True)
class Speed:
    """One way to train: answers and tokens a second, share of the card's peak (None if unknown), bytes of memory."""

    name: str
    answers: float
    tokens: float
    mfu: float | None
    memory: int


def peak(half: bool) -> float | None:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((peaks[0 if half else 1] for card, peaks in PEAKS.items() if card in name), None)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def settings(world: Path, results: Path, name: str, quick: bool, *more: str) -> RunConfig:
    base = [f'name="{name}"', f'results="{results}"', f'data.path="{world}"', *more]
    if quick:
        base += [
            "model.hidden_size=64",
            "model.layers=5",
            "model.image_size=64",
            "model.heads=4",
            "train.images_per_step=4",
            "train.parts=1",
        ]
    return load_config(Path("nano_small"), base)


def speed(config: RunConfig, name: str, device: torch.device, steps: int) -> Speed:
    """Steps after five of warm-up (compiling included in those)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    task = NanoLearner.build(config, device, lambda _: None)
    stage = task.stages()[-1]
    for optimizer in stage.optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    stepper = Stepper(config, task, Group(Ranks(), device), device)
    with FlopCounterMode(display=False) as counter:
        stepper.take(stage, 0, 0, 0.1, 0.1)
    flops = counter.get_total_flops()
    if config.train.compile:
        task.compile()
    for step in range(1, 6):
        stepper.take(stage, step, step, 0.1, 0.1)
    wait(device)
    answers = tokens = 0
    started = time.perf_counter()
    for step in range(6, 6 + steps):
        answers += stepper.take(stage, step, step, 0.1, 0.1).answers
        batch = stepper.batch
        tokens += (
            int((batch.ids_RT != task.model.shape.pad_token_id).sum()) + len(batch.pixels_BCSS) * task.packer.images
        )
    wait(device)
    seconds = time.perf_counter() - started
    best = peak(stepper.dtype is not None)
    mfu = None if best is None else 100 * flops * steps / seconds / best
    return Speed(name, answers / seconds, tokens / seconds, mfu, used_memory(device))


def shared_prefix(root: Path, world: Path, device: torch.device, pictures: int) -> tuple[float, float, int, int]:
    """Questions a second of a LLaVA with random weights, shared prefix and plain; how many answers agree, of how many."""
    sizes = (
        {}
        if pictures < 8
        else {"width": 1024, "layers": 16, "heads": 16, "image": 336, "vision": 512, "vision_layers": 12}
    )
    folder = llava(root / "llava", **sizes)  # type: ignore[arg-type]
    dtype = "bfloat16" if device.type == "cuda" else "float32"
    examples = open_source(str(world)).load("gqa-ru", "test").examples
    names = list(dict.fromkeys(e.image for e in examples))[:pictures]
    asked = [Asked(protocol_named("gqa-ru/lmms").prompt(e), e) for e in examples if e.image in names]
    said, rates = [], []
    for shared in (True, False):
        backend = HfBackend(load_hf(str(folder), Access(device=str(device), dtype=dtype)), shared=shared)
        list(backend.answer(asked[:4]))
        wait(device)
        started = time.perf_counter()
        said.append([r.text for r in backend.answer(asked)])
        wait(device)
        rates.append(len(asked) / (time.perf_counter() - started))
    agree = sum(a == b for a, b in zip(*said, strict=True))
    return rates[0], rates[1], agree, len(asked)


def accuracy(config: RunConfig, world: Path, limit: int | None) -> dict[str, str]:
    done = train(config, False, lambda _: None, print)
    found = {"шагов": str(done.steps), "минут": f"{done.seconds / 60:.1f}"}
    for evaluation in evaluate_model(str(done.folder), str(world), "test", limit=limit):
        if evaluation.model.startswith(config.name) or evaluation.model in ("question-only", "majority"):
            for rule, score in list(evaluation.result.scores.items())[:1]:
                found[f"{evaluation.model} {rule}"] = (
                    f"{score.value:.1f} ({score.low:.1f}–{score.high:.1f}), n = {score.n}"
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.quick:
        raise SystemExit("Видеокарты CUDA нет: на другой машине повторите ту же команду, здесь – только --quick.")
    keep_freed_memory()
    quiet_transformers()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    card = torch.cuda.get_device_name() if device.type == "cuda" else "процессор, --quick: цифры ничего не значат"
    quick = arguments.quick
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        world = root / "world"
        build("full", world, 0, os.cpu_count() or 1, plans("full", 24, 0.01) if quick else plans("full", 8000, 0.25))
        ways = [("fp32", "fp32", False), ("bf16", "bf16", False), ("bf16, compile", "bf16", True)][: 2 if quick else 3]
        speeds = [
            speed(
                settings(world, root, f"s{n}", quick, f'train.precision="{kind}"', f"train.compile={str(on).lower()}"),
                title,
                device,
                3 if quick else 60,
            )
            for n, (title, kind, on) in enumerate(ways)
        ]
        more = (
            ("train.max_steps=4",)
            if quick
            else (f"train.max_minutes={arguments.minutes}", 'train.precision="bf16"', "train.workers=4")
        )
        scores = accuracy(settings(world, root, "small", quick, *more), world, 40 if quick else None)
        shared = shared_prefix(root, world, device, 2 if quick else 16)
    text = "\n".join(section(card, speeds, scores, shared))
    print(text)
    if arguments.write:
        with (ROOT / "bench" / "gpu.md").open("a", encoding="utf-8") as handle:
            handle.write("\n" + text + "\n")
    figures: dict[str, Any] = {s.name: round(s.answers, 1) for s in speeds} | {
        "shared_ratio": round(shared[0] / shared[1], 2)
    }
    print(json.dumps({**figures, "card": card, "quick": quick}, ensure_ascii=False))


def section(card: str, speeds: list[Speed], scores: dict[str, str], shared: tuple[float, float, int, int]) -> list[str]:
    gigabytes: Callable[[int], str] = lambda size: f"{size / 1e9:.1f} ГБ"  # noqa: E731
    lines = [
        f"## {date.today()}, {card}, torch {torch.__version__}",
        "",
        "nano_small, мир full:",
        "",
        "| как | ответов/с | токенов/с | MFU, % | память |",
        "|---|---|---|---|---|",
    ]
    for s in speeds:
        mfu = "пик неизвестен" if s.mfu is None else f"{s.mfu:.1f}"
        lines.append(f"| {s.name} | {s.answers:.0f} | {s.tokens:.0f} | {mfu} | {gigabytes(s.memory)} |")
    lines += ["", "Обучение и проверка на мире full (не GQA-ru):", ""]
    lines += [f"- {name}: {value}" for name, value in scores.items()]
    ratio = shared[0] / shared[1]
    lines.append(
        f"- общее начало у LLaVA со случайными весами: {shared[0]:.1f} и {shared[1]:.1f} вопросов/с, в {ratio:.1f} раза; "
        f"ответов совпало {shared[2]} из {shared[3]}"
    )
    return lines


if __name__ == "__main__":
    main()
