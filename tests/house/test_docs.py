"""Every command of README and docs is run here, in a folder such as the pages speak of; links lead somewhere; errors are explained."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from ruvlm import errors
from ruvlm.cli.main import main
from tests.support.cards import hidden, real_mera, translations
from tests.support.commands import COMMANDS
from tests.support.house import ROOT
from tests.support.parts import encoder, language
from tests.support.photographs import GRAPH, write_coco
from tests.support.random_models import llava
from tests.support.serving import Server, free_port, hub, page_of

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("docs")

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.md")])
OURS = ("ruvlm ", ".venv/bin/ruvlm ", "torchrun ", "python -m ", "make ")
BLOCK = re.compile(r"^```[ \t]*(\w*)\n(.*?)^```", re.S | re.M)
# what pages leave to the reader -> what is here; the longer first
STANDS_FOR = {
    "ПАПКА-ОЦЕНКИ ПАПКА-ОЦЕНКИ": "EVALUATION OTHER",
    "results/nano_world/eval/ОЦЕНКА": "EVALUATION",
    "results/nano_world/eval/…": "EVALUATION",
    "openai:МОДЕЛЬ@http://хост:8000/v1": "SERVER",
    "hf:llava-hf/llava-1.5-7b-hf": "hf:models/llava",
    "HuggingFaceTB/SmolVLM-500M-Instruct": "models/llava",
    "google/siglip-base-patch16-224": "models/encoder",
    "Qwen/Qwen2.5-0.5B-Instruct": "models/language",
    "ОРГАНИЗАЦИЯ/ИМЯ": "org/name",
    "vlm.path=ИМЯ": "vlm.path=models/llava",
    "МОДЕЛЬ": "results/nano_world",
    "--data ПАПКА": "--data data/world-mini",
    "train.max_steps=4000": "train.max_steps=14",
    "ПАПКА": "made/folder",
}
# a run of minutes, made one of seconds
# calls whose sentence is not their first argument
SENTENCES = {"held": 1}
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RuvlmError)}
SHORT = ["train.max_steps=2", "train.images_per_step=4", "train.validations=0", "train.checkpoint_minutes=60"]


@dataclass(frozen=True)
class Place:
    """A folder such as the pages speak of, a model server, and a hub that listens here."""

    folder: Path
    server: str
    hub: str
    evaluations: tuple[str, str]


def commands_of(page: Path) -> list[str]:
    """Our commands in a page's blocks; blocks marked `console` are other programs'."""
    found = []
    for kind, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind in ("", "bash", "sh"):
            lines = body.replace("\\\n", " ").splitlines()
            found += [re.split(r"\s{2,}#|\s+#\s", line)[0].strip() for line in lines if line.startswith(OURS)]
    return found


ALL = [(page, command) for page in PAGES for command in commands_of(page)]
DIFFERENT = list(dict.fromkeys(command for _, command in ALL))


@pytest.fixture(scope="module")
def place(world: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("docs")
    here = root / "here"
    (here / "data").mkdir(parents=True)
    (here / "docs").symlink_to(ROOT / "docs")
    shutil.copytree(world, here / "data" / "world-mini")
    for name in ("gqa-ru", "mmbench-ru"):
        shutil.copytree(world / name, here / "data" / name)
        shutil.copytree(world / name, root / "hub" / "deepvk" / {"gqa-ru": "GQA-ru", "mmbench-ru": "MMBench-ru"}[name])
    shutil.copytree(runs / "nano", here / "results" / "nano_world")
    shutil.copytree(runs / "cnn_lstm", here / "results" / "cnn_lstm")
    Image.new("RGB", (320, 240), "skyblue").save(here / "photo.jpg")
    llava(here / "models" / "llava")
    encoder(here / "models" / "encoder", "siglip")
    language(here / "models" / "language", "qwen")
    (here / "photos").mkdir()
    shutil.move(write_coco(here / "photos"), here / "instances.json")
    Image.effect_noise((400, 300), 60).convert("RGB").save(here / "photos" / "77.jpg")
    (here / "sceneGraphs.json").write_text(json.dumps(GRAPH))
    _conversations(here)
    (here / "my_model.py").write_text('def answer(image, question):\n    return "да"\n', encoding="utf-8")
    _card(here)
    _sets(here, root / "hub", world)
    before = Path.cwd()
    os.chdir(here)
    try:
        for name in ("nano_world", "cnn_lstm"):
            asked = ["--data", "data/world-mini", "--limit", "200", "--prompts", "2"]
            assert main(["eval", f"results/{name}", *asked]) == 0
        shutil.copytree(here / "results", here / "results" / "quickstart")
        _answers(here)
        _asked_of_sets()
        _left_by_commands(here)
    finally:
        os.chdir(before)
    server = Server(here / "models" / "llava", root / "hf_home")
    server.start()
    evaluations = [
        str(
            next(
                (here / "results" / name / "eval").glob(f"*-gqa-ru_lmms-{name if name != 'nano_world' else 'nano'}*")
            ).relative_to(here)
        )
        for name in ("nano_world", "cnn_lstm")
    ]
    with hub(root / "hub") as address:
        yield Place(here, f"openai:{server.model}@{server.url}", address, (evaluations[0], evaluations[1]))
    server.kill()


def _card(here: Path) -> None:
    """The card of docs/own-data.md and the table that it speaks of."""
    page = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    (here / "my-set.toml").write_text(
        next(body for kind, body in BLOCK.findall(page) if kind == "toml"), encoding="utf-8"
    )
    lines = ["id,image,question,answer", "1,77.jpg,Это шум?,да", '2,77.jpg,"Что это, котики?",шум']
    (here / "questions.csv").write_text("\n".join(lines), encoding="utf-8")


def _sets(here: Path, hub_root: Path, world: Path) -> None:
    """The sets and the table of docs/benchmarks.md."""
    real_mera(here / "data", "WEIRD", "weird")
    shutil.copytree(here / "data" / "weird", hub_root / "MERA-evaluation" / "WEIRD")
    hidden(here / "data")
    translations(here / "data", world)
    lines = ["Вопрос;Ответ;Картинка", "Это небо?;да;photo.jpg", "Это дом?;нет;photo.jpg"]
    (here / "вопросы.csv").write_text("\n".join(lines), encoding="cp1251")


def _conversations(here: Path) -> None:
    """A file of LLaVA-style conversations with its picture, where llava_stage2 looks for them."""
    (here / "coco" / "train2017").mkdir(parents=True)
    Image.effect_noise((64, 48), 60).convert("RGB").save(here / "coco" / "train2017" / "1.jpg")
    said = [{"from": "human", "value": "<image>\nЧто это?"}, {"from": "gpt", "value": "Это шум."}]
    folder = here / "data" / "llava-instruct-ru"
    folder.mkdir()
    rows = [{"id": "1", "image": "1.jpg", "conversations": said}]
    (folder / "llava_instruct_ru_train.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def _answers(here: Path) -> None:
    """answers.jsonl: what a model said of the world's test part, with gold answers and options."""
    from ruvlm.benchmarks.source import open_source

    rows = []
    for example in open_source("data/world-mini").load("gqa-ru", "test").examples:
        rows.append(
            {"id": example.id, "question": example.question, "prediction": "да", "pred": "да", "gold": example.answer}
        )
    (here / "answers.jsonl").write_text(
        "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8"
    )
    letters = [{"prediction": "Ответ: B", "options": ["кошка", "собака"], "gold": "B"}]
    (here / "letters.jsonl").write_text("\n".join(map(json.dumps, letters)), encoding="utf-8")


def _asked_of_sets() -> None:
    """What earlier commands of docs/benchmarks.md leave behind: a card, answers to hidden questions and to translations."""
    assert main(["data", "card", "вопросы.csv", "--out", "мои-вопросы.toml"]) == 0
    assert main(["eval", "results/nano_world", "--data", "labtabvqa", "--out", "results/labtabvqa"]) == 0
    sets = "mmbench-ru,mmbench-dev-ru-parrot,mmbench-dev-ru-vikhr"
    assert main(["eval", "results/nano_world", "--data", sets, "--limit", "40", "--out", "results/translations"]) == 0


def _left_by_commands(here: Path) -> None:
    """What earlier commands of a page leave behind, at their usual places: photos, two stages of LLaVA, their merger, a submission."""
    assert (
        main(["data", "from-coco", "--instances", "instances.json", "--images", "photos", "--out", "data/my-photos"])
        == 0
    )
    assert (
        main(["data", "from-coco", "--instances", "instances.json", "--images", "photos", "--out", "data/photos-test"])
        == 0
    )
    for part in ("train", "val"):
        Path(f"instances_{part}2017.json").symlink_to("instances.json")
        Path(f"{part}2017").symlink_to("photos")
    stage1 = "results/llava_stage1/final_model"
    for config, name, base in (
        ("llava_stage1", "llava_stage1", "models/llava"),
        ("llava_stage2", "llava_stage2", stage1),
        ("vlm_lora", "lora", "models/llava"),
        ("vlm_photos", "vlm_photos", "models/llava"),
    ):
        chosen = (f"vlm.path={base}", "data.path=data/world-mini", f"name={name}", *SHORT)
        sets = [part for one in chosen for part in ("--set", one)]
        assert main(["train", config, *sets]) == 0
    assert main(["model", "merge", f"{stage1}+results/llava_stage2/final_model", "--out", "models/mine"]) == 0
    packed = next(Path("results/nano_world/eval").glob("*-gqa-ru_lmms-nano*"))
    assert main(["leaderboard", "pack", str(packed), "--out", "submission.json"]) == 0


def shortened(command: str, place: Place, number: int) -> list[str]:
    """The command as it can be run here: names in place of what it leaves to the reader, seconds in place of hours."""
    for words, name in STANDS_FOR.items():
        command = command.replace(words, name)
    command = command.replace("OTHER", place.evaluations[1]).replace("EVALUATION", place.evaluations[0])
    words = shlex.split(command.replace("SERVER", place.server))
    words[0] = words[0].removeprefix(".venv/bin/")
    verb = words[words.index("ruvlm") + 1 :]
    fresh = f"made/{number}"
    if verb[0] == "train" and verb[1].startswith("results/"):  # a run that lies there remembers its settings
        return words
    if verb[0] == "train":
        return [*words, *(part for one in _short(command, fresh) for part in ("--set", one))]
    if verb[:2] == ["data", "world"]:
        return _with([*words, "--train-images", "4", "--scale", "0.01"], "--out", fresh)
    if verb[0] in ("data", "model") and "--out" in words:
        return _with(words, "--out", fresh)
    if verb[0] == "eval" and "file:" not in command:
        words = words if "--limit" in words else [*words, "--limit", "20"]
        return _with(words, "--out", fresh)
    return words


def _short(command: str, fresh: str) -> list[str]:
    """Settings that a command to train does not name itself."""
    found = [*SHORT, f"results={fresh}"]
    if "data.path=" not in command:
        found.append("data.path=data/world-mini")
    if re.search("llava_stage|vlm_", command) and "vlm.path=" not in command:
        found.append("vlm.path=models/llava")
    if "llava_stage2" in command and "vlm.path=results" in command:
        found.append("vlm.path=models/llava")
    return found


def _with(words: list[str], key: str, value: str) -> list[str]:
    if key in words:
        at = words.index(key)
        return [*words[: at + 1], value, *words[at + 2 :]]
    return [*words, key, value]


def test_there_are_commands_on_every_page_that_teaches() -> None:
    assert f"{len(DIFFERENT)} разных, {len(ALL)} в тексте" in (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    assert {page.name for page, _ in ALL} >= {
        "README.md",
        "README.en.md",
        "quickstart.md",
        "own-model.md",
        "own-server.md",
    }


@pytest.mark.parametrize("command", DIFFERENT)
def test_the_command_works(
    command: str, place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if command.startswith("make "):
        # what these do is run by tests/house/test_quickstart.py and by this very suite; here: is the target there?
        done = subprocess.run(
            ["make", "-n", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return
    words = shortened(command, place, DIFFERENT.index(command))
    monkeypatch.chdir(place.folder)
    if words[1] == "demo":
        opened(words, place)
    elif words[0] == "torchrun" or words[1:3] == ["data", "fetch"]:
        program = (
            ["-m", "ruvlm"]
            if words[0] == "ruvlm"
            else ["-m", "torch.distributed.run", "--master_port", str(free_port())]
        )
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        settings = clean | {"HF_ENDPOINT": place.hub, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *program, *words[1:]],
            env=settings,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    else:
        if "--resume" in words and not words[2].startswith("results/"):
            assert main([word for word in words[1:] if word != "--resume"]) == 0
        code = main(words[1:])
        # 1 is what these found: a set of a few pictures is not balanced, a machine lacks something
        assert code == 0 or (code == 1 and (words[1] == "doctor" or words[1:3] == ["data", "check"])), (
            capfd.readouterr().err
        )


def opened(words: list[str], place: Place) -> None:
    """A page that holds the terminal: it opens, and Ctrl-C closes it."""
    import signal

    process = subprocess.Popen(
        [sys.executable, "-m", "ruvlm", *words[1:]],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    page_of(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, "закрыта" in said) == (0, True), said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_the_text_have_known_words(page: Path) -> None:
    """`ruvlm data check` and its like: the command is there, and so is every option."""
    names = {" ".join(path): command for path, command in COMMANDS.items()}
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for said in re.findall(r"`ruvlm ([^`]*)`", text):
        words = said.split()
        if words[0].startswith("-") or words[0].isupper():
            continue
        command = (
            names.get(" ".join(words[:2]))
            or names.get(words[0])
            or (words[0] == "leaderboard" and names["leaderboard build"])
        )
        assert command or words[0] in ("data", "model", "leaderboard"), f"{page.name}: ruvlm {said}"
        if command:
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            unknown = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)} - options
            assert not unknown, f"{page.name}: ruvlm {said}: {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def messages() -> list[str]:
    """What our errors say, with … for what they name; those that another sentence is made of are left out."""
    found = []
    for path in sorted((ROOT / "src" / "ruvlm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in (*KINDS, *SENTENCES)
                and len(node.args) > SENTENCES.get(node.func.id, 0)
            ):
                text = _text(node.args[SENTENCES.get(node.func.id, 0)])
                if re.search(r"[А-Яа-я]{3}", text):
                    found.append(text)
    return found


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return _text(node.left) + _text(node.right) if isinstance(node, ast.BinOp) else "…"


def test_every_error_message_is_explained() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", page, re.M)
    assert all(cause.strip() for _, cause in rows)
    said_by_us = messages()
    patterns = [
        re.compile(".*?".join(map(re.escape, one.split("…"))))
        for said, _ in rows
        for one in re.findall(r"`([^`]+)`", said)
    ]
    left = [text for text in said_by_us if not any(pattern.search(text) for pattern in patterns)]
    assert left == []
    unused = [p.pattern for p in patterns if not any(p.search(text) for text in said_by_us)]
    assert unused == [], "explained, but never said"


def test_the_house_is_described() -> None:
    page = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "ruvlm"
    rooms = {path.parent.name for path in source.glob("*/__init__.py") if any(path.parent.rglob("*.py"))}
    assert [room for room in sorted(rooms) if f"| `{room}/` |" not in page] == []
    assert [path.name for path in source.glob("*.py") if f"`{path.name}`" not in page] == []
    for folder, kind in (("docs", "*.md"), ("bench", "*.py"), ("notebooks", "*.ipynb")):
        missing = [path.name for path in (ROOT / folder).glob(kind) if path.stem not in page]
        assert missing == [], f"{folder}: {missing}"


def test_every_module_says_what_it_is() -> None:
    sources = [path for path in (ROOT / "src" / "ruvlm").rglob("*.py") if path.read_text(encoding="utf-8")]
    assert [str(path) for path in sources if not path.read_text(encoding="utf-8").startswith(('"""', 'r"""'))] == []
