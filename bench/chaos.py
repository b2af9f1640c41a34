"""Kills, full disks, read-only folders, two processes on one folder, few descriptors, little memory, servers that fail: is anything lost?

    python bench/chaos.py [--kills 200] [--faults 4] [--seed N] [--only JOB …] [--quick]

Every job (drawing, fetching, questions about photographs, own cards, training, evaluations, report, leaderboard, explain, quickstart) is
run undisturbed, twice; then it is stopped at random moments by SIGKILL, SIGTERM or SIGINT, or starved, and the same command is
given again. The result must equal the undisturbed one, file by file (without times), or be refused in one sentence before it does; no
process may be left running, no litter left lying, no traceback shown. Needs root for its small disks; without it those kinds are left
out and said to be. Prints tried / survived by kind and, as its last line, JSON; exits with 1 if anything did not survive.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# a thread a process: two that wait for each other beside other work take minutes over seconds
os.environ.setdefault("OMP_NUM_THREADS", "1")
# the threads of the tokenizers do not come through a fork
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.support import chaos
from tests.support.chaos import Inputs, Job, Trial

LIMITS = ("descriptors", "memory", "file size")


def trials(job: Job, given: Inputs, kills: int, faults: int, rng: random.Random) -> Iterator[tuple[str, Trial | None]]:
    """Everything that is done to one job, each under the name of its kind."""
    clean, seconds = chaos.undisturbed(job, given)
    for _ in range(kills):
        yield "kill", chaos.killed(job, given, clean, seconds, rng)
    for _ in range(faults):
        yield "full disk", chaos.full_disk(job, given, clean, rng)
        for limit in LIMITS:
            yield limit, chaos.starved(job, given, clean, limit, rng)
        if job.name == "eval-server":
            yield "bad server", chaos.bad_server(job, given, clean, rng)
    if faults:
        yield "read-only", chaos.read_only(job, given)
        yield "two processes", chaos.twice(job, given, clean, rng)


def main() -> int:
    parser = argparse.ArgumentParser(description="Обрывает и морит команды и смотрит, цел ли итог.")
    parser.add_argument("--kills", type=int, default=200, help="обрывов всего")
    parser.add_argument("--faults", type=int, default=4, help="случаев каждого другого вида на команду")
    parser.add_argument(
        "--seed", type=int, default=None, help="зерно; по умолчанию другое каждый раз, названо в начале"
    )
    parser.add_argument("--only", nargs="+", default=[], help="только эти команды")
    parser.add_argument("--quick", action="store_true", help="по обрыву на команду")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    print(f"зерно {seed}", flush=True)
    counts: dict[str, dict[str, int]] = {}
    ended_badly: list[tuple[str, Trial]] = []
    with tempfile.TemporaryDirectory() as place, chaos.inputs(Path(place)) as read:
        known = {job.name: job for job in chaos.jobs(read)}
        if unknown := set(given.only) - set(known):
            parser.error(f"нет таких команд: {', '.join(sorted(unknown))}; есть {', '.join(known)}")
        chosen = [known[name] for name in given.only or known]
        kills = 1 if given.quick else -(-given.kills // len(chosen))
        for job in chosen:
            rng = random.Random(f"{seed} {job.name}")
            for kind, trial in trials(job, read, kills, 0 if given.quick else given.faults, rng):
                count = counts.setdefault(kind, {"tried": 0, "survived": 0, "left out": 0})
                count["left out" if trial is None else "tried"] += 1
                count["survived"] += trial is not None and not trial.fault
                if trial is not None and trial.fault:
                    ended_badly.append((kind, trial))
                    print(f"{kind}: {trial.job}, {trial.how}: {trial.fault}", flush=True)
            print(f"{job.name}: всё", flush=True)
    print("| | попыток | выдержано | не вышло испытать |\n|---|---|---|---|")
    for kind, count in counts.items():
        print(f"| {kind} | {count['tried']} | {count['survived']} | {count['left out']} |")
    print(json.dumps({"seed": seed, "kinds": counts, "quick": given.quick}))
    return int(bool(ended_badly))


if __name__ == "__main__":
    sys.exit(main())
