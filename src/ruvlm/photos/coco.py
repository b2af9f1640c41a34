"""COCO-format instances (boxes) → photo scenes. What cannot be trusted is counted and left out, or kept as a warning box.

What is missing is never taken for absence: a box that reaches no picture, a picture nobody has annotated yet, a set whose
annotation is not exhaustive make no «нет» and no count.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.data.jsonl import TwiceError, once, read_text
from ruvlm.data.picture_folder import PictureFolder
from ruvlm.errors import DataError
from ruvlm.photos.names import COCO
from ruvlm.photos.scene import Box, PhotoScene, PhotoThing
from ruvlm.photos.skipped import Skipped

Row = dict[str, Any]
_RUSSIAN = {kind.word.lower().replace("ё", "е"): key for key, kind in COCO.items()}
_PARTS = (
    ("images", ("id", "file_name", "width", "height")),
    ("categories", ("id", "name")),
    ("annotations", ("image_id", "category_id", "bbox")),
)
# what an annotation says of itself that takes its certainty away, in COCO, Open Images, VOC, CrowdHuman
_UNSURE = (
    "iscrowd",
    "is_crowd",
    "crowd",
    "group",
    "unsure",
    "isgroupof",
    "is_group_of",
    "ignore",
    "difficult",
    "isdepiction",
    "is_depiction",
    "uncertain",
)
FEDERATED = ("neg_category_ids", "not_exhaustive_category_ids", "non_exhaustive_category_ids", "pos_category_ids")
# of all boxes, how many may leave their picture before the boxes are taken for something else
LEAVING = 0.1


@dataclass(frozen=True)
class _File:
    """One picture file: its own record, the boxes of every record of it, what is not marked exhaustively in it."""

    image: Row
    rows: list[Row]
    partial: bool
    open_classes: frozenset[str]


def read_coco(instances: Path, images: Path, skipped: Skipped) -> Iterator[PhotoScene]:
    """The scenes of an instances file in the order of its images; picture files are looked up in `images`.

    Raises DataError for a file that is not in COCO's format, naming the place.
    """
    document = _document(instances)
    names = _classes(instances, document["categories"], skipped)
    files, lost = _files(instances, document, names, skipped)
    _refuse_other_boxes(instances, files)
    folder = PictureFolder(images, [str(file.image["file_name"]) for file in files])
    bases = Counter(_base(file) for file in files)
    # the same file, it may be, under a name that leads nowhere: its boxes are missing from the other
    lost_bases = {_base(file) for file in files if bases[_base(file)] > 1 and _place(folder, file) is None}
    for file in files:
        if not file.rows and not file.partial and len(files) > 1:
            skipped.add("картинок без единой рамки (может быть, их ещё не разметили)", str(file.image["file_name"]))
            continue
        doubtful = _base(file) in lost_bases
        yield _scene(instances, file, names, folder, skipped, closed=not lost and not doubtful)
    if folder.by_base:
        skipped.add_count("картинок найдено по имени без папки (оно одно такое)", folder.by_base)
    if folder.outside:
        skipped.add_count("имён, которые ведут из папки с картинками", folder.outside)


def _base(file: _File) -> str:
    return posixpath.basename(_file_name(str(file.image["file_name"])))


def _place(folder: PictureFolder, file: _File) -> Path | None:
    """Where a picture file is; None if it is not found."""
    return folder.find(*(str(file.image[field]) for field in ("path", "file_name") if file.image.get(field)))


def _classes(path: Path, rows: Sequence[Row], skipped: Skipped) -> dict[str, str]:
    """Class names by category id. Raises DataError for one id with two names, or for no class that is known."""
    names: dict[str, str] = {}
    for row in rows:
        key, name = _id(path, row["id"], "categories"), class_key(str(row["name"]))
        if names.setdefault(key, name) != name:
            raise DataError(f"{path}: в «categories» id {key} назван дважды ({names[key]} и {name}): исправьте номера.")
    unknown = sorted(set(names.values()) - set(COCO))
    for name in unknown:
        skipped.add("классов не из 80 классов COCO (о них не спрашиваем, а рядом с ними не говорим «нет»)", name)
    if len(unknown) == len(set(names.values())):
        raise DataError(
            f"{path}: ни один из классов ({', '.join(unknown[:5])}) не из 80 классов COCO: переименуйте их."
        )
    return names


def class_key(name: str) -> str:
    """A class as COCO spells it: capitals and underscores aside, and by its Russian name."""
    plain = " ".join(name.lower().replace("_", " ").split())
    return plain if plain in COCO else _RUSSIAN.get(plain.replace("ё", "е"), name)


def _document(path: Path) -> dict[str, list[Row]]:
    try:
        document = json.loads(read_text(path), object_pairs_hook=once)
    except TwiceError as error:
        raise DataError(f"{path}: поле «{error}» в одной записи названо дважды: оставьте одно.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: это не JSON ({error}): нужен файл instances_*.json в формате COCO.") from error
    for part, fields in _PARTS:
        rows = document.get(part) if isinstance(document, dict) else None
        if not isinstance(rows, list) or not rows:
            raise DataError(f"{path}: нет списка «{part}»: нужен файл instances_*.json в формате COCO.")
        for number, row in enumerate(rows):
            missing = [name for name in fields if not isinstance(row, dict) or name not in row]
            if missing:
                raise DataError(f"{path}: в «{part}», запись {number}, нет поля {', '.join(missing)}: дополните её.")
    return dict(document)


def _id(path: Path, value: Any, part: str) -> str:
    """An id as text: 1, «1» and 1.0 are one. Raises DataError for what can be no id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise DataError(f"{path}: в «{part}» номер {str(value)[:60]} – не число и не текст: исправьте запись.")
    return str(value).strip()


def _files(
    path: Path, document: dict[str, list[Row]], names: dict[str, str], skipped: Skipped
) -> tuple[list[_File], int]:
    """One entry a picture file with all of its boxes, and how many boxes reach no picture at all."""
    boxes: dict[str, list[Row]] = defaultdict(list)
    for row in document["annotations"]:
        boxes[_id(path, row["image_id"], "annotations")].append(row)
    records: dict[str, list[Row]] = defaultdict(list)
    owners: dict[str, set[str]] = defaultdict(set)
    for image in document["images"]:
        if not isinstance(image["file_name"], str) or not image["file_name"].strip():
            raise DataError(f"{path}: имя картинки {str(image['file_name'])[:60]} – не текст: исправьте запись.")
        name = _file_name(image["file_name"])
        records[name].append(image)
        owners[_id(path, image["id"], "images")].add(name)
    federated = any(name in image for image in document["images"] for name in FEDERATED) or any(
        image.get("exhaustive") is False for image in document["images"]
    )
    guessed = sum(isinstance(row.get("score"), float) and row["score"] < 1 for row in document["annotations"])
    if guessed:
        skipped.add_count(
            "рамок с полем score (их нашла модель, а не человек; из-за них нет ни «нет», ни счёта)", guessed
        )
        federated = True
    files: list[_File] = []
    for name, same in records.items():
        ids = list(dict.fromkeys(_id(path, image["id"], "images") for image in same))
        if any(len(owners[key]) > 1 for key in ids):
            skipped.add("картинок, чей номер есть и у другой (чьи рамки, неизвестно)", name)
            continue
        if len({(str(image["width"]), str(image["height"])) for image in same}) > 1:
            skipped.add("картинок, названных дважды с разными размерами", name)
            continue
        if len(ids) > 1:
            skipped.add("картинок, названных дважды (их рамки сложены)", name)
        rows = _once([row for key in ids for row in boxes[key]])
        inexact = [
            _id(path, c, "images") for image in same for field in FEDERATED[1:3] for c in _listed(path, image, field)
        ]
        files.append(_File(same[0], rows, federated, frozenset(names.get(key, "") for key in inexact)))
    if federated:
        skipped.add_count("картинок с неисчерпывающей разметкой (о них нет ни «нет», ни счёта)", len(files))
    orphans = [key for key in boxes if key not in owners]
    lost = sum(len(boxes[key]) for key in orphans)
    if lost:
        skipped.add_count(
            f"рамок, ссылающихся на картинки, которых нет (первая – {orphans[0]}; из-за них нет ни «нет», ни счёта)",
            lost,
        )
    return files, lost


def _listed(path: Path, image: Row, name: str) -> list[Any]:
    """A list that an image may have. Raises DataError for something else in its place."""
    values = image.get(name) or []
    if not isinstance(values, list):
        raise DataError(f"{path}: у картинки {str(image['id'])[:60]} поле «{name}» – не список: исправьте запись.")
    return values


def _area(row: Row) -> float:
    """The area that an annotation says; 0 for none, or for what is no area."""
    area = row.get("area")
    if isinstance(area, bool) or not isinstance(area, int | float) or not 0 < area < 1e12:
        return 0.0
    return float(area)


def _file_name(name: str) -> str:
    """One spelling for one file: «./a.jpg» and «sub/../a.jpg» are «a.jpg»."""
    return posixpath.normpath(name.replace("\\", "/"))


def _once(rows: list[Row]) -> list[Row]:
    """Boxes without exact repeats, which merged exports have."""
    return list({json.dumps([row["category_id"], row["bbox"]], default=str): row for row in rows}.values())


def _refuse_other_boxes(path: Path, files: Sequence[_File]) -> None:
    """Raise DataError where the boxes are not [x, y, width, height] in pixels: corners, centres, fractions."""
    total = leaving = corners = sizes = neither = small = 0
    for file in files:
        width, height = _size(path, file.image)
        for row in file.rows:
            numbers = _numbers(row["bbox"])
            if numbers is None:
                continue
            x, y, w, h = numbers
            total += 1
            small += max(numbers) <= 1.0
            leaving += x + w > 1.02 * width + 1 or y + h > 1.02 * height + 1
            kind = _by_area_or_outline(row, numbers)
            corners += kind == "corners"
            sizes += kind == "sizes"
            neither += kind == "neither"
    if total and small > 0.9 * total:
        raise DataError(
            f"{path}: рамки заданы долями картинки ({small} из {total}), а нужны точки: умножьте на размеры."
        )
    if total and (leaving > LEAVING * total or corners + neither > sizes):
        raise DataError(
            f"{path}: рамки похожи не на [x, y, ширина, высота] в точках, а на углы [x1, y1, x2, y2] или на центры (за край картинки "
            f"выходит {leaving} из {total}, площади и контуры спорят с рамками у {corners + neither}): пересчитайте bbox."
        )


def _by_area_or_outline(row: Row, box: tuple[float, float, float, float]) -> str:
    """Does the outline, or else the area, of an annotation say that its box is two corners, or a corner and sizes?"""
    x, y, w, h = box
    outline = row.get("segmentation")
    parts = [part for part in outline if isinstance(part, list)] if isinstance(outline, list) else []
    points = [float(v) for part in parts for v in part if isinstance(v, int | float) and abs(v) < 1e9]
    if len(points) >= 6:
        right, low = max(points[::2]), max(points[1::2])
        near = 2 + 0.02 * max(right, low)
        if (
            abs(w - right) < near
            and abs(h - low) < near
            and not (abs(x + w - right) < near and abs(y + h - low) < near)
        ):
            return "corners"
        left, top = min(points[::2]), min(points[1::2])
        if abs(x + w - right) < near and abs(y + h - low) < near:
            return "sizes"
        # a centre: the outline lies around the box's corner
        return "neither" if left + near < x < right - near and top + near < y < low - near else ""
    area = _area(row)
    if not area or w <= x or h <= y:
        return ""
    by_corners, by_sizes = (w - x) * (h - y), w * h
    if abs(area - by_corners) < 0.01 * area and abs(area - by_sizes) > 0.05 * area:
        return "corners"
    return "sizes" if abs(area - by_sizes) < 0.01 * area else ""


def _size(path: Path, image: Row) -> tuple[int, int]:
    try:
        width, height = int(image["width"]), int(image["height"])
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: у картинки {image['id']} размер не число: исправьте запись.") from error
    if not (0 < width < 1 << 20 and 0 < height < 1 << 20):
        raise DataError(f"{path}: у картинки {image['id']} размер {width}×{height}: исправьте запись.")
    return width, height


def _scene(
    path: Path, file: _File, names: dict[str, str], folder: PictureFolder, skipped: Skipped, closed: bool
) -> PhotoScene:
    image = file.image
    width, height = _size(path, image)
    things: list[PhotoThing] = []
    strangers, whole = [], closed and not file.partial
    for row in file.rows:
        key = _id(path, row["category_id"], "annotations")
        name = names.get(key, "")
        if not name:
            skipped.add("рамок с category_id, которого нет в categories", f"картинка {image['id']}, {key}")
        if name not in COCO:
            strangers.append(name)
            continue
        box = box_of(row["bbox"], width, height)
        if box is None:
            skipped.add("рамок с неверными числами", f"картинка {image['id']}, {name}, {str(row['bbox'])[:60]}")
            # the class is there all the same, but nothing about it is known
            whole = False
            box = (0.0, 0.0, 0.0, 0.0)
        part = (box[2] - box[0]) * (box[3] - box[1])
        shape = _area(row) / (width * height) or part
        # where more of the class may be unmarked, no one of it can be named or counted
        crowd = _unsure(row) or name in file.open_classes
        things.append(PhotoThing(len(things), COCO[name], box, min(shape, part), crowd))
    return PhotoScene(
        _id(path, image["id"], "images"),
        _place(folder, file),
        width,
        height,
        tuple(things),
        whole and not strangers,
        tuple(strangers),
        frozenset(names.values()),
        name=str(image["file_name"]),
    )


def _unsure(row: Row) -> bool:
    """Does an annotation say that it is of a group, a drawing, or something hard to tell?"""
    attributes = row.get("attributes")
    if isinstance(attributes, list):  # names of those that hold, or {name, value}
        attributes = {
            str(one.get("name")) if isinstance(one, dict) else str(one): one.get("value", True)
            if isinstance(one, dict)
            else True
            for one in attributes
        }
    said = {**row, **(attributes if isinstance(attributes, dict) else {})}
    return any(_truth(value) for name, value in said.items() if str(name).lower() in _UNSURE)


def _truth(value: Any) -> bool:
    """A flag as people write it: 1, true, «1», «true»; «0» is none."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "false", "no", "нет", "0.0", "-1")
    return value not in (0, -1, None, False)


def _numbers(value: Any) -> tuple[float, float, float, float] | None:
    """Four finite numbers, which may be written as text."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    try:
        x, y, w, h = (float(v) for v in value if not isinstance(v, bool))
    except (TypeError, ValueError, OverflowError):
        return None
    return (x, y, w, h) if all(map(math.isfinite, (x, y, w, h))) else None


def box_of(value: Any, width: int, height: int) -> Box | None:
    """COCO's [x, y, w, h] in pixels as fractions, cut to the picture; None if it is no box or lies outside."""
    numbers = _numbers(value)
    if numbers is None or numbers[2] <= 0 or numbers[3] <= 0:
        return None
    x, y, w, h = numbers
    box = (max(0.0, x / width), max(0.0, y / height), min(1.0, (x + w) / width), min(1.0, (y + h) / height))
    return box if box[2] > box[0] and box[3] > box[1] else None
