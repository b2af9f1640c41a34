"""Pictures to try at once: drawn ones, and real ones where the published sets have been fetched."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ruvlm.benchmarks.catalog import SHORT
from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import read_bytes
from ruvlm.demo.ask_tab import SamplePicture
from ruvlm.demo.drawing import drawn
from ruvlm.errors import RuvlmError

SCENES = ((1, 0), (2, 1), (3, -1), (5, 2))  # a scene's number, and which of its riddles is asked
REAL = 4
REACH = 400  # rows to look through for REAL different pictures


def samples(folder: Path) -> list[SamplePicture]:
    """Files in `folder` with a question each."""
    return [*_drawn(folder), *_real(folder)]


def _drawn(folder: Path) -> list[SamplePicture]:
    pictures = []
    for number, which in SCENES:
        scene = drawn("mini", number)
        path = folder / f"рисунок-{number}.png"
        path.write_bytes(scene.png)
        riddle = scene.riddles[which]
        pictures.append(SamplePicture(path, riddle.question, "; ".join(riddle.options)))
    return pictures


def _real(folder: Path) -> list[SamplePicture]:
    """Photographs of the published short answers' test part; none where it is not on this disk, or is damaged."""
    pictures: dict[str, SamplePicture] = {}
    try:
        for example in islice(open_source(SHORT.name).stream("test"), REACH):
            if example.image_id not in pictures and len(pictures) < REAL:
                path = folder / f"фото-{len(pictures) + 1}.jpg"
                path.write_bytes(read_bytes(example.image))
                pictures[example.image_id] = SamplePicture(path, example.question, "")
    except RuvlmError:
        return []
    return list(pictures.values())
