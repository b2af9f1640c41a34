"""Steps of nano a CPU second: this tree against an earlier commit, alternating runs, the same batch of the same world.

python bench/step_speed.py [--base c464409] [--rounds 5] [--world data/world-mini] [--quick]

A step is what the loop takes: two halves of 16 pictures with 16 + 4 questions (batch made, forward, backward), clipping, both
optimisers; in one thread of one process, where nothing else is counted. CPU seconds, not the clock's: a busy neighbour
lengthens both. The other tree is unpacked from git beside this one. Ends in one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = (
    "model.image_size=64",
    "model.hidden_size=88",
    "model.layers=6",
    "model.heads=2",
    "model.mlp_ratio=2",
    "model.vocab_size=960",
    "train.epochs=100",
    "train.max_steps=1000",
    "train.images_per_step=16",
    "train.questions_per_image=16",
    "train.choices_per_image=4",
    "train.lr=3.5e-3",
    "train.matrix_lr=0.025",
    "train.word_weight=1.0",
    "train.mention_weight=0.5",
    "train.point_weight=0.5",
    "train.describe_weight=0.5",
    "data.limit_images=600",
)
CHILD = """
import json, statistics, sys, time
from pathlib import Path
import torch
from torch import nn
from ruvlm.config import load_config
from ruvlm.runtime import keep_freed_memory
try:
    from ruvlm.models.nano.learner import NanoLearner as Nano
except ImportError:
    from ruvlm.training.nano_task import NanoTask as Nano

keep_freed_memory()
torch.set_num_threads(1)
file, steps, *settings = sys.argv[1:]
learner = Nano.build(load_config(Path(file), settings), torch.device("cpu"), lambda _: None)
stage = learner.stages()[-1]
parameters = [p for p in learner.model.parameters() if p.requires_grad]

def step(number):
    times = [time.process_time()]
    for part in range(2):
        batch = stage.batch(number, part, 2)
        times.append(time.process_time())
        (stage.loss(batch, 0.2).total / 2).backward()
        times.append(time.process_time())
    nn.utils.clip_grad_norm_(parameters, 1.0)
    for optimizer in stage.optimizers:
        optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    times.append(time.process_time())
    a, b, c, d, e, f = times
    return f - a, (b - a) + (d - c), (c - b) + (e - d), f - e

step(0), step(1)
taken = [step(number) for number in range(2, 2 + int(steps))]
names = ("step", "batch", "loss", "optimizers")
print(json.dumps({name: 1000 * statistics.median(times) for name, times in zip(names, zip(*taken))}))
"""


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Шагов nano за секунду процессора: это дерево против прежнего коммита."
    )
    parser.add_argument("--base", default="c464409", help="с каким коммитом сравнить")
    parser.add_argument("--rounds", type=int, default=5, help="чередующихся кругов")
    parser.add_argument("--world", type=Path, default=Path("data/world-mini"), help="мир mini")
    parser.add_argument("--quick", action="store_true", help="один круг из трёх шагов")
    return parser.parse_args()


def unpacked(commit: str, folder: Path) -> Path:
    """The sources of a commit."""
    archive = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"Коммита {commit} здесь нет ({archive.stderr.decode().strip()}): нужен клон с историей.")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder / "src"


def measured(tree: Path, world: Path, folder: Path, steps: int) -> dict[str, float]:
    """Median milliseconds of CPU of a step and its parts."""
    settings = folder / "nano.toml"
    settings.write_text('name = "nano"\n[model]\nname = "nano"\n', encoding="utf-8")
    places = [f'data.path="{world.resolve().as_posix()}"', f'results="{folder.as_posix()}"']
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(settings), str(steps), *SETTINGS, *places],
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"{tree}:\n{ran.stderr[-2000:]}")
    taken: dict[str, float] = json.loads(ran.stdout.strip().splitlines()[-1])
    return taken


def main() -> None:
    given = parsed()
    rounds, steps = (1, 3) if given.quick else (given.rounds, 12)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = {"base": unpacked(given.base, folder), "here": ROOT / "src"}
        taken: dict[str, list[dict[str, float]]] = {which: [] for which in trees}
        for _ in range(rounds):
            for which, tree in trees.items():
                taken[which].append(measured(tree, given.world, folder, steps))
    figures: dict[str, float | str] = {"base": given.base}
    for part in taken["here"][0]:
        before, after = (statistics.median(one[part] for one in taken[which]) for which in trees)
        ratios = [b[part] / h[part] for b, h in zip(taken["base"], taken["here"], strict=True)]
        print(
            f"{part}: {before:.1f} → {after:.1f} мс процессора, {before / after:.2f}× (по кругам {min(ratios):.2f}–{max(ratios):.2f})"
        )
        figures[f"{part}s_ratio" if part == "step" else f"{part}_ratio"] = round(before / after, 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
