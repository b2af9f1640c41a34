"""Does what we train come back? Per family: train → final_model → eval, whole and LoRA, and the adapter merged.

    python bench/train_loops.py [FAMILY…] [--steps 60] [--folder /tmp/families] [--quick]

A tiny random model of each family learns the questions of four drawn pictures; then the written folder answers them. What
is printed is how many of its training questions each of the folders answers right (a fit, no measure of quality). Adapter
and merged model must agree. Prints a markdown table and, as the last line, JSON. --quick: three families, two steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.family_models import built

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = (
    "llava",
    "llava_next",
    "llava_onevision",
    "idefics3",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_5",
    "internvl",
    "gemma3",
    "gemma4",
)
WAYS = {
    "whole": (
        "vlm.lora_rank=0",
        'vlm.parts=["projector","language"]',
        "vlm.language_lr=0.003",
        "vlm.projector_lr=0.003",
    ),
    "LoRA": ("vlm.lora_rank=8", "vlm.language_lr=0.02"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/families"), help="where the models are built")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    names = arguments.family or list(FAMILIES[::4] if arguments.quick else FAMILIES)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="ruvlm-loops-") as name:
        work = Path(name)
        ruvlm("data", "world", "--out", work / "world", "--train-images", 4, "--scale", 0.002)
        print("| family | whole | LoRA | merged |\n|---|---|---|---|")
        for family in names:
            rows.append(
                {"family": family}
                | loop(built(family, arguments.folder), work, 2 if arguments.quick else arguments.steps)
            )
            print("| " + " | ".join(str(cell) for cell in rows[-1].values()) + " |", flush=True)
    broken = sum(1 for row in rows if any("!" in str(cell) for cell in row.values()))
    print(json.dumps({"families": len(rows), "broken": broken, "rows": rows}, ensure_ascii=False))
    return int(bool(broken))


def loop(source: Path, work: Path, steps: int) -> dict[str, str]:
    """What each way's folder answers right, or «! » and why it did not come so far."""
    cells = {}
    for way, settings in WAYS.items():
        try:
            final = trained(source, work, f"{source.name}-{way}", steps, settings)
            cells[way] = recited(f"hf:{final}" if way == "whole" else f"hf:{source}+{final}", work)
            if way == "LoRA":
                merged = work / f"{source.name}-merged"
                ruvlm("model", "merge", f"{source}+{final}", "--out", merged)
                cells["merged"] = recited(f"hf:{merged}", work)
        except RuntimeError as error:
            cells[way] = f"! {error}"
    return cells


def trained(source: Path, work: Path, name: str, steps: int, settings: tuple[str, ...]) -> Path:
    """The final_model of a run on the world's training pictures."""
    common = (
        f'vlm.path="{source}"',
        f'data.path="{work}/world"',
        f'name="{name}"',
        f'results="{work}/results"',
        'device="cpu"',
        f"train.max_steps={steps}",
        "train.images_per_step=2",
        "train.questions_per_image=6",
        "train.validations=0",
        "train.warmup_steps=2",
    )
    sets = [word for setting in (*common, *settings) for word in ("--set", setting)]
    ruvlm("train", "vlm_lora", *sets)
    return work / "results" / name / "final_model"


def recited(spec: str, work: Path) -> str:
    """Right answers to the training pictures' questions, in per cent."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        said = ruvlm(
            "eval",
            spec,
            "--data",
            work / "world",
            "--split",
            "train",
            "--no-controls",
            "--protocol",
            "gqa-ru/lmms",
            "--out",
            out,
            "--json",
        )
    (result,) = json.loads(said)
    return f"{result['scores']['gqa-ru/lmms']['value']:.0f} % of {result['n']}"


def ruvlm(*words: object) -> str:
    """One command; its output. Raises RuntimeError with its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "ruvlm", *map(str, words)], capture_output=True, text=True, timeout=1200, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["?"])[-1][:160])
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
