"""Write a world: both benchmarks as parquet, in the hub's schemas and file layout.

A world is a pure function of (level, seed, version, sizes). Work is cut into fixed chunks, each with a random
generator of its own, so the bytes do not depend on how many processes made them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruvlm.errors import DataError, OutputError
from ruvlm.files import whole_folder
from ruvlm.questions.balance import Balancer
from ruvlm.questions.entries import Choice, FormEntry
from ruvlm.questions.tables import Row, SplitWriter, gqa_rows, grounding_row, mmbench_rows
from ruvlm.workers import WorkerPool
from ruvlm.world.choices import choice_entries, held_out_choice
from ruvlm.world.forms import choose, logical, query, verify
from ruvlm.world.forms.asker import Asker
from ruvlm.world.kinds import SIZES
from ruvlm.world.palette import COLOURS
from ruvlm.world.render import SIDE, png, render
from ruvlm.world.scene import (
    FULL_PLACES,
    MATERIALS,
    PATTERNS,
    SIGN_WORDS,
    SceneGraph,
    SceneSampler,
    Thing,
    held_out_things,
)

# the version that is drawn where none is named, and all that can be drawn
WORLD_VERSION = "3"
VERSIONS = ("2", "3")
CHUNK = 100
SplitName = str


@dataclass(frozen=True)
class SplitPlan:
    """One split's size: images with GQA questions, and multiple-choice questions.

    `shared` says that the choices ask about the GQA pictures (training packs both), else each has its own picture.
    """

    name: SplitName
    code: int
    images: int
    questions: int
    choices: int
    rotations: bool = True
    shared: bool = False
    held_out: bool = False


def plans(level: str, train_images: int | None = None, scale: float = 1.0) -> tuple[SplitPlan, ...]:
    """The splits of a level; `scale` shrinks every split but train, for tests."""
    train = train_images or (10_000 if level == "mini" else 8_000)

    def size(count: int) -> int:
        return max(4, round(count * scale))

    return (
        SplitPlan("train", 1, train, 24, 4, rotations=False, shared=True),
        SplitPlan("val", 2, size(150), 20, size(150)),
        SplitPlan("testdev", 3, size(398), 30, size(1109)),
        SplitPlan("holdout", 4, size(398), 12, size(300), held_out=True),
    )


@dataclass(frozen=True)
class Chunk:
    """A slice of a split: what one process makes in one go."""

    level: str
    seed: int
    plan: SplitPlan
    kind: str
    first: int
    count: int
    version: str = WORLD_VERSION

    def rng(self) -> random.Random:
        return random.Random(f"ruvlm {self.version} {self.level} {self.seed} {self.plan.name} {self.kind} {self.first}")


@dataclass(frozen=True)
class Tables:
    """Rows of one chunk for each file it feeds."""

    images: list[Row]
    instructions: list[Row]
    scenes: list[Row]
    choices: list[Row]
    groundings: list[Row]


def entries_of(level: str) -> tuple[FormEntry[Asker], ...]:
    """The forms asked at a level."""
    mini = (*query.ENTRIES, *verify.ENTRIES, *choose.ENTRIES, *logical.ENTRIES)
    return mini if level == "mini" else (*mini, *query.FULL_ENTRIES)


def make(chunk: Chunk) -> Tables:
    """Sample, draw and ask about the scenes of one chunk."""
    return _make_gqa(chunk) if chunk.kind == "gqa" else _make_choices(chunk)


def _make_gqa(chunk: Chunk) -> Tables:
    plan, rng = chunk.plan, chunk.rng()
    sampler = SceneSampler(chunk.level, plan.held_out)
    balancer = Balancer(entries_of(chunk.level), rng)
    tables = Tables([], [], [], [], [])
    made = dict.fromkeys(range(len(choice_entries(chunk.level))), 0)
    side = SIDE[chunk.level]
    for number in range(chunk.first, chunk.first + chunk.count):
        scene = sampler.sample(f"{plan.code}{number:06d}", rng)
        picture = png(render(scene))
        asker = Asker(scene, rng, plan.held_out, chunk.version)
        questions = balancer.ask(asker, plan.questions, held_out_things(scene.things), plan.held_out)
        tables.images.append({"id": scene.id, "image": {"bytes": picture, "path": f"{scene.id}.png"}})
        tables.instructions.extend(gqa_rows(scene.id, questions, (plan.code * 1_000_000 + number) * 100))
        tables.scenes.append(scene_graph_row(scene, side))
        if plan.shared:
            for index, choice in enumerate(_asked(scene, chunk, rng, made), number * plan.choices):
                tables.choices.extend(mmbench_rows(choice, picture, index, plan.name, _source(chunk), rotations=False))
                tables.groundings.append(grounding_row(choice, index, scene.id))
    return tables


def _asked(scene: SceneGraph, chunk: Chunk, rng: random.Random, made: dict[int, int]) -> list[Choice]:
    """Up to plan.choices multiple-choice questions about a picture that has its GQA questions already.

    Forms are tried by the largest deficit against their share; `made` keeps count over pictures.
    """
    plan = chunk.plan
    asker = Asker(scene, rng, plan.held_out, chunk.version)
    entries = choice_entries(chunk.level)
    choices: dict[str, Choice] = {}
    for _ in range(2):
        rank = {k: (made[k] + rng.random()) / entries[k].share for k in made if not entries[k].prepare}
        for kind in sorted(rank, key=lambda k: rank[k]):
            choice = entries[kind].ask(asker, rng.randrange(12))
            if choice is not None and choice.text not in choices and len(choices) < plan.choices:
                choices[choice.text] = choice
                made[kind] += 1
    return list(choices.values())


def _source(chunk: Chunk) -> str:
    return f"ruvlm-world-{chunk.level}-{chunk.version}-seed{chunk.seed}"


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


def _make_choices(chunk: Chunk) -> Tables:
    plan, rng = chunk.plan, chunk.rng()
    sampler = SceneSampler(chunk.level, plan.held_out)
    entries = choice_entries(chunk.level)
    rows: list[Row] = []
    made = dict.fromkeys(range(len(entries)), 0)
    for number in range(chunk.first, chunk.first + chunk.count):
        while True:
            kind = min(made, key=lambda k: (made[k] + rng.random()) / entries[k].share)
            made[kind] += 1  # counted when tried, so that a rare form cannot hold up the rest
            entry = entries[kind]
            choice = None
            for _ in range(40):
                scene = _prepared(sampler.sample(f"{plan.code}9{number:05d}", rng), entry.prepare, rng)
                choice = entry.ask(Asker(scene, rng, plan.held_out, chunk.version), number)
                if (
                    choice
                    and plan.held_out
                    and not held_out_choice(choice, scene.things, held_out_things(scene.things))
                ):
                    choice = None
                if choice is not None:
                    break
            if choice is not None:
                break
        rows += mmbench_rows(choice, png(render(scene)), number, plan.name, _source(chunk), plan.rotations)
    return Tables([], [], [], rows, [])


_CHART_LABELS = ("яблоки", "груши", "книги", "чашки", "мячи", "кошки", "птицы", "рыбы", "дома", "лодки")


def _prepared(scene: SceneGraph, how: str, rng: random.Random) -> SceneGraph:
    """The scene a form needs: with a sign, as a chart, in another style or with a flaw."""
    if how == "sign":
        thing = rng.choice(scene.anchors)
        x, y = thing.centre
        x, y = min(max(x, 0.2), 0.8), min(max(y, 0.08), 0.92)
        box = (round(x - 0.19, 4), round(y - 0.07, 4), round(x + 0.19, 4), round(y + 0.07, 4))
        colour = rng.choice(("white", "yellow", "blue", "red", "green"))
        sign = Thing(thing.id, "sign", box, colour, text=rng.choice(SIGN_WORDS))
        others = [t for t in scene.things if t.id != thing.id and thing.id not in (t.worn_by, t.held_by)]
        return replace(scene, things=tuple([*others, sign]))
    if how == "chart":
        count = rng.randint(3, 4)
        values = rng.sample(range(1, 11), count)
        colours = rng.sample(("red", "blue", "green", "yellow", "orange", "purple"), count)
        return replace(scene, bars=tuple(zip(rng.sample(_CHART_LABELS, count), values, colours, strict=True)))
    if how == "style":
        return replace(scene, finish=rng.choice(("plain", "outline", "pixel", "greyscale")))
    if how == "quality":
        return replace(scene, finish=rng.choice(("plain", "blurred", "dark", "noisy")))
    return scene


def chunks_of(level: str, seed: int, plan: SplitPlan, version: str) -> list[Chunk]:
    """Every chunk of a split, GQA first."""
    chunks = [
        Chunk(level, seed, plan, "gqa", first, min(CHUNK, plan.images - first), version)
        for first in range(0, plan.images, CHUNK)
    ]
    if not plan.shared:
        chunks += [
            Chunk(level, seed, plan, "choices", first, min(CHUNK, plan.choices - first), version)
            for first in range(0, plan.choices, CHUNK)
        ]
    return chunks


def build(
    level: str,
    out: Path,
    seed: int = 0,
    workers: int = 1,
    splits: tuple[SplitPlan, ...] | None = None,
    progress: Callable[[int, int], None] | None = None,
    version: str | None = None,
) -> dict[str, Any]:
    """Write a world into `out` and return its manifest.

    Everything is written beside `out` and renamed into place at the end, so a world is whole or absent.
    `version`: None is the newest, WORLD_VERSION.
    Raises OutputError if `out` holds something else, DataError for an unknown level or version.
    """
    version = version or WORLD_VERSION
    if level not in SIDE:
        raise DataError(f"Уровень мира «{level}» не известен: есть mini и full.")
    if version not in VERSIONS:
        raise DataError(f"Версии мира «{version}» нет: есть {', '.join(VERSIONS)}.")
    splits = splits or plans(level)
    described = {
        "level": level,
        "seed": seed,
        "version": version,
        "splits": {p.name: {"images": p.images, "questions": p.questions, "choices": p.choices} for p in splits},
    }
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        known = read_manifest(out)
        if known is not None and all(known.get(key) == value for key, value in described.items()):
            return known
        raise OutputError(
            f"Папка {out} уже занята{' другим миром' if known else ''}: укажите другую --out или удалите её сами."
        )
    with whole_folder(out) as partial:
        hashes = _write_all(level, seed, partial, workers, splits, progress, version)
        manifest = described | {"source": f"world-{level}", "side": SIDE[level], "files": hashes}
        manifest["fingerprint"] = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]
        text = json.dumps(manifest, ensure_ascii=False, indent=1)
        (partial / "world.json").write_text(text, encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of the world in a folder, None if there is none."""
    path = folder / "world.json"
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Файл {path} повреждён ({error}): нарисуйте мир заново, в другую папку.") from error
    return fields if isinstance(fields, dict) else {}


def _write_all(
    level: str,
    seed: int,
    folder: Path,
    workers: int,
    splits: tuple[SplitPlan, ...],
    progress: Callable[[int, int], None] | None,
    version: str,
) -> dict[str, str]:
    todo = [chunk for plan in splits for chunk in chunks_of(level, seed, plan, version)]
    total, done = sum(chunk.count for chunk in todo), 0
    writers = {plan.name: SplitWriter(folder, plan.name) for plan in splits}
    try:
        for chunk, tables in zip(todo, _made(todo, workers), strict=True):
            writers[chunk.plan.name].add(
                tables.images, tables.instructions, tables.scenes, tables.choices, tables.groundings
            )
            done += chunk.count
            if progress is not None:
                progress(done, total)
        for writer in writers.values():
            writer.close()
    finally:
        for writer in writers.values():
            writer.abandon()
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def _made(todo: list[Chunk], workers: int) -> Iterator[Tables]:
    if workers <= 1 or len(todo) == 1:
        yield from map(make, todo)
        return
    with WorkerPool(workers) as pool:
        yield from pool.map(make, todo)
