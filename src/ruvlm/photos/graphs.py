"""GQA's scene graphs (sceneGraphs.json of Visual Genome pictures) → photo scenes with attributes and relations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruvlm.data.jsonl import read_text
from ruvlm.data.picture_folder import PictureFolder
from ruvlm.errors import DataError
from ruvlm.photos.coco import box_of
from ruvlm.photos.lexicon import COLOURS, MATERIALS, NAMES, RELATIONS
from ruvlm.photos.scene import PhotoScene, PhotoThing
from ruvlm.photos.skipped import Skipped

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def read_graphs(graphs: Path, images: Path, skipped: Skipped) -> Iterator[PhotoScene]:
    """The scenes of a file {image id: {width, height, objects: {id: {name, x, y, w, h, attributes, relations}}}}.

    Raises DataError for a file that is not so, naming the picture and the object.
    """
    try:
        document = json.loads(read_text(graphs))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{graphs}: это не JSON ({error}): нужен файл sceneGraphs.json набора GQA.") from error
    if not isinstance(document, dict) or not document:
        raise DataError(f"{graphs}: нужен объект «номер картинки → граф», как в sceneGraphs.json набора GQA.")
    folder = PictureFolder(images, [f"{image_id}{suffix}" for image_id in document for suffix in SUFFIXES])
    for image_id, graph in document.items():
        yield _scene(graphs, str(image_id), graph, folder, skipped)
    if folder.by_base:
        skipped.add_count("картинок найдено по имени без папки (оно одно такое)", folder.by_base)


def _scene(file: Path, image_id: str, graph: Any, folder: PictureFolder, skipped: Skipped) -> PhotoScene:
    try:
        width, height, objects = int(graph["width"]), int(graph["height"]), dict(graph["objects"])
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise DataError(f"{file}: у картинки {image_id} нет поля width, height или objects: дополните граф.") from error
    if not (0 < width < 1 << 20 and 0 < height < 1 << 20):
        raise DataError(f"{file}: у картинки {image_id} размер {width}×{height}: исправьте граф.")
    things: dict[str, PhotoThing] = {}
    strangers = []
    for name, row in objects.items():
        if not isinstance(row, dict):
            raise DataError(f"{file}: картинка {image_id}, предмет {name} – не объект с полями: исправьте граф.")
        try:
            said_name, box = row["name"], box_of([row["x"], row["y"], row["w"], row["h"]], width, height)
        except (TypeError, KeyError) as error:
            raise DataError(
                f"{file}: картинка {image_id}, предмет {name}: нет поля {error}: дополните граф."
            ) from error
        kind = NAMES.get(said_name) if isinstance(said_name, str) else None
        if kind is None:
            strangers.append(str(said_name))
            continue
        if box is None:
            skipped.add("рамок с неверными числами", f"картинка {image_id}, предмет {name}")
            box = (0.0, 0.0, 0.0, 0.0)
        said = [str(word) for word in _listed(file, image_id, name, row, "attributes")]
        colours = tuple(dict.fromkeys(COLOURS[word] for word in said if word in COLOURS))
        materials = {MATERIALS[word] for word in said if word in MATERIALS}
        area = (box[2] - box[0]) * (box[3] - box[1])
        material = materials.pop() if len(materials) == 1 else None
        things[name] = PhotoThing(len(things), kind, box, area, colours=colours, material=material)
    whole = tuple(
        _related(thing, _listed(file, image_id, name, objects[name], "relations"), things)
        for name, thing in things.items()
    )
    path = next((p for s in SUFFIXES if (p := folder.find(f"{image_id}{s}")) is not None), None)
    return PhotoScene(
        image_id, path, width, height, whole, exhaustive=False, strangers=tuple(strangers), name=f"{image_id}.jpg"
    )


def _listed(file: Path, image_id: str, name: str, row: Any, field: str) -> list[Any]:
    """A list that an object may have. Raises DataError for something else in its place."""
    values = row.get(field) or []
    if not isinstance(values, list) or (field == "relations" and not all(isinstance(one, dict) for one in values)):
        raise DataError(f"{file}: картинка {image_id}, предмет {name}: «{field}» – не список: исправьте граф.")
    return values


def _related(thing: PhotoThing, relations: list[Any], things: dict[str, PhotoThing]) -> PhotoThing:
    related: dict[str, tuple[int, ...]] = {"wears": (), "holds": (), "rides": ()}
    for relation in relations:
        name, other = RELATIONS.get(str(relation.get("name"))), things.get(str(relation.get("object")))
        if name is not None and other is not None:
            related[name] = (*related[name], other.id)
    return replace(thing, wears=related["wears"], holds=related["holds"], rides=related["rides"])
