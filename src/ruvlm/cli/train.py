"""ruvlm train: train a model from a config."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import LOG_SECONDS, cells, people, quoted, results, say, show_json, speaks
from ruvlm.numerals import decimal, with_count

if TYPE_CHECKING:
    from ruvlm.training.history import Tick

STAGES = {"words": "слова", "answers": "ответы"}


def train(
    config: Annotated[
        Path,
        typer.Argument(
            autocompletion=completion.recipes,
            help="рецепт по имени (ruvlm recipes), файл настроек или папка запуска, которую продолжить",
        ),
    ],
    resume: Annotated[bool, typer.Option("--resume", help="продолжить с последнего сохранения")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="раздел.ключ=значение поверх файла")] = None,
    device: Annotated[str | None, typer.Option(autocompletion=completion.devices, help="auto, cpu, cuda, mps")] = None,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Обучить модель. Ctrl-C сохраняет сделанное; ruvlm train ПАПКА-ЗАПУСКА --resume продолжает, и с --set train.max_steps=… дольше.

    Пример: ruvlm train nano_world --set train.max_minutes=2
    """
    from ruvlm.run_folder import settings_of

    overrides = list(set_ or []) + ([f'device="{device}"'] if device else [])
    settings = settings_of(config, overrides)
    from ruvlm.processes import current_ranks, leave
    from ruvlm.reporting.card import write_card
    from ruvlm.training.loop import train as run

    with _watching() as display:
        done = run(settings, resume, display, lambda text: say(f"  {text}"))
    leave()
    if current_ranks().first:
        write_card(done.folder)
    if json_ and speaks():
        show_json(
            {
                "out": str(done.folder),
                "steps": done.steps,
                "seconds": round(done.seconds, 1),
                "interrupted": done.interrupted,
                "early": done.early,
                "best": done.best if done.best >= 0 else None,
            }
        )
    if done.interrupted:
        say(f"Сохранено на шаге {done.steps}. Продолжить: ruvlm train {quoted(done.folder)} --resume")
        raise typer.Exit(130)
    if done.early:
        say(f"Проверка не улучшалась {settings.train.patience} раз подряд: остановлено раньше.")
    score = f", лучшая проверка {decimal(done.best)} % (среднее по наборам)" if done.best >= 0 else ""
    steps = with_count(done.steps, "шаг", "шага", "шагов")
    say(f"Готово: {done.folder}, {steps} за {decimal(done.seconds / 60)} мин{score}.")
    say(f"Проверить: ruvlm eval {quoted(done.folder)} --data {quoted(settings.data.path)}")


@contextmanager
def _watching() -> Iterator[Callable[[Tick], None]]:
    """A bar that follows a run, or, where there is no terminal, a line every quarter of a minute."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ruvlm.training.history import CHECKING

    percent, rest = TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[rest]}")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeElapsedColumn(), rest)
    with Progress(*columns, console=people, transient=True, disable=not (speaks() and people.is_terminal)) as bar:
        task = bar.add_task("готовлюсь", total=1.0, rest="")
        said = time.monotonic()

        def display(tick: Tick) -> None:
            nonlocal said
            memory, share = f"{decimal(tick.memory / 1e9)} ГБ", min(1.0, tick.share)
            if tick.stage == CHECKING:
                bar.update(task, description=f"проверяю на шаге {tick.step}", completed=share, rest=memory)
                return
            text, left = _words(tick), f"осталось {_left(tick.left)}"
            bar.update(task, description=text, completed=share, rest=f"{left}, {memory}")
            if not people.is_terminal and time.monotonic() - said > LOG_SECONDS:
                said = time.monotonic()
                say(f"  {text}, {left}")

        yield display


def _words(tick: Tick) -> str:
    score = f", проверка {decimal(tick.score)} %" if tick.score is not None else ""
    speed = f", {decimal(tick.answers_per_second, 0)} ответов/с" if tick.answers_per_second else ""
    return f"{STAGES.get(tick.stage, tick.stage)}: шаг {tick.step}, потери {decimal(tick.loss, 3)}{speed}{score}"


def _left(seconds: float) -> str:
    """Time to go: seconds where there are less than two minutes of them."""
    return f"{seconds:.0f} с" if seconds < 120 else f"{seconds / 60:.0f} мин"


def recipes(json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False) -> None:
    """Рецепты обучения, которые лежат в пакете: что получится, на какой машине, за сколько минут.

    Пример: ruvlm recipes
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ruvlm.config import recipes as packaged

    known = packaged()
    if json_:
        show_json([{"name": name, **recipe.model_dump()} for name, recipe in known.items()])
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    for column in ("рецепт", "что", "машина", "минут", "чего ждать"):
        table.add_column(column)
    for name, recipe in known.items():
        minutes = "–" if recipe.minutes is None else decimal(recipe.minutes, 0)
        table.add_row(*cells(name, recipe.about, recipe.machine, minutes, recipe.expect))
    results.print(table)
    say("Запустить: ruvlm train ИМЯ; свой рецепт – такой же файл .toml (docs/training.md).")
