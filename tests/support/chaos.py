"""Jobs that are killed, starved and run twice, and what must come of them: the undisturbed result, or a clear refusal first.

A trial runs a command in a process of its own, forked from one that has imported everything, so that hundreds of them take minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from huggingface_hub import constants

from ruvlm.benchmarks.source import open_source
from ruvlm.cli.main import main
from ruvlm.world.export import build, plans
from tests.support.faulty_server import KINDS, STALL_S
from tests.support.fuzzing import annotation_files, evaluations, own_cards
from tests.support.house import tiny
from tests.support.serving import hub

LIMIT_S = 300
UNFORESEEN = "не предвидели"
# what says when, how long or where, and not what
FLEETING = re.compile(
    r'"(seconds|minutes|created|finished|when|date|started|path|out|folder)": ?("[^"]*"|[\d.e-]+)'
    r"|\d+(,\d+)? (с|мин)\b|\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-][\d:]+)?)?"
)
Command = list[str]


@dataclass(frozen=True)
class Ended:
    """How a process ended: its code (negative for a signal), what it said, how long it took, what it left running."""

    code: int
    said: str
    seconds: float
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A command that makes something in the folder it runs in; given a folder in which it has begun, how it goes on."""

    name: str
    command: Callable[[Path], Command]


@dataclass(frozen=True)
class Inputs:
    """What the jobs read; made once, never written to."""

    root: Path
    server: str
    faults: Path


@dataclass(frozen=True)
class Trial:
    """What was done to a job and what came of it; `fault` is empty if it came out as it must."""

    job: str
    how: str
    fault: str = ""


def run(
    command: Command, folder: Path, limits: Callable[[], None] = lambda: None, stop: tuple[float, int] | None = None
) -> Ended:
    """A command in its own process and session, in a folder; `stop` sends a signal after so many seconds."""
    log = folder.with_name(f"{folder.name}.log")
    log.write_bytes(b"")  # here: a child may be killed before it has one
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(command, folder, log, limits)
    code = _awaited(child, started, stop)
    left = _left_running(child)
    return Ended(code, log.read_text(encoding="utf-8", errors="replace"), time.monotonic() - started, left)


def _become(command: Command, folder: Path, log: Path, limits: Callable[[], None]) -> None:
    """The child: it is the command, and never returns."""
    code = 99
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(out, number)
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        limits()
        code = main(command)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130  # between the command's end and the process's
    except BaseException as error:
        os.write(2, f"Traceback: {type(error).__name__} {error}\n".encode())
    finally:
        os._exit(code)


def _awaited(child: int, started: float, stop: tuple[float, int] | None) -> int:
    """The exit code of a child that is stopped in time, or when it has no end."""
    stopped = False
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        passed = time.monotonic() - started
        if stop is not None and not stopped and passed >= stop[0]:
            stopped = True
            # Ctrl-C goes to all of a terminal's processes, what a scheduler or the kernel sends to one
            try:
                (os.killpg if stop[1] == signal.SIGINT else os.kill)(child, stop[1])
            except ProcessLookupError:  # it has no session of its own yet
                os.kill(child, stop[1])
        if passed > LIMIT_S:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)


def _left_running(session: int) -> tuple[str, ...]:
    """What of a session still runs a while after its leader has ended; it is killed then."""
    deadline = time.monotonic() + 10
    while True:
        alive = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
                continue
        if not alive or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    names = tuple(process.name() for process in alive)
    for process in alive:
        process.kill()
    return names


def result(folder: Path) -> dict[str, str]:
    """What a job has made: a digest of each file, without what says when and how long."""
    digests = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and ".cache" not in p.relative_to(folder).parts):
        data = path.read_bytes()
        if path.suffix in (".json", ".jsonl", ".html", ".md", ".csv", ".txt", ".toml"):
            text = FLEETING.sub("", data.decode("utf-8", "replace").replace(str(folder), "")).replace(folder.name, "")
            # answers are stored in the order in which they came
            data = "\n".join(sorted(text.splitlines()) if path.suffix == ".jsonl" else text.splitlines()).encode()
        # curves over minutes, a checkpoint's seconds and its sum over them: that they are there is all that can be compared
        fleeting = path.name in ("training_history.png", "state.json")
        digests[path.relative_to(folder).as_posix()] = "" if fleeting else hashlib.sha256(data).hexdigest()[:12]
    return digests


# --- inputs and jobs


@contextmanager
def inputs(root: Path) -> Iterator[Inputs]:
    """A world, a run, evaluations, annotations, cards; the hub and a server of models as processes."""
    build("mini", root / "world", 3, 1, plans("mini", 60, 0.03))
    sets = [part for one in tiny("run", root / "world", root) for part in ("--set", one)]
    assert main(["train", "nano_world", *sets]) == 0
    evaluations(root / "evaluations")
    annotation_files(root / "photos")
    own_cards(root / "cards")
    (root / "cards" / "answers.jsonl").write_text(
        '{"id": "1", "prediction": "кот"}\n{"id": "2", "prediction": "кот"}\n'
    )
    rows = open_source(str(root / "world")).load("gqa-ru", "test").examples
    (root / "answers.jsonl").write_text("\n".join(json.dumps({"id": e.id, "prediction": "да"}) for e in rows))
    for name, source in (("GQA-ru", "gqa-ru"), ("MMBench-ru", "mmbench-ru")):
        shutil.copytree(root / "world" / source, root / "hub" / "deepvk" / name)
    (root / "server").mkdir()
    faults(root / "server", 0.0)
    server = subprocess.Popen([sys.executable, "-m", "tests.support.faulty_server", str(root / "server")])
    try:
        while not (root / "server" / "port").exists():
            assert server.poll() is None
            time.sleep(0.02)
        with hub(root / "hub") as url:
            (root / "hub" / "faults.json").write_text('{"pause": 0.02}')
            # read from the environment when they were imported
            constants.ENDPOINT = url
            constants.HUGGINGFACE_CO_URL_TEMPLATE = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            port = (root / "server" / "port").read_text()
            yield Inputs(root, f"openai:m@http://127.0.0.1:{port}/v1", root / "server")
    finally:
        server.kill()
        server.wait()


def faults(folder: Path, share: float, kinds: tuple[str, ...] = KINDS) -> None:
    """How often and in which ways the server of models fails from now on."""
    (folder / "faults.json.part").write_text(json.dumps({"share": share, "kinds": kinds}))
    (folder / "faults.json.part").rename(folder / "faults.json")


def jobs(given: Inputs) -> tuple[Job, ...]:
    root = given.root
    world, ab = str(root / "world"), [str(root / "evaluations" / name) for name in "ab"]
    data = ["--data", world, "--no-controls", "--limit", "150"]
    sets = [f'data.path="{world}"', 'results="r"', 'name="n"', "train.images_per_step=4", "train.validations=3"]
    learn = ["--set", "train.max_steps=14", *(part for one in sets for part in ("--set", one))]

    def trained(recipe: str, folder: Path) -> Command:
        resume = ["--resume"] if any((folder / "r" / "n" / "checkpoints").glob("step_*")) else []
        return ["train", recipe, *learn, *resume]

    def same(*words: str) -> Callable[[Path], Command]:
        return lambda folder: list(words)

    return (
        Job("world", same("data", "world", "--out", "w", "--train-images", "30", "--scale", "0.02", "--workers", "1")),
        Job(
            "world-2", same("data", "world", "--out", "w", "--train-images", "220", "--scale", "0.02", "--workers", "2")
        ),
        Job("fetch", same("data", "fetch", "gqa-ru", "--split", "testdev", "--out", "d")),
        Job(
            "from-coco",
            same(
                "data",
                "from-coco",
                "--instances",
                str(root / "photos" / "coco.json"),
                "--images",
                str(root / "photos"),
                "--out",
                "p",
            ),
        ),
        Job(
            "card",
            same(
                "eval",
                f"file:{root / 'cards' / 'answers.jsonl'}",
                "--data",
                str(root / "cards" / "short.toml"),
                "--no-controls",
                "--out",
                "e",
            ),
        ),
        Job("train-nano", lambda folder: trained("nano_world", folder)),
        Job("train-cnn", lambda folder: trained("cnn_lstm", folder)),
        Job("eval-nano", same("eval", str(root / "run"), *data, "--out", "e")),
        Job(
            "eval-file",
            same("eval", f"file:{root / 'answers.jsonl'}", "--data", world, "--protocol", "gqa-ru/lmms", "--out", "e"),
        ),
        Job("eval-server", same("eval", given.server, *data, "--timeout", "1", "--retries", "2", "--out", "e")),
        Job("report", same("report", *ab, "--data", str(root / "evaluations" / "set"), "--out", "r.html")),
        Job("leaderboard", same("leaderboard", "build", *ab, "--out", "site")),
        Job("pack", same("leaderboard", "pack", ab[0], "--out", "s.json")),
        Job("explain", same("explain", *ab, "--png", "stairs.png")),
        Job(
            "quickstart",
            same("quickstart", "--quick", "--world", world, "--out", "q", "--nano-steps", "20", "--cnn-steps", "10"),
        ),
    )


# --- what is done to them


@contextmanager
def place(root: Path, name: str) -> Iterator[Path]:
    folder = root / "trials" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def undisturbed(job: Job, given: Inputs) -> tuple[dict[str, str], float]:
    """Its result and seconds. It has two runs, in folders of other names: a result that differs there is none to compare with."""
    results = []
    seconds = 0.0
    for name in ("first", "second"):
        with place(given.root, f"{job.name}-{name}") as folder:
            ended = run(job.command(folder), folder)
            assert ended.code == 0, (job.name, ended)
            results.append(result(folder))
            seconds = ended.seconds
    assert results[0], f"{job.name} makes nothing that could be lost"
    differ = [name for name in results[0] | results[1] if results[0].get(name) != results[1].get(name)]
    assert not differ, (job.name, differ)
    return results[0], seconds


def killed(job: Job, given: Inputs, clean: dict[str, str], seconds: float, rng: random.Random) -> Trial | None:
    """Stopped at a random moment, then the same command again, as a person would. None if it had ended before."""
    number = rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    after = rng.uniform(0, 1.05 * seconds)
    how = f"{number.name} {after:.2f} с"
    with place(given.root, f"{job.name}-kill") as folder:
        first = run(job.command(folder), folder, stop=(after, number))
        if first.seconds < after:
            return None
        if first.left:
            return Trial(job.name, how, f"осталось работать: {', '.join(first.left)}")
        # a worker that is being started when its parent is killed outright has no words but its own
        if badly(first) and number != signal.SIGKILL:
            return Trial(job.name, how, f"сказано: {first.said[-300:]}")
        return Trial(job.name, how, _taken_up(job, folder, clean))


def starved(job: Job, given: Inputs, clean: dict[str, str], kind: str, rng: random.Random) -> Trial:
    """Too few descriptors, too little memory or file size: a result or a sentence; then the same command without the limit."""
    limit, most = {
        "descriptors": (resource.RLIMIT_NOFILE, rng.randint(12, 64)),
        "memory": (resource.RLIMIT_AS, _own_memory() + rng.randint(1, 400) * 1_000_000),
        "file size": (resource.RLIMIT_FSIZE, rng.choice((20_000, 60_000, 200_000, 600_000))),
    }[kind]

    def limits() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(limit, (most, most))

    with place(given.root, f"{job.name}-{kind.replace(' ', '-')}") as folder:
        first = run(job.command(folder), folder, limits)
        how = f"{kind} {most}"
        # a kernel or allocator that ends the process leaves no time for words; what it left must still serve
        if badly(first) and (first.code > 0 or first.seconds > LIMIT_S):
            return Trial(job.name, how, f"код {first.code}, сказано: {first.said[-300:]}")
        return Trial(job.name, how, _taken_up(job, folder, clean))


def _own_memory() -> int:
    return psutil.Process().memory_info().vms


def full_disk(job: Job, given: Inputs, clean: dict[str, str], rng: random.Random) -> Trial | None:
    """On a file system of a random small size, which then grows. None where none may be mounted."""
    size = rng.choice((0, 8, 40, 200, 600, 2_000))
    with place(given.root, f"{job.name}-full") as folder:
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={max(size, 4)}k", "tmpfs", folder], capture_output=True
        ).returncode:
            return None
        try:
            first = run(job.command(folder), folder)
            if badly(first) or first.code < 0:
                return Trial(job.name, f"диск {size} кБ", f"код {first.code}, сказано: {first.said[-300:]}")
            subprocess.run(["mount", "-o", "remount,size=500m", folder], check=True)
            return Trial(job.name, f"диск {size} кБ", _taken_up(job, folder, clean))
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


def read_only(job: Job, given: Inputs) -> Trial | None:
    """In a folder that cannot be written to: a refusal. None where none may be mounted."""
    with place(given.root, f"{job.name}-ro") as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True).returncode:
            return None
        try:
            ended = run(job.command(folder), folder)
            fault = "" if ended.code == 2 and not badly(ended) else f"код {ended.code}, сказано: {ended.said[-300:]}"
            return Trial(job.name, "только для чтения", fault)
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


def twice(job: Job, given: Inputs, clean: dict[str, str], rng: random.Random) -> Trial:
    """Two processes of one command on one folder: each ends in the result or a refusal, and the folder holds the result."""
    with place(given.root, f"{job.name}-twice") as folder:
        log = folder.with_name(f"{folder.name}.other.log")
        log.write_bytes(b"")
        started = time.monotonic()
        other = os.fork()
        if other == 0:
            time.sleep(rng.uniform(0, 0.4))
            _become(job.command(folder), folder, log, lambda: None)
        first = run(job.command(folder), folder)
        code = _awaited(other, started, None)
        said = log.read_text(encoding="utf-8", errors="replace")
        second = Ended(code, said, time.monotonic() - started, _left_running(other))
        for ended in (first, second):
            if badly(ended) or ended.left or ended.code not in (0, 2):
                return Trial(job.name, "вдвоём", f"код {ended.code}, сказано: {ended.said[-300:]}")
        if first.code and second.code:
            return Trial(job.name, "вдвоём", f"ни один не закончил: {first.said[-200:]} {second.said[-200:]}")
        return Trial(job.name, "вдвоём", _different(clean, result(folder)))


def bad_server(job: Job, given: Inputs, clean: dict[str, str], rng: random.Random) -> Trial:
    """A server that fails at random, then a whole one."""
    kinds = tuple(rng.sample(KINDS, rng.randint(1, 3)))
    share = rng.choice((0.05, 0.3, 1.0)) if "stall" not in kinds else 0.05 / STALL_S
    with place(given.root, f"{job.name}-server") as folder:
        faults(given.faults, share, kinds)
        first = run(job.command(folder), folder)
        faults(given.faults, 0.0)
        how = f"{share:.2g} × {', '.join(kinds)}"
        if badly(first) or first.code not in (0, 1, 2):
            return Trial(job.name, how, f"код {first.code}, сказано: {first.said[-300:]}")
        return Trial(job.name, how, _taken_up(job, folder, clean))


def badly(ended: Ended) -> bool:
    """Did it end in a traceback, in what nobody foresaw, or not at all?"""
    return "Traceback" in ended.said or UNFORESEEN in ended.said or ended.code == 99 or ended.seconds > LIMIT_S


def _taken_up(job: Job, folder: Path, clean: dict[str, str]) -> str:
    """The command again until it ends well, three times at most: a sentence in between may ask for it. Then the result must be there."""
    ended = Ended(99, "", 0)
    for _ in range(3):
        ended = run(job.command(folder), folder)
        if ended.code == 0 or badly(ended):
            break
        if not _different(clean, result(folder)):
            break  # it refuses because all is there
    if badly(ended):
        return f"снова: код {ended.code}, сказано: {ended.said[-300:]}"
    different = _different(clean, result(folder))
    return f"{different}; код {ended.code}: {ended.said[-200:]}" if different else ""


def _different(clean: dict[str, str], now: dict[str, str]) -> str:
    lost = sorted(set(clean) - set(now))
    litter = sorted(set(now) - set(clean))
    other = sorted(name for name in set(clean) & set(now) if clean[name] != now[name])
    parts = (("нет", lost), ("лишнее", litter), ("другое", other))
    return "; ".join(f"{word} {', '.join(names[:4])}" for word, names in parts if names)
