"""Files of every build with what a reference of ten lines reads from them: what our importers must read too."""

from __future__ import annotations

import csv
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from ruvlm.data.conversations import load
from ruvlm.data.predictions import read_answers
from ruvlm.photos.coco import read_coco
from ruvlm.photos.graphs import read_graphs
from ruvlm.photos.skipped import Skipped

WORDS = (
    "да",
    "нет",
    "кот",
    "на столе",
    "2",
    "1,5",
    " пёс ",
    "а; б",
    "a,b",
    "«стол»",
    'он сказал "да"',
    "x\ty",
    "ё",
    "|",
    "'",
    "0,5",
    "",
)
Rows = list[tuple[str, str, str]]
CLASSES = {1: "person", 18: "dog", 44: "bottle", 11: "fire hydrant"}


def drawn(rng: random.Random) -> list[dict[str, str]]:
    """Rows of id, prediction, gold and a bystander, in some order of columns."""
    golds = [word for word in WORDS if word]
    keys = ["id", "prediction", "gold", "extra"]
    rng.shuffle(keys)
    rows = [
        {"id": str(n), "prediction": rng.choice(WORDS), "gold": rng.choice(golds), "extra": rng.choice(WORDS)}
        for n in range(rng.randint(1, 6))
    ]
    return [{key: row[key] for key in keys} for row in rows]


def ours(path: Path) -> Rows:
    return [(line.identity or "", line.prediction or "", line.gold or "") for line in read_answers(path).lines]


# --- each draws a file and gives (what we read, what the reference reads)


def csv_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    delimiter, encoding = rng.choice(",;\t"), rng.choice(("utf-8", "utf-8-sig", "utf-16", "cp1251"))
    path = folder / ("a.tsv" if delimiter == "\t" else "a.csv")
    rows = drawn(rng)
    with path.open("w", encoding=encoding, newline="") as handle:
        quoting, end = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)), rng.choice(("\n", "\r\n"))
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writeheader()
        writer.writerows(rows)
    with path.open(encoding=encoding, newline="") as handle:
        table = list(csv.reader(handle, delimiter=delimiter))
    where = {name: n for n, name in enumerate(table[0])}
    return ours(path), [(row[where["id"]], row[where["prediction"]], row[where["gold"]]) for row in table[1:]]


def json_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    rows, path = drawn(rng), folder / f"a.{rng.choice(('json', 'jsonl'))}"
    lines = "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows)
    whole = json.dumps(rows, ensure_ascii=False, indent=rng.choice((None, 1, 4)))
    path.write_text(rng.choice((lines, whole)) + rng.choice(("", "\n", "\n\n")), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    found = (
        json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.split("\n") if line.strip()]
    )
    return ours(path), [(row["id"], row["prediction"], row["gold"]) for row in found]


def xlsx_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    from openpyxl import Workbook, load_workbook

    rows, path, book = drawn(rng), folder / "a.xlsx", Workbook()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append([int(row["id"]) if key == "id" else row[key] for key in row])
    book.save(path)
    table = list(load_workbook(path).active.iter_rows(values_only=True))
    cells = [dict(zip(table[0], line, strict=True)) for line in table[1:]]
    return ours(path), [
        tuple(str("" if row[key] is None else row[key]) for key in ("id", "prediction", "gold")) for row in cells
    ]


def lmms_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    rows = drawn(rng)
    path = folder / "samples_gqa-ru.jsonl"
    lines = []
    for number, row in enumerate(rows):
        said = rng.choice((row["prediction"], [row["prediction"]]))
        lines.append(
            {
                "doc_id": number,
                "doc": {"id": row["id"], "answer": row["gold"]},
                "target": row["gold"],
                "filtered_resps": said,
                "resps": [[row["prediction"]]],
            }
        )
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")]
    return ours(path), [(line["doc"]["id"], line["resps"][0][0], line["target"]) for line in found]


def coco_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    """Classes of every picture: ids as numbers or text, boxes of pictures that are not there, files named twice."""
    names = [f"{n}.jpg" for n in range(rng.randint(2, 5))]
    images = [
        {"id": rng.choice((n, str(n))), "file_name": name, "width": 640, "height": 480} for n, name in enumerate(names)
    ]
    if rng.random() < 0.3:
        images.append({**images[0], "id": 77})
    boxes = [
        {
            "image_id": rng.choice((n, str(n))),
            "category_id": rng.choice(list(CLASSES)),
            "bbox": [rng.randint(0, 300), rng.randint(0, 200), rng.randint(5, 200), rng.randint(5, 200)],
        }
        for n in [*range(len(names)), *(rng.choice((*range(len(names)), 77, 99)) for _ in range(8))]
    ]
    path = folder / "i.json"
    path.write_text(
        json.dumps(
            {"images": images, "annotations": boxes, "categories": [{"id": k, "name": v} for k, v in CLASSES.items()]}
        )
    )
    files: dict[str, set[tuple[str, str]]] = {name: set() for name in names}
    owner = {str(image["id"]): str(image["file_name"]) for image in images}
    for box in boxes:
        if str(box["image_id"]) in owner:
            files[owner[str(box["image_id"])]].add((CLASSES[int(str(box["category_id"]))], str(box["bbox"])))
    scenes = list(read_coco(path, folder, Skipped()))
    complete = all(str(box["image_id"]) in owner for box in boxes)
    assert all(scene.exhaustive == complete for scene in scenes), "a box that reaches no picture takes «нет» away"
    return (
        {scene.name: Counter(thing.kind.key for thing in scene.things) for scene in scenes},
        {name: Counter(kind for kind, _ in found) for name, found in files.items() if found},
    )


def graphs_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    """Boxes of every picture's things."""
    graphs = {
        str(n): {
            "width": 100,
            "height": 100,
            "objects": {
                str(k): {
                    "name": "cat",
                    "x": rng.randint(0, 50),
                    "y": rng.randint(0, 50),
                    "w": rng.randint(1, 50),
                    "h": rng.randint(1, 50),
                    "attributes": rng.sample(["red", "small", "xyz"], rng.randint(0, 2)),
                    "relations": [],
                }
                for k in range(rng.randint(0, 4))
            },
        }
        for n in range(rng.randint(1, 4))
    }
    path = folder / "g.json"
    path.write_text(json.dumps(graphs))
    expected = {
        name: [(o["x"], o["y"], o["x"] + o["w"], o["y"] + o["h"]) for o in graph["objects"].values()]
        for name, graph in graphs.items()
    }
    return {
        s.id: [tuple(round(100 * side) for side in t.box) for t in s.things]
        for s in read_graphs(path, folder, Skipped())
    }, expected


def conversations_case(rng: random.Random, folder: Path) -> tuple[object, object]:
    """Every question with the answer right after it, of conversations about one picture that is there."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        if not (images / name).is_file():
            Image.new("RGB", (8, 8)).save(images / name)
    rows, expected = (
        [{"image": "a.jpg", "conversations": [{"from": "human", "value": "Кто?"}, {"from": "gpt", "value": "Кот"}]}],
        [("Кто?", "Кот")],
    )
    for _ in range(rng.randint(1, 6)):
        turns, pairs, last = [], [], None
        for _ in range(rng.randint(1, 6)):
            who, text = rng.choice(("human", "gpt", "system")), rng.choice(("Да", "Кто это", "Кот", "Два"))
            turns.append({"from": who, "value": text})
            if who == "gpt" and last is not None:
                pairs.append((last, text))
            last = text if who == "human" else None if who == "gpt" else last
        image = rng.choice(("a.jpg", "b.jpg", ["a.jpg"], {"path": "b.jpg"}, None, ["a.jpg", "b.jpg"]))
        rows.append({"image": image, "conversations": turns})
        expected += pairs if image is not None and image != ["a.jpg", "b.jpg"] else []
    path = folder / "talk.json"
    text = json.dumps(rows, ensure_ascii=False) if rng.random() < 0.5 else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text, encoding="utf-8")
    return [(example.question, example.answer) for example in load(path, images).examples], expected


IMPORTERS: dict[str, Callable[[random.Random, Path], tuple[object, object]]] = {
    "CSV": csv_case,
    "JSON": json_case,
    "xlsx": xlsx_case,
    "lmms-eval": lmms_case,
    "COCO": coco_case,
    "scene graphs": graphs_case,
    "conversations": conversations_case,
}


def differing(importer: str, cases: int, seed: int = 0) -> list[int]:
    """The numbers of the cases in which an importer and its reference differ."""
    rng = random.Random(f"{importer} {seed}")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in range(cases):
            read, expected = IMPORTERS[importer](rng, Path(folder))
            if read != expected:
                found.append(case)
    return found
