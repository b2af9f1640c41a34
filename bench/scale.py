"""What grows how: CPU seconds and memory of whole commands against the size of their input, with exponents.

    python bench/scale.py [--most 1000000] [--gigabytes 4] [--only KIND …] [--png docs/images] [--quick]

score and report by rows, a world by scenes, reading by gigabytes, an evaluation by questions a picture (a LLaVA of random weights).
Each point is one process; CPU seconds, since a busy machine lengthens the clock's. The exponent is the slope of log(cost) over log(size)
between the last two points, where the start no longer hides it: 1 is in step with the size. Prints a table a kind, with `--png` draws
one figure a kind, and ends in one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# a small process between: the peak that the system reports of a child is never below what its parent had when it began
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": done.returncode, "cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024,
                  "said": (done.stdout + done.stderr)[-500:]}))
"""
READ = """
import sys
from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import read_bytes
dataset = open_source(sys.argv[1]).load("gqa-ru", "train")
for ref in sorted({e.image for e in dataset.examples}, key=lambda ref: (ref.path, ref.row)):
    read_bytes(ref)
"""


@dataclass(frozen=True)
class Point:
    """What one size costs: CPU seconds and megabytes at the peak of the whole process."""

    size: float
    cpu: float
    mb: float


@dataclass(frozen=True)
class Kind:
    """Something that grows: in what, over which sizes, and how a size is prepared and run."""

    name: str
    unit: str
    sizes: tuple[float, ...]
    command: Callable[[float, Path], list[str]]


def measured(command: list[str]) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    read = json.loads(done.stdout)
    if read["code"]:
        raise SystemExit(f"{' '.join(command)}:\n{read['said']}")
    return read["cpu"], read["mb"]


def ruvlm(*words: object) -> list[str]:
    return [sys.executable, "-m", "ruvlm", *map(str, words)]


# --- what is measured


def answers(rows: float, work: Path) -> Path:
    """A file of so many answered questions, 30 of a picture."""
    rng = random.Random(0)
    path = work / "answers.jsonl"
    words = ("да", "нет", "кот", "пёс", "красный", "слева", "стол", "две")
    with path.open("w", encoding="utf-8") as handle:
        for n in range(int(rows)):
            gold = rng.choice(words)
            said = gold if rng.random() < 0.6 else rng.choice(words)
            handle.write(
                json.dumps(
                    {"id": str(n), "imageId": str(n // 30), "question": f"Что {n}?", "gold": gold, "prediction": said},
                    ensure_ascii=False,
                )
                + "\n"
            )
    return path


def scored(rows: float, work: Path) -> list[str]:
    return ruvlm("score", answers(rows, work))


def reported(rows: float, work: Path) -> list[str]:
    return ruvlm("report", answers(rows, work), "--out", work / "r.html")


def drawn(scenes: float, work: Path) -> list[str]:
    shutil.rmtree(work / "w", ignore_errors=True)
    return ruvlm(
        "data", "world", "--out", work / "w", "--train-images", int(scenes), "--scale", "0.001", "--workers", "1"
    )


def read(gigabytes: float, work: Path) -> list[str]:
    from read_memory import write_split

    shutil.rmtree(work / "gqa-ru", ignore_errors=True)
    pictures = round(gigabytes * 27_519 / 4.34)
    write_split(work / "gqa-ru", pictures, round(pictures * 40_000 / 27_519))
    return [sys.executable, "-c", READ, str(work)]


def evaluated(questions: float, work: Path) -> list[str]:
    """16 pictures of so many questions each, asked of a random LLaVA."""
    from PIL import Image
    from tests.support.random_models import llava

    llava(work / "llava")
    lines = ["id,image,question,answer"]
    for picture in range(16):
        Image.effect_noise((96, 96), 20.0 + picture).convert("RGB").save(work / f"{picture}.png")
        lines += [f"{picture}_{n},{picture}.png,Что под номером {n}?,кот" for n in range(int(questions))]
    (work / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    return ruvlm("eval", f"hf:{work / 'llava'}", "--data", work / "table.csv", "--no-controls", "--out", work / "e")


def kinds(most: float, gigabytes: float) -> tuple[Kind, ...]:
    rows = tuple(10.0**n for n in range(3, 7) if 10**n <= most)
    return (
        Kind("score", "строк", rows, scored),
        Kind("report", "строк", rows, reported),
        Kind("world", "сцен", tuple(n for n in (1e3, 1e4, 1e5) if n <= most), drawn),
        Kind("read", "ГБ", tuple(gigabytes / 2**n for n in (3, 2, 1, 0)), read),
        Kind("eval", "вопросов о картинке", (1, 4, 16, 64), evaluated),
    )


def points(kind: Kind) -> Iterator[Point]:
    for size in kind.sizes:
        with tempfile.TemporaryDirectory() as name:
            command = kind.command(size, Path(name))
            yield Point(size, *measured(command))


def exponent(first: Point, last: Point, cost: Callable[[Point], float]) -> float:
    return math.log(cost(last) / cost(first)) / math.log(last.size / first.size)


def draw(kind: Kind, row: list[Point], folder: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.loglog([p.size for p in row], [p.cpu for p in row], "o-", label="секунд процессора")
    axes.loglog([p.size for p in row], [p.mb for p in row], "s--", label="МБ, пик")
    axes.set_xlabel(kind.unit)
    axes.set_title(f"ruvlm {kind.name}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / f"scale-{kind.name}.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="Во сколько обходится больше строк, сцен, гигабайтов, вопросов.")
    parser.add_argument("--most", type=float, default=1e6, help="строк и сцен, не больше")
    parser.add_argument("--gigabytes", type=float, default=4, help="прочесть, не больше (столько же займёт на диске)")
    parser.add_argument("--only", nargs="+", default=[], choices=("score", "report", "world", "read", "eval"))
    parser.add_argument("--png", type=Path, help="папка для графиков")
    parser.add_argument(
        "--quick", action="store_true", help="до 10 000 строк и 0,1 ГБ: его показатели ничего не значат"
    )
    given = parser.parse_args()
    most, gigabytes = (1e4, 0.1) if given.quick else (given.most, given.gigabytes)
    exponents = {}
    for kind in kinds(most, gigabytes):
        if given.only and kind.name not in given.only:
            continue
        row = []
        print(f"| {kind.name}, {kind.unit} | секунд процессора | МБ |\n|---|---|---|")
        for point in points(kind):
            row.append(point)
            print(f"| {point.size:g} | {point.cpu:.2f} | {point.mb:.0f} |", flush=True)
        if len(row) > 1:
            cpu, mb = (exponent(row[-2], row[-1], cost) for cost in (lambda p: p.cpu, lambda p: p.mb))
            exponents[kind.name] = {"cpu": round(cpu, 2), "mb": round(mb, 2)}
            print(f"показатель: время {cpu:.2f}, память {mb:.2f}\n", flush=True)
        if given.png is not None:
            draw(kind, row, given.png)
    print(json.dumps({"exponents": exponents, "quick": given.quick}))


if __name__ == "__main__":
    main()
