"""Questions → rows of deepvk/GQA-ru and deepvk/MMBench-ru, with entailment, annotations and scene graphs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ruvlm.world.choices import L2, Choice
from ruvlm.world.kinds import SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.questions import Mention, Question
from ruvlm.world.scene import FULL_PLACES, MATERIALS, PATTERNS, SceneGraph

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


def _annotated(text: str, mentions: Sequence[Mention]) -> list[dict[str, str]]:
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


def scene_graph_row(scene: SceneGraph, side: int) -> Row:
    """One image's scene graph in GQA's shape, with Russian names and boxes in pixels."""
    objects = []
    for thing in scene.things:
        x0, y0, x1, y1 = (round(v * side) for v in thing.box)
        attributes = [COLOURS[thing.colour].word] if thing.colour else []
        attributes += [SIZES[thing.size]] if thing.size else []
        attributes += [MATERIALS[thing.material]] if thing.material else []
        attributes += [PATTERNS[thing.pattern]] if thing.pattern else []
        relations = []
        for relation, person in (("на", thing.worn_by), ("в руке у", thing.held_by)):
            if person is not None:
                relations.append({"name": relation, "object": str(person)})
        objects.append(
            {
                "id": str(thing.id),
                "name": thing.spec.word,
                "x": x0,
                "y": y0,
                "w": x1 - x0,
                "h": y1 - y0,
                "attributes": attributes,
                "relations": relations,
            }
        )
    return {
        "imageId": scene.id,
        "width": side,
        "height": side,
        "location": FULL_PLACES[scene.place],
        "weather": scene.weather,
        "objects": objects,
    }


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


def letter_counts(rows: Sequence[Row]) -> Counter[str]:
    """How often each letter is right among base rows."""
    return Counter(row["answer"] for row in rows if row["index"] < ROTATION)
