"""«Куда ложится моё изменение?», row by row: a toy of each kind is put beside the house, and no file of it is edited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import ruvlm.benchmarks
from ruvlm.benchmarks.source import open_source
from ruvlm.run_folder import RunFolder
from tests.support.house import RECIPES, ROOT, Ran, tiny

Run = Callable[..., Ran]
COLOURS = {"красный": (200, 30, 30), "зелёный": (30, 160, 30), "синий": (30, 30, 200)}
BENCHMARK = '''
"""Spots of colour: a benchmark that the house has never heard of."""

import json
from types import MappingProxyType

from ruvlm.benchmarks.base import Axis, Benchmark, Published, Rows
from ruvlm.benchmarks.choice import LetterProtocol
from ruvlm.benchmarks.short import ShortProtocol
from ruvlm.data.split_files import fingerprint
from ruvlm.errors import MissingSplitError
from ruvlm.schema import Dataset, Example, Generation, ImageRef


class SpotRows(Rows):
    layout = "файлы spots-*.jsonl"

    def holds(self, folder):
        return any(folder.glob("spots-*.jsonl"))

    def load(self, place, split, grounding, bare):
        path = place.folder / f"spots-{split}.jsonl"
        if not path.is_file():
            raise MissingSplitError(f"Файла {path} нет.")
        examples = []
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            examples.append(
                Example(
                    id=row["id"], benchmark="spots", question=row["question"], answers=tuple(row["answers"]),
                    images=(ImageRef(place.folder / row["image"]),), image_id=row["image"], cluster=row["image"],
                    category=row["size"],
                )
            )
        return Dataset(name="spots", split=split, source=place.label, fingerprint=fingerprint([path]), examples=tuple(examples))

    def files(self, folder, split):
        return {folder / f"spots-{split}.jsonl"}

    def copy(self, folder, split, examples, out):
        raise NotImplementedError


BENCHMARK = Benchmark(
    name="spots",
    title="Spots",
    rows=SpotRows(),
    protocols=(
        ShortProtocol(
            name="spots/plain", benchmark="spots", generation=Generation(8), instruction="\\nОдним словом.",
            rules=MappingProxyType({"spots/exact": "exact", "spots/lemma": "lemma"}),
        ),
    ),
    axes=(Axis(name="size", value=lambda example: example.category),),
    splits=MappingProxyType({"test": "check"}),
    published=(Published(model="никто", value=50.0, source="выдумано"),),
)
'''


@pytest.fixture
def spots(tmp_path: Path) -> Path:
    """Its rows: two splits of spots of three colours, two accepted answers each."""
    folder = tmp_path / "spots"
    folder.mkdir()
    for split, count in (("train", 24), ("check", 12), ("val", 6)):
        rows = []
        for number in range(count):
            colour = list(COLOURS)[number % len(COLOURS)]
            name = f"{split}-{number}.png"
            # a dot of its own makes each picture another one
            image = Image.new("RGB", (32, 32), COLOURS[colour])
            image.putpixel((number % 32, number // 32), (number, ord(split[0]), 255))
            image.save(folder / name)
            size = "большое" if number % 2 else "малое"
            rows.append(
                {
                    "id": f"{split}{number}",
                    "question": "Какого цвета пятно?",
                    "answers": [colour, f"{colour} цвет"],
                    "image": name,
                    "size": size,
                }
            )
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"spots-{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder more where benchmarks are looked for."""
    package = tmp_path / "more" / "spots"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BENCHMARK, encoding="utf-8")
    monkeypatch.setattr(ruvlm.benchmarks, "__path__", [*ruvlm.benchmarks.__path__, str(package.parent)])
    yield
    sys.modules.pop("ruvlm.benchmarks.spots", None)


@pytest.mark.usefixtures("third")
def test_a_third_benchmark_is_a_folder(spots: Path, tmp_path: Path, ruvlm: Run) -> None:
    shown = ruvlm("data", "show", spots, "--split", "test", "--out", tmp_path / "shown", "--json")
    assert shown.code == 0, shown.err
    assert all(Path(path).is_file() for path in json.loads(shown.out))
    checked = ruvlm("data", "check", spots, "--json")
    assert [f["code"] for f in json.loads(checked.out)["findings"]] == ["no-auditor"]
    out = tmp_path / "eval"
    ran = ruvlm("eval", "question-only", "--data", spots, "--out", out, "--json")
    assert ran.code == 0, ran.err
    found = {one["model"]: one for one in json.loads(ran.out)}
    assert set(found) == {"question-only", "random", "majority"}
    assert found["majority"]["protocol"] == "spots/plain"
    score = found["majority"]["scores"]["spots/exact"]
    assert (score["n"], score["correct"]) == (12, 4), "one colour in three, in either accepted answer"
    folders = sorted(out.iterdir())
    compared = ruvlm("compare", *folders[:2], "--json")
    assert {row["rule"] for row in json.loads(compared.out)} == {"spots/exact", "spots/lemma"}
    again = ruvlm("score", folders[0], "--data", spots, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["scores"].keys() == {"spots/exact", "spots/lemma"}
    answers = tmp_path / "answers.jsonl"
    said = [{"id": f"check{n}", "prediction": list(COLOURS)[n % 3] + " цвет"} for n in range(12)]
    answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in said), encoding="utf-8")
    replayed = ruvlm("eval", f"file:{answers}", "--data", spots, "--out", out, "--no-controls", "--json")
    assert json.loads(replayed.out)[0]["scores"]["spots/exact"]["value"] == 100, "the second accepted answer counts"
    assert ruvlm("report", out, "--data", spots, "--out", tmp_path / "report.html").code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "spots/exact" in page
    tables = page[: page.index('id="rows"')] if 'id="rows"' in page else page.split("<script")[0]
    assert "<h4>size</h4>" in tables or ">size<" in tables, "its axis breaks the figures down"
    assert ruvlm("leaderboard", "build", out, "--out", tmp_path / "board").code == 0
    limited = open_source(str(spots)).load("spots", "test", limit=5)
    assert len(limited.examples) == 5


@pytest.mark.usefixtures("third")
def test_a_third_benchmark_can_be_trained_on_and_steered_by(spots: Path, tmp_path: Path, ruvlm: Run) -> None:
    sets = [part for override in tiny("run", spots, tmp_path) for part in ("--set", override)]
    trained = ruvlm("train", RECIPES / "nano_world.toml", *sets)
    assert trained.code == 0, trained.err
    checks = [record for record in RunFolder(tmp_path / "run").records if record.scores]
    assert checks
    assert set(checks[-1].scores) == {"spots"}


# --- everything else: one more line in a table, and at most one more folder


LINES = {
    # file, the line after which one is put, the line
    "rule": (
        "rules/named.py",
        '        "exact": match_reference,',
        '        "first-word": lambda said, gold: said.split()[:1] == gold.split()[:1],',
    ),
    "wording": (
        "benchmarks/gqa_ru/__init__.py",
        "    protocols=(",
        """        ShortProtocol(name="gqa-ru/polite", benchmark="gqa-ru", generation=Generation(16), usual=False,
            instruction="\\nБудьте добры, одним словом.", rules={"gqa-ru/first": "first-word", "gqa-ru/exact": "exact"}),""",
    ),
    "way": (
        "registry.py",
        '        "file": "ruvlm.backends.replay:open_file",',
        '        "echo": "ruvlm.backends.echo:open_echo",',
    ),
    "family": (
        "registry.py",
        '        "vlm": "ruvlm.models.vlm:FAMILY",',
        '        "parrot": "ruvlm.models.parrot:FAMILY",',
    ),
    "object": (
        "world/kinds.py",
        "_FULL = (",
        '    Kind("samovar", "самовар", "masc", "dishes", "E c .1 .3 .9 1;R d .4 .1 .6 .3", 1.1, True),',
    ),
    "form": ("world/forms/verify.py", "ENTRIES = (", "    FormEntry(CROWD, 6, ask_crowd),"),
    "lesson": ("models/nano/lessons.py", "LESSONS: tuple[Lesson, ...] = (", "    Even(),"),
}
FORM = """
CROWD = Form("verify.crowd", "verify", "obj", "crowd")


def ask_crowd(asker: Asker) -> Draft | None:
    crowded = len(asker.scene.anchors) > 5
    if crowded is not asker.want:
        return None
    fact = frozenset({("crowd", crowded)})
    return Draft(
        form=CROWD, wordings=("Много ли здесь всего?",), full="Да." if crowded else "Нет.", arguments=(), answer=yes_no(crowded),
        program=((("select", "scene"), ()), (("verify crowd", "?"), (0,))), needs=fact, gives=fact,
    )


"""
LESSON = """
@final
class Even(Lesson):
    \"\"\"Mentions of a picture look about as sharply as one another.\"\"\"

    name = "even"

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        looks = traces.mentions_MS
        return looks.max(-1).values.var() if len(looks) > 1 else looks.new_zeros(())

    def weight(self, train: NanoTraining) -> float:
        return 0.01


"""
ECHO = """
from ruvlm.backends.base import Backend
from ruvlm.schema import Response


class Echo(Backend):
    def __init__(self, word):
        self.name = self.fingerprint = f"echo:{word}"
        self.word = word

    def answer(self, asked):
        for item in asked:
            yield Response(self.word)


def open_echo(spec, access):
    return Echo(spec)
"""
PARROT = {
    "__init__.py": """
from pydantic import Field

from ruvlm.config import Family, ModelSettings, RunConfig


class ParrotModel(ModelSettings):
    name: str = "parrot"
    words: int = Field(5, ge=1)


class ParrotRun(RunConfig):
    model: ParrotModel = ParrotModel()


FAMILY = Family(
    name="parrot", run=ParrotRun, learner="ruvlm.models.parrot.learner:ParrotLearner",
    backend="ruvlm.models.parrot.backend:ParrotBackend", model_type="ruvlm_parrot",
)
""",
    "backend.py": """
from dataclasses import dataclass

import torch
from torch import nn

from ruvlm.backends.base import Alternative
from ruvlm.backends.local import LocalBackend
from ruvlm.checkpoint import read_network, weights_fingerprint
from ruvlm.schema import LETTERS, Response


@dataclass(frozen=True)
class Shape:
    words: tuple = ()
    trained_on: str = ""


class Parrot(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.liking = nn.Parameter(torch.zeros(len(shape.words)))


class ParrotBackend(LocalBackend):
    @classmethod
    def load(cls, folder, name, device):
        return cls(read_network(Parrot, Shape, folder), name, weights_fingerprint(folder), device)

    def answer(self, asked):
        for item in asked:
            count = len(item.example.options)
            flat = (0.0,) * count
            best = self.model.shape.words[int(self.model.liking.argmax())]
            yield Response(LETTERS[0] if count else best, mean_logprobs=flat, sum_logprobs=flat)

    def alternatives(self, asked, top=5):
        return [Alternative(word, 1 / len(self.model.shape.words)) for word in self.model.shape.words[:top]]
""",
    "learner.py": """
from collections import Counter

import torch
import torch.nn.functional as F

from ruvlm.checkpoint import write_network
from ruvlm.models.parrot import ParrotRun
from ruvlm.models.parrot.backend import Parrot, ParrotBackend, Shape
from ruvlm.training.grouping import training_pictures
from ruvlm.training.learner import Learner, Losses, Stage


class ParrotLearner(Learner[ParrotRun]):
    def __init__(self, config, pictures, device):
        self.config, self.pictures, self.device = config, pictures, device
        counts = Counter(e.answer for e in pictures.examples if not e.options)
        words = tuple(word for word, _ in counts.most_common(config.model.words))
        self.targets = torch.tensor([words.index(e.answer) for e in pictures.examples if e.answer in words and not e.options])
        self.model = Parrot(Shape(words=words, trained_on=pictures.label))

    @classmethod
    def build(cls, config, device, report):
        return cls(config, training_pictures(config, 16, report, grounding=False), device)

    @property
    def datasets(self):
        return self.pictures.datasets

    @property
    def train_examples(self):
        return self.pictures.examples

    def stages(self):
        optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        return (Stage("answers", 1.0, self.config.train.max_steps or 5, (optimizer,), lambda step, part, parts: self.targets, self.loss),)

    def loss(self, batch, share=0.0):
        loss = F.cross_entropy(self.model.liking.expand(len(batch), -1), batch)
        return Losses(loss, {"answers": loss.detach()}, len(batch))

    def validation_loss(self, examples):
        return None

    def backend(self):
        return ParrotBackend(self.model, self.config.name, "in training", self.device)

    def writer(self):
        return lambda folder: write_network(folder, self.model, "ruvlm_parrot", {})
""",
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with a line more in each table that CONTRIBUTING names, and the toys that the lines name."""
    root = tmp_path_factory.mktemp("grown")
    package = root / "ruvlm"
    shutil.copytree(ROOT / "src" / "ruvlm", package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, after, line in LINES.values():
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(after + "\n") == 1, f"{name}: {after}"
        (package / name).write_text(text.replace(after + "\n", f"{after}\n{line}\n"), encoding="utf-8")
    for name, before, function in (
        ("world/forms/verify.py", "ENTRIES = (", FORM),
        ("models/nano/lessons.py", "LESSONS: tuple", LESSON),
    ):
        text = (package / name).read_text(encoding="utf-8")
        (package / name).write_text(text.replace(before, function + before, 1), encoding="utf-8")
    (package / "backends" / "echo.py").write_text(ECHO, encoding="utf-8")
    (package / "models" / "parrot").mkdir()
    for name, text in PARROT.items():
        (package / "models" / "parrot" / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def grown_ruvlm(grown: Path) -> Run:
    """The command line of that package, in a process of its own."""

    def run(*arguments: object) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "ruvlm", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(grown)},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def test_a_rule_a_wording_and_a_way_to_reach_a_model_are_a_line_each(
    world: Path, tmp_path: Path, grown_ruvlm: Run
) -> None:
    answers = tmp_path / "a.jsonl"
    answers.write_text('{"pred": "кот сидит", "gold": "кот"}\n', encoding="utf-8")
    assert json.loads(grown_ruvlm("match", answers, "--rule", "first-word", "--json").out)["correct"] is True
    ran = grown_ruvlm(
        "eval",
        "echo:да ли",
        "--data",
        world,
        "--limit",
        40,
        "--protocol",
        "gqa-ru/polite",
        "--no-controls",
        "--out",
        tmp_path / "e",
        "--json",
    )
    assert ran.code == 0, ran.err
    scores = json.loads(ran.out)[0]["scores"]
    assert scores["gqa-ru/first"]["value"] > scores["gqa-ru/exact"]["value"] == 0


def test_a_kind_of_object_and_a_form_of_question_are_a_line_each(grown: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from ruvlm.world.export import build, plans; "
        f"build('full', Path({str(tmp_path / 'w')!r}), seed=1, splits=plans('full', 60, 0.01))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(grown)})
    examples = open_source(str(tmp_path / "w")).load("gqa-ru", "train").examples
    assert any("самовар" in f"{e.question} {e.answer}" for e in examples)
    assert {e.answer for e in examples if e.detailed == "crowd"} == {"да", "нет"}


def test_a_family_of_models_is_a_folder_and_a_line(world: Path, tmp_path: Path, grown_ruvlm: Run) -> None:
    settings = tmp_path / "parrot.toml"
    settings.write_text(
        f'name = "p"\nresults = "{tmp_path}"\n[model]\nname = "parrot"\n[data]\npath = "{world}"\n[train]\nmax_steps = 4\n',
        encoding="utf-8",
    )
    trained = grown_ruvlm("train", settings)
    assert trained.code == 0, trained.err
    ran = grown_ruvlm("eval", tmp_path / "p", "--data", world, "--no-controls", "--json")
    assert ran.code == 0, ran.err
    assert {one["protocol"] for one in json.loads(ran.out)} >= {"gqa-ru/lmms", "mmbench-ru/lmms"}
    foreign = grown_ruvlm("train", settings, "--set", "model.hidden_size=64")
    assert (foreign.code, "у модели parrot такой настройки нет (она у nano)" in foreign.err) == (2, True), foreign.err


def test_one_more_loss_of_nano_is_a_class(world: Path, grown: Path, tmp_path: Path) -> None:
    sets = tiny("n", world, tmp_path)
    code = f"""
import torch
from pathlib import Path
from ruvlm.config import load_config
from ruvlm.models.nano.learner import NanoLearner
config = load_config(Path({str(RECIPES / "nano_world.toml")!r}), {sets!r})
learner = NanoLearner.build(config, torch.device("cpu"), lambda said: None)
losses = learner.loss(learner.batch(0))
losses.total.backward()
assert losses.parts["even"] > 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(grown)})
