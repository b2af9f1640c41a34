"""How soon the command line answers: `ruvlm --help`, median of several runs.

python bench/start_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time


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
    figures = {"help_seconds": round(timed(["--help"], runs), 3), "python_seconds": round(_bare(runs), 3)}
    print(f"ruvlm --help {figures['help_seconds']} с; пустой python {figures['python_seconds']} с")
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
