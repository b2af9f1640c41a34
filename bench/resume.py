"""Kill a training run with SIGKILL, half the times inside a save, resume it each time: does it end as an undisturbed run, bit for bit?

python bench/resume.py [--kills 20] [--quick]: a tiny LLaVA with LoRA, dropout and 2 workers making batches, and nano; CPU,
fp32, across the ends of epochs. A run is a fork of a process that has imported everything, so a kill costs no imports. Counted is
every kill of a run whose final weights, optimiser state and recorded losses equal the undisturbed run's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import accelerate  # noqa: F401 a fork should find everything imported
import peft  # noqa: F401
import torch
import transformers.models.clip.modeling_clip
import transformers.models.llama.modeling_llama
import transformers.models.llava.modeling_llava  # noqa: F401
from safetensors.torch import load_file

import ruvlm.models.nano.learner
import ruvlm.models.vlm.learner  # noqa: F401
from ruvlm.config import RunConfig, load_config
from ruvlm.run_folder import checkpoints
from ruvlm.training.loop import train

ROOT = Path(__file__).parents[1]
PREPARE = """
import sys; from pathlib import Path
from tests.support.random_models import llava
from ruvlm.world.export import build, plans
llava(Path(sys.argv[1]) / "model"); build("mini", Path(sys.argv[1]) / "world", seed=3, splits=plans("mini", 60, 0.03))
"""


@dataclass
class Tally:
    """Kills so far, those that fell into a save, and those of runs that ended as they should."""

    kills: int = 0
    in_saves: int = 0
    survived: int = 0


def prepare(root: Path) -> None:
    """A model and a world, made by another process: a parent that forks must not have computed anything."""
    subprocess.run([sys.executable, "-c", PREPARE, str(root)], check=True, capture_output=True, cwd=ROOT)


def settings(kind: str, name: str, root: Path, steps: int) -> RunConfig:
    base = [
        f'results="{root / "results"}"',
        f'data.path="{root / "world"}"',
        f'name="{name}"',
        'device="cpu"',
        "train.checkpoint_minutes=1e-6",
        "train.validations=2",
        f"train.max_steps={steps}",
    ]
    if kind == "vlm":
        more = [
            f'vlm.path="{root / "model"}"',
            "vlm.lora_rank=4",
            "vlm.lora_dropout=0.1",
            "train.images_per_step=7",
            "train.questions_per_image=5",
            "train.workers=2",
        ]
        return load_config(Path("llava_stage1"), base + more)
    # no budget of time: what a slow moment costs would end the run at another step
    more = ["train.images_per_step=7", "train.max_minutes=10000"]
    return load_config(Path("nano_world"), base + more)


def forked(config: RunConfig, resume: bool) -> int:
    """A child process that trains; its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        done = train(config, resume, lambda _: None, lambda _: None)
        code = int(done.interrupted)
    finally:
        os._exit(code)


def ended(child: int) -> int | None:
    """A child's exit code, negative for a signal; None while it runs."""
    number, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if number else None


def half_written(config: RunConfig) -> bool:
    """Is a checkpoint or a model folder being written, or was it left so by a kill?"""
    return any(config.folder.glob("checkpoints/.step_*-*")) or any(config.folder.glob(".*_model*"))


def disturbed(config: RunConfig, rng: random.Random, most: int, tally: Tally) -> int:
    """Run to the end with up to `most` kills; how many there were."""
    root, kills, resume = config.folder / "checkpoints", 0, False
    while True:
        before = checkpoints(root)[:1]
        child = forked(config, resume)
        code = None
        while (code := ended(child)) is None and (kills >= most or checkpoints(root)[:1] == before):
            time.sleep(0.002)
        if code is None:
            # it trains: now, or a little later; every second time, once the next save has begun
            time.sleep(rng.uniform(0, 0.2))
            while (code := ended(child)) is None and kills % 2 and not half_written(config):
                pass
        if code is None:
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return kills
        if code != -signal.SIGKILL:
            raise SystemExit(f"запуск не продолжился: код {code}")
        kills += 1
        tally.in_saves += half_written(config)
        resume = True


def same(root: Path, a: str, b: str) -> bool:
    """Weights, the last checkpoint, and every recorded loss and score."""
    runs = [root / "results" / name for name in (a, b)]
    for here, there in ([run / "final_model" for run in runs], [checkpoints(run / "checkpoints")[0] for run in runs]):
        for path in sorted(here.glob("*.safetensors")):
            one, two = load_file(path), load_file(there / path.name)
            if one.keys() != two.keys() or not all(torch.equal(one[key], two[key]) for key in one):
                return False
    losses = []
    for run in runs:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append([(r["kind"], r["step"], r.get("loss"), r.get("scores")) for r in map(json.loads, lines)])
    return losses[0] == losses[1]


def survive(root: Path, kills: int, seed: int = 0, steps: int = 40) -> Tally:
    """So many kills over runs of both kinds, each with up to ten."""
    prepare(root)
    tally, rng, names = Tally(), random.Random(seed), []
    for kind in ("vlm", "nano"):
        child = forked(settings(kind, f"{kind}-whole", root, steps), False)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise SystemExit("непрерванный запуск не удался")
    while tally.kills < kills:
        kind = ("vlm", "nano")[len(names) % 2]
        name = f"{kind}-{len(names)}"
        done = disturbed(settings(kind, name, root, steps), rng, min(10, (kills + 1) // 2, kills - tally.kills), tally)
        tally.kills += done
        names.append((kind, name, done))
    for kind, name, done in names:  # only now: to compare is to compute
        equal = same(root, f"{kind}-whole", name)
        tally.survived += done if equal else 0
        print(f"{name}: убит {done} раз, {'бит в бит' if equal else 'РАЗОШЁЛСЯ'}", flush=True)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wanted = 4 if arguments.quick else arguments.kills
    with tempfile.TemporaryDirectory() as name:
        tally = survive(Path(name), wanted, arguments.seed)
    print(f"переживших: {tally.survived} из {tally.kills}, во время записи убит {tally.in_saves} раз")
    print(
        json.dumps(
            {"kills": tally.kills, "survived": tally.survived, "in_saves": tally.in_saves, "quick": arguments.quick}
        )
    )


if __name__ == "__main__":
    main()
