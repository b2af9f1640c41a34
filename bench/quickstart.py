"""The main job on the embedded world: draw it, train both models, evaluate them with controls, ask one question.

    python bench/quickstart.py --out results/quickstart [--nano-minutes 5] [--cnn-minutes 0.75] [--quick]

Prints the table and, as its last line, the figures as JSON. A second run reuses what is finished and resumes what is
not. `--quick` is a minute-long rehearsal on a small world: its figures mean nothing and say so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from ruvlm.cli.main import INTERRUPTED, TERMINATED
from ruvlm.cli.main import main as ruvlm
from ruvlm.config import RunConfig, load_config
from ruvlm.errors import RuvlmError
from ruvlm.evaluation.asking import Evaluation
from ruvlm.evaluation.plan import evaluate_model
from ruvlm.runtime import keep_freed_memory, machine
from ruvlm.world.export import build, plans

ROOT = Path(__file__).parent.parent
STRUCTURAL = ("query", "verify", "choose", "logical", "compare")
TOY = (
    "Прежняя игрушка: 15 % на GQA-ru и 0 % на MMBench-ru. Эти числа не измеряли ничего: её метки были hash(answer) % 10, "
    "а картинки – чёрными."
)


def say(text: str = "") -> None:
    """Progress goes to stderr, so that stdout is the result alone."""
    print(text, file=sys.stderr, flush=True)


def train(config: RunConfig, path: Path, overrides: list[str]) -> None:
    """Train, or reuse a finished run, or go on with an interrupted one. Raises RuvlmError if it did not finish."""
    folder = config.folder
    if (folder / "final_model").is_dir():
        say(f"  {folder} уже обучена, беру её")
        return
    arguments = ["train", str(path), *(part for override in overrides for part in ("--set", override))]
    if any((folder / "checkpoints").glob("step_*")):
        arguments.append("--resume")
    code = ruvlm(arguments)
    if code in (INTERRUPTED, TERMINATED):
        raise KeyboardInterrupt
    if code:
        raise RuvlmError(f"обучение {config.name} не закончено (код {code}); повторите команду, чтобы продолжить")


def by_rule(evaluations: list[Evaluation], model: str, rule: str) -> Evaluation:
    """The evaluation of a model that has a rule's score."""
    return next(e for e in evaluations if e.model == model and rule in e.result.scores)


def value(evaluations: list[Evaluation], model: str, rule: str) -> float:
    return round(by_rule(evaluations, model, rule).result.scores[rule].value, 2)


ROWS = (
    ("GQA: точное совпадение", "gqa-ru/lmms"),
    ("GQA: русское правило", "gqa-ru/ru"),
    ("MMBench: circular, буквы", "mmbench-ru/lmms/circular"),
    ("MMBench: по строкам, буквы", "mmbench-ru/lmms/vanilla"),
    ("MMBench: circular, правдоподобие", "mmbench-ru/likelihood/circular"),
)


def table(test: list[Evaluation], models: list[str]) -> list[str]:
    """Markdown rows: a figure a line, a model a column, each with its 95 % interval."""
    lines = ["| | n | " + " | ".join(models) + " |", "|---|---|" + "---|" * len(models)]
    for title, rule in ROWS:
        cells = []
        count = 0
        for model in models:
            score = by_rule(test, model, rule).result.scores[rule]
            count = score.n
            cells.append(f"{score.value:.1f} ({score.low:.1f}–{score.high:.1f})")
        lines.append(f"| {title} | {count} | " + " | ".join(cells) + " |")
    return lines


def figures(test: list[Evaluation], holdout: list[Evaluation], nano: str, cnn: str) -> dict[str, float]:
    """The names that the issue gives them."""
    gqa = by_rule(test, nano, "gqa-ru/lmms").result
    found = {
        "nano_gqa": value(test, nano, "gqa-ru/lmms"),
        **{f"nano_gqa_{kind}": round(gqa.breakdowns["structural"][kind].value, 2) for kind in STRUCTURAL},
        "nano_gqa_spatial": round(gqa.breakdowns["spatial"]["пространственные"].value, 2),
        "nano_holdout": value(holdout, nano, "gqa-ru/lmms"),
        "nano_mmbench_letters": value(test, nano, "mmbench-ru/lmms/circular"),
        "nano_mmbench_likelihood": value(test, nano, "mmbench-ru/likelihood/circular"),
        "cnn_lstm_gqa": value(test, cnn, "gqa-ru/lmms"),
        "cnn_lstm_holdout": value(holdout, cnn, "gqa-ru/lmms"),
        "cnn_lstm_mmbench_likelihood": value(test, cnn, "mmbench-ru/likelihood/circular"),
        "majority_gqa": value(test, "majority", "gqa-ru/lmms"),
        "question_only_gqa": value(test, "question-only", "gqa-ru/lmms"),
        "blind_nano_gqa": value(test, f"blind:{nano}", "gqa-ru/lmms"),
        "random_mmbench_letters": value(test, "random", "mmbench-ru/lmms/circular"),
    }
    return found


def a_question(world: Path, folder: Path) -> tuple[Path, str, str]:
    """A test picture about which «Кто в рубашке?» is asked, as a file, the question, and the right answer.

    A small world may not ask it: then the first question with «Кто».
    """
    from ruvlm.benchmarks.source import open_source
    from ruvlm.data.images import read_bytes

    examples = open_source(str(world)).load("gqa-ru", "test").examples
    example = min(examples, key=lambda e: (e.question != "Кто в рубашке?", not e.question.startswith("Кто")))
    path = folder / "question.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(read_bytes(example.image))
    return path, example.question, example.answer


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    started = time.perf_counter()
    keep_freed_memory()
    world = (
        Path(arguments.world) if arguments.world else (out / "world" if arguments.quick else Path("data/world-mini"))
    )
    say("1. Мир (mini)")
    sizes = plans("mini", 300, 0.05) if arguments.quick else plans("mini")
    build("mini", world, 0, os.cpu_count() or 1, sizes, None)
    drawn = time.perf_counter() - started
    say(f"  {world}: {drawn:.0f} с")
    minutes = {"cnn_lstm": arguments.cnn_minutes, "nano_world": arguments.nano_minutes}
    if arguments.quick:
        minutes = {"cnn_lstm": 0.1, "nano_world": 0.2}
    spent = {}
    for number, (name, most) in enumerate(minutes.items(), 2):
        say(f"{number}. Обучение {name}, не дольше {most} мин")
        path = ROOT / "configs" / f"{name}.toml"
        overrides = [f'results="{out.as_posix()}"', f'data.path="{world.as_posix()}"', f"train.max_minutes={most}"]
        before = time.perf_counter()
        train(load_config(path, overrides), path, overrides)
        spent[name] = time.perf_counter() - before
    say("4. Проверка с контролями")
    nano, cnn = "nano_world", "cnn_lstm"
    before = time.perf_counter()
    test = evaluate_model(str(out / nano), str(world), "test", controls=True)
    test += evaluate_model(str(out / cnn), str(world), "test", controls=False)
    holdout = evaluate_model(str(out / nano), str(world), "holdout", controls=False)
    holdout += evaluate_model(str(out / cnn), str(world), "holdout", controls=False)
    evaluated = time.perf_counter() - before
    label = "  Пробный прогон: цифры ничего не значат." if arguments.quick else ""
    print(f"\nВстроенный мир ({test[0].dataset.source}), часть test. Это не баллы GQA-ru и MMBench-ru.{label}\n")
    print("\n".join(table(test, [nano, cnn, "question-only", f"blind:{nano}", "majority", "random"])))
    shown = figures(test, holdout, nano, cnn)
    kinds = ", ".join(f"{kind} {shown['nano_gqa_' + kind]:.1f}" for kind in STRUCTURAL)
    spatial, unseen = shown["nano_gqa_spatial"], shown["nano_holdout"]
    print(f"\nnano по типам: {kinds}; пространственные {spatial:.1f}; невиданные сочетания {unseen:.1f}")
    print(TOY)
    print(f"Графики: {out / nano / 'training_history.png'}, {out / cnn / 'training_history.png'}")
    picture, question, gold = a_question(world, out)
    print(f"\nruvlm ask {out / nano} {picture} «{question}» (верно: {gold})")
    sys.stdout.flush()
    ruvlm(["ask", str(out / nano), str(picture), question])
    facts = machine()
    total = time.perf_counter() - started
    print(
        f"\nМашина: {facts.system}, ядер {facts.cores}, torch {facts.torch}. Минуты: мир {drawn / 60:.1f}, "
        f"cnn_lstm {spent[cnn] / 60:.1f}, nano {spent[nano] / 60:.1f}, проверка {evaluated / 60:.1f}, всего {total / 60:.1f}."
    )
    print(json.dumps({**shown, "minutes": round(total / 60, 2), "quick": arguments.quick}))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Главное дело на встроенном мире.")
    parser.add_argument("--out", type=Path, default=Path("results/quickstart"), help="куда писать")
    parser.add_argument("--world", help="готовый мир; по умолчанию data/world-mini")
    parser.add_argument("--nano-minutes", type=float, default=5.0)
    parser.add_argument("--cnn-minutes", type=float, default=0.75)
    parser.add_argument("--quick", action="store_true", help="пробный прогон за минуту")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        run(parsed())
    except RuvlmError as problem:
        say(f"Ошибка: {problem}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("Прервано: повторите команду, чтобы продолжить.")
        sys.exit(130)
