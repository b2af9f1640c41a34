"""COCO-format instances (boxes) → photo scenes. What cannot be trusted is counted and left out, or kept as a warning box."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruvlm.data.jsonl import read_text
from ruvlm.errors import DataError
from ruvlm.photos.names import COCO
from ruvlm.photos.notes import Skipped
from ruvlm.photos.scene import Box, PhotoScene, PhotoThing

Row = dict[str, Any]
_RUSSIAN = {kind.word.lower().replace("ё", "е"): key for key, kind in COCO.items()}


def read_coco(instances: Path, images: Path, skipped: Skipped) -> Iterator[PhotoScene]:
    """The scenes of an instances file in the order of its images; picture files are looked up in `images`.

    Raises DataError for a file that is not in COCO's format, naming the place.
    """
    document = _document(instances)
    names = {row["id"]: _key(str(row["name"])) for row in document["categories"]}
    unknown = sorted(set(names.values()) - set(COCO))
    for name in unknown:
        skipped.add("классов не из 80 классов COCO (о них не спрашиваем, а рядом с ними не говорим «нет»)", name)
    if len(unknown) == len(names):
        raise DataError(
            f"{instances}: ни один из классов ({', '.join(unknown[:5])}) не из 80 классов COCO: переименуйте их."
        )
    boxes: dict[Any, list[Row]] = defaultdict(list)
    for row in document["annotations"]:
        boxes[row["image_id"]].append(row)
    seen: set[Any] = set()
    for image in document["images"]:
        if image["id"] in seen or image["file_name"] in seen:
            skipped.add("картинок, названных дважды", str(image["file_name"]))
            continue
        seen |= {image["id"], image["file_name"]}
        yield _scene(instances, image, boxes[image["id"]], names, images, skipped)


def _key(name: str) -> str:
    """A class as COCO spells it: capitals and underscores aside, and by its Russian name."""
    plain = " ".join(name.lower().replace("_", " ").split())
    return plain if plain in COCO else _RUSSIAN.get(plain.replace("ё", "е"), name)


def _document(path: Path) -> dict[str, list[Row]]:
    import json

    try:
        found = json.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"{path}: это не JSON ({error}): нужен файл instances_*.json в формате COCO.") from error
    for part, fields in (("images", ("id", "file_name", "width", "height")), ("categories", ("id", "name")), ("annotations", ("image_id", "category_id", "bbox"))):  # fmt: skip
        rows = found.get(part) if isinstance(found, dict) else None
        if not isinstance(rows, list) or not rows:
            raise DataError(f"{path}: нет списка «{part}»: нужен файл instances_*.json в формате COCO.")
        for number, row in enumerate(rows):
            missing = [name for name in fields if not isinstance(row, dict) or name not in row]
            if missing:
                raise DataError(f"{path}: в «{part}», запись {number}, нет поля {', '.join(missing)}: дополните её.")
    return dict(found)


def _scene(
    file: Path, image: Row, rows: list[Row], names: dict[Any, str], folder: Path, skipped: Skipped
) -> PhotoScene:
    try:
        width, height = int(image["width"]), int(image["height"])
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: у картинки {image['id']} размер не число: исправьте запись.") from error
    if width <= 0 or height <= 0:
        raise DataError(f"{file}: у картинки {image['id']} размер {width}×{height}: исправьте запись.")
    things: list[PhotoThing] = []
    strangers, whole = [], True
    for row in rows:
        name = names.get(row["category_id"], "")
        if not name:
            skipped.add(
                "рамок с category_id, которого нет в categories", f"картинка {image['id']}, {row['category_id']}"
            )
        if name not in COCO:
            strangers.append(name)
            continue
        box = box_of(row["bbox"], width, height)
        if box is None:
            skipped.add("рамок с неверными числами", f"картинка {image['id']}, {name}, {row['bbox']}")
            # the class is there all the same, but nothing about it is known
            whole = False
            box = (0.0, 0.0, 0.0, 0.0)
        part = (box[2] - box[0]) * (box[3] - box[1])
        area = row.get("area")
        shape = float(area) / (width * height) if isinstance(area, int | float) and area > 0 else part
        crowd = bool(row.get("iscrowd"))
        things.append(PhotoThing(len(things), COCO[name], box, min(shape, part), crowd))
    path = folder / str(image.get("path", image["file_name"]))
    if not path.is_file():
        path = folder / Path(str(image["file_name"])).name
    return PhotoScene(
        str(image["id"]), path, width, height, tuple(things), whole and not strangers, tuple(strangers),
        frozenset(names.values()),
    )  # fmt: skip


def box_of(value: Any, width: int, height: int) -> Box | None:
    """COCO's [x, y, w, h] in pixels as fractions, cut to the picture; None if it is no box or lies outside."""
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(v, int | float) for v in value):
        return None
    x, y, w, h = map(float, value)
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        return None
    box = (max(0.0, x / width), max(0.0, y / height), min(1.0, (x + w) / width), min(1.0, (y + h) / height))
    return box if box[2] > box[0] and box[3] > box[1] else None
