"""Kill a training run with SIGKILL at random moments, saves too, resume it each time: are the last weights those of an undisturbed run?

python benchmarks/resume.py [--kills 20] [--quick]: a tiny LLaVA with LoRA and dropout, and nano; CPU, fp32. Counted is every kill
after which the run went on, of runs whose weights, optimiser state and recorded losses end bit for bit as undisturbed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.random_models import llava
from safetensors.torch import load_file

from ruvlm.training.state import checkpoints
from ruvlm.world.export import build, plans

ROOT = Path(__file__).parents[1]


def command(kind: str, name: str, root: Path, *flags: str) -> list[str]:
    base = [f'results="{root / "results"}"', f'data.path="{root / "world"}"', f'name="{name}"', 'device="cpu"',
            "train.checkpoint_minutes=0.001", "train.validations=2"]  # fmt: skip
    if kind == "vlm":
        config = "llava_stage1"
        base += [f'vlm.path="{root / "model"}"', "vlm.lora_rank=4", "vlm.lora_dropout=0.1", "train.max_steps=60",
                 "train.images_per_step=3", "train.questions_per_image=5"]  # fmt: skip
    else:
        config = "nano_world"
        # no budget of time: what a slow moment costs would end the run at another step
        base += ["train.max_steps=60", "train.images_per_step=6", "train.max_minutes=10000"]
    sets = [part for override in base for part in ("--set", override)]
    return [sys.executable, "-m", "ruvlm", "train", str(ROOT / "configs" / f"{config}.toml"), *sets, *flags]


def disturbed(kind: str, name: str, root: Path, rng: random.Random, most: int) -> int:
    """Run to the end with up to `most` kills; how many there were."""
    folder = root / "results" / name
    kills, flags = 0, []
    while not (folder / "final_model").is_dir():
        process = subprocess.Popen(
            command(kind, name, root, *flags), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        before = checkpoints(folder / "checkpoints")[:1]
        if kills < most:
            # wait until it trains, then a moment more: some kills fall into a save
            while process.poll() is None and checkpoints(folder / "checkpoints")[:1] == before:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.25))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
        _, said = process.communicate()
        if process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"запуск не продолжился: {said}")
        flags = ["--resume"]
    return kills


def same(root: Path, a: str, b: str) -> bool:
    """Weights, the last checkpoint, and every recorded loss."""
    runs = [root / "results" / name for name in (a, b)]
    for here, there in ([run / "final_model" for run in runs], [checkpoints(run / "checkpoints")[0] for run in runs]):
        for path in sorted(here.glob("*.safetensors")):
            one, two = load_file(path), load_file(there / path.name)
            if one.keys() != two.keys() or not all(bool((one[key] == two[key]).all()) for key in one):
                return False
    losses = []
    for name in (a, b):
        lines = (root / "results" / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        losses.append([(r["step"], r.get("loss"), r.get("gqa")) for r in map(json.loads, lines)])
    return losses[0] == losses[1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    wanted = 4 if arguments.quick else arguments.kills
    rng, survived, done = random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        llava(root / "model")
        build("mini", root / "world", seed=3, splits=plans("mini", 60, 0.03))
        for kind in ("vlm", "nano"):
            subprocess.run(command(kind, f"{kind}-whole", root), check=True, capture_output=True)
        number = 0
        while done < wanted:
            kind = ("vlm", "nano")[number % 2]
            kills = disturbed(kind, f"{kind}-{number}", root, rng, min(5, wanted - done))
            equal = same(root, f"{kind}-whole", f"{kind}-{number}")
            done += kills
            survived += kills if equal else 0
            number += 1
            print(f"{kind}: убит {kills} раз, {'бит в бит' if equal else 'РАЗОШЁЛСЯ'}", flush=True)
    print(f"переживших: {survived} из {done}")
    print(json.dumps({"kills": done, "survived": survived, "quick": arguments.quick}))


if __name__ == "__main__":
    main()
