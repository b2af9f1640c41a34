"""Explaining two evaluations of GQA-ru's size: seconds and memory of the whole command.

    python bench/explain_speed.py [--rows 12216]

Writes two logs of so many short answers with prompts and a tool's own verdicts, runs `ruvlm explain` on them five times in fresh
processes, and prints the median of the seconds and the peak of the memory.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEASURED = """
import resource, sys
from ruvlm.cli.main import main
code = main(["explain", *sys.argv[1:], "--json"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
sys.exit(code)
"""
WORDS = ("да", "нет", "кошка", "собака", "дом", "лес", "красный", "слева")


def log(path: Path, rows: int, seed: int, right: float) -> None:
    """A log of one model; the gold answers are the same in all."""
    golds, rng = random.Random(0), random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            gold = golds.choice(WORDS)
            said = gold if rng.random() < right else rng.choice(WORDS)
            row = {"id": str(number), "prediction": said, "gold": gold, "prompt": "Ответь одним словом."}
            file.write(json.dumps(row | {"exact_match": float(said == gold)}, ensure_ascii=False) + "\n")


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12216)
    rows = parser.parse_args().rows
    seconds, megabytes = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        log(folder / "a.jsonl", rows, 1, 0.5)
        log(folder / "b.jsonl", rows, 2, 0.6)
        for _ in range(5):
            started = time.perf_counter()
            command = [sys.executable, "-c", MEASURED, "a.jsonl", "b.jsonl"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            seconds.append(time.perf_counter() - started)
            megabytes.append(float(done.stderr.splitlines()[-1]))
        parts = json.loads(done.stdout)["parts"]
    print(", ".join(f"{cause} {points:+.2f}" for cause, points in parts.items()))
    print(f"строк {rows} и {rows}: {statistics.median(seconds):.2f} с, {max(megabytes):.0f} МБ")


if __name__ == "__main__":
    main()
