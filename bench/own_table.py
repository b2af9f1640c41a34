"""From a table and pictures to a score with floors and an interval: how long, beside the model's own time.

    python bench/own_table.py [--rows 1000]

Draws pictures and a CSV without a card, answers them from a file (a model that costs nothing),
and prints the seconds of `ruvlm eval` from a fresh process, the median of five, beside those of `ruvlm --help`.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ANSWERS = ("кот", "пёс", "дом", "лес", "да", "нет")


def laid(folder: Path, rows: int) -> None:
    """A table of so many questions, ten a picture, with Russian headers, and a file of answers, two of three right."""
    rng = random.Random(0)
    (folder / "фото").mkdir()
    for number in range(max(1, rows // 10)):
        Image.effect_noise((256, 192), 60).convert("RGB").save(folder / "фото" / f"{number}.jpg")
    golds = [rng.choice(ANSWERS) for _ in range(rows)]
    with (folder / "вопросы.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(("Номер", "Вопрос", "Ответ", "Картинка"))
        writer.writerows((n, f"Что на картинке {n}?", gold, f"{n // 10}.jpg") for n, gold in enumerate(golds))
    said = [{"id": str(n), "prediction": gold if n % 3 else "ничего"} for n, gold in enumerate(golds)]
    (folder / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")


def seconds(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - started


def main() -> None:
    """Print the medians and what was scored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    rows = parser.parse_args().rows
    ruvlm = [sys.executable, "-m", "ruvlm"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        laid(folder, rows)
        times = [
            seconds([*ruvlm, "eval", "file:said.jsonl", "--data", ".", "--out", f"r{n}", "--json"], folder)
            for n in range(5)
        ]
        bare = statistics.median(seconds([*ruvlm, "--help"], folder) for _ in range(5))
        summaries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("r0/*/summary.json"))]
    for summary in summaries:
        name, score = next(iter(summary["scores"].items()))
        print(
            f"{summary['model']}: {name} {score['value']:.1f} % ({score['low']:.1f}–{score['high']:.1f}), n = {score['n']}"
        )
    print(f"строк {rows}: {statistics.median(times):.2f} с, из них пустая команда {bare:.2f} с")


if __name__ == "__main__":
    main()
