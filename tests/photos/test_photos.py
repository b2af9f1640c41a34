"""Questions about annotated photographs: names of all classes, guards, real photos, GQA's scene graphs, bad files."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ruvlm.audit.whole import audit
from ruvlm.benchmarks.source import open_source
from ruvlm.photos.asker import PhotoAsker
from ruvlm.photos.coco import read_coco
from ruvlm.photos.export import export
from ruvlm.photos.forms import BOX_ENTRIES
from ruvlm.photos.names import COCO
from ruvlm.photos.scene import PhotoScene, PhotoThing, beside, half, larger, stacked
from ruvlm.photos.skipped import Skipped
from ruvlm.questions.balance import Balancer
from ruvlm.questions.grammar import counted, phrase
from tests.support.house import Ran
from tests.support.photographs import GRAPH, write_coco

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("photos")

Run = Callable[..., Ran]


def thing(number: int, key: str, box: tuple[float, float, float, float], crowd: bool = False) -> PhotoThing:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return PhotoThing(number, COCO[key], box, area, crowd)


def scene(*things: PhotoThing) -> PhotoScene:
    return PhotoScene("1", Path("1.jpg"), 640, 480, things)


def forms(*things: PhotoThing) -> dict[str, set[tuple[str, str]]]:
    """Every question that many tries give, with its answer, by form."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for seed in range(60):
        rng = random.Random(seed)
        asker = PhotoAsker(scene(*things), rng)
        for question in Balancer(BOX_ENTRIES, rng).ask(asker, 20, {}):
            found[question.draft.form.key].add((question.text, question.answer))
    return found


CASES = (Path(__file__).parent / "coco_names.tsv").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", CASES, ids=lambda line: line.split("\t")[0])
def test_every_class_in_every_case(line: str) -> None:
    key, *expected = line.split("\t")
    kind = COCO[key]
    sing = [phrase(kind.adjectives, kind.noun, case) for case in ("nomn", "gent", "datv", "accs", "ablt", "loct")]
    plur = [phrase(kind.adjectives, kind.noun, case, "plur") for case in ("nomn", "gent")]
    assert [*sing, *plur] == expected


def test_all_eighty_classes_are_there() -> None:
    assert len(COCO) == len(CASES) == 80
    assert {other for kind in COCO.values() for other in kind.like} <= set(COCO)
    assert counted(5, COCO["person"].noun) == "пять человек"


DOG, CAT = (0.05, 0.3, 0.35, 0.7), (0.6, 0.3, 0.95, 0.7)


def test_two_plain_things_are_asked_about_in_every_way() -> None:
    found = forms(thing(0, "dog", DOG), thing(1, "laptop", CAT))
    assert ("Сколько собак на снимке?", "одна") in found["photo.count"]
    assert {answer for _, answer in found["photo.beside"]} == {"левее", "правее"}
    assert any(answer == "собака" for _, answer in found["photo.group"])
    assert any("собака" in text and answer == "слева" for text, answer in found["photo.side"])
    yes_no = Counter(answer for key in found if "verify" in key or "exist" in key for _, answer in found[key])
    assert 0.3 < yes_no["да"] / yes_no.total() < 0.7


@pytest.mark.parametrize(
    ("things", "silent"),
    [
        ((thing(0, "dog", DOG, crowd=True),), ("photo.count", "photo.side", "photo.group")),
        ((thing(0, "dog", DOG), thing(1, "dog", (0.9, 0.9, 0.93, 0.93))), ("photo.count", "photo.side")),
        ((thing(0, "dog", DOG), thing(1, "dog", (0.06, 0.3, 0.36, 0.7))), ("photo.count", "photo.side")),
        ((thing(0, "dog", DOG), thing(1, "cat", CAT)), ("photo.group",)),
        ((thing(0, "dog", DOG), thing(1, "laptop", (0.2, 0.3, 0.5, 0.7))), ("photo.beside", "photo.beside_verify")),
        ((thing(0, "person", (0.0, 0.9, 0.4, 1.0)),), ("photo.count", "photo.exist_and", "photo.side")),
        ((thing(0, "truck", DOG), thing(1, "cup", CAT)), ("photo.side", "photo.count", "photo.which")),
        ((thing(0, "person", DOG), thing(1, "sink", CAT)), ("photo.count",)),
    ],
    ids=["crowd", "tiny twin", "doubled", "two animals", "overlap", "hand", "untrusted", "mirror"],
)
def test_a_guard_keeps_a_form_silent(things: tuple[PhotoThing, ...], silent: tuple[str, ...]) -> None:
    found = forms(*things)
    for form in silent:
        assert not found[form], found[form]


def test_what_looks_alike_is_never_said_to_be_absent() -> None:
    picture = scene(thing(0, "teddy bear", DOG), thing(1, "couch", CAT))
    absent = {kind.key for kind in PhotoAsker(picture, random.Random(0)).missing}
    assert absent.isdisjoint({"bear", "bed", "person", "cup", "book", "chair"})
    assert "giraffe" in absent


def test_margins() -> None:
    dog, cat = thing(0, "dog", DOG), thing(1, "cat", CAT)
    assert (beside(dog, cat), beside(cat, dog), stacked(dog, cat)) == ("left", "right", None)
    assert beside(dog, thing(2, "cat", (0.1, 0.3, 0.45, 0.7))) is None
    assert (half(dog, 0), half(dog, 1), half(cat, 0)) == (0, None, 1)
    assert larger(dog, thing(2, "cat", (0.5, 0.5, 0.6, 0.6))) is dog
    assert larger(dog, cat) is None
    assert larger(thing(3, "dining table", (0, 0, 1, 1)), dog) is None


@pytest.fixture(scope="module")
def made(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("photos") / "set"
    photos = shared / "real" / "coco_photos"
    export(read_coco(photos / "instances.json", photos, Skipped()), BOX_ENTRIES, out, "coco_photos")
    return out


def test_real_photos_give_a_balanced_set_that_check_finds_clean(made: Path) -> None:
    assert audit(str(made)).findings == ()
    source = open_source(str(made))
    gqa, choices = source.load("gqa-ru", "test"), source.load("mmbench-ru", "test")
    assert gqa.source.startswith("photos coco_photos")
    assert len(gqa.examples) > 500
    yes = Counter(e.answer for e in gqa.examples if e.structural in ("verify", "logical"))
    assert abs(yes["да"] - yes["нет"]) < 0.1 * yes.total()
    sides = Counter(e.answer for e in gqa.examples if e.detailed == "positionChoose")
    assert len(sides) == 4
    assert len({e.category for e in choices.examples}) >= 3
    assert {e.rotation for e in choices.examples} >= {0, 1, 2, 3}


def test_answers_agree_with_the_boxes(made: Path, shared: Path) -> None:
    """Counts and sides, worked out again from the annotations by other means."""
    document = json.loads((shared / "real/coco_photos/instances.json").read_text())
    names = {row["id"]: row["name"] for row in document["categories"]}
    sizes = {str(row["id"]): (row["width"], row["height"]) for row in document["images"]}
    boxes = defaultdict(list)
    for row in document["annotations"]:
        boxes[str(row["image_id"]), names[row["category_id"]]].append(row["bbox"])
    numerals = {"один": 1, "одна": 1, "одно": 1, "два": 2, "две": 2, "три": 3, "четыре": 4}
    checked = Counter()
    for example in open_source(str(made)).load("gqa-ru", "test").examples:
        key = example.program.split("select: ")[-1].split(" (")[0]
        mine = boxes[example.image_id, key]
        if example.detailed == "count":
            assert numerals[example.answer] == len(mine)
            checked["count"] += 1
        if example.detailed == "positionChoose" and example.answer in ("слева", "справа"):
            (x, _, w, _) = mine[0]
            assert ((x + w / 2) / sizes[example.image_id][0] < 0.5) == (example.answer == "слева")
            checked["side"] += 1
        if example.detailed == "exist":
            assert bool(mine) == (example.answer == "да")
            checked["exist"] += 1
    assert min(checked[name] for name in ("count", "side", "exist")) > 10, checked


def test_the_same_seed_gives_the_same_rows(shared: Path, made: Path, tmp_path: Path, ruvlm: Run) -> None:
    photos = shared / "real" / "coco_photos"
    arguments = ("data", "from-coco", "--instances", photos / "instances.json", "--images", photos, "--out")
    assert ruvlm(*arguments, tmp_path / "a").code == 0
    rows = [
        [(e.id, e.question, e.answer) for e in open_source(str(folder)).load("gqa-ru", "test").examples]
        for folder in (made, tmp_path / "a")
    ]
    assert rows[0] == rows[1]
    done = ruvlm(*arguments, tmp_path / "a")
    assert (done.code, "занята" in done.err) == (2, True)
    other = ruvlm(*arguments, tmp_path / "b", "--seed", "5", "--json")
    assert json.loads(other.out)["questions"] > 500


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({}, 0, "классов не из 80 классов COCO"),
        ({"annotations": []}, 2, "нет списка «annotations»"),
        ({"annotations": [{"image_id": 1}]}, 2, "нет поля category_id, bbox"),
        ({"images": [{"id": 1, "file_name": "a.jpg", "width": "wide", "height": 240}]}, 2, "размер не число"),
        ({"images": [{"id": 1, "file_name": "b.jpg", "width": 320, "height": 240}]}, 2, "которых нет в папке"),
        ({"images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 240}]}, 2, "не того размера"),
        ({"categories": [{"id": 18, "name": "пёс"}]}, 2, "ни один из классов"),
        (
            {"annotations": [{"image_id": 1, "category_id": 18, "bbox": [5, 5, -3, float("nan")]}]},
            2,
            "неверными числами",
        ),
    ],
)
def test_files_that_are_not_quite_coco(tmp_path: Path, ruvlm: Run, changed: dict, code: int, said: str) -> None:
    path = write_coco(tmp_path, **changed)
    done = ruvlm("data", "from-coco", "--instances", path, "--images", tmp_path, "--out", tmp_path / "out")
    assert (done.code, said in done.err, "Traceback" in done.err) == (code, True, False), done.err
    assert (tmp_path / "out").exists() is (code == 0), "nothing half-written"


def test_scene_graphs_give_attributes_and_relations(tmp_path: Path, ruvlm: Run) -> None:
    Image.effect_noise((400, 300), 60).convert("RGB").save(tmp_path / "77.jpg")
    (tmp_path / "graphs.json").write_text(json.dumps(GRAPH))
    asked = {}
    for seed in range(6):
        out = tmp_path / f"out{seed}"
        done = ruvlm(
            "data",
            "from-graphs",
            "--graphs",
            tmp_path / "graphs.json",
            "--images",
            tmp_path,
            "--out",
            out,
            "--questions",
            "40",
            "--seed",
            seed,
        )
        assert done.code == 0, done.err
        asked |= {e.question: e.answer for e in open_source(str(out)).load("gqa-ru", "test").examples}
    assert asked["Какого цвета шляпа?"] == "красный"
    assert asked["Из какого материала сделан забор?"] == "дерево"
    assert "женщина" in (asked.get("Кто на снимке в шляпе?"), asked.get("На ком шляпа?"))
    assert asked["Что держит женщина?"] == "зонт"
    assert not [q for q in asked if q.startswith(("Сколько", "Есть ли"))], "a graph does not name everything"
    broken = tmp_path / "broken.json"
    broken.write_text('{"77": {"width": 400, "height": 300, "objects": {"1": {"name": "dog", "x": 1}}}}')
    done = ruvlm("data", "from-graphs", "--graphs", broken, "--images", tmp_path, "--out", tmp_path / "o")
    assert (done.code, "картинка 77, предмет 1" in done.err) == (2, True), done.err


def test_an_annotation_that_is_not_understood_costs_the_picture_its_no(
    shared: Path, tmp_path: Path, ruvlm: Run
) -> None:
    """Unknown ids, renamed classes and broken boxes: nothing is said to be absent that the photo shows."""
    photos = shared / "real" / "coco_photos"
    document = json.loads((photos / "instances.json").read_text())
    dog = next(row["id"] for row in document["categories"] if row["name"] == "dog")
    with_dogs = {str(a["image_id"]) for a in document["annotations"] if a["category_id"] == dog}

    def questions(name: str) -> list:
        (tmp_path / f"{name}.json").write_text(json.dumps(changed))
        out = tmp_path / name
        done = ruvlm("data", "from-coco", "--instances", tmp_path / f"{name}.json", "--images", photos, "--out", out)
        assert done.code == 0, done.err
        return [*open_source(str(out)).load("gqa-ru", "test").examples]

    for name, change in (("ids", {"category_id": 9999}), ("boxes", {"bbox": [1, 2]})):
        changed = {
            **document,
            "annotations": [{**a, **change} if a["category_id"] == dog else a for a in document["annotations"]],
        }
        wrong = [
            e.question
            for e in questions(name)
            if e.image_id in with_dogs and e.answer == "нет" and e.structural != "verify"
        ]
        said = [
            e for e in questions(f"{name}2") if e.image_id in with_dogs and "собак" in e.question and e.answer == "нет"
        ]
        assert not said, (wrong, said)
    changed = {
        **document,
        "categories": [{**c, "name": "Собака"} if c["id"] == dog else c for c in document["categories"]],
    }
    assert any("собака" in e.question.lower() and e.answer == "да" for e in questions("russian")), (
        "Russian names are known"
    )
    changed = {**document, "images": document["images"] * 2, "annotations": document["annotations"]}
    assert len({e.id for e in questions("twice")}) == len(questions("twice2"))
    assert not [f for f in audit(str(tmp_path / "twice")).findings if f.serious]


def test_only_classes_that_were_looked_for_may_be_absent(tmp_path: Path, ruvlm: Run) -> None:
    path = write_coco(
        tmp_path,
        categories=[{"id": 18, "name": "dog"}],
        annotations=[{"image_id": 1, "category_id": 18, "bbox": [10, 60, 100, 120]}],
    )
    done = ruvlm("data", "from-coco", "--instances", path, "--images", tmp_path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    asked = open_source(str(tmp_path / "out")).load("gqa-ru", "test").examples
    assert asked
    assert not [e.question for e in asked if e.answer == "нет" and e.detailed == "exist"], "nobody looked for giraffes"


def test_a_fact_is_asked_once(made: Path) -> None:
    seen = Counter(
        (e.image_id, e.detailed, e.program.split("->")[0], e.answer)
        for e in open_source(str(made)).load("gqa-ru", "test").examples
        if e.detailed == "count"
    )
    assert set(seen.values()) == {1}
