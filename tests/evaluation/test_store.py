"""Answers on disk survive: SIGKILL at random moments, two processes, another model, many processes at once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ruvlm.backends.base import Asked, Backend
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import OutputError
from ruvlm.evaluation import store
from ruvlm.evaluation.asking import evaluate
from ruvlm.evaluation.store import ResponseStore, merge_shards
from ruvlm.files import repair
from ruvlm.schema import Dataset, Response
from tests.support.house import Ran
from tests.support.rows import prompt as prompt_of

Run = Callable[..., Ran]
PROTOCOL = "gqa-ru/lmms"


class Slow(Backend):
    """Answers with the gold answer, its ends of line and all, a little while after it was asked."""

    name = fingerprint = "slow"

    def __init__(self, seconds: float = 0.0005) -> None:
        self.seconds = seconds

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for item in asked:
            time.sleep(self.seconds)
            odd = len(item.example.id) % 2
            yield Response(item.example.answer if odd else "не\u2028то \x85 «совсем»")


@pytest.fixture(scope="module")
def data(world: Path) -> Dataset:
    return open_source(str(world)).load("gqa-ru", "test")


def test_fifty_kills_lose_nothing_and_repeat_nothing(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FLUSH_SECONDS", 0.02)
    rng = random.Random(0)
    folder = tmp_path / "killed"
    path = folder / "responses.jsonl"

    def size() -> int:
        return path.stat().st_size if path.is_file() else 0

    grown = []
    for _ in range(50):
        child = os.fork()
        if child == 0:
            try:
                evaluate(Slow(0.004), data, PROTOCOL, folder)
            finally:
                os._exit(0)
        enough = size() + rng.randint(0, 500)  # a kill comes after so many bytes, however fast the machine is
        ended = 0
        while not ended and size() < enough:
            time.sleep(0.001)
            ended, _ = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        grown.append(size())
    assert len(set(grown)) > 10, "the kills must fall into the asking"
    evaluate(Slow(), data, PROTOCOL, folder)
    evaluate(Slow(), data, PROTOCOL, tmp_path / "calm")
    rows = [json.loads(line) for line in (folder / "responses.jsonl").read_text(encoding="utf-8").split("\n") if line]
    times = Counter(row["id"] for row in rows)
    assert set(times) == {example.id for example in data.examples}
    assert set(times.values()) == {1}
    for name in ("summary.json", "verdicts.jsonl"):
        assert (folder / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


def test_a_killed_command_goes_on(world: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ruvlm",
        "eval",
        "random",
        "--data",
        str(world),
        "--no-controls",
        "--protocol",
        PROTOCOL,
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("*/responses.jsonl")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (responses,) = tmp_path.glob("*/responses.jsonl")
    ids = [json.loads(line)["id"] for line in responses.read_text(encoding="utf-8").splitlines()]
    assert len(ids) == len(set(ids)) == json.loads(done.stdout)[0]["n"]


def test_the_second_process_says_so_and_stops(data: Dataset, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            evaluate(Slow(0.05), data, PROTOCOL, tmp_path / "e")
        finally:
            os._exit(0)
    try:
        while not (tmp_path / "e/responses.jsonl").exists():
            time.sleep(0.01)
        with pytest.raises(OutputError, match="уже пишет другой процесс"):
            evaluate(Slow(), data, PROTOCOL, tmp_path / "e")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert evaluate(Slow(), data, PROTOCOL, tmp_path / "e").result.n == len(data.examples)


def test_another_prompt_or_model_is_refused_with_what_differs(data: Dataset, tmp_path: Path) -> None:
    evaluate(Slow(), data, PROTOCOL, tmp_path / "e")
    with pytest.raises(OutputError, match="вопрос к модели – там"):
        evaluate(Slow(), data, PROTOCOL, tmp_path / "e", max_new_tokens=3)
    other = Slow()
    other.fingerprint = "быстрая"
    with pytest.raises(OutputError, match="модель – там «slow», здесь «быстрая»"):
        evaluate(other, data, PROTOCOL, tmp_path / "e")
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy/letter.txt").write_text("не трогать", encoding="utf-8")
    with pytest.raises(OutputError, match="занята не оценкой"):
        evaluate(Slow(), data, PROTOCOL, tmp_path / "busy")


def test_shards_of_a_killed_run_are_taken_over(tmp_path: Path) -> None:
    prompt = prompt_of("q", tokens=1)
    for shard in (0, 1):
        own = ResponseStore(tmp_path, shard)
        own.add(f"key{shard}", f"id{shard}", prompt, Response("да"))
        own.close()
    with (tmp_path / "responses.1.jsonl").open("a", encoding="utf-8") as torn:
        torn.write('{"key": "key2", "id')
    merge_shards(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["responses.jsonl"]
    whole = ResponseStore(tmp_path)
    assert [whole.answered(f"key{n}") for n in range(3)] == [True, True, False]
    whole.close()
    assert not repair(tmp_path / "responses.jsonl")


def test_two_processes_of_torchrun_give_the_summary_of_one(runs: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    arguments = ["eval", str(runs / "nano"), "--data", str(world), "--no-controls", "--json", "--out"]
    one = ruvlm(*arguments, tmp_path / "one")
    assert one.code == 0, one.err
    command = [
        str(Path(sys.executable).parent / "torchrun"),
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "ruvlm",
        *arguments,
        str(tmp_path / "two"),
    ]
    two = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert two.returncode == 0, two.stderr[-3000:]
    assert json.loads(two.stdout) == json.loads(one.out)
    for path in (tmp_path / "one").glob("*/summary.json"):
        other = tmp_path / "two" / path.parent.name
        assert (other / "summary.json").read_bytes() == path.read_bytes()
        assert sorted(found.name for found in other.glob("responses*")) == ["responses.jsonl"]
        lines = (other / "responses.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(lines) == len({json.loads(line)["key"] for line in lines})
