"""Every input that ruvlm reads, the commands that read it, and what a damaged one may end in: a result or one sentence.

A case is a pure function of (input, number): its folder is a copy of a clean one with one file damaged (mutations.py).
What counts as a fault: any exception that is no RuvlmError, an escape code printed to the terminal, markup unescaped in a page,
a file outside the case's folder, no end within LIMIT_S.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openpyxl
import typer
from PIL import Image

from ruvlm.backends.base import Access
from ruvlm.backends.openai_http import open_openai
from ruvlm.benchmarks.cards.read_card import read_card
from ruvlm.benchmarks.catalog import hub_set
from ruvlm.benchmarks.source import open_by_card, open_source
from ruvlm.cli.main import UsageError, app, main
from ruvlm.config import load_config
from ruvlm.data.conversations import load
from ruvlm.data.hub import plan_fetch
from ruvlm.data.images import load_image
from ruvlm.errors import RuvlmError
from ruvlm.evaluation.single import ask_once
from ruvlm.photos.coco import read_coco
from ruvlm.photos.graphs import read_graphs
from ruvlm.photos.skipped import Skipped
from ruvlm.run_folder import RunFolder
from ruvlm.schema import ImageRef
from ruvlm.training.state import read_checkpoint
from ruvlm.world.export import build, plans
from tests.support.house import RECIPES, ROOT, tiny
from tests.support.mutations import mutated
from tests.support.random_models import llava
from tests.support.rows import asked

LIMIT_S = 30
CARD = """schema = 1

[benchmark]
name = "own-{name}"
title = "Своё"
language = "ru"
licence = "CC0-1.0"

[source]
path = "rows.csv"

[columns]
id = "id"
image = "picture"
question = "question"
{columns}
[answer]
column = "answer"
form = "{answer}"

[[protocol]]
name = "p"
kind = "{form}"
prompt = "{prompt}"
max_new_tokens = 8
rules = ["{rules}"]
"""
MARKUP = "<script>alert(1)</script>"
CASE = "case"
# what the readers themselves write beside it
BESIDE = ("out", "shown.png", "shown.html", "asked.png")


@dataclass(frozen=True)
class Case:
    """A copy of a clean folder, and which file of it is damaged."""

    folder: Path
    file: Path


Reader = Callable[[Case], object]


@dataclass(frozen=True)
class Fault:
    """A case that ended badly, and how to have it again."""

    input: str
    number: int
    file: str
    how: str
    what: str


@dataclass(frozen=True)
class Input:
    """A kind of input: a clean folder of it, the files of it that are damaged, and its readers."""

    name: str
    make: Callable[[Path], object]
    files: str
    readers: tuple[Reader, ...]


class Hang(BaseException):
    """No end in sight; no `except Exception` takes it for a fault of the input."""


def command(*arguments: str) -> Reader:
    """A reader that is a command; «{}» stands for the case's folder, «{file}» for the damaged file."""

    def run(case: Case) -> object:
        try:
            return app(
                [part.replace("{}", str(case.folder)).replace("{file}", str(case.file)) for part in arguments],
                standalone_mode=False,
            )
        except typer.Exit as ended:
            return ended.exit_code
        except UsageError as error:  # no damage of a file makes a command wrong
            raise AssertionError(str(error)) from error

    run.__name__ = " ".join(arguments[:2])
    return run


# --- clean folders


def answers(folder: Path) -> None:
    """The same short answers and letters in five formats, and a log of lmms-eval."""
    folder.mkdir()
    short = [{"id": str(n), "prediction": f"кот {n}", "gold": "кот", "question": "Кто?"} for n in range(4)]
    letters = [
        {"index": n, "prediction": "A", "gold": "B", "A": "кот", "B": "пёс", "question": "Кто?"}
        for n in (1, 1_000_001, 2, 1_000_002)
    ]
    for name, rows in (("short", short), ("letters", letters)):
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        (folder / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        for end, mark in (("csv", ","), ("tsv", "\t")):
            lines = [mark.join(rows[0]), *(mark.join(map(str, row.values())) for row in rows)]
            (folder / f"{name}.{end}").write_text("\n".join(lines), encoding="utf-8")
        book = openpyxl.Workbook()
        for line in (list(rows[0]), *(list(row.values()) for row in rows)):
            book.active.append(line)
        book.save(folder / f"{name}.xlsx")
    logged = [
        {
            "doc_id": n,
            "target": "кот",
            "filtered_resps": ["кот"],
            "resps": [["кот"]],
            "doc": {"id": str(n), "question": "Кто?"},
        }
        for n in range(3)
    ]
    (folder / "samples_gqa.jsonl").write_text("\n".join(json.dumps(row) for row in logged), encoding="utf-8")


def rule_files(folder: Path) -> None:
    """What `parse` and `match` read."""
    folder.mkdir()
    read = [{"prediction": "Ответ: Б", "options": ["кот", "пёс"]}, {"prediction": "B", "n_options": 4}]
    matched = [{"pred": "кот", "gold": "кот"}, {"pred": "да", "gold": ["да", "ага"]}]
    for name, rows in (("parse", read), ("match", matched)):
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def by_rule(case: Case) -> object:
    return command(case.file.stem, "{file}")(case)


def little_world(folder: Path) -> None:
    build("mini", folder, seed=5, workers=1, splits=plans("mini", 2, 0.01))


def pictures(folder: Path) -> None:
    folder.mkdir()
    picture = Image.effect_noise((40, 30), 60).convert("RGB")
    for end in ("png", "jpg", "webp", "gif", "bmp", "tiff", "ppm", "ico"):
        picture.save(folder / f"p.{end}")


def recipe_files(folder: Path) -> None:
    folder.mkdir()
    for name in ("nano_world", "cnn_lstm", "vlm_lora", "llava_stage2_mix"):
        shutil.copy(RECIPES / f"{name}.toml", folder)


def own_cards(folder: Path) -> None:
    """Two cards of one table: short answers and options."""
    folder.mkdir()
    picture(folder / "p.png")
    rows = ["id,picture,question,answer,A,B", "1,p.png,Кто?,кот,кот,пёс", "2,p.png,Что?,пёс,кот,пёс"]
    (folder / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    kinds = {
        "short": {"columns": "", "answer": "text", "prompt": "{question}\\nОтветь.", "rules": "exact"},
        "choice": {
            "columns": 'options = ["A", "B"]\n',
            "answer": "option",
            "prompt": "{question}\\n{options}",
            "rules": "letters-ru",
        },
    }
    for name, fields in kinds.items():
        (folder / f"{name}.toml").write_text(CARD.format(name=name, form=name, **fields), encoding="utf-8")


def shipped_cards(folder: Path) -> None:
    """All but the one whose columns are guessed by its rows."""
    folder.mkdir()
    for card in (ROOT / "src/ruvlm/benchmarks/cards").glob("*.toml"):
        if card.stem != "xgqa-ru":
            shutil.copy(card, folder)


def picture(path: Path) -> None:
    Image.new("RGB", (64, 48), (200, 30, 30)).save(path)


def annotation_files(folder: Path) -> None:
    """COCO boxes, scene graphs and conversations about one picture."""
    folder.mkdir()
    picture(folder / "1.png")
    boxes = [
        {"id": n, "image_id": 1, "category_id": 1 + n % 2, "bbox": [5 * n, 4, 12, 10], "iscrowd": 0} for n in range(4)
    ]
    coco = {
        "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": boxes,
    }
    thing = {
        "name": "cat",
        "x": 3,
        "y": 4,
        "w": 20,
        "h": 10,
        "attributes": ["red"],
        "relations": [{"name": "on", "object": "2"}],
    }
    graphs = {"1": {"width": 64, "height": 48, "objects": {"1": thing, "2": {**thing, "name": "dog", "relations": []}}}}
    turns = [{"from": "human", "value": "<image>\nКто?"}, {"from": "gpt", "value": "Кот."}]
    for name, document in (
        ("coco", coco),
        ("graphs", graphs),
        ("talks", [{"id": "1", "image": "1.png", "conversations": turns}]),
    ):
        (folder / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def annotated(case: Case) -> object:
    """Whichever of the three is damaged."""
    if case.file.stem == "coco":
        return list(read_coco(case.file, case.folder, Skipped()))
    if case.file.stem == "graphs":
        return list(read_graphs(case.file, case.folder, Skipped()))
    return load(case.file, case.folder)


def run_folder(name: str) -> Callable[[Path], None]:
    """A run of a dozen steps with its checkpoints."""

    def make(folder: Path) -> None:
        world = folder.with_name(f"{folder.name}-data")
        build("mini", world, seed=3, workers=1, splits=plans("mini", 40, 0.02))
        recipe = {"nano": "nano_world", "cnn_lstm": "cnn_lstm"}[name]
        sets = [part for one in tiny(folder.name, world, folder.parent) for part in ("--set", one)]
        assert main(["train", recipe, *sets]) == 0

    return make


def evaluated_run(folder: Path) -> None:
    run_folder("nano")(folder)
    data = ("--data", str(folder.with_name(f"{folder.name}-data")), "--limit", "6", "--no-controls")
    assert main(["eval", str(folder), *data]) == 0


def asked_model(case: Case) -> object:
    """A run's folder answers a question about a picture of ours."""
    picture(case.folder / "asked.png")
    return ask_once(str(case.folder), case.folder / "asked.png", "Кто в рубашке?", None, 3, "cpu")


def hf_folder(folder: Path) -> None:
    llava(folder)


def asked_pretrained(case: Case) -> object:
    picture(case.folder.parent / "asked.png")
    return ask_once(f"hf:{case.folder}", case.folder.parent / "asked.png", "Кто?", None, 1, "cpu")


def going_on(case: Case) -> object:
    """What `--resume` reads of a run."""
    run = RunFolder(case.folder)
    return run.facts, run.records, read_checkpoint(run.checkpoints_folder, run.config, lambda _: None)


def evaluations(folder: Path) -> None:
    """A set, and two evaluations on it with blind controls; their submissions."""
    folder.mkdir()
    little_world(folder / "set")
    rows = open_source(str(folder / "set")).load("gqa-ru", "test").examples
    for name, text in (("a", "да"), ("b", "нет")):
        lines = [json.dumps({"id": e.id, "prediction": text if n % 3 else e.answer}) for n, e in enumerate(rows)]
        (folder / f"{name}.answers").write_text("\n".join(lines), encoding="utf-8")
        (folder / f"{name}.answers").rename(folder / f"{name}.jsonl")
        data = (
            "--data",
            str(folder / "set"),
            "--protocol",
            "gqa-ru/lmms",
            "--no-controls",
            "--out",
            str(folder / "all"),
        )
        assert main(["eval", f"file:{folder / f'{name}.jsonl'}", *data]) == 0
    for number, summary in enumerate(sorted((folder / "all").glob("*/summary.json"))):
        summary.parent.rename(folder / "ab"[number])
    shutil.rmtree(folder / "all")
    assert main(["leaderboard", "pack", str(folder / "a"), "--out", str(folder / "submission.json")]) == 0


def page(*arguments: str) -> Reader:
    """A command that writes pages: none of them may hold our markup as markup."""
    run = command(*arguments)

    def check(case: Case) -> object:
        done = run(case)
        for path in (case.folder / "out").rglob("*.html"):
            assert MARKUP not in path.read_text(encoding="utf-8"), f"{path.name} has {MARKUP}"
        return done

    check.__name__ = run.__name__
    return check


REPLY = {
    "id": "x",
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "кот"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2},
}
HUB = {
    "id": "deepvk/GQA-ru",
    "sha": "0" * 40,
    "siblings": [
        {
            "rfilename": f"testdev_balanced_{kind}/testdev-00000-of-00001.parquet",
            "size": 9,
            "lfs": {"sha256": "0" * 64, "size": 9, "pointerSize": 1},
        }
        for kind in ("instructions", "images")
    ],
}


def replies(folder: Path) -> None:
    """Replies as they come over the wire: status and body; and the hub's list."""
    folder.mkdir()
    (folder / "reply.json").write_text(json.dumps(REPLY), encoding="utf-8")
    (folder / "status.json").write_text(json.dumps({"status": 200, "headers": {"Content-Type": "application/json"}}))
    (folder / "hub.json").write_text(json.dumps(HUB), encoding="utf-8")
    picture(folder / "p.png")


class _Said(BaseHTTPRequestHandler):
    """Says what the case's files say, whatever is asked."""

    folder: Path

    def do_GET(self) -> None:
        self._say(self.folder / "hub.json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(self.folder / "reply.json")

    def _say(self, body: Path) -> None:
        try:
            read = json.loads((self.folder / "status.json").read_bytes())
            status, headers = int(read["status"]), dict(read["headers"])
            status = status if 200 <= status < 600 else 500
        except Exception:  # whatever the damage has made of it, it is said
            status, headers = 500, {}
        data = body.read_bytes()
        self.send_response(status)
        self.flush_headers()  # the case's headers go as they are, past the library's own rules
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.wfile.write(f"{name}: {value}\r\n".encode("utf-8", "replace"))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        return


_servers: list[str] = []


def _address() -> str:
    if not _servers:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Said)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _servers.append(f"http://127.0.0.1:{server.server_port}")
    return _servers[0]


def served(case: Case) -> object:
    """A question to a server that answers so. An error is a response like another; that of a whole reply is none."""
    _Said.folder = case.folder
    backend = open_openai(f"m@{_address()}/v1", Access(retries=0, timeout_s=3, requests=1))
    return list(backend.answer([asked("Кто?", ImageRef(case.folder / "p.png"), 8)]))


def listed(case: Case) -> object:
    """The hub's list of a set's files."""
    import huggingface_hub.constants as constants

    _Said.folder = case.folder
    before, constants.ENDPOINT = constants.ENDPOINT, _address()
    try:
        return plan_fetch(hub_set("gqa-ru"), ("testdev",), case.folder / "fetched")
    finally:
        constants.ENDPOINT = before


def by_card(case: Case) -> None:
    """The card that is damaged, or the first where their table is."""
    card = case.file if case.file.suffix == ".toml" else case.folder / "short.toml"
    source = open_by_card(card, None)
    for benchmark in source.benchmarks:
        source.load(benchmark, "test", limit=3)


def card_alone(case: Case) -> object:
    return read_card(case.file)


def shown_picture(case: Case) -> object:
    return load_image(ImageRef(case.file))


def configured(case: Case) -> object:
    return load_config(case.file)


SET = ("--data", "{}/set")
OUT = ("--out", "{}/out")
INPUTS = (
    Input("answers", answers, "*", (command("score", "{file}"), command("score", "{file}", "--json"))),
    Input("rules", rule_files, "*", (by_rule,)),
    Input("pictures", pictures, "*", (shown_picture,)),
    Input("recipes", recipe_files, "*.toml", (configured,)),
    Input("cards", own_cards, "*.*", (by_card,)),
    Input("shipped-cards", shipped_cards, "*.toml", (card_alone,)),
    Input("annotations", annotation_files, "*.json", (annotated,)),
    Input("replies", replies, "[rs]*.json", (served,)),
    Input("hub", replies, "[hs]*.json", (listed,)),
    Input(
        "sets",
        little_world,
        "**/*.*",
        (
            command("eval", "majority", "--data", "{}", "--limit", "4", "--no-controls", "--out", "{}/../out"),
            command("data", "check", "{}", "--workers", "1"),
            command("data", "show", "{}", "--n", "2", "--out", "{}/../shown.png"),
        ),
    ),
    Input(
        "evaluations",
        evaluations,
        "[ab]/*.*",
        (
            command("compare", "{}/a", "{}/b"),
            command("explain", "{}/a", "{}/b"),
            page("report", "{}/a", "{}/b", *SET, "--out", "{}/out/r.html"),
            page("leaderboard", "build", "{}/a", "{}/b", *OUT),
        ),
    ),
    Input(
        "evaluation",
        evaluations,
        "a/*.*",
        (command("score", "{}/a", *SET), command("leaderboard", "pack", "{}/a", "--out", "{}/out.json")),
    ),
    Input(
        "submissions", evaluations, "submission.json", (command("leaderboard", "verify", "{}/submission.json", *SET),)
    ),
    Input("nano", run_folder("nano"), "final_model/*.*", (asked_model,)),
    Input("cnn_lstm", run_folder("cnn_lstm"), "final_model/*.*", (asked_model,)),
    Input(
        "runs",
        evaluated_run,
        "**/*.*[nl]",
        (going_on, page("report", "{}", "--out", "{}/out/r.html"), command("push", "{}", "a/b", "--dry-run")),
    ),
    Input("hf", hf_folder, "*.*", (asked_pretrained,)),
)


@contextlib.contextmanager
def prepared(names: tuple[str, ...] = ()) -> Iterator[dict[str, Path]]:
    """Clean folders by input, of all or of those named."""
    with tempfile.TemporaryDirectory() as root:
        clean = {}
        for given in INPUTS:
            if not names or given.name in names:
                clean[given.name] = Path(root) / given.name
                given.make(clean[given.name])
        yield clean


def tried(given: Input, clean: Path, number: int) -> Fault | None:
    """One case: None if it ended as it may."""
    rng = random.Random(f"{given.name} {number}")
    with tempfile.TemporaryDirectory() as root:
        top = Path(root) / "1" / "2" / "3"
        top.mkdir(parents=True)
        folder = shutil.copytree(clean, top / CASE)
        file = rng.choice(sorted(p for p in folder.glob(given.files) if p.is_file()))
        file.write_bytes(mutated(file.read_bytes(), file.name, rng))
        reader = given.readers[number % len(given.readers)]
        what = _ending(reader, Case(folder, file))
        own = {"1", "2", "3", CASE, *BESIDE}
        strays = [
            p
            for p in Path(root).rglob("*")
            if not p.is_relative_to(folder) and own.isdisjoint({p.name, *beside(p, top)})
        ]
        what = what or (f"wrote {strays[0].relative_to(root)} outside" if strays else "")
        where = str(file.relative_to(folder))
    return Fault(given.name, number, where, getattr(reader, "__name__", "?"), what) if what else None


def beside(path: Path, top: Path) -> tuple[str, ...]:
    """The folder beside the case that a path lies in, if it lies in one."""
    return path.relative_to(top).parts[:1] if path.is_relative_to(top) else ()


def _ending(reader: Reader, case: Case) -> str:
    """How a reader ended, empty if well."""

    def stop(number: int, frame: Any) -> None:
        raise Hang

    out = io.StringIO()
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), _quiet():
            reader(case)
    except (RuvlmError, typer.Exit):
        pass
    except Hang:
        return f"no end within {LIMIT_S} s"
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno):  # the command line has a sentence for each of these
            last = [f for f in traceback.extract_tb(error.__traceback__) if "ruvlm" in f.filename][-1:]
            place = f"{last[0].filename.partition('ruvlm/')[2]}:{last[0].lineno}" if last else "?"
            return f"{type(error).__name__} {place}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return "an escape code on the terminal" if "\x1b" in out.getvalue() else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Warnings are errors under pytest; a library's about damaged input are no fault of ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def input_named(name: str) -> Input:
    return next(given for given in INPUTS if given.name == name)
