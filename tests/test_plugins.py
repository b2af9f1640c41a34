"""«Куда ложится моё изменение?», row by row: a toy of each kind is put beside the house, and no file of it is edited."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import ruvlm.benchmarks
from ruvlm.benchmarks.source import open_source
from ruvlm.run_folder import RunFolder
from tests.conftest import ROOT, Ran, tiny

Run = Callable[..., Ran]
COLOURS = {"красный": (200, 30, 30), "зелёный": (30, 160, 30), "синий": (30, 30, 200)}
BENCHMARK = '''
"""Spots of colour: a benchmark that the house has never heard of."""

import json
from types import MappingProxyType

from ruvlm.benchmarks.base import Axis, Benchmark, Published, Rows
from ruvlm.benchmarks.choice import LetterProtocol
from ruvlm.benchmarks.short import ShortProtocol
from ruvlm.data.files import fingerprint
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
            rows.append({"id": f"{split}{number}", "question": "Какого цвета пятно?", "answers": [colour, f"{colour} цвет"],
                         "image": name, "size": size})  # fmt: skip
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
    import sys

    sys.modules.pop("ruvlm.benchmarks.spots", None)


@pytest.mark.usefixtures("third")
def test_a_third_benchmark_is_a_folder(spots: Path, tmp_path: Path, ruvlm: Run) -> None:
    shown = ruvlm("data", "show", spots, "--split", "test", "--out", tmp_path / "shown", "--json")
    assert shown.code == 0, shown.err
    assert all(Path(path).is_file() for path in json.loads(shown.out))
    assert ruvlm("data", "check", spots).code == 0
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
    assert "большое" in page, "its axis breaks the figures down"
    assert ruvlm("leaderboard", "build", out, "--out", tmp_path / "board").code == 0
    limited = open_source(str(spots)).load("spots", "test", limit=5)
    assert len(limited.examples) == 5


@pytest.mark.usefixtures("third")
def test_a_third_benchmark_can_be_trained_on_and_steered_by(spots: Path, tmp_path: Path, ruvlm: Run) -> None:
    sets = [part for override in tiny("run", spots, tmp_path) for part in ("--set", override)]
    trained = ruvlm("train", ROOT / "configs" / "nano_world.toml", *sets)
    assert trained.code == 0, trained.err
    checks = [record for record in RunFolder(tmp_path / "run").records if record.scores]
    assert checks
    assert set(checks[-1].scores) == {"spots"}
