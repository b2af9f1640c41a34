"""How soon the command line answers: `ruvlm --help` and `ruvlm score` on 12,216 rows, median of several runs.

python benchmarks/start_speed.py [--quick]
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


def timed(arguments: list[str], runs: int) -> float:
    """Median wall seconds of a whole process."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ruvlm", *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    runs = 3 if parser.parse_args().quick else 9
    rng = random.Random(0)
    answers = ["да", "нет", "красный", "стол", "Слева.", "большая кошка", "мужчина", "белые"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        with path.open("w", encoding="utf-8") as handle:
            for number in range(12_216):
                row = {
                    "id": str(number),
                    "imageId": f"n{number // 31}",
                    "gold": rng.choice(answers),
                    "prediction": rng.choice(answers),
                }
                handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        figures = {
            "help_seconds": round(timed(["--help"], runs), 3),
            "score_12216_seconds": round(timed(["score", str(path), "--json"], runs), 3),
            "python_seconds": round(_bare(runs), 3),
        }
    print(f"ruvlm --help {figures['help_seconds']} с; ruvlm score на 12 216 строках {figures['score_12216_seconds']} с; "
          f"пустой python {figures['python_seconds']} с")  # fmt: skip
    print(json.dumps(figures))


def _bare(runs: int) -> float:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
