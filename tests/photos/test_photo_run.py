"""From boxes to a fine-tuned model: annotated photographs → questions → LoRA → scores, with a tiny model and the shipped recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.support.house import Ran
from tests.support.random_models import llava

Run = Callable[..., Ran]


def halves(photos: Path, into: Path) -> tuple[Path, Path]:
    """COCO's file cut in two: no photograph of the one is in the other."""
    whole = json.loads((photos / "instances.json").read_text(encoding="utf-8"))
    paths = []
    for number, name in enumerate(("train", "test")):
        images = [image for n, image in enumerate(whole["images"]) if n % 4 // 3 == number]
        ids = {image["id"] for image in images}
        notes = [note for note in whole["annotations"] if note["image_id"] in ids]
        path = into / f"instances_{name}.json"
        path.write_text(json.dumps({**whole, "images": images, "annotations": notes}), encoding="utf-8")
        paths.append(path)
    return paths[0], paths[1]


def test_a_ready_model_learns_from_annotated_photographs(shared: Path, tmp_path: Path, ruvlm: Run) -> None:
    photos = shared / "real" / "coco_photos"
    model = llava(tmp_path / "llava")
    train, test = halves(photos, tmp_path)
    for path, split, out in ((train, "train", "photos-train"), (test, "testdev", "photos-test")):
        made = ("data", "from-coco", "--instances", path, "--images", photos, "--split", split, "--out", tmp_path / out)
        assert ruvlm(*made).code == 0
    settings = (
        f'vlm.path="{model}"',
        f'data.path="{tmp_path / "photos-train"}"',
        f'results="{tmp_path}"',
        "vlm.language_lr=0.01",
        "train.max_steps=20",
        "train.questions_per_image=8",
        "train.images_per_step=4",
        "train.warmup_steps=2",
    )
    ran = ruvlm("train", "vlm_photos", *(part for one in settings for part in ("--set", one)), "--json")
    assert ran.code == 0, ran.err
    records = [json.loads(line) for line in (tmp_path / "vlm_photos" / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if record["kind"] == "train"]
    assert min(losses[-3:]) < 0.8 * losses[0]

    scores = {}
    for name, spec in (("before", f"hf:{model}"), ("after", f"hf:{model}+{tmp_path / 'vlm_photos' / 'final_model'}")):
        asked = ("--data", tmp_path / "photos-test", "--limit", "60", "--no-controls", "--out", tmp_path / name)
        evaluated = ruvlm("eval", spec, *asked, "--json")
        assert evaluated.code == 0, evaluated.err
        summary = next(p for p in (tmp_path / name).glob("*/summary.json") if "gqa-ru" in p.parent.name)
        read = json.loads(summary.read_text(encoding="utf-8"))
        assert "photos" in read["source"], "whose photographs these are is said, and it is no GQA-ru"
        scores[name] = read["scores"]["gqa-ru/lmms"]["value"]
    # a random model says nothing of sense; twenty steps teach it what answers look like
    assert scores["before"] < 5
    assert scores["after"] > scores["before"] + 10
