"""The cards that come with the package: against cards that somebody else tried on the rows, and on those rows."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ruvlm.benchmarks.cards.read_card import card_values, read_card, shipped_cards
from ruvlm.benchmarks.catalog import benchmark_named, listed_benchmarks
from ruvlm.benchmarks.source import open_source
from ruvlm.data.manifest import Manifest, write_manifest
from ruvlm.schema import is_drawn
from tests.support.cards import CARDS, REAL, hidden, real_mera, stand_in, worldcuisines
from tests.support.house import ROOT, Ran

Run = Callable[..., Ran]
# reviewed under another name, or beside other files than those of the hub
RENAMED = {"mws_vision_vqa": "mws-vision-bench"}
OWN_FILES = {"xgqa_ru", "gqa_ru", "mmbench_ru"}
REVIEWED = [path for path in CARDS if path.stem not in OWN_FILES]
GUESSED = {"xgqa-ru"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where data/ is, and where pictures of tables of text are unpacked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", shipped_cards())
def test_a_shipped_card_is_read(name: str) -> None:
    values = card_values(shipped_cards()[name])
    assert values["benchmark"]["name"] == name
    if name not in GUESSED:
        card = read_card(shipped_cards()[name])
        assert card.source.repo, "a shipped card's rows are on the hub"
        assert card.licence


@pytest.mark.parametrize("path", REVIEWED, ids=[path.stem for path in REVIEWED])
def test_a_shipped_card_says_what_the_reviewed_one_says(path: Path) -> None:
    theirs = read_card(path)
    own = read_card(shipped_cards()[RENAMED.get(path.stem, path.stem.replace("_", "-"))])
    if path.stem == "mws_vision_vqa":  # pictures beside the table: the same folder, said
        own = replace(own, source=replace(own.source, images=""))
    for part in ("language", "source", "columns", "answer", "rotation", "axes", "statistics", "submission"):
        assert getattr(own, part) == getattr(theirs, part), part
    protocols = {protocol.name: protocol for protocol in own.protocols}
    for protocol in theirs.protocols:
        asked = protocols[protocol.name]
        assert replace(asked, rules=(), mark="") == replace(protocol, rules=(), mark="")
        assert asked.rules[0] == protocol.rules[0]
    assert own.protocols[0].name == theirs.protocols[0].name
    figures = {(figure.model, figure.rule): figure.score for figure in own.published}
    for figure in theirs.published:
        assert figures.get((figure.model, figure.rule), figure.score) == figure.score


# --- on their real rows


def parquet(path: Path, rows: list[dict[str, Any]], column: str = "image") -> None:
    """Rows with a stand-in for every picture, as the hub keeps them."""
    for number, row in enumerate(rows):
        picture = path.parent / f"{number}.png"
        stand_in(picture, number)
        row[column] = {"bytes": picture.read_bytes(), "path": picture.name}
        picture.unlink()
    pq.write_table(pa.Table.from_pylist(rows), path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def real_science(data: Path) -> None:
    real_mera(data, "ruNaturalScienceVQA", "runaturalsciencevqa")
    for domain in ("chemistry", "earth_science", "physics"):  # one domain is at hand: the others are its rows anew
        table = pq.read_table(data / "runaturalsciencevqa/biology/test-00000-of-00001.parquet").to_pylist()
        for row in table:
            row["meta"]["categories"]["domain"] = domain
        (data / "runaturalsciencevqa" / domain).mkdir()
        pq.write_table(pa.Table.from_pylist(table), data / "runaturalsciencevqa" / domain / "test-0.parquet")


def real_gqa(data: Path, name: str) -> None:
    rows = lines(REAL / "gqa_en" / "rows.jsonl")
    folder = data / name
    (folder / "testdev_balanced_images").mkdir(parents=True)
    (folder / "testdev_balanced_instructions").mkdir()
    parquet(
        folder / "testdev_balanced_images/testdev-0.parquet",
        [{"id": one} for one in dict.fromkeys(row["imageId"] for row in rows)],
    )
    pq.write_table(pa.Table.from_pylist(rows), folder / "testdev_balanced_instructions/testdev-0.parquet")


def real_xgqa(data: Path) -> None:
    """The columns of the copy with pictures are not known: the usual ones."""
    rows = json.loads((REAL / "xgqa_ru/ru/dev.json").read_text(encoding="utf-8"))
    kept = [{"id": key, "question": row["question"], "answer": row["answer"]} for key, row in list(rows.items())[:50]]
    (data / "xgqa-ru/data").mkdir(parents=True)
    parquet(data / "xgqa-ru/data/ru-00000-of-00001.parquet", kept)


def real_mmbench(data: Path) -> None:
    (data / "mmbench-en/en").mkdir(parents=True)
    rows = [{"hint": None, **row} for row in lines(REAL / "mmbench_en" / "rows.jsonl")]
    parquet(data / "mmbench-en/en/dev-00000-of-00001.parquet", rows)


def real_mtvqa(data: Path) -> None:
    (data / "mtvqa-ru/data").mkdir(parents=True)
    parquet(data / "mtvqa-ru/data/test-00000-of-00001.parquet", lines(REAL / "mtvqa_ru" / "hub_shape_rows.jsonl"))


def real_pm4bench(data: Path, name: str) -> None:
    shutil.copytree(REAL / "pm4bench_mdur_ru", data / name)
    for row in lines(data / name / "data/mdur/ru.jsonl"):
        stand_in(data / name / row["vision_image"], 1)


def real_tsv(data: Path, name: str, file: str) -> None:
    (data / name / file).parent.mkdir(parents=True)
    shutil.copy(REAL / "vlmevalkit_tsv" / "stand_in.tsv", data / name / file)


def real_kitchen(data: Path, name: str) -> None:
    data.mkdir()
    worldcuisines(data)
    if name != "worldcuisines-ru":
        (data / "worldcuisines-ru").rename(data / name)


SETS: dict[str, tuple[Callable[[Path], None], int]] = {
    "weird": (lambda data: real_mera(data, "WEIRD", "weird"), 2),
    "ruclevr": (lambda data: real_mera(data, "ruCLEVR", "ruclevr"), 2),
    "rucommonvqa": (lambda data: real_mera(data, "ruCommonVQA", "rucommonvqa"), 2),
    "runaturalsciencevqa": (real_science, 8),
    "gqa-en": (lambda data: real_gqa(data, "gqa-en"), 20),
    "xgqa-ru": (real_xgqa, 50),
    "mmbench-en": (real_mmbench, 30),
    "mtvqa-ru": (real_mtvqa, 17),
    "pm4bench-mdur-ru": (lambda data: real_pm4bench(data, "pm4bench-mdur-ru"), 20),
    "pm4bench-mdur-ru-vision": (lambda data: real_pm4bench(data, "pm4bench-mdur-ru-vision"), 20),
    "mmmb-ru": (lambda data: real_tsv(data, "mmmb-ru", "mmmb/mmmb_ru.tsv"), 22),
    "mmbench-dev-ru-parrot": (lambda data: real_tsv(data, "mmbench-dev-ru-parrot", "mmbench/mmbench_dev_ru.tsv"), 22),
    "worldcuisines-ru": (lambda data: real_kitchen(data, "worldcuisines-ru"), 281),
    "worldcuisines-ru-open": (lambda data: real_kitchen(data, "worldcuisines-ru-open"), 281),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_asked_by_its_name(name: str, tmp_path: Path, ruvlm: Run) -> None:
    """Answers that are the gold ones score all; the floors stand beside them."""
    lay, count = SETS[name]
    lay(tmp_path / "data")
    source = open_source(name)
    examples = source.load(name, "").examples
    assert len(examples) == count
    protocol = benchmark_named(name).protocols[0]
    answers = tmp_path / "golds.jsonl"
    rows = [
        {"id": e.id, "prediction": protocol.replies(e)[e.letters.index(e.answer)] if protocol.choice else e.answer}
        for e in examples
    ]
    answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    ran = ruvlm("eval", f"file:{answers}", "--data", name, "--out", tmp_path / "r", "--json")
    assert ran.code == 0, ran.err
    own, *floors = json.loads(ran.out)
    assert not is_drawn(own["source"])
    score = next(iter(own["scores"].values()))
    # PM4Bench's reader knows no letters beyond J
    wanted = 100 * sum(e.answer not in "KL" for e in examples) / count if name.startswith("pm4bench") else 100
    assert score["value"] == pytest.approx(wanted)
    assert {row["model"] for row in floors} == {"random", "majority"}
    ran = ruvlm("data", "check", name, "--json")
    assert ran.code == 0, ran.err + ran.out


def test_a_folder_of_the_hubs_name_needs_none(tmp_path: Path, ruvlm: Run) -> None:
    real_mera(tmp_path / "elsewhere", "WEIRD", "WEIRD")
    ran = ruvlm("eval", "random", "--data", tmp_path / "elsewhere" / "WEIRD", "--out", tmp_path / "r", "--json")
    assert json.loads(ran.out)[0]["protocol"] == "weird/mera"


def test_rows_without_their_picture_are_counted(tmp_path: Path, ruvlm: Run) -> None:
    shutil.copytree(REAL / "mera_rows" / "hub" / "WEIRD", tmp_path / "data" / "weird")
    ran = ruvlm("eval", "random", "--data", tmp_path / "data" / "weird", "--out", tmp_path / "r")
    assert ran.code == 2
    assert "нет байтов картинки" in ran.err
    ran = ruvlm(
        "eval", "random", "--data", tmp_path / "data" / "weird", "--out", tmp_path / "r2", "--skip-bad", "--json"
    )
    assert ran.code == 0, ran.err
    (first, *_) = json.loads(ran.out)
    assert first["n"] == 1
    assert any("негодных строк пропущено: 1" in note for note in first["warnings"])


@pytest.mark.parametrize(("name", "same"), [("weird", ()), ("worldcuisines-ru", ()), ("mmbench-dev-ru-parrot", ())])
def test_published_figures_stand_by_their_rule(name: str, same: tuple[str, ...], tmp_path: Path, ruvlm: Run) -> None:
    """«exact» is not «mera-em», and 400 rows are not these 281."""
    lay, _ = SETS[name]
    lay(tmp_path / "data")
    write_manifest(
        tmp_path / "data" / name, Manifest("hub", name, card_values(shipped_cards()[name])["source"]["repo"], "a" * 40)
    )
    ran = ruvlm("eval", "random", "--data", name, "--out", tmp_path / "r", "--no-controls")
    assert ran.code == 0, ran.err
    for path in (tmp_path / "r").glob("*/summary.json"):  # as if a model had answered
        path.write_text(path.read_text(encoding="utf-8").replace('"random"', '"some model"'), encoding="utf-8")
    ran = ruvlm("leaderboard", tmp_path / "r", "--out", tmp_path / "site", "--json")
    assert ran.code == 0, ran.err
    (board,) = json.loads(ran.out)
    assert board["source"].startswith(card_values(shipped_cards()[name])["source"]["repo"])
    published = read_card(shipped_cards()[name]).published
    assert tuple(figure["model"] for figure in board["published"]) == same
    assert len(board["published_otherwise"]) == len(published)
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert ("по другому правилу" in page) == bool(published)


def test_a_set_that_is_not_here(ruvlm: Run) -> None:
    ran = ruvlm("data", "check", "kaleidoscope-ru")
    assert ran.code == 2
    assert "ruvlm data fetch kaleidoscope-ru" in ran.err


# --- hidden answers


def test_answers_to_hidden_questions_are_handed_in(tmp_path: Path, ruvlm: Run) -> None:
    ids = hidden(tmp_path / "data")
    answers = tmp_path / "said.jsonl"
    said = {str(name): f"Думаю, <b>B</b>.\n\nОТВЕТ: {'AB'[name % 2]}" for name in ids}
    answers.write_text(
        "".join(json.dumps({"id": k, "prediction": v}) + "\n" for k, v in said.items()), encoding="utf-8"
    )
    ran = ruvlm("eval", f"file:{answers}", "--data", "labtabvqa", "--out", tmp_path / "r", "--json")
    assert ran.code == 0, ran.err
    (row,) = json.loads(ran.out)
    assert row["scores"] == {}
    assert any("ruvlm submit" in warning for warning in row["warnings"])
    for results in (tmp_path / "r", answers):
        out = tmp_path / "mera.zip"
        ran = ruvlm("submit", "labtabvqa", results, "--out", out)
        assert ran.code == 0, ran.err
        with zipfile.ZipFile(out) as archive:
            assert archive.namelist() == ["LabTabVQA.json"]
            document = json.loads(archive.read("LabTabVQA.json"))
        assert document == {"data": {"test": [{"outputs": said[str(name)], "meta": {"id": name}} for name in ids]}}
    cut = tmp_path / "cut.jsonl"
    cut.write_text(answers.read_text(encoding="utf-8").split("\n", 1)[1], encoding="utf-8")
    ran = ruvlm("submit", "labtabvqa", cut, "--out", tmp_path / "cut.zip")
    assert ran.code == 2
    assert "нет ответов на 1 вопросов из 4 (7)" in ran.err
    assert not (tmp_path / "cut.zip").exists()
    more = tmp_path / "more.jsonl"
    more.write_text(
        answers.read_text(encoding="utf-8") + json.dumps({"id": "99", "prediction": "A"}) + "\n", encoding="utf-8"
    )
    ran = ruvlm("submit", "labtabvqa", more, "--out", tmp_path / "more.zip")
    assert "99" in ran.err
    ran = ruvlm("submit", "weird", tmp_path / "r", "--out", tmp_path / "x.zip")
    assert ran.code == 2


def test_numbers_of_options_as_cvqa_takes_them(tmp_path: Path, ruvlm: Run) -> None:
    rows = [
        {
            "ID": f"q{n}",
            "Subset": "('Russian', 'Russia')",
            "Question": f"Что {n}?",
            "Options": ["кот", "пёс", "лис", "волк"],
            "Label": -1,
            "Category": "c",
            "Image Type": "Self",
            "License": "CC0",
        }
        for n in range(3)
    ]
    (tmp_path / "data/cvqa-ru/data").mkdir(parents=True)
    parquet(tmp_path / "data/cvqa-ru/data/test-00000-of-00001.parquet", rows)
    answers = tmp_path / "said.jsonl"
    said = ["The best answer is: C", "не знаю", "A"]
    answers.write_text(
        "".join(json.dumps({"id": f"q{n}", "prediction": text}) + "\n" for n, text in enumerate(said)), encoding="utf-8"
    )
    ran = ruvlm("submit", "cvqa-ru", answers, "--out", tmp_path / "s.csv", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == [{"name": "cvqa-ru", "file": "submission.csv", "n": 3, "unread": 1}]
    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == "ID,Prediction\nq0,2\nq1,-1\nq2,0\n"


def test_the_page_has_every_set() -> None:
    """docs/benchmarks.md: name, licence, rule, people's figure and address of each, as the cards have them."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip(" `"): row for row in page.splitlines() if row.startswith("| `")}
    listed = listed_benchmarks()
    assert list(rows) == [one.name for one in listed]
    for one in listed:
        human = f"{one.human:.1f}".replace(".", ",") if one.human is not None else ""
        for said in (one.title, one.licence, f"`{one.rules[0]}`", f"`{one.repo}`", human):
            assert said in rows[one.name]
        assert ("закрыты" in rows[one.name]) == one.hidden
