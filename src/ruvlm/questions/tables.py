"""Questions → rows of deepvk/GQA-ru and deepvk/MMBench-ru, with entailment and annotations → parquet files of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ruvlm.questions.draft import Naming, Question
from ruvlm.questions.entries import L2, Choice

Row = dict[str, Any]
ROTATION = 1_000_000


def gqa_rows(image_id: str, questions: Sequence[Question], first_id: int) -> list[Row]:
    """Instruction rows of one image, columns as on the hub; ids are `first_id`, `first_id` + 1, …"""
    ids = [str(first_id + offset) for offset in range(len(questions))]
    rows = []
    for number, question in enumerate(questions):
        draft, form = question.draft, question.draft.form
        entailed = [
            ids[other]
            for other, candidate in enumerate(questions)
            if other != number and candidate.draft.needs <= draft.gives
        ]
        mutual = {
            ids[other]
            for other, candidate in enumerate(questions)
            if draft.needs <= candidate.draft.gives or other == number
        }
        equivalent = [name for name in ids if name in mutual and (name in entailed or name == ids[number])]
        rows.append(
            {
                "id": ids[number],
                "imageId": image_id,
                "question": question.text,
                "answer": question.answer,
                "fullAnswer": question.full_answer,
                "isBalanced": True,
                "groups": {"global": draft.group, "local": f"{form.key}-{draft.program[0][0][1]}"},
                "entailed": str(entailed),
                "equivalent": str(equivalent),
                "types": {"structural": form.structural, "semantic": form.semantic, "detailed": form.detailed},
                "annotations": {
                    "question": _annotated(question.text, question.mentions),
                    "answer": [{"objectId": str(t), "value": "0"} for t in draft.answer_things],
                    "fullAnswer": [],
                },
                "semantic": [
                    {"operation": operation, "argument": argument, "dependencies": list(needs)}
                    for (operation, argument), needs in draft.program
                ],
                "semanticStr": question.semantic_string,
            }
        )
    return rows


def _annotated(text: str, mentions: Sequence[Naming]) -> list[dict[str, str]]:
    """GQA's annotations: which words («2», or «2:4» for words 2 and 3) name which object."""
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    annotations = []
    for mention in mentions:
        words = [number for number, start in enumerate(starts) if mention.start <= start < mention.end]
        if not words:
            continue
        span = str(words[0]) if len(words) == 1 else f"{words[0]}:{words[-1] + 1}"
        annotations.append({"objectId": str(mention.thing), "value": span})
    return annotations


def mmbench_rows(choice: Choice, image: bytes, index: int, split: str, source: str, rotations: bool) -> list[Row]:
    """The circular copies of one question: copy k has index + k·1,000,000 and its options rolled left k times."""
    count = len(choice.options) if rotations else 1
    rows = []
    for k in range(count):
        options = choice.options[k:] + choice.options[:k]
        answer = (choice.answer - k) % len(choice.options)
        row: Row = {"index": index + k * ROTATION, "question": choice.text, "hint": None}
        row |= {letter: (options[n] if n < len(options) else None) for n, letter in enumerate("ABCD")}
        row |= {
            "answer": "ABCD"[answer],
            "category": choice.category,
            "image": {"bytes": image, "path": f"{index}.png"},
            "source": source,
            "l2-category": L2[choice.category],
            "comment": None,
            "split": split,
        }
        rows.append(row)
    return rows


def grounding_row(choice: Choice, index: int, image_id: str) -> Row:
    """Which things of the picture's scene graph a choice names, and which one has to look at to answer it."""
    return {
        "index": index,
        "imageId": image_id,
        "annotations": {
            "question": _annotated(choice.text, choice.mentions),
            "answer": [{"objectId": str(thing), "value": "0"} for thing in choice.answer_things],
            "fullAnswer": [],
        },
    }


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
IMAGES = pa.schema([("id", pa.string()), ("image", IMAGE)])
_MENTION = pa.list_(pa.struct([("objectId", pa.string()), ("value", pa.string())]))
_ANNOTATIONS = pa.struct([("question", _MENTION), ("answer", _MENTION), ("fullAnswer", _MENTION)])
INSTRUCTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("imageId", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("fullAnswer", pa.string()),
        ("isBalanced", pa.bool_()),
        ("groups", pa.struct([("global", pa.string()), ("local", pa.string())])),
        ("entailed", pa.string()),
        ("equivalent", pa.string()),
        ("types", pa.struct([("structural", pa.string()), ("semantic", pa.string()), ("detailed", pa.string())])),
        ("annotations", _ANNOTATIONS),
        (
            "semantic",
            pa.list_(
                pa.struct(
                    [("operation", pa.string()), ("argument", pa.string()), ("dependencies", pa.list_(pa.int32()))]
                )
            ),
        ),
        ("semanticStr", pa.string()),
    ]
)
_RELATION = pa.struct([("name", pa.string()), ("object", pa.string())])
_OBJECT = pa.struct(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("w", pa.int32()),
        ("h", pa.int32()),
        ("attributes", pa.list_(pa.string())),
        ("relations", pa.list_(_RELATION)),
    ]
)
SCENES = pa.schema(
    [
        ("imageId", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("location", pa.string()),
        ("weather", pa.string()),
        ("objects", pa.list_(_OBJECT)),
    ]
)
_TEXTS = ("question", "hint", "A", "B", "C", "D", "answer", "category")
CHOICES = pa.schema(
    [
        ("index", pa.int64()),
        *((name, pa.string()) for name in _TEXTS),
        ("image", IMAGE),
        *((name, pa.string()) for name in ("source", "l2-category", "comment", "split")),
    ]
)


GROUNDINGS = pa.schema([("index", pa.int64()), ("imageId", pa.string()), ("annotations", _ANNOTATIONS)])


class SplitWriter:
    """Streams one split into its files, a row group a chunk; file names are the hub's, but for the groundings."""

    def __init__(self, folder: Path, split: str) -> None:
        gqa, mmbench = folder / "gqa-ru", folder / "mmbench-ru"
        name = f"{split}-00000-of-00001.parquet"
        dev = "dev" if split == "testdev" else split
        self._targets = (
            (gqa / f"{split}_balanced_images" / name, IMAGES),
            (gqa / f"{split}_balanced_instructions" / name, INSTRUCTIONS),
            (gqa / f"{split}_scene_graphs" / name, SCENES),
            (mmbench / f"mmbench_ru_{dev}.parquet", CHOICES),
            (mmbench / "groundings" / f"{dev}.parquet", GROUNDINGS),
        )
        self._writers: dict[Path, pq.ParquetWriter] = {}

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.abandon()

    def add(self, *tables: list[Row]) -> None:
        """Append one chunk's rows: images, instructions, scenes, choices, groundings."""
        for (path, schema), rows in zip(self._targets, tables, strict=True):
            if not rows:
                continue
            if path not in self._writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._writers[path] = pq.ParquetWriter(path, schema, compression="zstd")
            self._writers[path].write_table(pa.Table.from_pylist(rows, schema=schema))

    def close(self) -> None:
        """Finish the files. Raises OSError where the disk is full."""
        try:
            for writer in self._writers.values():
                writer.close()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of files that will not be finished: a writer that is left open finishes itself when it is forgotten."""
        for writer in self._writers.values():
            with suppress(OSError, pa.ArrowException):
                writer.close()
            writer.is_open = False
