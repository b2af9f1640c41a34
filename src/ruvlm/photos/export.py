"""Photo scenes → a folder in the hub's layout: pictures as they are, GQA-ru rows, MMBench-ru groups, scene graphs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

from ruvlm.data.images import decode, read_bytes
from ruvlm.data.manifest import FileRecord, Manifest, record_of, write_manifest
from ruvlm.errors import DataError, OutputError
from ruvlm.files import whole_folder
from ruvlm.photos.asker import PhotoAsker
from ruvlm.photos.choices import CHOICE_ENTRIES
from ruvlm.photos.scene import PhotoScene
from ruvlm.photos.skipped import Skipped
from ruvlm.questions.balance import Balancer
from ruvlm.questions.entries import Choice, FormEntry
from ruvlm.questions.tables import Row, SplitWriter, gqa_rows, grounding_row, mmbench_rows
from ruvlm.schema import ImageRef

PICTURES_A_GROUP = 64
VERSION = "2"


@dataclass
class Made:
    """What came out: counts of pictures, questions and choices, questions by form, and what was left out."""

    pictures: int = 0
    questions: int = 0
    choices: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)


def export(
    scenes: Iterable[PhotoScene],
    entries: Sequence[FormEntry[PhotoAsker]],
    out: Path,
    name: str,
    split: str = "testdev",
    questions: int = 12,
    choices: int = 2,
    seed: int = 0,
    skipped: Skipped | None = None,
    progress: Callable[[int], None] | None = None,
) -> Made:
    """Ask about every picture and write `out`, whole or not at all. The same input and seed give the same rows.

    Raises OutputError if `out` is taken, DataError if nothing could be asked.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"Папка {out} уже занята: укажите другую --out или удалите её сами.")
    left = skipped or Skipped()
    with whole_folder(out) as partial, SplitWriter(partial, split) as writer:
        made = _written(scenes, entries, writer, name, split, questions, choices, seed, left, progress)
        if not made.questions:
            raise DataError(
                f"Ни об одной картинке не вышло вопроса ({'; '.join(left.lines()) or 'нет ясных предметов'})."
            )
        files: dict[str, FileRecord] = {
            str(p.relative_to(partial)): record_of(p) for p in sorted(partial.rglob("*.parquet"))
        }
        write_manifest(partial, Manifest("photos", f"photos {name}", made=f"v{VERSION} seed {seed}", files=files))
    made.skipped = left.lines()
    return made


def _written(
    scenes: Iterable[PhotoScene],
    entries: Sequence[FormEntry[PhotoAsker]],
    writer: SplitWriter,
    name: str,
    split: str,
    questions: int,
    choices: int,
    seed: int,
    left: Skipped,
    progress: Callable[[int], None] | None,
) -> Made:
    # version 2 asks what version 1 asked, and files it otherwise
    rng = random.Random(f"ruvlm photos 1 {seed} {split}")
    balancer = Balancer(entries, rng, distinct=True)
    tally: Counter[int] = Counter()
    made = Made()
    rows: tuple[list[Row], ...] = ([], [], [], [], [])
    for number, scene in enumerate(scenes):
        if progress is not None:
            progress(number)
        data = picture_of(scene, left)
        if data is None:
            continue
        asker = PhotoAsker(scene, rng)
        asked = balancer.ask(asker, questions, {})
        chosen = _chosen(asker, choices, rng, tally) if scene.exhaustive else []
        if not asked and not chosen:
            left.add("картинок, о которых нечего спросить честно", scene.name)
            continue
        images, instructions, graphs, options, groundings = rows
        images.append({"id": scene.id, "image": {"bytes": data, "path": PurePosixPath(scene.name).name}})
        instructions += gqa_rows(scene.id, asked, (number + 1) * 1000)
        graphs.append(_graph_row(scene))
        for offset, choice in enumerate(chosen):
            index = made.choices + offset
            options += mmbench_rows(choice, data, index, split, f"photos {name}", rotations=split != "train")
            groundings.append(grounding_row(choice, index, scene.id))
        made.pictures += 1
        made.questions += len(asked)
        made.choices += len(chosen)
        made.forms.update(question.draft.form.key for question in asked)
        if len(images) >= PICTURES_A_GROUP:
            writer.add(*rows)
            rows = ([], [], [], [], [])
    writer.add(*rows)
    writer.close()
    return made


def picture_of(scene: PhotoScene, left: Skipped) -> bytes | None:
    """The picture's bytes; None, and why, if it is missing, broken, or not what the boxes were drawn on."""
    if scene.path is None:
        left.add("картинок, которых нет в папке", scene.name)
        return None
    try:
        data = read_bytes(ImageRef(scene.path))
        image = decode(data, str(scene.path))
    except DataError as error:
        left.add("картинок, которые не читаются", str(error))
        return None
    import io

    with Image.open(io.BytesIO(data)) as raw:
        turned = raw.getexif().get(0x0112, 1) not in (0, 1)
    if image.size != (scene.width, scene.height) or turned:
        left.add("картинок не того размера или поворота, что в разметке", f"{scene.name}: {image.size}")
        return None
    return data


def _chosen(asker: PhotoAsker, count: int, rng: random.Random, tally: Counter[int]) -> list[Choice]:
    """Up to `count` choices, forms by the largest deficit against their share."""
    choices: dict[str, Choice] = {}
    for kind in sorted(range(len(CHOICE_ENTRIES)), key=lambda k: (tally[k] + rng.random()) / CHOICE_ENTRIES[k].share):
        if len(choices) >= count:
            break
        for _ in range(4):
            choice = CHOICE_ENTRIES[kind].ask(asker, rng.randrange(12))
            if choice is not None and choice.text not in choices:
                choices[choice.text] = choice
                tally[kind] += 1
                break
    return list(choices.values())


def _graph_row(scene: PhotoScene) -> Row:
    """The picture's scene graph in GQA's shape, with Russian names and boxes in pixels."""
    objects = []
    for thing in scene.things:
        if thing.crowd or not thing.area:
            continue
        x0, y0, x1, y1 = thing.box
        relations = [("в", other) for other in thing.wears] + [("держит", o) for o in thing.holds]
        objects.append(
            {
                "id": str(thing.id),
                "name": thing.kind.word,
                "x": round(x0 * scene.width),
                "y": round(y0 * scene.height),
                "w": round((x1 - x0) * scene.width),
                "h": round((y1 - y0) * scene.height),
                "attributes": list(thing.colours),
                "relations": [{"name": name, "object": str(other)} for name, other in relations],
            }
        )
    return {
        "imageId": scene.id,
        "width": scene.width,
        "height": scene.height,
        "location": None,
        "weather": None,
        "objects": objects,
    }
