"""`ruvlm data check` finds what is planted, each under its own name, and nothing on clean data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.audit import text
from ruvlm.audit.whole import audit
from ruvlm.data.manifest import Manifest, record_of, write_manifest
from tests.support.damage import GQA, MMBENCH, Damage, small_world
from tests.support.house import Ran

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("audit")

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory.mktemp("audit") / "world", 4)


def test_clean_data_raises_no_alarm(clean: Path, ruvlm: Run) -> None:
    done = ruvlm("data", "check", clean, "--json")
    found = json.loads(done.out)
    assert (done.code, found["findings"], found["serious"]) == (0, [], False)
    facts = {(f["where"], f["name"]): f["value"] for f in found["facts"]}
    assert facts["gqa-ru testdev", "картинок"] == "40"


@pytest.mark.slow
@pytest.mark.parametrize("damage", [*GQA, *MMBENCH], ids=lambda d: d.code)
def test_planted_damage_is_found_by_its_name(clean: Path, tmp_path: Path, damage: Damage) -> None:
    folder = tmp_path / "world"
    shutil.copytree(clean, folder)
    damage.plant(folder)
    assert damage.code in {finding.code for finding in audit(str(folder), workers=1).findings}


def test_serious_damage_is_exit_code_1_and_a_note_is_not(clean: Path, tmp_path: Path, ruvlm: Run) -> None:
    by_code = {damage.code: damage for damage in (*GQA, *MMBENCH)}
    for code, expected in (("gold-not-option", 1), ("hint-nan", 0)):
        folder = tmp_path / code
        shutil.copytree(clean, folder)
        (folder / "world.json").unlink()  # else the changed sum is serious by itself
        by_code[code].plant(folder)
        done = ruvlm("data", "check", folder)
        assert (done.code, code in done.out) == (expected, True), done.out


def test_known_dirt_of_the_published_set_is_a_note(clean: Path, tmp_path: Path) -> None:
    by_code = {damage.code: damage for damage in GQA}
    folder = tmp_path / "gqa-ru"
    shutil.copytree(clean / "gqa-ru", folder)
    shutil.copytree(folder, tmp_path / "x" / "gqa-ru")
    by_code["answer-spaces"].plant(tmp_path / "x")
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "x" / "gqa-ru", folder)
    as_is = audit(str(folder), images=False)
    assert [(f.code, f.serious) for f in as_is.findings] == [("no-manifest", False), ("answer-spaces", True)]
    files = {str(p.relative_to(folder)): record_of(p) for p in folder.rglob("*.parquet")}
    write_manifest(folder, Manifest("sample", "gqa-ru", "deepvk/GQA-ru", "f" * 40, files=files))
    published = audit(str(folder), images=False)
    assert [(f.code, f.serious) for f in published.findings] == [("answer-spaces", False)]
    assert "известно" in published.findings[0].says


def test_a_fetched_set_of_another_size_is_noticed(clean: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gqa-ru"
    shutil.copytree(clean / "gqa-ru", folder)
    files = {str(p.relative_to(folder)): record_of(p) for p in folder.rglob("*.parquet")}
    write_manifest(folder, Manifest("hub", "gqa-ru", "deepvk/GQA-ru", "f" * 40, files=files))
    counts = [finding for finding in audit(str(folder)).findings if finding.code == "row-count"]
    assert any("опубликовано 12216" in finding.first for finding in counts)


@pytest.mark.parametrize(
    ("said", "sign", "expected"),
    [
        ("Какого цвета мяч?", text.broken, False),
        ("Кто в пальто – мальчик?", text.broken, False),
        ("РљР°РєРѕРіРѕ С†РІРµС‚Р° РјСЏС‡?", text.broken, True),
        ("ÐšÐ°ÐºÐ¾Ð³Ð¾ Ñ†Ð²ÐµÑ‚Ð°", text.broken, True),
        ("Каk дела", text.mixed, True),
        ("USB-кабель", text.mixed, False),
        ("wi-fi", text.foreign, True),
        ("2024", text.foreign, False),
        ("a<b", text.marked_up, False),
        ("<b>да</b>", text.marked_up, True),
        ("да ", text.untidy, True),
        ("да, нет", text.untidy, False),
    ],
)
def test_signs_of_bad_text(said: str, sign: Callable[[str], bool], expected: bool) -> None:
    assert sign(said) is expected


def test_real_rows_are_read_without_false_alarms(shared: Path) -> None:
    """The real questions: no broken encoding, no foreign questions, next to no mixed letters."""
    rows = [json.loads(line) for line in (shared / "real/gqa_ru/testdev_rows.jsonl").read_text().splitlines()]
    assert len(rows) > 3000
    assert not [row["question"] for row in rows if text.broken(row["question"]) or text.broken(row["answer"])]
    assert not [row["question"] for row in rows if text.foreign(row["question"])]
    choices = [json.loads(line) for line in (shared / "real/mmbench_ru/dev_rows.jsonl").read_text().splitlines()]
    assert not [row["question"] for row in choices if text.broken(row["question"])]


def test_a_picture_in_two_files_of_one_benchmark_is_a_leak(world: Path, tmp_path: Path) -> None:
    """Whatever the two splits are called among all benchmarks: «dev» is another set's «test»."""
    for name in ("dev", "test"):
        shutil.copy(world / "mmbench-ru" / "mmbench_ru_dev.parquet", tmp_path / f"mmbench_ru_{name}.parquet")
    assert "leak-image" in {finding.code for finding in audit(str(tmp_path), workers=1).findings}
