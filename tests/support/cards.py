"""Cards beside rows that others published: a card's folder as its hub repository has it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.support.house import SHARED

REAL = SHARED / "real"
CARDS = sorted((SHARED / "cards").glob("*.toml"))


def stand_in(path: Path, shade: int) -> None:
    """A picture where the published one may not be passed on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (40, 30), (shade * 37 % 256, shade * 91 % 256, 120))
    picture.paste((255, 255, 255), (5, 5, 20, 15))
    picture.save(path)


def card_beside(folder: Path, name: str, rows: dict[str, Path]) -> Path:
    """The shared card `name` in a folder, its rows beside it under the paths that the hub has them at."""
    card = folder / f"{name}.toml"
    shutil.copy(SHARED / "cards" / f"{name}.toml", card)
    text = card.read_text(encoding="utf-8")
    own = next(line.split('"')[1] for line in text.splitlines() if line.startswith("name ="))
    for target, source in rows.items():
        place = folder / own / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place)
        else:
            shutil.copy(source, place)
    return card


def worldcuisines(folder: Path) -> Path:
    """Its card with both tables of questions, and a knowledge base whose pictures are stand-ins."""
    real = REAL / "worldcuisines_ru"
    card = card_beside(
        folder,
        "worldcuisines_ru",
        {
            "hf_prompt/small_eval_task1/ru_formal_1.jsonl": real / "task1_ru_formal.jsonl",
            "hf_prompt/small_eval_task2/ru_formal_1.jsonl": real / "task2_ru_formal.jsonl",
        },
    )
    urls = sorted(
        {
            json.loads(line)["image_url"]
            for table in real.glob("task*_ru_formal.jsonl")
            for line in table.read_text(encoding="utf-8").splitlines()
        }
    )
    table: dict[str, list[object]] = {f"image{n}_url": [] for n in range(1, 9)} | {f"image{n}": [] for n in range(1, 9)}
    for number, url in enumerate(urls):
        picture = folder / "pictures" / f"{number}.png"
        stand_in(picture, number)
        for n in range(1, 9):
            held = number % 8 + 1 == n
            table[f"image{n}_url"].append(url if held else None)
            table[f"image{n}"].append({"bytes": picture.read_bytes(), "path": picture.name} if held else None)
    kb = folder / "kb" / "data" / "main-00000-of-00001.parquet"
    kb.parent.mkdir(parents=True)
    pq.write_table(pa.table(table), kb)
    return card
