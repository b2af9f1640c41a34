"""ruvlm quickstart: draw the embedded world, train two models on it, evaluate them beside controls, ask one question."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli.console import quoted, say, show_json, tell
from ruvlm.numerals import around, decimal

if TYPE_CHECKING:
    from ruvlm.evaluation.asking import Evaluation
    from ruvlm.evaluation.single import Answer

NANO, CNN = "nano_world", "cnn_lstm"
QUICK_STEPS = MappingProxyType({CNN: 40, NANO: 60})
STRUCTURAL = ("query", "verify", "choose", "logical", "compare")
ROWS = (
    ("GQA: точное совпадение", "gqa-ru/lmms"),
    ("GQA: русское правило", "gqa-ru/ru"),
    ("MMBench: circular, буквы", "mmbench-ru/lmms/circular"),
    ("MMBench: по строкам, буквы", "mmbench-ru/lmms/vanilla"),
    ("MMBench: circular, правдоподобие", "mmbench-ru/likelihood/circular"),
)


@dataclass(frozen=True)
class SampleQuestion:
    """The question that is put to the trained model, its right answer, and what was said."""

    picture: Path
    question: str
    gold: str
    answer: Answer


def quickstart(
    out: Annotated[Path, typer.Option(help="куда писать")] = Path("results/quickstart"),
    world: Annotated[Path | None, typer.Option(help="готовый мир; по умолчанию data/world-mini")] = None,
    nano_steps: Annotated[
        int | None, typer.Option(help="шагов обучения nano; по умолчанию – как в рецепте", min=1)
    ] = None,
    cnn_steps: Annotated[int, typer.Option(help="шагов обучения cnn_lstm", min=1)] = 280,
    quick: Annotated[
        bool, typer.Option("--quick", help="пробный прогон за минуту: его цифры ничего не значат")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Главное дело целиком: нарисовать мир, обучить две модели, проверить их рядом с контролями, спросить об одной картинке.

    Девять–двенадцать минут на двух ядрах. Вторая команда берёт готовое и продолжает прерванное.

    Пример: ruvlm quickstart --out results/quickstart
    """
    started = time.perf_counter()
    place = world or (out / "world" if quick else Path("data/world-mini"))
    minutes = {"мир": _timed(partial(_draw, place, quick, world is not None))}
    budget = QUICK_STEPS if quick else {CNN: cnn_steps, NANO: nano_steps or _steps_of(NANO)}
    for number, (name, most) in enumerate(budget.items(), 2):
        minutes[name] = _timed(partial(_train, number, name, out, place, most))
    before = time.perf_counter()
    say("4. Проверка с контролями")
    test, holdout = _evaluated(out, place)
    minutes["проверка"] = (time.perf_counter() - before) / 60
    asked = _ask(place, out)
    figures = {**_figures(test, holdout), "minutes": round((time.perf_counter() - started) / 60, 2), "quick": quick}
    if not json_:
        _show(test, figures, out, asked, minutes)
    show_json(figures)


def _steps_of(recipe: str) -> int:
    """How long a recipe trains."""
    from ruvlm.config import load_config

    steps = load_config(Path(recipe)).train.max_steps
    assert steps is not None
    return steps


def _timed(work: Callable[[], None]) -> float:
    """Minutes that it takes."""
    before = time.perf_counter()
    work()
    return (time.perf_counter() - before) / 60


def _draw(place: Path, quick: bool, ready: bool) -> None:
    """The world of the recipes, unless it is there; a `ready` one that was named is taken as it is."""
    from ruvlm.errors import OutputError
    from ruvlm.world.export import WORLD_VERSION, build, plans, read_manifest

    say("1. Мир (mini)")
    known = read_manifest(place)
    if ready and known is not None:
        return
    if known is not None and known.get("version") != WORLD_VERSION:
        raise OutputError(
            f"В {place} мир другой версии ({known.get('version')}, а рисуется {WORLD_VERSION}): чтобы взять его как есть, добавьте "
            f"--world {quoted(place)}, иначе переименуйте папку."
        )
    build("mini", place, 0, os.cpu_count() or 1, plans("mini", 300, 0.05) if quick else plans("mini"), None)


def _train(number: int, name: str, out: Path, world: Path, steps: int) -> None:
    """Train, or reuse a finished run, or go on with one that was interrupted. Raises RuvlmError if it did not finish."""
    from ruvlm.cli.main import INTERRUPTED, TERMINATED, main
    from ruvlm.errors import OutputError, RuvlmError
    from ruvlm.run_folder import FINAL, RunFolder

    say(f"{number}. Обучение {name}, шагов {steps}")
    folder = out / name
    run = RunFolder(folder)
    if run.described and Path(run.config.data.path) != world:
        raise OutputError(
            f"В {folder} запуск на других данных ({run.config.data.path}): укажите другую --out или удалите его."
        )
    if run.described and run.config.train.max_steps is None:
        raise OutputError(f"В {folder} запуск прежней версии, он считал минуты: укажите другую --out или удалите его.")
    if (folder / FINAL).is_dir() and (run.config.train.max_steps or 0) >= steps:
        say(f"  {folder} уже обучена, беру её")
        return
    sets = [f'results="{out.as_posix()}"', f'data.path="{world.as_posix()}"', f"train.max_steps={steps}"]
    arguments = ["train", name, *(part for one in sets for part in ("--set", one))]
    code = main([*arguments, "--resume"] if run.checkpoints else arguments)
    if code in (INTERRUPTED, TERMINATED):
        raise KeyboardInterrupt
    if code:
        raise RuvlmError(
            f"Обучение {name} не закончено (код {code}), почему – сказано выше: исправьте и повторите команду, она продолжит."
        )


def _evaluated(out: Path, world: Path) -> tuple[list[Evaluation], list[Evaluation]]:
    """Both models on the test split, nano's controls among them; and both on unseen pairs."""
    from ruvlm.evaluation.plan import evaluate_model
    from ruvlm.runtime import keep_freed_memory

    keep_freed_memory()
    nano, cnn = str(out / NANO), str(out / CNN)
    test = evaluate_model(nano, str(world), "test") + evaluate_model(cnn, str(world), "test", controls=False)
    holdout = evaluate_model(nano, str(world), "holdout", controls=False)
    return test, holdout + evaluate_model(cnn, str(world), "holdout", controls=False)


def _ask(world: Path, out: Path) -> SampleQuestion:
    """«Кто в рубашке?» about a test picture; a small world may not ask it: then the first question with «Кто»."""
    from ruvlm.benchmarks.source import open_source
    from ruvlm.data.images import read_bytes
    from ruvlm.evaluation.single import ask_once

    examples = open_source(str(world)).load("gqa-ru", "test").examples
    example = min(examples, key=lambda e: (e.question != "Кто в рубашке?", not e.question.startswith("Кто")))
    picture = out / "question.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(read_bytes(example.image))
    answer = ask_once(str(out / NANO), picture, example.question, None, 5, "auto")
    return SampleQuestion(picture, example.question, example.answer, answer)


def _of(evaluations: list[Evaluation], model: str, rule: str) -> Evaluation:
    """The evaluation of a model that has a rule's score."""
    return next(e for e in evaluations if e.model == model and rule in e.result.scores)


def _value(evaluations: list[Evaluation], model: str, rule: str) -> float:
    return round(_of(evaluations, model, rule).result.scores[rule].value, 2)


def _figures(test: list[Evaluation], holdout: list[Evaluation]) -> dict[str, float]:
    """What a run is remembered by, per cent."""
    gqa = _of(test, NANO, "gqa-ru/lmms").result
    return {
        "nano_gqa": _value(test, NANO, "gqa-ru/lmms"),
        **{f"nano_gqa_{kind}": round(gqa.breakdowns["structural"][kind].value, 2) for kind in STRUCTURAL},
        "nano_gqa_spatial": round(gqa.breakdowns["spatial"]["пространственные"].value, 2),
        "nano_holdout": _value(holdout, NANO, "gqa-ru/lmms"),
        "nano_mmbench_letters": _value(test, NANO, "mmbench-ru/lmms/circular"),
        "nano_mmbench_likelihood": _value(test, NANO, "mmbench-ru/likelihood/circular"),
        "cnn_lstm_gqa": _value(test, CNN, "gqa-ru/lmms"),
        "cnn_lstm_holdout": _value(holdout, CNN, "gqa-ru/lmms"),
        "cnn_lstm_mmbench_likelihood": _value(test, CNN, "mmbench-ru/likelihood/circular"),
        "majority_gqa": _value(test, "majority", "gqa-ru/lmms"),
        "question_only_gqa": _value(test, "question-only", "gqa-ru/lmms"),
        "blind_nano_gqa": _value(test, f"blind:{NANO}", "gqa-ru/lmms"),
        "random_mmbench_letters": _value(test, "random", "mmbench-ru/lmms/circular"),
    }


def _table(test: list[Evaluation]) -> list[str]:
    """Markdown rows: a figure a line, a model a column, each with its 95 % interval."""
    models = [NANO, CNN, "question-only", f"blind:{NANO}", "majority", "random"]
    lines = ["| | n | " + " | ".join(models) + " |", "|---|---|" + "---|" * len(models)]
    for title, rule in ROWS:
        scores = [_of(test, model, rule).result.scores[rule] for model in models]
        cells = [f"{decimal(score.value)} ({around(score)})" for score in scores]
        lines.append(f"| {title} | {scores[0].n} | " + " | ".join(cells) + " |")
    return lines


def _show(
    test: list[Evaluation], figures: dict[str, float], out: Path, asked: SampleQuestion, minutes: dict[str, float]
) -> None:
    from ruvlm.run_folder import RunFolder
    from ruvlm.runtime import machine

    label = " Пробный прогон: цифры ничего не значат." if figures["quick"] else ""
    print(f"\nВстроенный мир ({test[0].dataset.source}), часть test. Это не баллы GQA-ru и MMBench-ru.{label}\n")
    print("\n".join(_table(test)))
    kinds = ", ".join(f"{kind} {decimal(figures['nano_gqa_' + kind])}" for kind in STRUCTURAL)
    spatial, unseen = figures["nano_gqa_spatial"], figures["nano_holdout"]
    print(f"\nnano по типам: {kinds}; пространственные {decimal(spatial)}; невиданные сочетания {decimal(unseen)}")
    print(f"Графики: {RunFolder(out / NANO).history_picture}, {RunFolder(out / CNN).history_picture}")
    print(f"\nruvlm ask {quoted(out / NANO)} {quoted(asked.picture)} «{asked.question}» (верно: {asked.gold})")
    sys.stdout.flush()
    sure = "" if asked.answer.probability is None else f" ({decimal(100 * asked.answer.probability, 0)} %)"
    tell(f"{asked.answer.text}{sure}")
    facts = machine()
    parts = ", ".join(f"{name} {decimal(spent)}" for name, spent in minutes.items())
    print(
        f"\nМашина: {facts.system}, ядер {facts.cores}, torch {facts.torch}. Минуты: {parts}, всего {decimal(figures['minutes'])}."
    )
