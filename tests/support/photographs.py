"""A photograph with COCO's boxes, and one with a scene graph."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image


def write_coco(folder: Path, **changed: object) -> Path:
    Image.effect_noise((320, 240), 60).convert("RGB").save(folder / "a.jpg")
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 320, "height": 240}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 99, "name": "unicorn"}],
        "annotations": [
            {"image_id": 1, "category_id": 18, "bbox": [10, 60, 100, 120], "iscrowd": 0},
            {"image_id": 1, "category_id": 99, "bbox": [200, 60, 100, 120], "iscrowd": 0},
        ],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(document | changed))
    return path


GRAPH = {
    "77": {
        "width": 400,
        "height": 300,
        "objects": {
            "11": {
                "name": "woman",
                "x": 20,
                "y": 20,
                "w": 100,
                "h": 260,
                "attributes": ["young"],
                "relations": [{"name": "wearing", "object": "12"}, {"name": "holding", "object": "13"}],
            },
            "12": {"name": "hat", "x": 20, "y": 20, "w": 100, "h": 80, "attributes": ["red"], "relations": []},
            "13": {
                "name": "umbrella",
                "x": 130,
                "y": 10,
                "w": 100,
                "h": 90,
                "attributes": ["black", "open"],
                "relations": [],
            },
            "14": {"name": "fence", "x": 250, "y": 100, "w": 140, "h": 150, "attributes": ["wooden"], "relations": []},
            "15": {"name": "gizmo", "x": 0, "y": 0, "w": 9, "h": 9, "attributes": [], "relations": []},
        },
    }
}
