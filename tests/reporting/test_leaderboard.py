"""The leaderboard: who can be told apart, what is kept apart, what a submission must hold."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ruvlm.benchmarks.source import open_source
from ruvlm.reporting.leaderboard import as_csv, as_markdown, boards, leaderboard_page
from tests.support.browsing import browsing, violations
from tests.support.house import Ran

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("leaderboard")

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def evaluations(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three made-up models on the world's GQA rows: two that differ in two answers, one that is worse by far."""
    from ruvlm.cli.main import main

    root = tmp_path_factory.mktemp("board")
    examples = open_source(str(world)).load("gqa-ru", "test").examples
    wrong = {
        "good": set(range(0, 40)),
        "twin": set(range(2, 42)),
        "poor": set(range(0, len(examples), 2)),
        "=evil<b>": set(range(0, len(examples), 3)),
    }
    for name, some in wrong.items():
        file = root / f"{name}.jsonl"
        lines = [{"id": e.id, "prediction": "ничего" if n in some else e.answer} for n, e in enumerate(examples)]
        file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        assert (
            main(
                [
                    "eval",
                    f"file:{file}",
                    "--data",
                    str(world),
                    "--protocol",
                    "gqa-ru/lmms",
                    "--no-controls",
                    "--out",
                    str(root / "runs" / name),
                ]
            )
            == 0
        )
    return root / "runs"


def test_models_that_cannot_be_told_apart_share_a_group(evaluations: Path) -> None:
    (board,) = boards([evaluations])
    groups = {entry.model.removeprefix("file:"): entry.group for entry in board.entries}
    assert groups == {"good": 1, "twin": 1, "=evil<b>": 2, "poor": 3}
    values = [entry.score.value for entry in board.entries]
    assert values == sorted(values, reverse=True)
    assert board.world
    assert board.published == (), "published figures never stand beside the world's"


def test_world_and_published_sets_are_never_in_one_table(evaluations: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(evaluations / "good", tmp_path / "real")
    for name in ("summary.json", "identity.json"):
        path = tmp_path / "real" / next(p.name for p in (tmp_path / "real").iterdir() if p.is_dir()) / name
        found = json.loads(path.read_text())
        if name == "summary.json":
            found["source"] = "deepvk/GQA-ru@abc"
            path.write_text(json.dumps(found))
    found = boards([evaluations, tmp_path / "real"])
    assert [board.world for board in found] == [False, True]
    assert {p.model for p in found[0].published} == {
        "deepvk/llava-saiga-8b",
        "deepvk/llava-gemma-2b-lora",
        "llava-1.5-7b",
    }
    text = as_markdown(found)
    assert text.index("deepvk/GQA-ru@abc") < text.index("нами не измерялось") < text.index("встроенный мир")
    rows = list(csv.DictReader(as_csv(found).splitlines()))
    assert {row["kind"] for row in rows} == {"measured", "published", "world"}
    assert all(row["low"] == "" for row in rows if row["kind"] == "published")
    sampled = [replace(board, split="testdev, выборка 100") for board in found]
    assert "выборка 100" in as_markdown(sampled)


def test_the_site_sorts_and_is_readable(evaluations: Path, tmp_path: Path, ruvlm: Run) -> None:
    done = ruvlm("leaderboard", evaluations, "--out", tmp_path / "site")
    assert done.code == 0, done.err
    assert {p.name for p in (tmp_path / "site").iterdir()} == {
        "index.html",
        "leaderboard.md",
        "leaderboard.csv",
        "leaderboard.json",
    }
    with (tmp_path / "site" / "leaderboard.csv").open() as handle:
        assert all(row["model"][:1] not in "=+-@" for row in csv.DictReader(handle))
    listed = json.loads((tmp_path / "site" / "leaderboard.json").read_text())
    assert len(listed[0]["entries"]) == 4
    for dark in (False, True):
        with browsing(390 if dark else 1200, 800, dark) as page:
            page.goto((tmp_path / "site" / "index.html").as_uri())
            header = page.locator("th", has_text="верно, %").first
            header.locator("button").press("Enter")
            header.locator("button").press("Enter")
            assert header.get_attribute("aria-sort") == "ascending"
            shown = page.locator("table:not(.grid) tbody").first.locator("tr td strong").all_inner_texts()
            numbers = [float(text.replace(",", ".")) for text in shown]
            assert numbers == sorted(numbers)
            assert violations(page) == []
            assert page.said == []
            assert page.locator("b").count() == 0, "a name is text"
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


def test_a_submission_holds_or_is_rejected(evaluations: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    (folder,) = (evaluations / "good").iterdir()
    file = tmp_path / "s.json"
    assert ruvlm("leaderboard", "pack", folder, "--out", file).code == 0
    done = ruvlm("leaderboard", "verify", file, "--data", world)
    assert (done.code, "Сошлось" in done.err) == (0, True), done.err
    whole = json.loads(file.read_text())

    def rejected(change: Callable[[dict[str, Any]], object]) -> str:
        bent = json.loads(json.dumps(whole))
        change(bent)
        file.write_text(json.dumps(bent))
        done = ruvlm("leaderboard", "verify", file, "--data", world, "--json")
        assert done.code == 1, done.err
        found = json.loads(done.out)
        assert not found["holds"]
        return " ".join(found["problems"])

    one = next(iter(whole["responses"]))
    assert "value: в заявке 99.9" in rejected(lambda s: s["scores"]["gqa-ru/lmms"].update(value=99.9))
    assert "low" in rejected(lambda s: s["scores"]["gqa-ru/lmms"].update(low=99.0))
    assert "без ответа: 1" in rejected(lambda s: s["responses"].pop(one))
    assert "не на эти вопросы: 1" in rejected(lambda s: s["responses"].update(strange={"text": "да"}))
    assert "данные другие" in rejected(lambda s: s["identity"].update(data="0" * 16))
    assert "вопрос к модели другой" in rejected(lambda s: s["identity"].update(prompt="x"))
    assert "correct" in rejected(
        lambda s: (
            s["responses"][one].update(text="совсем другое", error=None)
            or s["responses"][list(s["responses"])[50]].update(text="мимо")
        )
    )
    assert "nan" in rejected(lambda s: s["scores"]["gqa-ru/lmms"].update(value=float("nan")))
    assert "в заявке нет" in rejected(lambda s: s["scores"].pop("gqa-ru/ru"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "other"}', '{"format": "ruvlm-submission/1", "identity": 5}']
)
def test_what_is_no_submission_is_refused(tmp_path: Path, world: Path, ruvlm: Run, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    done = ruvlm("leaderboard", "verify", tmp_path / "s.json", "--data", world)
    assert (done.code, "Traceback" in done.err) == (2, False), done.err


def test_no_evaluations_is_one_sentence(tmp_path: Path, ruvlm: Run) -> None:
    for folder in (tmp_path, tmp_path / "no"):
        done = ruvlm("leaderboard", folder, "--out", tmp_path / "site")
        assert (done.code, done.err.count("Ошибка")) == (2, 1), done.err
    assert not (tmp_path / "site").exists()


def test_names_cannot_break_the_page(evaluations: Path) -> None:
    (board,) = boards([evaluations])
    entry = replace(board.entries[0], model="</td><script>window.pwned=1</script>")
    page = leaderboard_page([replace(board, entries=(entry,))])
    assert "<script>window.pwned" not in page
    assert "&lt;script&gt;window.pwned" in page


def test_one_matrix_of_all_models_and_benchmarks(evaluations: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """A cell holds the table's own figure, interval and group; controls stand below; nothing of a world beside a published set."""
    from ruvlm.reporting.leaderboard import boards, grids

    tables = boards([evaluations])
    for grid in grids(tables):
        assert {board.world for board in grid.boards} == {grid.world}
        for row in grid.rows:
            for board, entry in zip(grid.boards, row.entries, strict=True):
                assert entry is None or entry in board.entries
        assert sum(entry is not None for row in grid.rows for entry in row.entries) == sum(
            len(board.entries) for board in grid.boards
        )
    assert ruvlm("leaderboard", evaluations, "--out", tmp_path).code == 0
    with browsing(390, 800) as page:
        page.goto((tmp_path / "index.html").as_uri())
        cell = page.locator("table.grid tbody td.n").first
        box = cell.locator("strong").bounding_box()
        assert box["x"] + box["width"] <= 390, "the score is on a phone's screen"
        assert "группа 1" in page.locator("table.grid tbody").first.inner_text()
        # the score comes before the number of parameters in every table
        for heads in page.locator("table:has(th button)").all():
            names = heads.locator("thead th").all_inner_texts()
            numbers = [n for n, name in enumerate(names) if name == "параметров"]
            assert numbers == [] or numbers[0] >= 3 or len(names) == 3


def test_records_are_dated_and_a_submission_is_judged_on_its_track(
    tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ruvlm.reporting.records import records, tracks
    from ruvlm.world.export import build, plans

    rows = json.loads(ruvlm("leaderboard", "records", "--json").out)
    assert {row["track"] for row in rows} == set(tracks())
    assert all(row["who"] and row["date"] and row["change"] and row["command"] for row in rows)
    assert "Рекорды" in page_of(tmp_path, ruvlm)
    build("mini", tmp_path / "w", seed=0, workers=1, splits=plans("mini", 20, 0.01))
    assert ruvlm("eval", "nano", "--data", tmp_path / "w", "--no-controls", "--out", tmp_path / "e").code == 0
    folder = next((tmp_path / "e").glob("*gqa-ru_lmms-nano"))
    assert ruvlm("leaderboard", "pack", folder, "--out", tmp_path / "s.json").code == 0
    few = ruvlm("leaderboard", "verify", tmp_path / "s.json", "--data", tmp_path / "w", "--track", "5min")
    assert (few.code, "сравнивать нечего" in few.err) == (2, True), "a few rows of the same seed are no track"
    data = json.loads((folder / "summary.json").read_text())["fingerprints"]["data"]
    course = {**tracks(), "5min": replace(tracks()["5min"], data=data)}
    monkeypatch.setattr("ruvlm.reporting.records.tracks", lambda: course)
    judged = ruvlm("leaderboard", "verify", tmp_path / "s.json", "--data", tmp_path / "w", "--track", "5min")
    assert judged.code == 0, judged.err
    best = records("5min")[0]
    value = json.loads((folder / "summary.json").read_text())["scores"]["gqa-ru/lmms"]["value"]
    assert ("Рекорд дорожки" in judged.err) == (value > best.value)
    other = ruvlm("leaderboard", "verify", tmp_path / "s.json", "--data", tmp_path / "w", "--track", "45min")
    assert (other.code, "сравнивать нечего" in other.err) == (2, True)
    wrong = ruvlm("leaderboard", "verify", tmp_path / "s.json", "--data", tmp_path / "w", "--track", "1min")
    assert (wrong.code, "Дорожки «1min» нет" in wrong.err) == (2, True)


def page_of(tmp_path: Path, ruvlm: Run) -> str:
    world = tmp_path / "m"
    from ruvlm.world.export import build, plans

    build("mini", world, seed=1, workers=1, splits=plans("mini", 20, 0.01))
    assert ruvlm("eval", "nano", "--data", world, "--no-controls", "--out", tmp_path / "one").code == 0
    assert ruvlm("leaderboard", tmp_path / "one", "--out", tmp_path / "site").code == 0
    return (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
