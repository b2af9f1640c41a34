"""Reading a train split of GQA-ru's size: memory over all of it, and how soon the first example comes.

python bench/read_memory.py [--quick]: writes 27,519 random JPEGs (4 GB) and 40,000 questions in the hub's layout into a
temporary folder, --quick a tenth of that. Each figure is of a fresh process.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from ruvlm.questions.tables import IMAGES, INSTRUCTIONS

IMAGES_COUNT, QUESTIONS_COUNT, SHARDS, GROUP = 27_519, 40_000, 9, 100

FIRST = """
import sys, time
from ruvlm.benchmarks.source import open_source
example = next(open_source({folder!r}).stream("train"))
assert example.question and "torch" not in sys.modules
print(example.id)
"""
ALL = """
import json, resource
from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import read_bytes
dataset = open_source({folder!r}).load("gqa-ru", "train")
refs = sorted({{e.image for e in dataset.examples}}, key=lambda ref: (ref.path, ref.row))
size = sum(len(read_bytes(ref)) for ref in refs)
print(json.dumps({{"rows": len(dataset.examples), "pictures": len(refs), "bytes": size,
                  "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}}))
"""


def jpegs(count: int) -> list[bytes]:
    """Different noisy photographs of about 146 KB, like Visual Genome's."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        coarse = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((800, 600), Image.Resampling.BICUBIC)
        noisy = np.clip(np.asarray(image, dtype=np.int16) + rng.integers(-24, 24, (600, 800, 3)), 0, 255)
        buffer = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(buffer, "JPEG", quality=80)
        found.append(buffer.getvalue())
    return found


def write_split(folder: Path, pictures: int, questions: int) -> int:
    """The split in the hub's layout; its size in bytes."""
    base = jpegs(40)
    images, instructions = folder / "train_balanced_images", folder / "train_balanced_instructions"
    images.mkdir(parents=True)
    instructions.mkdir()
    ids = [str(1_000_000 + n) for n in range(pictures)]
    for shard in range(SHARDS):
        mine = ids[shard::SHARDS]
        with pq.ParquetWriter(images / f"train-{shard:05d}-of-{SHARDS:05d}.parquet", IMAGES) as writer:
            for start in range(0, len(mine), GROUP):
                # bytes after a JPEG's end are ignored by readers, and make every file another
                rows = [
                    {"id": name, "image": {"bytes": base[int(name) % len(base)] + name.encode(), "path": f"{name}.jpg"}}
                    for name in mine[start : start + GROUP]
                ]
                writer.write_table(table(rows, IMAGES))
    rng = random.Random(0)
    rows = [question(n, ids[n] if n < len(ids) else rng.choice(ids)) for n in range(questions)]
    pq.write_table(table(rows, INSTRUCTIONS), instructions / "train-00000-of-00001.parquet", row_group_size=1000)
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def table(rows: list[dict], schema):
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema)


def question(number: int, image: str) -> dict:
    return {
        "id": str(number),
        "imageId": image,
        "question": f"Какого цвета мяч номер {number}?",
        "answer": "красный",
        "fullAnswer": "Мяч красный.",
        "isBalanced": True,
        "groups": {"global": "color", "local": "06-ball_color"},
        "entailed": "[]",
        "equivalent": f"['{number}']",
        "types": {"structural": "query", "semantic": "attr", "detailed": "directOf"},
        "annotations": {"question": [], "answer": [], "fullAnswer": []},
        "semantic": [],
        "semanticStr": "select: ball->query: color [0]",
    }


def timed(code: str) -> float:
    """Seconds of a whole process, the best of five."""
    import time

    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    share = 10 if arguments.quick else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "gqa-ru"
        size = write_split(folder, IMAGES_COUNT // share, QUESTIONS_COUNT // share)
        found = json.loads(
            subprocess.run(
                [sys.executable, "-c", ALL.format(folder=str(folder))], check=True, capture_output=True, text=True
            ).stdout
        )
        first = timed(FIRST.format(folder=str(folder)))
        start = timed("import pyarrow.parquet")
    note = " (десятая часть)" if arguments.quick else ""
    print(f"набор{note}: {size / 1e9:.2f} ГБ, строк {found['rows']}, картинок {found['pictures']}; прочитан весь")
    print(f"память: {found['mb']:.0f} МБ в пике")
    print(f"первый пример: {first:.2f} с от запуска процесса (из них {start:.2f} с – сам pyarrow)")
    print(
        json.dumps(
            {
                "gigabytes": round(size / 1e9, 2),
                "peak_mb": round(found["mb"]),
                "first_example_s": round(first, 2),
                "quick": arguments.quick,
            }
        )
    )


if __name__ == "__main__":
    main()
