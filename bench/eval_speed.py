"""Our evaluation beside lmms-eval 0.7.3: same files, same model folder, same answers; ratios of medians, alternating runs.

python bench/eval_speed.py [--quick] [--images 16] [--runs 3] [--only gqa,mmbench,hybrid,canned]

The set is a slice of the embedded world in the hub's layout: its ratio of 30 questions a picture is GQA-ru's. The models
are an untrained LLaVA and, as hybrid and hybrid_mmbench, a Qwen3.5 (gated delta nets and attention): tens of millions of
parameters, 196 image tokens, and an end token likely enough for answers to end. lmms-eval's own class opens each. The canned
model answers from a file: what is timed there is everything around a model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.lmms_side import Measured, hub_slice, measured, run_lmms
from tests.support.random_models import hybrid, llava

TASKS = {"gqa": ("gqa-ru", "gqa-ru/lmms"), "mmbench": ("mmbench_ru_dev", "mmbench-ru/lmms")}
TIMED = {"gqa": "gqa", "mmbench": "mmbench", "hybrid": "gqa", "hybrid_mmbench": "mmbench"}
# of the hybrid's pictures: (448 / 32)² = 196 tokens
SIDE = 448
STOPS = {"gqa": "\n\n", "mmbench": "ASSISTANT:"}
# stamps the moment when a model is asked for the first time, as the canned model of lmms-eval does
STAMPED = """
import sys, time
import ruvlm.backends.replay as replay
answer = replay.ReplayBackend.answer
def stamped(self, asked):
    open(sys.argv.pop(1), "w").write(repr(time.time()))
    return answer(self, asked)
replay.ReplayBackend.answer = stamped
from ruvlm.cli.main import main
stamp = sys.argv[1]
sys.exit(main(sys.argv[2:]))
"""


def ask_ours(
    work: Path, model: str, kind: str, extra: list[str], stamp: Path | None = None
) -> tuple[Measured, dict[str, str]]:
    """One run of `ruvlm eval`; its answers by place in the set."""
    out = Path(tempfile.mkdtemp(dir=work))
    start = [sys.executable, "-m", "ruvlm"] if stamp is None else [sys.executable, "-c", STAMPED, str(stamp)]
    command = [
        *start,
        "eval",
        model,
        "--data",
        str(work / "deepvk"),
        "--split",
        "testdev",
        "--no-controls",
        "--protocol",
        TASKS[kind][1],
        "--out",
        str(out),
        *extra,
    ]
    done = measured(command, work, {})
    if done.code:
        raise SystemExit(f"ruvlm eval: код {done.code}\n{done.tail}")
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    lines = (folder / "responses.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    places = {str(name): str(place) for place, name in enumerate(identities(work, kind))}
    return done, {places[row["id"]]: row["response"]["text"] for row in rows}


def identities(work: Path, kind: str) -> list[Any]:
    """Ids of the slice's rows, in the file's order, which is how lmms-eval counts."""
    if kind == "gqa":
        path, column = work / "deepvk/GQA-ru/testdev_balanced_instructions/testdev-00000-of-00001.parquet", "id"
    else:
        path, column = work / "deepvk/MMBench-ru/mmbench_ru_dev.parquet", "index"
    found: list[Any] = pq.read_table(path, columns=[column]).column(column).to_pylist()
    return found


@dataclass(frozen=True)
class Rival:
    """A model's folder and how lmms-eval opens it: its class, the arguments of that, and whether it wants torchvision."""

    folder: Path
    name: str
    arguments: str
    vision: bool = False


def compare_model(work: Path, rival: Rival, kind: str, runs: int, name: str) -> dict[str, Any]:
    """Alternating runs of both sides with a real model."""
    seconds: dict[str, list[float]] = {"ours": [], "lmms": []}
    equal = 0
    for _ in range(runs):
        ours, mine = ask_ours(work, f"hf:{rival.folder}", kind, [])
        arguments = f"pretrained={rival.folder},device=cpu,device_map=cpu,{rival.arguments}"
        theirs, other = run_lmms(work, rival.name, arguments, TASKS[kind][0], work / "stamp", vision=rival.vision)
        seconds["ours"].append(ours.seconds)
        seconds["lmms"].append(theirs.seconds)
        # the protocol stops at these texts, llava_hf of lmms-eval does not: its answers are cut here; its MMBench log has
        # them stripped
        equal = sum(mine[key].strip() == text.split(STOPS[kind])[0].strip() for key, text in other.items())
    return _row(name, seconds, len(mine), equal)


def compare_canned(work: Path, runs: int) -> dict[str, Any]:
    """Alternating runs of both sides with answers from a file: wall, peak memory, time to the first sample."""
    answers, stamp = work / "canned.jsonl", work / "stamp"
    rows = pq.read_table(
        work / "deepvk/GQA-ru/testdev_balanced_instructions/testdev-00000-of-00001.parquet", columns=["id", "answer"]
    ).to_pylist()
    golds = [row["answer"] for row in rows]
    lines = [{"id": row["id"], "prediction": golds[n if n % 2 else n * 7 % len(golds)]} for n, row in enumerate(rows)]
    answers.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    seconds: dict[str, list[float]] = {"ours": [], "lmms": []}
    memory: dict[str, list[float]] = {"ours": [], "lmms": []}
    first: dict[str, list[float]] = {"ours": [], "lmms": []}
    for _ in range(runs):
        ours, mine = ask_ours(work, f"file:{answers}", "gqa", [], stamp)
        first["ours"].append(float(stamp.read_text()) - ours.started)
        theirs, other = run_lmms(work, "canned", f"answers={answers}", "gqa-ru", stamp)
        first["lmms"].append(float(stamp.read_text()) - theirs.started)
        for side, done in (("ours", ours), ("lmms", theirs)):
            seconds[side].append(done.seconds)
            memory[side].append(done.memory)
    equal = sum(mine[key] == text for key, text in other.items())
    figures = _row("canned_wall", seconds, len(mine), equal)
    figures |= _row("canned_memory", memory, len(mine), equal, "МБ") | _row("first_sample", first, len(mine), equal)
    return figures


def _row(name: str, found: dict[str, list[float]], n: int, equal: int, unit: str = "с") -> dict[str, Any]:
    ours, lmms = statistics.median(found["ours"]), statistics.median(found["lmms"])
    print(
        f"{name}: наш {ours:.2f} {unit}, lmms-eval {lmms:.2f} {unit}, отношение {lmms / ours:.2f} (n = {n}, ответов совпало "
        f"{equal}; все замеры: наши {[round(x, 2) for x in found['ours']]}, его {[round(x, 2) for x in found['lmms']]})",
        flush=True,
    )
    return {f"{name}_ratio": round(lmms / ours, 2), f"{name}_n": n, f"{name}_equal": equal}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="gqa,mmbench,hybrid,canned")
    parser.add_argument("--world", type=Path, default=None, help="готовый мир; иначе рисуется малый")
    given = parser.parse_args()
    images, runs = (1, 1) if given.quick else (given.images, given.runs)
    only = given.only.split(",")
    figures: dict[str, Any] = {"quick": given.quick}
    with tempfile.TemporaryDirectory(prefix="ruvlm-speed-") as folder:
        root = Path(folder)
        world = given.world or root / "world"
        if given.world is None:
            drawn = [sys.executable, "-m", "ruvlm", "data", "world", "--train-images", "50", "--out", str(world)]
            subprocess.run(drawn, check=True, capture_output=True)
        work = hub_slice(world, root / "slice", images)
        print(f"срез {images} картинок", flush=True)
        started = time.time()
        for name in (name for name in TIMED if name in only):
            opened = _hybrid if name.startswith("hybrid") else _llava
            figures |= compare_model(work, opened(root, world), TIMED[name], runs, name)
        if "canned" in only:
            whole = hub_slice(world, root / "whole", None if not given.quick else 40)
            figures |= compare_canned(whole, 1 if given.quick else max(5, runs))
        figures["minutes"] = round((time.time() - started) / 60, 1)
    print(json.dumps(figures))


def _llava(root: Path, world: Path) -> Rival:
    folder = root / "llava"
    if not folder.exists():
        llava(
            folder,
            width=512,
            layers=10,
            heads=8,
            image=224,
            patch=16,
            vision=256,
            vision_layers=6,
            vocabulary=8000,
            strength=8.0,
            texts=world_texts(world),
        )
        _present("LLaVA", folder)
    return Rival(folder, "llava_hf", "dtype=float32")


def _hybrid(root: Path, world: Path) -> Rival:
    folder = root / "hybrid"
    if not folder.exists():
        hybrid(
            folder,
            width=512,
            layers=8,
            head=128,
            side=SIDE,
            vision=192,
            vision_layers=4,
            vocabulary=8000,
            strength=3.0,
            texts=world_texts(world),
        )
        _present("Qwen3.5", folder)
    # its own defaults let the model think and make pictures smaller; ours are not to think, and the folder's size
    size = f"min_pixels={SIDE * SIDE},max_pixels={SIDE * SIDE}"
    return Rival(folder, "qwen3_5_float32", f"enable_thinking=False,{size}", vision=True)


def _present(name: str, folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 4e6
    print(f"модель {name}: {size:.1f} млн параметров, 196 токенов картинки", flush=True)


def world_texts(world: Path) -> list[str]:
    found: list[str] = []
    for path in sorted((world / "gqa-ru/testdev_balanced_instructions").glob("*.parquet")):
        found += pq.read_table(path, columns=["question"]).column("question").to_pylist()[:3000]
    return found


if __name__ == "__main__":
    main()
