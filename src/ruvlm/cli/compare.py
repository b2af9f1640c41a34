"""ruvlm compare: are two models different, and how sure is that?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli.console import cells, plain, results, say, show_json, tell
from ruvlm.numerals import around, bounds, chance, decimal

if TYPE_CHECKING:
    from ruvlm.evaluation.compare import Difference


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="папки запусков, папки оценок (…/eval/…) или файлы ответов на одни и те же вопросы, два или больше"
        ),
    ],
    translations: Annotated[
        bool,
        typer.Option("--translations", help="одна модель на переводах одних вопросов: как часто перевод меняет ответ"),
    ] = False,
    prompts: Annotated[
        bool,
        typer.Option("--prompts", help="две папки с eval --prompts: переживает ли порядок моделей смену просьбы"),
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Сравнить оценки попарно на одних строках: разность с интервалом, точный критерий Макнемара, поправка Холма.

    Пример: ruvlm compare results/nano_world results/cnn_lstm
    """
    from ruvlm.errors import ConfigError
    from ruvlm.evaluation.compare import compare as compared
    from ruvlm.evaluation.compare import paired_evaluations

    if translations:
        _translations(folders, json_)
        return
    if prompts:
        _prompts(folders, json_)
        return
    if len(folders) < 2:
        raise ConfigError("Сравнивать нужно хотя бы две оценки: укажите ещё одну папку или файл ответов.")
    tables = [compared(group) for group in paired_evaluations(folders)]
    if json_:
        show_json([{**asdict(row), "words": row.words} for rows in tables for row in rows])
        return
    for rows in tables:
        _show(rows)


def _show(rows: list[Difference]) -> None:
    from rich.table import Table

    table = Table(title="Разность – второй минус первый, пункты", title_justify="left")
    for column in ("первый", "второй", "правило", "n", "верно, %", "разность", "95 % интервал", "p (Холм)", "вывод"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            *cells(
                row.a,
                row.b,
                row.rule,
                row.n,
                f"{decimal(row.value_a, 2)} и {decimal(row.value_b, 2)}",
                decimal(row.points, 2, signed=True),
                bounds(row.low, row.high),
                chance(row.p_holm),
                row.words,
            )
        )
    results.print(table)
    left_out = max(row.left_out for row in rows)
    if left_out:
        say(
            f"Не сравнивались строки, на которые кто-то из двух не ответил (до {left_out} из {rows[0].n + rows[0].left_out}): это ошибки "
            "запросов, а не неверные ответы. Повторите ruvlm eval, она спросит только их."
        )
    say(
        "Критерий Макнемара – точный (для дробных правил – бутстрэп), по строкам (для circular – по группам); интервал – бутстрэп по картинкам или вопросам. "
        f"Поправка Холма – на все сравнения этой таблицы ({len(rows)})."
    )


def _prompts(folders: list[Path], json_: bool) -> None:
    from rich.table import Table

    from ruvlm.errors import ConfigError
    from ruvlm.evaluation.wording_spread import compare_prompts

    if len(folders) != 2:
        raise ConfigError(f"compare --prompts сравнивает две папки оценок, а дано {len(folders)}: укажите две.")
    orders = compare_prompts(*folders)
    if json_:
        show_json([{**asdict(order), "words": order.words} for order in orders])
        return
    for order in orders:
        table = Table(title="Одни вопросы под разными просьбами, верно, %", title_justify="left")
        for column in ("просьба", order.a, order.b, "разность"):
            table.add_column(plain(column))
        for name, (one, other) in order.scores.items():
            table.add_row(*cells(name, decimal(one, 2), decimal(other, 2), decimal(other - one, 2, signed=True)))
        results.print(table)
        tell(
            f"Разброс баллов: от модели {decimal(order.model, 0)} %, от просьбы {decimal(order.wording, 0)} %, от того, что кому какая подходит, и от "
            f"случая {decimal(order.together, 0)} %."
        )
        tell(f"Вывод: {order.words}.")


def _translations(folders: list[Path], json_: bool) -> None:
    from rich.table import Table

    from ruvlm.evaluation.evaluated import score_dict
    from ruvlm.evaluation.translations import compare_translations

    pairs = compare_translations(folders)
    if json_:
        show_json([{**asdict(pair), "changed": score_dict(pair.changed)} for pair in pairs])
        return
    table = Table(title="Одни вопросы в двух переводах", title_justify="left")
    for column in (
        "модель",
        "первый",
        "второй",
        "n",
        "верны оба",
        "только первый",
        "только второй",
        "ни один",
        "ответ сменился, %",
        "p",
    ):
        table.add_column(column)
    for pair in pairs:
        changed = pair.changed
        interval = f" ({around(changed)})" if around(changed) else ""
        counts = (pair.n, pair.both, pair.only_a, pair.only_b, pair.neither)
        table.add_row(
            *cells(pair.model, pair.a, pair.b, *counts, f"{decimal(changed.value)}{interval}", chance(pair.p))
        )
    results.print(table)
    say("Строки сопоставлены по номеру вопроса. p – точный критерий Макнемара, интервал – бутстрэп по вопросам.")
