"""Faults and hostile input: nothing lost, nothing wrong in silence, one sentence, no litter."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ruvlm.benchmarks.catalog import hub_set
from ruvlm.benchmarks.source import open_source
from ruvlm.checkpoint import weights_fingerprint
from ruvlm.cli import main as cli
from ruvlm.cli.console import plain
from ruvlm.data.images import read_bytes
from ruvlm.errors import DataError, ModelError, OutputError
from ruvlm.evaluation.compare import compare
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.store import ResponseStore
from ruvlm.files import inside, whole_folder
from ruvlm.photos.coco import read_coco
from ruvlm.photos.skipped import Skipped
from ruvlm.reporting.leaderboard import as_csv, as_markdown, boards
from ruvlm.reporting.push import left_out, planned
from ruvlm.schema import ImageRef, Response
from ruvlm.workers import WorkerPool
from ruvlm.world.export import build, plans
from tests.support.house import RECIPES, Ran, tiny
from tests.support.rows import prompt

Run = Callable[..., Ran]
UNFORESEEN = "не предвидели"


# --- stored answers


def stored(folder: Path, *texts: str) -> Path:
    store = ResponseStore(folder)
    for number, text in enumerate(texts):
        store.add(f"k{number}", f"i{number}", prompt(), Response(text))
    store.close()
    return folder / "responses.jsonl"


@pytest.mark.parametrize(
    "damage", [b"\xff", b"{", b'{"key": "k", "id": 3, "response": {"text": 5}}', b"[1]", b"null", b"[" * 5000]
)
def test_one_bad_line_costs_no_other_answer(tmp_path: Path, damage: bytes) -> None:
    path = stored(tmp_path, "а", "б", "в")
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage
    path.write_bytes(b"\n".join(lines))
    store = ResponseStore(tmp_path)
    assert [store.answered(f"k{n}") for n in range(3)] == [True, False, True]
    assert store.damaged == [2]
    store.close()
    assert len(EvaluationFolder(tmp_path).responses) == 2


def test_fields_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    path = stored(tmp_path, "а")
    row = json.loads(path.read_text())
    row["response"]["cached"] = True
    path.write_text(json.dumps(row) + "\n")
    assert EvaluationFolder(tmp_path).responses["i0"].text == "а"


def test_half_a_character_is_stored(tmp_path: Path) -> None:
    stored(tmp_path, "смайл \ud83d")
    assert EvaluationFolder(tmp_path).responses["i0"].text == "смайл �"


def test_half_a_character_in_a_sets_name_is_written(little: Path, tmp_path: Path, ruvlm: Run) -> None:
    changed = tmp_path / "w"
    shutil.copytree(little, changed)
    about = json.loads((changed / "world.json").read_text(encoding="utf-8"))
    (changed / "world.json").write_text(json.dumps({**about, "level": "\ud83d"}), encoding="utf-8")
    for words in (("eval", "majority", "--no-controls", "--data"), ("data", "show", "--n", "2")):
        ran = ruvlm(*words, changed, "--out", tmp_path / words[0])
        assert ran.code == 0, ran.err
    summary, *_ = (tmp_path / "eval").rglob("summary.json")
    assert "world-\ufffd" in summary.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def evaluated(little: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two evaluations by models of one name, and one of another, on the same rows."""
    root = tmp_path_factory.mktemp("evaluated")
    rows = open_source(str(little)).load("gqa-ru", "test").examples
    for place, text in (("a", "да"), ("b", "нет")):
        (root / place).mkdir()
        file = root / place / "answers [old].jsonl"
        file.write_text("\n".join(json.dumps({"id": e.id, "prediction": text}) for e in rows))
        arguments = [
            "eval",
            f"file:{file}",
            "--data",
            str(little),
            "--protocol",
            "gqa-ru/lmms",
            "--no-controls",
            "--out",
            str(root / place),
        ]
        assert cli.main(arguments) == 0
    return root


def one(root: Path) -> Path:
    (folder,) = (path.parent for path in root.glob("*/summary.json"))
    return folder


def test_models_of_one_name_are_told_apart_and_brackets_are_text(evaluated: Path, ruvlm: Run) -> None:
    ran = ruvlm("compare", one(evaluated / "a"), one(evaluated / "b"))
    assert ran.code == 0
    assert "[old]" in ran.out
    (row, *_) = compare([one(evaluated / "a"), one(evaluated / "b")])
    assert row.a != row.b


def test_unanswered_requests_are_no_wrong_answers(evaluated: Path, tmp_path: Path, ruvlm: Run) -> None:
    half = shutil.copytree(one(evaluated / "a"), tmp_path / "half")
    lines = [json.loads(line) for line in (half / "verdicts.jsonl").read_text().splitlines()]
    for row in lines[::2]:
        row.update(status="error", reason="ошибка: 503", scores=dict.fromkeys(row["scores"], 0))
    (half / "verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    summary = json.loads((half / "summary.json").read_text())
    for rule in summary["scores"]:
        summary["scores"][rule]["correct"] = sum(int(row["scores"][rule]) for row in lines)
    (half / "summary.json").write_text(json.dumps(summary))
    rows = compare([half, one(evaluated / "a")])
    assert all(row.points == 0 and row.left_out == len(lines[::2]) for row in rows)
    assert "не ответил" in ruvlm("compare", half, one(evaluated / "a")).err


def test_verdicts_that_disagree_with_their_summary_are_refused(evaluated: Path, tmp_path: Path) -> None:
    other = shutil.copytree(one(evaluated / "a"), tmp_path / "other")
    shutil.copy(one(evaluated / "b") / "verdicts.jsonl", other)
    with pytest.raises(DataError, match="повреждена"):
        compare([other, one(evaluated / "a")])


def test_damaged_evaluations_end_in_a_sentence(evaluated: Path, tmp_path: Path, ruvlm: Run, little: Path) -> None:
    """Bytes flipped, values changed, lines lost: every command that reads a folder says one sentence or gives its result."""
    rng = random.Random(0)
    folder = one(evaluated / "a")
    for case in range(150):
        copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        path = copy / rng.choice(["identity.json", "summary.json", "verdicts.jsonl", "responses.jsonl"])
        path.write_bytes(mutated(path.read_bytes(), rng))
        command = rng.choice(
            [
                ("compare", copy, folder),
                ("score", copy, "--data", little),
                ("report", copy, "--data", little, "--out", tmp_path / "r.html"),
                ("leaderboard", "pack", copy, "--out", tmp_path / "s.json"),
                ("leaderboard", tmp_path / "copy", "--out", tmp_path / "site"),
            ]
        )
        ran = ruvlm(*command)
        assert ran.code in (0, 1, 2), (case, command, ran.err)
        assert UNFORESEEN not in ran.err, (case, command, path.name, ran.err)
        assert "Traceback" not in ran.err


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One damage of JSON: a bit, a cut, a value of another type, a key lost, a line lost or doubled."""
    kind = rng.randrange(6)
    if kind == 0:
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[: rng.randrange(len(data))]
    lines = data.decode().split("\n")
    if len(lines) > 3 and kind == 2 and not lines[0].startswith("{\n"):
        at = rng.randrange(len(lines) - 1)
        return "\n".join(lines[:at] + lines[at + 1 :] + lines[at : at + (rng.random() < 0.5)]).encode()
    try:
        at = rng.randrange(max(1, len(lines) - 1))
        whole = json.loads(data)
    except ValueError:
        whole = None
    value = whole if whole is not None else json.loads(lines[at])
    key = rng.choice(list(value))
    if rng.random() < 0.3:
        value.pop(key)
    else:
        value[key] = rng.choice([None, 5, "x", [], {}, True, -1.5, "\ud83d", [[1]], {"a": None}])
    if whole is not None:
        return json.dumps(value).encode()
    lines[at] = json.dumps(value)
    return "\n".join(lines).encode()


# --- models


def test_any_file_that_decides_the_answers_is_in_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    marks = [weights_fingerprint(tmp_path)]
    for name in ("pytorch_model.bin", "merges.txt", "modeling.py", "sub/tokenizer.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a")
        marks.append(weights_fingerprint(tmp_path))
        (tmp_path / name).write_text("b")
        marks.append(weights_fingerprint(tmp_path))
    assert len(set(marks)) == len(marks)
    for name in ("README.md", ".DS_Store", "optimizer.pt", "training_args.bin", "picture.png"):
        (tmp_path / name).write_text("c")
    assert weights_fingerprint(tmp_path) == marks[-1]


@pytest.mark.parametrize(("spoil", "said"), [("nan", "NaN"), ("inf", "бесконечность"), ("int8", "целые")])
def test_weights_that_mean_nothing_are_refused(runs: Path, tmp_path: Path, spoil: str, said: str, ruvlm: Run) -> None:
    folder = shutil.copytree(runs / "nano" / "final_model", tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    name = next(key for key, value in weights.items() if value.ndim == 2 and key.endswith("weight"))
    if spoil == "int8":
        weights[name] = (weights[name] * 50).to(torch.int8)
    else:
        weights[name].view(-1)[3] = float(spoil)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    ran = ruvlm("ask", folder, tmp_path / "p.png", "Кто?")
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize("text", ["[]", "5", '{"model_type": "nano", "dtype": []}', "{"])
def test_a_broken_config_is_a_sentence(runs: Path, tmp_path: Path, text: str, ruvlm: Run) -> None:
    folder = shutil.copytree(runs / "nano" / "final_model", tmp_path / "m")
    (folder / "config.json").write_text(text)
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    ran = ruvlm("ask", folder, tmp_path / "p.png", "Кто?")
    assert ran.code == 2
    assert UNFORESEEN not in ran.err, ran.err


def test_a_broken_tokenizer_is_a_sentence(runs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(runs / "nano" / "final_model", tmp_path / "m")
    (folder / "tokenizer.json").write_text('{"model": 5}')
    from ruvlm.models.nano.tokenizer import load_tokenizer

    with pytest.raises(ModelError, match="не читается"):
        load_tokenizer(folder / "tokenizer.json")


def test_a_pushed_folder_holds_known_files_alone(runs: Path, tmp_path: Path, ruvlm: Run) -> None:
    run = shutil.copytree(runs / "nano", tmp_path / "nano")
    model = next(run / name for name in ("best_model", "final_model") if (run / name).is_dir())
    (model / ".env").write_text("KEY=1")
    (model / "notes.json").symlink_to("/etc/hostname")
    (model / "private.zip").write_bytes(b"x")
    assert not {".env", "notes.json", "private.zip"} & {file.name for file in planned(run)}
    assert set(left_out(run)) >= {".env", "notes.json", "private.zip"}
    assert ruvlm("push", run, "../x", "--dry-run").code == 2


# --- training


def test_a_run_killed_before_its_first_checkpoint_begins_anew(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    sets = [part for override in tiny("r", world, tmp_path) for part in ("--set", override)]
    command = ("train", RECIPES / "cnn_lstm.toml", *sets)
    folder = tmp_path / "r"
    folder.mkdir()
    for name in ("run.toml", "run.json", "metrics.jsonl", ".lock"):
        (folder / name).write_text("")
    resumed = ruvlm(*command, "--resume")
    assert resumed.code == 2
    assert "без --resume" in resumed.err
    assert ruvlm(*command).code == 0
    taken = ruvlm(*command)
    assert taken.code == 2
    assert "--resume" in taken.err


def test_a_run_is_not_gone_on_with_on_other_data(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    data = shutil.copytree(world, tmp_path / "w")
    sets = [part for override in tiny("r", data, tmp_path) for part in ("--set", override)]
    command = ("train", RECIPES / "cnn_lstm.toml", *sets)
    assert ruvlm(*command).code == 0
    path = data / "gqa-ru/train_balanced_instructions/train-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), path)
    ran = ruvlm(*command, "--resume")
    assert ran.code == 2
    assert "изменились" in ran.err


# --- data


def test_a_second_download_does_not_double_the_rows(world: Path, tmp_path: Path) -> None:
    data = shutil.copytree(world, tmp_path / "w")
    whole = len(open_source(str(world)).load("gqa-ru", "test").examples)
    for path in (data / "gqa-ru").glob("testdev_balanced_*/*.parquet"):
        shutil.copy(path, path.with_name(f"{path.stem} (1).parquet"))
    assert len(open_source(str(data)).load("gqa-ru", "test").examples) == whole


def test_a_parquet_damaged_inside_is_a_finding(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    data = shutil.copytree(world, tmp_path / "w")
    path = data / "gqa-ru/testdev_balanced_instructions/testdev-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    for at in range(200, 1200):
        content[at] ^= 0x5A
    path.write_bytes(content)
    checked = ruvlm("data", "check", data)
    assert checked.code == 1
    assert UNFORESEEN not in checked.err
    ran = ruvlm("eval", "majority", "--data", data, "--no-controls", "--out", tmp_path / "o")
    assert ran.code == 2
    assert "повреждён" in ran.err


def test_a_listed_path_that_leads_out_is_a_finding(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    data = shutil.copytree(world, tmp_path / "w")
    known = json.loads((data / "world.json").read_text())
    known["files"]["../../../../etc/hostname"] = "0" * 64
    (data / "world.json").write_text(json.dumps(known))
    assert ruvlm("data", "check", data).code == 1


@pytest.mark.parametrize(
    "name", ["../s.png", "/etc/hostname", "a/../../s.png", "link.png", "..\\s.png", "C:\\s.png", "a\0b", ""]
)
def test_names_from_data_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "s.png")
    (folder / "link.png").symlink_to(tmp_path / "s.png")
    assert inside(folder, name) is None
    box = {
        "images": [{"id": 1, "file_name": name or "x", "width": 8, "height": 8}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
    }
    (tmp_path / "i.json").write_text(json.dumps(box))
    (scene,) = read_coco(tmp_path / "i.json", folder, Skipped())
    assert scene.path is None


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path / "x.png", Path("/dev/zero")):
        with pytest.raises(DataError, match="не файл"):
            read_bytes(ImageRef(path))


def test_a_hubs_names_stay_in_the_folder() -> None:
    names = [
        "testdev_balanced_instructions/testdev-/../../../x.parquet",
        "testdev_balanced_instructions/testdev-0.parquet",
    ]
    assert hub_set("gqa-ru").wanted(names, "testdev") == names[1:]


COCO = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 2, "file_name": "b.jpg", "width": 640, "height": 480},
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "fire hydrant"}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [60, 100, 270, 320]},
        {"image_id": 1, "category_id": 2, "bbox": [420, 200, 100, 220]},
        {"image_id": 2, "category_id": 1, "bbox": [60, 100, 270, 320]},
    ],
}


def coco(tmp_path: Path, change: Callable[[dict], object]) -> list:
    document = json.loads(json.dumps(COCO))
    change(document)
    (tmp_path / "i.json").write_text(json.dumps(document))
    return list(read_coco(tmp_path / "i.json", tmp_path, Skipped()))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["annotations"].append({"image_id": 9, "category_id": 2, "bbox": [1, 1, 50, 50]}),
        lambda d: [image.update(neg_category_ids=[]) for image in d["images"]],
        lambda d: (
            d["annotations"].append({"image_id": 1, "category_id": 77, "bbox": [1, 1, 50, 50]})
            or d["annotations"].append({"image_id": 2, "category_id": 77, "bbox": [1, 1, 50, 50]})
        ),
    ],
)
def test_what_is_missing_is_never_taken_for_absence(tmp_path: Path, change: Callable[[dict], object]) -> None:
    assert not any(scene.exhaustive for scene in coco(tmp_path, change))


def test_boxes_join_by_value_and_by_file(tmp_path: Path) -> None:
    as_text = coco(
        tmp_path,
        lambda d: [
            a.update(image_id=str(a["image_id"]), category_id=str(a["category_id"]), bbox=list(map(str, a["bbox"])))
            for a in d["annotations"]
        ],
    )
    assert [len(scene.things) for scene in as_text] == [2, 1]
    assert all(scene.exhaustive for scene in as_text)
    twice = coco(tmp_path, lambda d: d["images"][1].update(file_name="a.jpg"))
    assert [len(scene.things) for scene in twice] == [2]
    unlabelled = coco(tmp_path, lambda d: d["annotations"].pop())
    assert [scene.id for scene in unlabelled] == ["1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["categories"][1].update(id=1), "дважды"),
        (
            lambda d: [a.update(bbox=[a["bbox"][0] / 640, a["bbox"][1] / 480, 0.3, 0.4]) for a in d["annotations"]],
            "долями",
        ),
        (
            lambda d: [
                a.update(bbox=[a["bbox"][0], a["bbox"][1], a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3]])
                for a in d["annotations"]
            ],
            "углы",
        ),
        (lambda d: d["images"][0].update(id=[1]), "номер"),
        (lambda d: d["images"][0].update(width=1e400), "размер"),
        (lambda d: d["images"][0].update(file_name=5), "не текст"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, change: Callable[[dict], object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        coco(tmp_path, change)


@pytest.mark.parametrize(
    "flag", [{"iscrowd": "1"}, {"IsGroupOf": 1}, {"difficult": True}, {"attributes": {"ignore": 1}}]
)
def test_an_annotation_that_is_not_sure_counts_nothing(tmp_path: Path, flag: dict) -> None:
    scenes = coco(tmp_path, lambda d: d["annotations"][2].update(flag))
    assert [thing.crowd for thing in scenes[1].things] == [True]
    sure = coco(tmp_path, lambda d: d["annotations"][2].update(iscrowd="0"))
    assert [thing.crowd for thing in sure[1].things] == [False]


# --- processes and folders


def test_a_folder_is_whole_or_absent_and_litter_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".set-abcdefgh").mkdir()
    with pytest.raises(OutputError), whole_folder(tmp_path / "set") as fresh:
        os.replace(fresh / "half", fresh / "x")
    assert list(tmp_path.iterdir()) == []
    with whole_folder(tmp_path / "set") as fresh:
        (fresh / "x").write_text("whole")
        with pytest.raises(OutputError, match="другой процесс"), whole_folder(tmp_path / "set"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def started(command: list[str]) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A command in a session of its own, as soon as it has two processes beside it: they are still being started then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ruvlm", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 120
    while len(workers := parent.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(workers) >= 2
    return process, workers


@pytest.fixture(scope="module")
def many_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many as `data check` looks at with processes beside it."""
    folder = tmp_path_factory.mktemp("many") / "w"
    build("mini", folder, 3, 1, plans("mini", 60, 0.02))
    path = folder / "gqa-ru/train_balanced_images/train-00000-of-00001.parquet"
    table = pq.read_table(path)
    rows = [{**row, "id": f"{n}_{row['id']}"} for n in range(40) for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, row_group_size=200)
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("command", ["world", "check"])
def test_what_is_stopped_leaves_no_workers_and_says_one_line(
    tmp_path: Path, command: str, number: signal.Signals, many_pictures: Path
) -> None:
    """Ctrl-C goes to every process of a terminal, also to those that are still importing what they work with."""
    words = {
        "world": ["data", "world", "--level", "full", "--out", str(tmp_path / "w"), "--workers", "2"],
        "check": ["data", "check", str(many_pictures), "--workers", "2"],
    }
    process, workers = started(words[command])
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    said = process.communicate(timeout=60)[1]
    _gone, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    if number == signal.SIGKILL:
        return
    assert process.returncode == {signal.SIGINT: cli.INTERRUPTED, signal.SIGTERM: cli.TERMINATED}[number]
    assert "Traceback" not in said
    assert (
        said.splitlines()[-1] == {signal.SIGINT: "Прервано.", signal.SIGTERM: "Остановлено сигналом SIGTERM."}[number]
    )
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_is_a_sentence() -> None:
    with pytest.raises(OutputError, match="рабочих процессов погиб"), WorkerPool(2) as pool:
        list(pool.map(os._exit, [1, 1]))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, cli.TERMINATED), (signal.SIGINT, cli.INTERRUPTED)])
def test_what_breaks_while_stopping_is_no_fault(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, ruvlm: Run
) -> None:
    """A pool whose workers had not all started says «cannot join thread»: the cause is the signal."""

    def stopped(*arguments: object) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        except BaseException:
            raise RuntimeError("cannot join thread before it is started")  # noqa: B904 – as a library does

    monkeypatch.setattr("ruvlm.world.export.build", stopped)
    done = ruvlm("data", "world")
    assert (done.code, "Ошибка" in done.err) == (code, False), done.err


def test_an_error_nobody_foresaw_is_a_sentence_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RUVLM_API_KEY", "sk-0123456789abcdef")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    tempfile.tempdir = None

    def broken(*arguments: object, **named: object) -> None:
        raise KeyError("sk-0123456789abcdef [/x]")

    monkeypatch.setattr(cli, "app", broken)
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr().err
    tempfile.tempdir = None
    assert UNFORESEEN in said
    assert "Traceback" not in said
    (log,) = tmp_path.glob("ruvlm-*.log")
    assert "Traceback" in log.read_text()
    assert "0123456789" not in said + log.read_text()


def test_a_file_size_limit_is_a_sentence(tmp_path: Path) -> None:
    """What a quota, a FAT disk or `ulimit -f` says."""
    code = (
        "import resource, signal, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from ruvlm.cli.main import main; "
        f"sys.exit(main(['data', 'world', '--level', 'mini', '--out', {str(tmp_path / 'w')!r}, '--train-images', '20', '--scale', '0.02', '--workers', '1']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran.stderr
    assert UNFORESEEN not in ran.stderr
    assert "больше, чем разрешено" in ran.stderr
    assert not list(tmp_path.iterdir())


# --- what is shown


def test_a_terminal_only_shows() -> None:
    assert plain("\x1b]0;title\x07 \x1b[2J да\n\u202eатад \ud83d") == "�]0;title� �[2J да\n�атад �"


def test_names_of_models_and_sources_do_nothing_in_tables(evaluated: Path, tmp_path: Path) -> None:
    shutil.copytree(evaluated, tmp_path / "e")
    for path in (tmp_path / "e").rglob("summary.json"):
        summary = json.loads(path.read_text())
        summary["model"] = "=HYPERLINK(1)|<script>[x](javascript:1)"
        summary["source"] = "@SUM(1)<img src=x>"
        path.write_text(json.dumps(summary))
    found = boards([tmp_path / "e"])
    page = as_markdown(found)
    assert "<script" not in page
    assert "<img" not in page
    assert "[x](" not in page
    assert not any(cell.startswith(("=", "@")) for line in as_csv(found).splitlines() for cell in line.split(","))
