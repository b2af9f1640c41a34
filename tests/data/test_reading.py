"""Reading real-shaped data: streaming, samples, dirt, the pixel cache under many hands, showing, mixtures, conversations."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ruvlm.benchmarks.sample import sampled
from ruvlm.benchmarks.source import open_source
from ruvlm.config import load_config
from ruvlm.data import conversations
from ruvlm.data.images import load_image, read_bytes
from ruvlm.data.pixels import PixelStore, opened
from ruvlm.data.split_files import sha256_of
from ruvlm.errors import ConfigError, DataError
from ruvlm.schema import ImageRef
from ruvlm.training.mixture import Epochs, parts_of
from tests.support.house import RECIPES, ROOT, Ran, tiny
from tests.support.rows import loaded, refs_of

Run = Callable[..., Ran]
QUESTIONS = "testdev_balanced_instructions/testdev-00000-of-00001.parquet"


def edit(path: Path, change: Callable[[list[dict]], object]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


# --- samples


def test_a_sample_is_stratified_seeded_and_nested(world: Path) -> None:
    whole = open_source(str(world)).load("gqa-ru", "test")
    some = sampled(whole, 100)
    assert len(some.examples) == 100
    assert [e.id for e in some.examples] == [e.id for e in sampled(whole, 100).examples]
    assert {e.id for e in some.examples} != {e.id for e in sampled(whole, 100, seed=1).examples}
    shares, mine = (Counter(e.structural for e in d.examples) for d in (whole, some))
    for kind, count in shares.items():
        assert abs(mine[kind] - 100 * count / len(whole.examples)) <= 3
    assert some.fingerprint != whole.fingerprint
    assert sampled(whole, 10**6) is whole
    order = [e.id for e in whole.examples]
    assert [order.index(e.id) for e in some.examples] == sorted(order.index(e.id) for e in some.examples)


@pytest.mark.parametrize("limit", [4, 30, 77])
def test_a_sample_of_choices_keeps_rotations_together(world: Path, limit: int) -> None:
    whole = open_source(str(world)).load("mmbench-ru", "test")
    some = sampled(whole, limit)
    assert limit - 4 < len(some.examples) <= limit
    sizes = Counter(e.cluster for e in whole.examples)
    assert all(count == sizes[name] for name, count in Counter(e.cluster for e in some.examples).items())


def test_a_limit_too_small_for_a_group_is_refused(world: Path, ruvlm: Run) -> None:
    with pytest.raises(DataError, match="увеличьте"):
        sampled(open_source(str(world / "mmbench-ru")).load("mmbench-ru", "test"), 1)


def test_a_limited_evaluation_says_so_and_is_scored_again(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    done = ruvlm("eval", "majority", "--data", world, "--limit", 40, "--no-controls", "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert {row["n"] for row in rows if row["protocol"] == "gqa-ru/lmms"} == {40}
    assert all("sample 40" in row["source"] for row in rows)
    (folder,) = tmp_path.glob("*gqa-ru_lmms-majority")
    assert "sample_40" in folder.name
    again = ruvlm("score", folder, "--data", world, "--json")
    assert json.loads(again.out)["n"] == 40
    assert any("выборка: 40 строк из" in note for note in json.loads((folder / "summary.json").read_text())["notes"])


# --- streaming and dirt


def test_examples_stream_in_order_before_the_rest_is_read(world: Path) -> None:
    source = open_source(str(world))
    first = list(islice(source.stream("train"), 3))
    assert first == list(source.load("gqa-ru", "train").examples[:3])
    code = f"""
import sys
from ruvlm.benchmarks.source import open_source
next(open_source({str(world)!r}).stream("train"))
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pictures_are_read_in_any_order_whatever_the_row_groups(world: Path, tmp_path: Path) -> None:
    source = world / "gqa-ru/train_balanced_images/train-00000-of-00001.parquet"
    table = pq.read_table(source)
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=len(table))
    pq.write_table(table, tmp_path / "many.parquet", row_group_size=7)
    order = np.random.default_rng(0).permutation(len(table)).tolist()
    expected = [table.column("image")[row].as_py()["bytes"] for row in order]
    for name in ("one", "many"):
        assert [read_bytes(ImageRef(tmp_path / f"{name}.parquet", row)) for row in order] == expected


def test_a_picture_is_the_one_that_stands_there_now(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file written anew, or another of its name in another working folder: no picture of the first one is shown."""
    source = pq.read_table(world / "gqa-ru/train_balanced_images/train-00000-of-00001.parquet")
    pictures = [cell["bytes"] for cell in source.column("image").to_pylist()]
    for name, start in (("a", 0), ("b", 5)):
        (tmp_path / name).mkdir()
        pq.write_table(source.slice(start, 40 - start), tmp_path / name / "x.parquet", row_group_size=10)
    for name, start in (("a", 0), ("b", 5)):
        monkeypatch.chdir(tmp_path / name)
        assert [read_bytes(ImageRef(Path("x.parquet"), row)) for row in (0, 25)] == [
            pictures[start],
            pictures[start + 25],
        ]
    pq.write_table(source.slice(9, 12), "x.parquet")
    assert read_bytes(ImageRef(Path("x.parquet"), 0)) == pictures[9]


def test_a_fingerprint_is_of_the_file_that_stands_there_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two files of one name, size and time in two working folders each has its own."""
    marks = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.parquet").write_text(name, encoding="utf-8")
        os.utime(tmp_path / name / "x.parquet", ns=(1, 1))
        monkeypatch.chdir(tmp_path / name)
        marks.append(sha256_of(Path("x.parquet")))
    assert marks == [hashlib.sha256(name.encode()).hexdigest() for name in ("a", "b")]


def test_dirt_of_the_real_rows_is_handled_and_counted(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "gqa-ru", tmp_path / "g")

    def spoil(rows: list[dict]) -> None:
        rows[1]["id"] = rows[0]["id"]
        rows[2]["answer"] += " "
        rows[3]["groups"] = {"global": "nan", "local": ""}
        rows[4]["groups"] = None
        rows[5]["types"] = None
        rows[6]["entailed"] = None

    edit(tmp_path / "g" / QUESTIONS, spoil)
    dataset = loaded("gqa-ru", tmp_path / "g", "testdev")
    assert set(dataset.notes) == {"повторный id: 1", "пробелы по краям ответа: 1"}
    assert dataset.examples[2].answer.endswith(" "), "the reference does not strip gold answers, nor do we"
    assert [e.group for e in dataset.examples[3:5]] == [None, None]
    assert (dataset.examples[5].structural, dataset.examples[6].entailed) == (None, ())


def test_an_option_gap_is_refused_with_its_row(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "mmbench-ru/mmbench_ru_dev.parquet", tmp_path)

    def gap(rows: list[dict]) -> None:
        rows[2].update(A="кот", B=None, C="пёс", answer="A")

    edit(tmp_path / "mmbench_ru_dev.parquet", gap)
    with pytest.raises(DataError, match=r"строка 2.*пропуск"):
        loaded("mmbench-ru", tmp_path, "dev")


# --- pictures

ORANGE = (200, 120, 40)


def saved(folder: Path, kind: str) -> Path:
    """One picture, orange on the left half and white on the right, in an unusual file."""
    image = Image.new("RGB", (60, 40), (255, 255, 255))
    image.paste(ORANGE, (0, 0, 30, 40))
    path = folder / f"{kind}.{'jpg' if kind.startswith(('exif', 'cmyk')) else 'png'}"
    if kind == "palette":
        image.quantize(8).save(path)
    elif kind == "cmyk":
        image.convert("CMYK").save(path, quality=95)
    elif kind == "alpha":
        clear = image.convert("RGBA")
        clear.paste((0, 0, 0, 0), (30, 0, 60, 40))
        clear.save(path)
    elif kind == "palette alpha":
        image.quantize(8).save(path, transparency=image.quantize(8).getpixel((50, 10)))
    elif kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    else:
        image.save(path)
    return path


@pytest.mark.parametrize("kind", ["plain", "palette", "cmyk", "alpha", "palette alpha", "exif"])
def test_every_readable_picture_becomes_upright_rgb(tmp_path: Path, kind: str) -> None:
    image = load_image(ImageRef(saved(tmp_path, kind)))
    assert (image.mode, image.size) == ("RGB", (60, 40))
    left, right = image.getpixel((10, 20)), image.getpixel((50, 20))
    assert max(abs(a - b) for a, b in zip(left, ORANGE, strict=True)) < 14
    assert min(right) > 240


def test_grey_and_sixteen_bit_keep_their_shades(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (20, 1))
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / "grey.png")
    for name in ("deep.png", "grey.png"):
        row = np.asarray(load_image(ImageRef(tmp_path / name)))[10, :, 0].astype(int)
        assert (abs(row - np.linspace(0, 255, 64)) < 2).all(), name


# --- the pixel cache


def test_a_damaged_row_is_seen_and_rebuilt(world: Path, tmp_path: Path) -> None:
    refs = refs_of(world)
    pixels = np.array(PixelStore.build(refs, 32, tmp_path).pixels)
    (path,) = tmp_path.glob("pixels-32-*.npy")
    data = bytearray(path.read_bytes())
    data[-500] ^= 1
    path.write_bytes(data)
    assert opened(path, pixels.shape) is None
    assert np.array_equal(PixelStore.build(refs, 32, tmp_path).pixels, pixels)
    assert opened(path, pixels.shape) is not None
    path.with_suffix(".sums").unlink()
    assert np.array_equal(PixelStore.build(refs, 32, tmp_path).pixels, pixels)


def test_hashes_are_kept_until_the_file_changes(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "w")
    refs = refs_of(tmp_path / "w", "val")
    before = PixelStore.build(refs, 16, tmp_path / "c")
    (marks,) = (tmp_path / "c").glob("marks-*.npy")
    path = refs[0].path
    edit(path, lambda rows: rows[0].update(image=rows[1]["image"]))
    os.utime(path, ns=(1, 1))
    after = PixelStore.build(refs, 16, tmp_path / "c")
    assert len(after.pixels) == len(before.pixels) - 1
    assert marks.is_file()


def test_several_processes_build_one_file(world: Path, tmp_path: Path) -> None:
    code = f"""
import hashlib
from pathlib import Path
from tests.support.rows import refs_of
from ruvlm.data.pixels import PixelStore
store = PixelStore.build(refs_of(Path({str(world)!r})), 40, Path({str(tmp_path)!r}))
print(hashlib.sha256(store.pixels.tobytes()).hexdigest())
"""
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]
    found = {job.communicate(timeout=120)[0] for job in jobs}
    assert [job.returncode for job in jobs] == [0] * 4
    assert len(found) == 1
    assert len(list(tmp_path.glob("pixels-40-*.npy"))) == 1
    assert not list(tmp_path.glob("*.tmp"))


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = refs_of(world, "val")
    for number, size in enumerate((48, 40, 32)):
        PixelStore.build(refs, size, tmp_path)
        (path,) = tmp_path.glob(f"pixels-{size}-*.npy")
        os.utime(path, (number, number))
    kept = sum(path.stat().st_size for path in tmp_path.glob("pixels-*.npy") if "-48-" not in path.name)
    monkeypatch.setenv("RUVLM_CACHE_GB", str(kept / 1e9))
    PixelStore.build(refs, 32, tmp_path)
    assert {path.name.split("-")[1] for path in tmp_path.glob("pixels-*.npy")} == {"40", "32"}
    assert {path.name.split("-")[1] for path in tmp_path.glob("pixels-*.sums")} == {"40", "32"}


# --- showing


def test_show_makes_a_sheet_and_a_page(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    done = ruvlm(
        "data",
        "show",
        world,
        "--n",
        6,
        "--type",
        "verify",
        "--type",
        "ocr",
        "--type",
        "verifyAttr",
        "--out",
        tmp_path,
        "--json",
    )
    assert done.code == 2, "a type that no benchmark has is named"
    done = ruvlm("data", "show", world, "--n", 6, "--type", "verify", "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    assert [Path(name).name for name in json.loads(done.out)] == ["gqa-ru-testdev.png", "gqa-ru-testdev.html"]
    with Image.open(tmp_path / "gqa-ru-testdev.png") as sheet:
        assert sheet.size[0] > 1000
        assert len(sheet.convert("RGB").getcolors(1 << 24)) > 50
    page = (tmp_path / "gqa-ru-testdev.html").read_text(encoding="utf-8")
    assert page.count("<article>") == 6
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page), "nothing from the network"
    shown = re.findall(r'data-types="([^"]+)"', page)
    assert shown
    assert all("verify" in kinds.split("|") for kinds in shown)


def test_a_hostile_question_does_no_harm_on_the_page(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    shutil.copytree(world / "gqa-ru", tmp_path / "g")
    edit(
        tmp_path / "g" / QUESTIONS,
        lambda rows: [
            r.update(question="<script>alert(1)</script>", answer="\"'><img src=x onerror=alert(1)>") for r in rows
        ],
    )
    assert ruvlm("data", "show", tmp_path / "g", "--n", 2, "--out", tmp_path).code == 0
    page = (tmp_path / "gqa-ru-testdev.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page


# --- mixtures and conversations


def test_epochs_give_each_set_its_weight() -> None:
    epochs = Epochs(np.array([0] * 40 + [1] * 20 + [2] * 10), (1.0, 0.5, 2.5))
    assert epochs.total == 40 + 10 + 25
    steps = epochs.total // 5
    seen = Counter(int(p) for step in range(steps) for p in epochs.pictures(7, step, 5))
    assert [sum(seen[p] for p in some) for some in (range(40), range(40, 60), range(60, 70))] == [40, 10, 25]
    assert set(seen[p] for p in range(60, 70)) == {2, 3}
    again = Epochs(np.array([0] * 40 + [1] * 20 + [2] * 10), (1.0, 0.5, 2.5))
    assert (again.pictures(7, steps + 3, 5) == epochs.pictures(7, steps + 3, 5)).all(), (
        "a pure function of seed and step"
    )
    halves = [
        {int(p) for s in range(steps) for p in epochs.pictures(7, e * steps + s, 5) if 40 <= p < 60} for e in (0, 1)
    ]
    assert halves[0] != halves[1], "another half in another epoch"
    parts = [epochs.pictures(7, 2, 6, part, 3) for part in range(3)]
    assert sorted(np.concatenate(parts)) == sorted(epochs.pictures(7, 2, 6))


def write_conversations(folder: Path, count: int = 6, lines: bool = False) -> Path:
    (folder / "coco" / "train2017").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        name = f"{number:012d}.jpg"
        Image.effect_noise((80, 60), 50 + number).convert("RGB").save(folder / "coco" / "train2017" / name)
        rows.append(
            {
                "id": name[:-4],
                "image": name,
                "conversations": [
                    {"from": "human", "value": "<image>\nЧто на снимке?"},
                    {"from": "gpt", "value": f"Шум номер {number}."},
                    {"from": "human", "value": "Он цветной?"},
                    {"from": "gpt", "value": "Нет."},
                ],
            }
        )
    rows.append(
        {
            "id": "text",
            "conversations": [{"from": "human", "value": "Привет"}, {"from": "gpt", "value": "Здравствуйте"}],
        }
    )
    path = folder / ("talk.jsonl" if lines else "talk.json")
    path.write_text(
        "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, ensure_ascii=False, indent=1), "utf-8"
    )
    return path


@pytest.mark.parametrize("lines", [False, True])
def test_conversations_are_read_turn_by_turn(tmp_path: Path, lines: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_conversations(tmp_path, lines=lines)
    monkeypatch.setattr(conversations, "PIECE", 37)  # a record is longer than a piece of the file
    dataset = conversations.load(path, tmp_path / "coco")
    assert [(e.question, e.answer) for e in dataset.examples[:2]] == [
        ("Что на снимке?", "Шум номер 0."),
        ("Он цветной?", "Нет."),
    ]
    assert len(dataset.examples) == 12
    assert dataset.notes == ("бесед без картинки: 1",)
    assert load_image(dataset.examples[0].image).size == (80, 60)
    assert len(conversations.load(path, tmp_path / "coco", limit=2).examples) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"id": 1, "image": "no.jpg", "conversations": []}]', "запись 0: картинки «no.jpg» нет"),
        ('[{"id": 1}]', "запись 0: нет списка «conversations»"),
        ('[{"conversations": [{"from": "dog", "value": "гав"}]}]', "сказал «dog»"),
        ('[{"conversations": []}, {"conver', "обрезан|не JSON"),
        ("nonsense", "не JSON"),
    ],
)
def test_bad_conversations_are_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "talk.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        conversations.load(tmp_path / "talk.json", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano_world", "cnn_lstm"])
def test_a_mixture_trains(world: Path, little: Path, tmp_path: Path, ruvlm: Run, name: str) -> None:
    talk = write_conversations(tmp_path, 8)
    text = (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    text += f"""
[[data.mix]]
path = "{world}"
limit = 400
weight = 0.5
[[data.mix]]
path = "{little}"
weight = 3
[[data.mix]]
path = "{talk}"
images = "{tmp_path / "coco"}"
limit = 5
"""
    config = tmp_path / f"{name}.toml"
    config.write_text(text, encoding="utf-8")
    sets = [part for override in tiny(name, world, tmp_path) for part in ("--set", override)]
    done = ruvlm("train", config, *sets)
    assert done.code == 0, done.err
    assert "conversations talk.json: картинок 5, вес 1" in done.err + done.out
    loaded = load_config(config, [s for s in sets if s != "--set"])
    parts = parts_of(loaded.data, False)
    assert [part.weight for part in parts] == [0.5, 3, 1]
    assert load_config(loaded.folder / "run.toml") == loaded
    assert sum(len(d.examples) for d in parts[0].datasets) <= 800


def test_a_misspelt_mixture_key_is_suggested(tmp_path: Path) -> None:
    config = tmp_path / "x.toml"
    config.write_text('[[data.mix]]\npath = "a"\nwieght = 2\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="«weight»"):
        load_config(config)


def test_without_training_rows_controls_say_what_they_go_by(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    shutil.copytree(world / "gqa-ru", tmp_path / "g", ignore=shutil.ignore_patterns("train_*"))
    done = ruvlm("eval", "majority", "--data", tmp_path / "g", "--out", tmp_path / "e", "--json")
    assert done.code == 0, done.err
    assert "question-only не обучить" in done.err
    assert {row["model"] for row in json.loads(done.out)} == {"majority", "random"}
    done = ruvlm("eval", "question-only", "--data", tmp_path / "g", "--out", tmp_path / "e")
    assert (done.code, "нет части train" in done.err) == (2, True)


def test_a_file_of_answers_that_grew_goes_on_and_another_of_its_name_is_refused(
    world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    examples = open_source(str(world / "gqa-ru")).load("gqa-ru", "test").examples
    lines = [json.dumps({"id": e.id, "prediction": e.answer}, ensure_ascii=False) for e in examples]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    path = tmp_path / "a" / "answers.jsonl"
    arguments = ("--data", world / "gqa-ru", "--no-controls", "--out", tmp_path / "e")
    path.write_text("\n".join(lines[:-3]), encoding="utf-8")
    done = ruvlm("eval", f"file:{path}", *arguments)
    assert (done.code, "допишите их в файл" in done.err) == (1, True), done.err
    path.write_text("\n".join(lines), encoding="utf-8")
    assert ruvlm("eval", f"file:{path}", *arguments).code == 0
    other = tmp_path / "b" / "answers.jsonl"
    other.write_text("\n".join(lines), encoding="utf-8")
    done = ruvlm("eval", f"file:{other}", *arguments)
    assert (done.code, "другая оценка" in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": 1, "prediction": "A", "gold": "E", "A": "кот", "B": "пёс"}], "не входит в варианты A, B"),
        ([{"id": 1, "prediction": "", "gold": ""}], "верный ответ пуст"),
        (
            [{"id": 1, "prediction": "A", "gold": "A", "A": "к", "B": "п"}, {"id": 2, "prediction": "к", "gold": "к"}],
            "нет вариантов",
        ),
    ],
)
def test_answers_that_cannot_be_scored_are_refused(tmp_path: Path, ruvlm: Run, rows: list[dict], said: str) -> None:
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    done = ruvlm("score", tmp_path / "x.jsonl")
    assert (done.code, said in done.err, "nan" in done.out) == (2, True, False), done.err
