"""`ruvlm data fetch` against a real server process that speaks the hub's routes: kills, cuts, spoilt bytes, refusals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.benchmarks.catalog import hub_set
from ruvlm.benchmarks.source import open_source
from ruvlm.data import hub
from ruvlm.data.manifest import read_manifest, record_of
from ruvlm.errors import ConfigError, DataError, OutputError
from tests.support.cards import REAL, stand_in, worldcuisines
from tests.support.fuzzing import Case, listed, replies
from tests.support.house import Ran
from tests.support.hub import Server, environment

# its fixtures are dear: one worker makes them
pytestmark = pytest.mark.xdist_group("hub")

TESTDEV = "testdev-00000-of-00001.parquet"


@pytest.fixture
def server(served: Server) -> Server:
    served.forget()
    return served


Fetch = Callable[..., Ran]


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Fetch:
    def run(*arguments: str, **extra: str) -> Ran:
        command = [sys.executable, "-m", "ruvlm", "data", "fetch", *arguments, "--out", str(tmp_path / "data")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(server, **extra), timeout=120)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def test_a_split_comes_whole_and_is_read_under_its_revision(
    fetch: Fetch, server: Server, tmp_path: Path, world: Path
) -> None:
    done = fetch("gqa-ru", "mmbench-ru", "--json")
    assert done.code == 0, done.err
    assert "качаю" in done.err
    folder = tmp_path / "data" / "gqa-ru"
    manifest = read_manifest(folder)
    assert manifest is not None
    assert all(name.startswith("testdev_balanced") for name in manifest.files), "only what the split needs"
    assert all(record_of(folder / name) == record for name, record in manifest.files.items())
    assert json.loads(done.out)[0]["revision"] == manifest.revision
    source = open_source(str(tmp_path / "data"))
    loaded = source.load("gqa-ru", "test")
    assert loaded.source == f"deepvk/GQA-ru@{manifest.revision[:8]}"
    assert [e.question for e in loaded.examples] == [
        e.question for e in open_source(str(world)).load("gqa-ru", "test").examples
    ]
    server.forget()
    assert fetch("gqa-ru", "mmbench-ru").code == 0
    assert server.sent() == 0, "nothing is transferred twice"
    assert not list(folder.rglob("*.part"))


def test_a_cards_set_comes_with_the_pictures_that_its_rows_name(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    """PM4Bench's rows name pictures by paths from the repository's root; others lie beside them."""
    repo = server.root / "songjhPKU" / "PM4Bench"
    shutil.copytree(REAL / "pm4bench_mdur_ru", repo)
    stand_in(repo / "assets" / "mdur" / "traditional" / "of_another_language.png", 1)
    done = fetch("pm4bench-mdur-ru", "--revision", "main", "--json")
    assert done.code == 0, done.err
    folder = tmp_path / "data" / "pm4bench-mdur-ru"
    rows = [json.loads(line) for line in (repo / "data/mdur/ru.jsonl").read_text(encoding="utf-8").splitlines()]
    named = {picture for row in rows for picture in row["traditional_images"]}
    assert set(json.loads(done.out)[0]["files"]) == {"data/mdur/ru.jsonl", *named}
    source = open_source(str(folder))
    assert len(source.load("pm4bench-mdur-ru", "").examples) == len(rows)
    assert source.label.startswith("songjhPKU/PM4Bench@")
    assert fetch("pm4bench-mdur-ru", "--offline").code == 0
    gone = fetch("pm4bench-mdur-ru", "--out", str(tmp_path / "pinned"))
    assert gone.code == 2
    assert "Ревизии 525f8686cf360eabc92311ab901b3ff8e0675575" in gone.err


def test_a_cards_set_comes_with_the_one_that_is_joined_to_it(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    worldcuisines(tmp_path / "made")
    shutil.copytree(tmp_path / "made" / "worldcuisines-ru", server.root / "worldcuisines" / "vqa")
    shutil.copytree(tmp_path / "made" / "kb", server.root / "worldcuisines" / "kb")
    done = fetch("worldcuisines-ru")
    assert done.code == 0, done.err
    source = open_source(str(tmp_path / "data" / "worldcuisines-ru"))
    assert len(source.load("worldcuisines-ru", "").examples) == 281
    (tmp_path / "mine.toml").write_text(
        'schema = 1\n[benchmark]\nname = "m"\nlicence = "x"\n[source]\npath = "mine.toml"\n'
    )
    beside = fetch(str(tmp_path / "mine.toml"))
    assert beside.code == 2
    assert "качать нечего" in beside.err


def test_a_kill_loses_nothing_that_was_received(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    server.fail(pause=0.12)
    command = [sys.executable, "-m", "ruvlm", "data", "fetch", "gqa-ru", "--split", "train"]
    parts: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path / "data")], env=environment(server), stderr=subprocess.DEVNULL
        )
        before = sum(parts[-1:])
        for _ in range(400):
            time.sleep(0.02)
            grown = sum(p.stat().st_size for p in (tmp_path / "data").rglob("*.part"))
            if grown > before + 30_000:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        parts.append(sum(p.stat().st_size for p in (tmp_path / "data").rglob("*.part")))
    assert read_manifest(tmp_path / "data" / "gqa-ru") is None, "the manifest is written last"
    time.sleep(1)  # until the server has seen that the killed client is gone
    server.forget()
    done = fetch("gqa-ru", "--split", "train")
    assert done.code == 0, done.err
    manifest = read_manifest(tmp_path / "data" / "gqa-ru")
    assert manifest is not None
    whole = sum(record.size for record in manifest.files.values())
    kept = whole - server.sent()
    assert kept >= parts[-1] > parts[0] > 0, "what was received before the kills is not asked for again"
    assert open_source(str(tmp_path / "data")).load("gqa-ru", "train").examples


@pytest.mark.parametrize(
    "fault", [{"cut": 5_000, "times": 2}, {"status": 503, "times": 2}, {"status": 500, "times": 1}]
)
def test_a_cut_or_an_error_in_the_middle_is_tried_again(fetch: Fetch, server: Server, fault: dict[str, int]) -> None:
    server.fail(**fault)
    done = fetch("mmbench-ru")
    assert done.code == 0, done.err
    size = (server.root / "deepvk/MMBench-ru/mmbench_ru_dev.parquet").stat().st_size
    assert server.sent() == size, "a cut transfer goes on from where it stopped"


def test_spoilt_bytes_are_not_kept(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    server.fail(spoil=True, times=9)
    done = fetch("mmbench-ru")
    assert done.code == 2
    assert "сумма не сошлась" in done.err
    assert not list((tmp_path / "data").rglob("*.parquet*"))
    server.forget()
    assert fetch("mmbench-ru").code == 0


def test_a_file_changed_here_is_fetched_again(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    assert fetch("mmbench-ru").code == 0
    path = tmp_path / "data/mmbench-ru/mmbench_ru_dev.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    server.forget()
    assert fetch("mmbench-ru").code == 0
    assert server.sent() == path.stat().st_size


@pytest.mark.parametrize(
    ("faults", "arguments", "said"),
    [
        ({"gated": "403"}, ("gqa-ru",), "примите условия"),
        ({"gated": "401"}, ("gqa-ru",), "HF_TOKEN"),
        ({}, ("llava-instruct-ru",), "такого набора не знает"),
        ({}, ("gqa-ru", "--revision", "0" * 40), "--revision main"),
        ({}, ("gqa-ru", "--split", "dev2"), "есть testdev, train"),
        ({}, ("gqa",), "gqa-ru"),
        ({"status": 503, "times": 99}, ("mmbench-ru",), "отвечает 503"),
    ],
)
def test_every_refusal_is_one_sentence(
    fetch: Fetch, server: Server, faults: dict[str, object], arguments: tuple[str, ...], said: str
) -> None:
    server.fail(**faults)
    done = fetch(*arguments)
    assert (done.code, said in done.err, "Traceback" in done.err) == (2, True, False), done.err
    assert len(done.err.strip().splitlines()) <= 2, done.err


def test_no_network_says_so(fetch: Fetch) -> None:
    done = fetch("gqa-ru", HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.code, "Нет связи с http://127.0.0.1:9" in done.err) == (2, True), done.err


def test_a_token_opens_a_gated_set(fetch: Fetch, server: Server) -> None:
    server.fail(token="hf_secret")
    assert fetch("mmbench-ru").code == 2
    done = fetch("mmbench-ru", HF_TOKEN="hf_secret")
    assert done.code == 0, done.err
    assert "hf_secret" not in done.err + done.out


def test_offline_uses_what_is_here(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    assert fetch("mmbench-ru", "--offline").code == 2
    assert fetch("mmbench-ru").code == 0
    server.fail(status=500, times=99)
    for arguments, extra in (((), {"HF_HUB_OFFLINE": "1"}), (("--offline",), {})):
        done = fetch("mmbench-ru", *arguments, **extra)
        assert (done.code, "всё здесь" in done.err) == (0, True), done.err
    (tmp_path / "data/mmbench-ru/mmbench_ru_dev.parquet").write_bytes(b"short")
    done = fetch("mmbench-ru", "--offline")
    assert (done.code, "не целы: mmbench_ru_dev.parquet" in done.err) == (2, True), done.err


def test_a_moved_revision_is_refused_and_a_new_one_taken(fetch: Fetch, server: Server, tmp_path: Path) -> None:
    assert fetch("mmbench-ru").code == 0
    old = read_manifest(tmp_path / "data/mmbench-ru")
    extra = server.root / "deepvk/MMBench-ru/README.md"
    extra.write_text("новое")
    try:
        done = fetch("mmbench-ru")
        assert (done.code, "--revision main" in done.err) == (2, True), done.err
        server.forget()
        assert fetch("mmbench-ru", "--revision", "main").code == 0
        new = read_manifest(tmp_path / "data/mmbench-ru")
        assert old is not None
        assert new is not None
        assert old.revision != new.revision
        assert old.files == new.files
        assert server.sent() == 0, "the same bytes are not transferred for a new revision"
    finally:
        extra.unlink()


def test_a_sample_is_a_data_set(fetch: Fetch, tmp_path: Path) -> None:
    assert fetch("gqa-ru", "mmbench-ru", "--limit", "20").code == 0
    gqa = open_source(str(tmp_path / "data/gqa-ru-20")).load("gqa-ru", "test")
    choices = open_source(str(tmp_path / "data/mmbench-ru-20")).load("mmbench-ru", "test")
    assert len(gqa.examples) == 20
    assert len({e.structural for e in gqa.examples}) >= 4, "every type keeps its share"
    assert 16 < len(choices.examples) <= 20
    assert "выборка" in gqa.source
    whole = open_source(str(tmp_path / "data")).load("gqa-ru", "test", limit=20)
    assert [e.id for e in whole.examples] == [e.id for e in gqa.examples], "--limit draws the same rows"
    assert fetch("gqa-ru", "mmbench-ru", "--limit", "20").code == 0, "a second run changes nothing"


def test_a_full_disk_is_seen_before_the_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = (hub.Remote("a.parquet", 10**9, "0" * 64, None),)
    plan = hub.Plan(hub_set("gqa-ru"), tmp_path / "gqa-ru", "f" * 40, files, files, 0)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**6))
    with pytest.raises(OutputError, match=r"Нужно докачать 1,0 ГБ, а на диске"):
        hub.fetch(plan)
    with pytest.raises(ConfigError, match="Может быть"):
        hub_set("gqaru")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said["siblings"][0]["lfs"].update(sha256="../../../escaped"),
        lambda said: said["siblings"][0].update(size=-1),
        lambda said: said.update(siblings={"rfilename": "x"}),
        lambda said: said.update(siblings=[None]),
        lambda said: said["siblings"][0].update(lfs=5),
        lambda said: said.clear(),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, spoil: Callable[[dict], object]) -> None:
    """Names, sums and sizes become paths and promises here: whatever a mirror says instead ends in a sentence."""
    replies(tmp_path / "case")
    said = json.loads((tmp_path / "case" / "hub.json").read_text())
    case = Case(tmp_path / "case", tmp_path / "case" / "hub.json")
    assert listed(case)
    spoil(said)
    case.file.write_text(json.dumps(said))
    with pytest.raises(DataError):
        listed(case)
    assert not list((tmp_path / "case").rglob("*escaped*"))
