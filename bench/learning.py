"""What nano has learnt when its whole process has used so many CPU seconds: GQA and unseen pairs of the embedded world.

python bench/learning.py [--seconds 500 | --steps N] [--seeds 0 1 2] [--recipe nano_world] [--world data/world-mini] [--set K=V …]
                         [--test] [--quick]

Recipes count steps. Two short runs, after one that fills the cache of pictures, tell what preparation and a step cost here; the run
that is measured has the steps that fill the budget, and its own CPU seconds stand beside its scores. `--steps` takes so many instead:
beside other work a CPU second does less, a step teaches the same. One thread: where two cores are two threads of one, the same work on
both counts half as much again. Splits `val` and `holdout`, so that what is chosen by these figures
is not chosen by the test split, which `--test` adds for when nothing is chosen any more; the run's best model was chosen on a part of `val`. Ends in one line of JSON; every figure is on the embedded world.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SHORT, LONGER = 20, 160


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Чему nano учится за столько секунд процессора, всего процесса.")
    parser.add_argument("--seconds", type=float, default=500, help="секунд процессора на запуск")
    parser.add_argument("--steps", type=int, help="шагов на запуск вместо секунд")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="зёрна обучения")
    parser.add_argument("--recipe", default="nano_world")
    parser.add_argument("--world", type=Path, default=Path("data/world-mini"))
    parser.add_argument("--set", action="append", default=[], help="настройки рецепта, ключ=значение")
    parser.add_argument("--test", action="store_true", help="и на части test")
    parser.add_argument("--out", type=Path, help="где оставить запуски; по умолчанию нигде")
    parser.add_argument("--quick", action="store_true", help="одно зерно и 60 секунд: его цифры ничего не значат")
    return parser.parse_args()


def spent(command: list[str]) -> tuple[float, str]:
    """CPU seconds of a command and its stdout."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-m", "ruvlm", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode:
        raise SystemExit(f"ruvlm {' '.join(command)}:\n{ran.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran.stdout


def trained(given: argparse.Namespace, results: Path, name: str, seed: int, steps: int) -> float:
    """CPU seconds of a run of so many steps."""
    own = [f'name="{name}"', f'results="{results.as_posix()}"', f'data.path="{given.world.as_posix()}"']
    settings = [*own, f"train.seed={seed}", f"train.max_steps={steps}", *given.set]
    return spent(["train", given.recipe, *(part for one in settings for part in ("--set", one))])[0]


def scores(given: argparse.Namespace, model: Path) -> dict[str, float]:
    """Headline scores on val and on unseen pairs, per cent."""
    figures = {}
    for split, name in (("val", "val"), ("holdout", "unseen"), *([("test", "test")] if given.test else [])):
        out = model / f"bench_{split}"
        spent(["eval", str(model), "--data", str(given.world), "--split", split, "--no-controls", "--out", str(out)])
        for summary in sorted(out.glob("*/summary.json")):
            read = json.loads(summary.read_text(encoding="utf-8"))
            rule = "gqa-ru/lmms" if read["benchmark"] == "gqa-ru" else f"{read['protocol']}/circular"
            if rule == "gqa-ru/lmms":
                figures[f"gqa_{name}"] = read["scores"][rule]["value"]
                figures[f"gqa_{name}_compare"] = read["breakdowns"]["structural"]["compare"]["value"]
            elif rule in read["scores"]:
                way = "likelihood" if "likelihood" in rule else "letters"
                figures[f"mmbench_{name}_{way}"] = read["scores"][rule]["value"]
    return figures


def steps_within(given: argparse.Namespace, results: Path, seconds: float) -> int:
    """Steps that fill so many CPU seconds here, preparation included."""
    trained(given, results, "cache", 0, 1)
    short, longer = (trained(given, results, f"short{steps}", 0, steps) for steps in (SHORT, LONGER))
    a_step = (longer - short) / (LONGER - SHORT)
    if a_step <= 0:
        raise SystemExit(
            f"{LONGER} шагов заняли не больше {SHORT} ({longer:.1f} и {short:.1f} с): машина занята, повторите."
        )
    steps = max(SHORT, round((seconds - short) / a_step) + SHORT)
    print(
        f"подготовка {short - SHORT * a_step:.0f} с, шаг {1000 * a_step:.0f} мс процессора: шагов {steps}", flush=True
    )
    return steps


def main() -> None:
    given = parsed()
    seconds, seeds = (60.0, given.seeds[:1]) if given.quick else (given.seconds, given.seeds)
    with tempfile.TemporaryDirectory() as place:
        results = given.out or Path(place)
        steps = given.steps or steps_within(given, results, seconds)
        rows = []
        for seed in seeds:
            used = trained(given, results, f"seed{seed}", seed, steps)
            rows.append({"seed": seed, "cpu_seconds": round(used), **scores(given, results / f"seed{seed}")})
            print(" · ".join(f"{key} {value:g}" for key, value in rows[-1].items()), flush=True)
    means = {key: round(statistics.fmean(row[key] for row in rows), 2) for key in rows[0] if key != "seed"}
    print(json.dumps({"steps": steps, "runs": rows, "mean": means, "quick": given.quick}))


if __name__ == "__main__":
    main()
