"""Cards beside rows that others published: a card's folder as its hub repository has it."""

from __future__ import annotations

import base64
import csv
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


def real_mera(data: Path, hub: str, name: str) -> None:
    """Only one row of each table has its picture: the others get a stand-in."""
    shutil.copytree(REAL / "mera_rows" / "hub" / hub, data / name)
    stand_in(data / "picture.png", 3)
    for path in (data / name).rglob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            row["inputs"]["image"] = row["inputs"]["image"] or {"path": None}
            if not row["inputs"]["image"].get("bytes"):
                row["inputs"]["image"] = {"bytes": (data / "picture.png").read_bytes(), "path": None}
        pq.write_table(pa.Table.from_pylist(rows), path)


def hidden(data: Path, count: int = 4) -> list[int]:
    """LabTabVQA's declared layout with made-up questions."""
    letters = "abcdefg"
    rows = [
        {
            "instruction": "Посмотри: <image>. {question}\nA. {option_a}\nB. {option_b}\nОтвет дай после слова ОТВЕТ.",
            "inputs": {
                "question": f"Сколько строк {n}?",
                **{f"option_{x}": f"{x}{n}" if x in "ab" else None for x in letters},
            },
            "outputs": "",
            "meta": {"id": 7 + n, "categories": {"question_type": "t", "question_source": "s"}},
        }
        for n in range(count)
    ]
    folder = data / "labtabvqa/data"
    folder.mkdir(parents=True)
    for number, row in enumerate(rows):
        picture = folder / f"{number}.png"
        stand_in(picture, number)
        row["inputs"]["image"] = {"bytes": picture.read_bytes(), "path": None}  # type: ignore[index]
        picture.unlink()
    pq.write_table(pa.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    return [7 + n for n in range(count)]


def translations(data: Path, world: Path) -> None:
    """The world's choices as two more translations of MMBench: VLMEvalKit's table, and a table of commas."""
    table = pq.read_table(next((world / "mmbench-ru").glob("mmbench_ru_dev*.parquet"))).to_pylist()
    table = [{**row, "image": base64.b64encode(row["image"]["bytes"]).decode()} for row in table[:200]]
    names = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image")
    for name, file, sign in (
        ("mmbench-dev-ru-parrot", "mmbench/mmbench_dev_ru.tsv", "\t"),
        ("mmbench-dev-ru-vikhr", "dev.csv", ","),
    ):
        path = data / name / file
        path.parent.mkdir(parents=True)
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, delimiter=sign)
            writer.writerow(names)
            for row in table:
                writer.writerow(["" if row.get(key) is None else row[key] for key in names])
