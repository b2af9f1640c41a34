"""The world: deterministic, balanced, true to its scenes, in the hub's schemas."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ruvlm.errors import OutputError
from ruvlm.questions.balance import Balancer
from ruvlm.questions.draft import RELATION_WORDS, Question
from ruvlm.rules.match import lemmas
from ruvlm.world.choices import choice_entries
from ruvlm.world.export import VERSIONS, WORLD_VERSION, build, entries_of, plans
from ruvlm.world.forms.asker import Asker
from ruvlm.world.kinds import GARMENTS, KINDS, kinds_of, strokes
from ruvlm.world.render import SIDE, png, render
from ruvlm.world.scene import SceneGraph, SceneSampler, held_out_colour, held_out_things, is_held_out, related


def asked(
    level: str, scenes: int, held_out: bool = False, version: str = WORLD_VERSION
) -> list[tuple[SceneGraph, Question]]:
    rng = random.Random(5)
    sampler, balancer = SceneSampler(level, held_out), Balancer(entries_of(level), rng)
    found = []
    for number in range(scenes):
        scene = sampler.sample(str(number), rng)
        found += [
            (scene, question)
            for question in balancer.ask(
                Asker(scene, rng, held_out, version), 24, held_out_things(scene.things), held_out
            )
        ]
    return found


@pytest.fixture(scope="module", params=VERSIONS)
def mini(request: pytest.FixtureRequest) -> list[tuple[SceneGraph, Question]]:
    """All that is true of the world is true of each of its versions."""
    return asked("mini", 250, version=request.param)


def test_sizes_of_the_levels() -> None:
    assert len(kinds_of("mini")) >= 16
    assert len(kinds_of("full")) >= 60
    assert {"man", "woman", "boy", "girl"} <= {kind.key for kind in kinds_of("mini")}


@pytest.mark.parametrize("kind", [k for k in KINDS.values() if k.drawing], ids=lambda k: k.key)
def test_every_drawing_is_inside_its_box(kind: object) -> None:
    for stroke in strokes(kind.drawing):  # type: ignore[attr-defined]
        points = stroke.numbers[1:] if stroke.operation == "L" else stroke.numbers[:4]
        if stroke.operation != "A":  # a slice of a circle may come from a circle that is larger than the box
            assert all(-0.05 <= value <= 1.05 for value in points)


def test_bytes_do_not_depend_on_workers(tmp_path: Path) -> None:
    sizes = plans("mini", 130, 0.02)
    one = build("mini", tmp_path / "one", 1, 1, sizes)
    two = build("mini", tmp_path / "two", 1, 2, sizes)
    assert one["files"] == two["files"]
    assert one["fingerprint"] != build("mini", tmp_path / "three", 2, 1, sizes)["fingerprint"]


def test_a_second_build_reuses_and_another_world_is_refused(tmp_path: Path) -> None:
    sizes = plans("mini", 20, 0.01)
    first = build("mini", tmp_path / "w", 1, 1, sizes)
    assert build("mini", tmp_path / "w", 1, 1, sizes) == first
    with pytest.raises(OutputError, match="занята"):
        build("mini", tmp_path / "w", 2, 1, sizes)


def test_hub_layout_and_columns(world: Path) -> None:
    rows = pq.read_schema(world / "gqa-ru/testdev_balanced_instructions/testdev-00000-of-00001.parquet")
    assert rows.names == [
        "id",
        "imageId",
        "question",
        "answer",
        "fullAnswer",
        "isBalanced",
        "groups",
        "entailed",
        "equivalent",
        "types",
        "annotations",
        "semantic",
        "semanticStr",
    ]
    assert rows.field("entailed").type == "string"
    images = pq.read_schema(world / "gqa-ru/testdev_balanced_images/testdev-00000-of-00001.parquet")
    assert images.names == ["id", "image"]
    choices = pq.read_schema(world / "mmbench-ru/mmbench_ru_dev.parquet")
    assert {"index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "l2-category"} <= set(
        choices.names
    )


def test_shares_are_about_the_real_ones(mini: list[tuple[SceneGraph, Question]]) -> None:
    total = len(mini)
    structural = Counter(q.draft.form.structural for _, q in mini)
    semantic = Counter(q.draft.form.semantic for _, q in mini)
    wanted = {"query": 51, "verify": 21, "choose": 13, "logical": 12, "compare": 3}
    assert all(abs(100 * structural[key] / total - share) < 3 for key, share in wanted.items()), structural
    wanted = {"rel": 46, "attr": 32, "obj": 12, "cat": 7, "global": 3}
    assert all(abs(100 * semantic[key] / total - share) < 3 for key, share in wanted.items()), semantic


def test_yes_and_no_are_even_and_answers_flat(mini: list[tuple[SceneGraph, Question]]) -> None:
    answers = Counter(q.answer for _, q in mini if q.answer in ("да", "нет"))
    assert 48 <= 100 * answers["да"] / answers.total() <= 52
    by_form: dict[str, Counter[str]] = defaultdict(Counter)
    for _, question in mini:
        by_form[question.draft.form.key][question.answer] += 1
    for form, counts in by_form.items():
        top = counts.most_common(1)[0][1]
        assert top <= 2.2 * counts.total() / len(counts) + 4, (form, counts)


def test_the_promised_question_is_asked(mini: list[tuple[SceneGraph, Question]]) -> None:
    assert any(q.text == "Кто в рубашке?" for _, q in mini)


def test_relations_have_one_right_answer(mini: list[tuple[SceneGraph, Question]]) -> None:
    names = {english: key for key, (_, _, english) in RELATION_WORDS.items()}
    checked = 0
    for scene, question in mini:
        if question.draft.form.key != "query.related":
            continue
        (_, argument), _ = question.draft.program[-2]
        relation = names[argument.split(",")[1]]
        anchor = scene.things[question.mentions[0].thing]
        fitting = [t for t in scene.anchors if t.id != anchor.id and related(t, relation, anchor) is not False]
        assert [KINDS[t.kind].word for t in fitting] == [question.answer]
        checked += 1
    assert checked > 100


def test_a_name_fits_one_thing_only(mini: list[tuple[SceneGraph, Question]]) -> None:
    for scene, question in mini:
        for mention in question.mentions:
            thing = scene.things[mention.thing]
            text = question.text[mention.start : mention.end].lower()
            same = [t for t in scene.things if t.kind == thing.kind]
            if len(same) > 1 and question.draft.form.key not in ("query.wear_color", "query.related_color"):
                assert " " in text, (question.text, thing)


def test_yes_no_answers_are_true_of_the_scene(mini: list[tuple[SceneGraph, Question]]) -> None:
    """An independent reading of programs: exist, verify color, verify size."""
    checked = 0
    for scene, question in mini:
        steps = [step for step, _ in question.draft.program]
        key = question.draft.form.key
        if key == "verify.exist":
            truth = any(t.kind == steps[0][1].split(" (")[0] for t in scene.things)
        elif key == "verify.exist_color":
            truth = any(t.kind == steps[0][1].split(" (")[0] and t.colour == steps[1][1] for t in scene.things)
        elif key in ("verify.color", "verify.size"):
            thing = scene.things[int(re.findall(r"\((\d+)\)", steps[0][1])[0])]
            truth = steps[-1][1] in (thing.colour, thing.size)
        elif key == "logical.exist_and":
            truth = all(any(t.kind == s[1].split(" (")[0] for t in scene.things) for s in steps[:2])
        elif key == "logical.exist_or":
            truth = any(any(t.kind == s[1].split(" (")[0] for t in scene.things) for s in steps[:2])
        else:
            continue
        assert question.answer == ("да" if truth else "нет"), question
        checked += 1
    assert checked > 300


def test_training_never_shows_or_names_a_held_out_pair(mini: list[tuple[SceneGraph, Question]]) -> None:
    assert sum(held_out_colour(k) is not None for k in [*KINDS, *GARMENTS]) >= 16
    for scene, question in mini:
        assert not any(is_held_out(thing) for thing in scene.things)
        steps = [step for step, _ in question.draft.program]
        for (operation, argument), (following, colour) in pairwise(steps):
            if operation == "select" and following == "filter color":
                assert held_out_colour(argument.split(" (")[0]) != colour


def test_the_holdout_asks_only_of_held_out_pairs() -> None:
    found = asked("mini", 40, held_out=True)
    assert len(found) > 200
    for scene, question in found:
        touched = {m.thing for m in question.mentions} | set(question.draft.answer_things)
        assert any(is_held_out(scene.things[thing]) for thing in touched)


@pytest.mark.parametrize("level", ["mini", "full"])
def test_pictures_are_rgb_of_the_level_and_repeatable(level: str) -> None:
    rng = random.Random(1)
    scene = SceneSampler(level).sample("1", rng)
    picture = render(scene)
    assert (picture.size, picture.mode) == ((SIDE[level], SIDE[level]), "RGB")
    assert png(render(scene)) == png(picture)


def test_letters_are_even_and_rotations_complete(tmp_path: Path) -> None:
    build("mini", tmp_path / "w", 0, 1, plans("mini", 4, 0.2))
    rows = pq.read_table(tmp_path / "w/mmbench-ru/mmbench_ru_dev.parquet").drop(["image"]).to_pylist()
    groups: dict[int, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["index"] % 1_000_000].append(row)
    letters = Counter(row["answer"] for row in rows if row["D"] is not None)
    assert max(letters.values()) - min(letters.values()) <= 1
    base = Counter(g[0]["answer"] for g in groups.values() if g[0]["D"] is not None)
    assert all(abs(count / base.total() - 0.25) < 0.08 for count in base.values()), base
    for group in groups.values():
        options = [x for x in "ABCD" if group[0][x] is not None]
        assert [row["index"] // 1_000_000 for row in group] == list(range(len(options)))
        assert len({row[row["answer"]] for row in group}) == 1
        assert len({group[0][x] for x in options}) == len(options) >= 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("level", ["mini", "full"])
def test_every_form_of_choice_is_asked(level: str, version: str) -> None:
    from ruvlm.world.export import _prepared

    rng = random.Random(2)
    sampler = SceneSampler(level)
    for entry in choice_entries(level):
        found = None
        for number in range(3000):
            scene = _prepared(sampler.sample(str(number), rng), entry.prepare, rng)
            found = entry.ask(Asker(scene, rng, False, version), number)
            if found:
                break
        assert found is not None, entry.ask.__name__
        assert len(set(found.options)) == len(found.options) >= 2


def test_full_level_covers_sixteen_categories() -> None:
    from ruvlm.questions.entries import L2

    assert len(L2) == 16


def test_entailed_answers_follow(world: Path) -> None:
    """A yes to «мяч красный?» is entailed by «Какого цвета мяч? – красный»; entailed ids are in the same picture."""
    rows = pq.read_table(world / "gqa-ru/train_balanced_instructions/train-00000-of-00001.parquet").to_pylist()
    by_id = {row["id"]: row for row in rows}
    pairs = [(row, by_id[other]) for row in rows for other in re.findall(r"\d+", row["entailed"])]
    assert len(pairs) > 20
    assert all(a["imageId"] == b["imageId"] and a["id"] != b["id"] for a, b in pairs)
    colour = [
        (a, b) for a, b in pairs if a["semanticStr"].endswith("query: color [0]") and "verify color" in b["semanticStr"]
    ]
    assert all(b["answer"] in ("да", "нет") for _, b in colour)


@pytest.mark.parametrize(
    ("version", "mini", "full"),
    [("2", "3e7d44b6286fe5aa", "9448ea8830e85c46"), (WORLD_VERSION, "e7d1731bd1a5b544", "f4a891b15141b102")],
)
def test_a_version_is_drawn_to_the_byte(tmp_path: Path, version: str, mini: str, full: str) -> None:
    """Models are trained on it, and figures measured: a change of a byte is another version."""
    drawn = {}
    for level, plan in (("mini", plans("mini", 20, 0.02)), ("full", plans("full", 8, 0.01))):
        drawn[level] = build(level, tmp_path / level, 0, 1, plan, version=version)["fingerprint"]
    assert drawn == {"mini": mini, "full": full}


def self_naming(rows: list[dict]) -> list[str]:
    """Questions «Что слева от лопаты: лопата или зонт?» whose answer is the very thing that they ask from."""
    texts = []
    for row in rows:
        head, colon, _ = row["question"].partition(":")
        if colon and re.match(r"(Что|Кто) (находится )?(слева|справа|над|под|рядом) ", head):
            texts += [row["question"]] if lemmas(head.split()[-1]) & lemmas(row["answer"]) else []
    return texts


@pytest.mark.parametrize("level", ["mini", "full"])
def test_version_three_says_what_people_say(level: str, tmp_path: Path) -> None:
    """None of what a reader found odd, and no question whose answer names itself."""
    build(level, tmp_path / "w", 1, 1, plans(level, 150, 0.05), version="3")
    folder = tmp_path / "w"
    rows = [row for path in folder.glob("gqa-ru/*instructions/*.parquet") for row in pq.read_table(path).to_pylist()]
    choices = [row for path in folder.glob("mmbench-ru/*.parquet") for row in pq.read_table(path).to_pylist()]
    texts = [row["question"] for row in rows + choices]
    odd = (
        "носит",
        "под или над",
        "над или под",
        "по размеру, ",
        "по отношению к",
        "с какой стороны?",
        "Что здесь главное",
        "ставят в комнату",
        "по качеству",
        "подают на стол как",
    )
    worn_colour = re.compile(r"Какого цвета .*, котор\w+ носит ")
    for text in texts:
        assert not any(re.search(rf"\b{re.escape(words)}", text) for words in odd) or worn_colour.match(text), text
    for row in rows:
        toy = re.search(r"\bигрушк", row["question"], re.IGNORECASE)
        assert not (toy and row["answer"] == "снеговик"), row["question"]
    assert self_naming(rows) == []
    build(level, tmp_path / "before", 1, 1, plans(level, 150, 0.05), version="2")
    old = [
        r for p in (tmp_path / "before").glob("gqa-ru/*instructions/*.parquet") for r in pq.read_table(p).to_pylist()
    ]
    assert self_naming(old), "version 2 has what is looked for"
    compared = [row for row in rows if re.search(r"\b(выше|ниже) или (выше|ниже)\b", row["question"])]
    assert compared
    assert {row["answer"] for row in compared} == {"выше", "ниже"}
