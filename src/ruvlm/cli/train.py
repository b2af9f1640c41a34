"""ruvlm train: train a model from a config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli.console import people, say, show_json, speaks

if TYPE_CHECKING:
    from ruvlm.training.loop import Tick

STAGES = {"words": "слова", "answers": "ответы"}


def train(
    config: Annotated[Path, typer.Argument(help="файл настроек, например configs/nano_world.toml")],
    resume: Annotated[bool, typer.Option("--resume", help="продолжить с последней точки")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="раздел.ключ=значение поверх файла")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, mps")] = None,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Обучить модель. Ctrl-C сохраняет точку; --resume продолжает.

    Пример: ruvlm train configs/nano_world.toml --set train.max_minutes=2
    """
    from ruvlm.config import load_config

    overrides = list(set_ or []) + ([f'device="{device}"'] if device else [])
    settings = load_config(config, overrides)
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ruvlm.processes import current_ranks, leave
    from ruvlm.reporting.card import write_card
    from ruvlm.training.loop import train as run

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rest]}"),
    )
    with Progress(*columns, console=people, transient=True, disable=not speaks()) as bar:
        task = bar.add_task("готовлюсь", total=1.0, rest="")

        def display(tick: Tick) -> None:
            score = f", проверка {tick.score:.1f} %" if tick.score is not None else ""
            speed = f", {tick.answers_per_second:.0f} ответов/с" if tick.answers_per_second else ""
            text = f"{STAGES.get(tick.stage, tick.stage)}: шаг {tick.step}, потери {tick.loss:.3f}{speed}{score}"
            left = "" if tick.share >= 1 else f"осталось {tick.left / 60:.0f} мин, "
            bar.update(task, description=text, completed=min(1.0, tick.share), rest=f"{left}{tick.memory / 1e9:.1f} ГБ")

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
        say(f"Прервано на шаге {done.steps}. Продолжить: ruvlm train {config} --resume")
        raise typer.Exit(130)
    if done.early:
        say(f"Проверка не улучшалась {settings.train.patience} раз подряд: остановлено раньше.")
    score = f", лучшая проверка {done.best:.1f} %" if done.best >= 0 else ""
    say(f"Готово: {done.folder}, {done.steps} шагов за {done.seconds / 60:.1f} мин{score}.")
