"""Pictures a second: plain Pillow, `datasets` + transformers' processor, our first pass, and our cached pixels.

python bench/decode.py [--quick]: 640×480 JPEGs to 224×224, side by side, medians of alternating rounds. `datasets` is no
dependency of ours: it is installed into `.bench-datasets` for this measurement, and left out with --quick if it is not there.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ruvlm.data.pixels import PixelStore
from ruvlm.questions.tables import IMAGES
from ruvlm.schema import ImageRef

SIDE = 224
ROOT = Path(__file__).parents[1]
OTHERS = ROOT / ".bench-datasets"
DATASETS = """
import sys, time
from datasets import load_dataset
from transformers import CLIPImageProcessor
processor = CLIPImageProcessor(size={{"height": {side}, "width": {side}}}, do_center_crop=False)
rows = load_dataset("parquet", data_files={file!r}, split="train", cache_dir={cache!r}, keep_in_memory=True)
from datasets import Image
rows = rows.cast_column("image", Image())
started = time.perf_counter()
for start in range(0, len(rows), 32):
    processor(rows[start : start + 32]["image"], return_tensors="np")
print(len(rows) / (time.perf_counter() - started))
"""


def write_pictures(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        rows.append({"id": str(number), "image": {"bytes": buffer.getvalue(), "path": f"{number}.jpg"}})
    pq.write_table(pa.Table.from_pylist(rows, schema=IMAGES), path, row_group_size=100)


def pillow(path: Path) -> int:
    """Read, decode, resize, one after another."""
    values = pq.read_table(path, columns=["image"]).column("image").combine_chunks().field("bytes")
    for value in values:
        image = Image.open(io.BytesIO(value.as_py())).convert("RGB")
        np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return len(values)


def first_pass(path: Path) -> int:
    """Our cache, built anew."""
    with tempfile.TemporaryDirectory() as cache:
        refs = [ImageRef(path, row) for row in range(pq.ParquetFile(path).metadata.num_rows)]
        return len(PixelStore.build(refs, SIDE, Path(cache)).pixels)


def epochs(store: PixelStore, batches: int = 20) -> int:
    """Epochs over the cached pixels in a random order, batches of 32 copied into memory."""
    rng = np.random.default_rng(1)
    total = 0
    for _ in range(batches):
        for rows in np.array_split(rng.permutation(len(store.pixels)), max(1, len(store.pixels) // 32)):
            total += len(store.pixels[np.sort(rows)])
    return total


def rate(work: Callable[[], int]) -> float:
    started = time.perf_counter()
    return work() / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    count, rounds = (300, 2) if arguments.quick else (1000, 5)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pictures.parquet"
        write_pictures(path, count)
        store = PixelStore.build([ImageRef(path, row) for row in range(count)], SIDE, Path(name) / "cache")
        ways: dict[str, Callable[[], float]] = {
            "pillow": lambda: rate(lambda: pillow(path)),
            "first_pass": lambda: rate(lambda: first_pass(path)),
            "cached": lambda: rate(lambda: epochs(store)),
        }
        if not OTHERS.is_dir() and not arguments.quick:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(OTHERS), "datasets>=4,<5"]
            subprocess.run(pip, check=True)
        if OTHERS.is_dir():
            code = DATASETS.format(side=SIDE, file=str(path), cache=str(Path(name) / "hf"))
            place = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": name, "PYTHONPATH": str(OTHERS)}

            def others() -> float:
                done = subprocess.run(
                    [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=place
                )
                return float(done.stdout)

            ways["datasets"] = others
        else:
            print("datasets: нет .bench-datasets, пропускаю (без --quick поставит сам)", file=sys.stderr)
        measured: dict[str, list[float]] = {key: [] for key in ways}
        for _ in range(rounds):
            for key, work in ways.items():
                measured[key].append(work())
    medians = {key: statistics.median(values) for key, values in measured.items()}
    titles = {
        "pillow": "Pillow, одно ядро",
        "datasets": "datasets + CLIPImageProcessor",
        "first_pass": "наш первый проход (хеш, все ядра, запись)",
        "cached": "наш кэш, эпохи вразброс",
    }
    for key, value in medians.items():
        print(f"{titles[key]:45} {value:10.0f} картинок/с   ×{value / medians['pillow']:.1f} к Pillow")
    figures = {f"{key}_per_second": round(value) for key, value in medians.items()}
    figures |= {
        "cached_ratio": round(medians["cached"] / medians["pillow"], 1),
        "first_pass_ratio": round(medians["first_pass"] / medians["pillow"], 2),
    }
    if "datasets" in medians:
        figures["cached_to_datasets_ratio"] = round(medians["cached"] / medians["datasets"], 1)
    print(json.dumps(figures | {"quick": arguments.quick}))


if __name__ == "__main__":
    main()
