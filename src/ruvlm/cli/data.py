"""ruvlm data …: fetch, make, check and show data sets."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.check import check
from ruvlm.cli.console import cells, counting, results, say, show_json, tell
from ruvlm.cli.fetch import fetch
from ruvlm.cli.photos import from_coco, from_graphs
from ruvlm.cli.russian import App
from ruvlm.cli.show import show
from ruvlm.numerals import decimal

HELP = "Наборы данных: скачать, нарисовать, проверить, показать, сделать из своих фотографий."
app = App(help=HELP, no_args_is_help=True)


@app.callback()
def group() -> None:
    """Наборы данных: скачать, нарисовать, проверить, показать, сделать из своих фотографий."""


app.command("fetch")(fetch)
app.command("check")(check)
app.command("show")(show)
app.command("from-coco")(from_coco)
app.command("from-graphs")(from_graphs)


@app.command("list")
def list_(json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False) -> None:
    """Показать наборы, у которых здесь есть имя: правило, лицензия, откуда качается, что уже скачано.

    Пример: ruvlm data list
    """
    from dataclasses import asdict

    from rich.table import Table

    from ruvlm.benchmarks.catalog import listed_benchmarks

    rows = listed_benchmarks()
    if json_:
        show_json([{**asdict(row), "here": (Path("data") / row.name).is_dir()} for row in rows])
        return
    table = Table(title="Наборы", title_justify="left")
    for column in ("имя", "что", "правило", "лицензия", "на хабе", "здесь"):
        table.add_column(column)
    for row in rows:
        here = "да" if (Path("data") / row.name).is_dir() else ""
        hidden = ", ответы закрыты" if row.hidden else ""
        table.add_row(*cells(row.name, f"{row.title}{hidden}", row.rules[0], row.licence, row.repo, here))
    results.print(table)
    say("Скачать: ruvlm data fetch ИМЯ. Спросить модель: ruvlm eval МОДЕЛЬ --data ИМЯ")


@app.command("bias")
def bias(
    data: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.sets, help="world, имя набора, папка, таблица с картинками или карточка .toml"
        ),
    ],
    split: Annotated[
        str, typer.Option(autocompletion=completion.splits, help="часть набора; по умолчанию главная")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="куда записать строки: id, bias, right; CSV")] = None,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Измерить смещение каждой строки: насколько верный ответ виден по одним словам вопроса. Картинки и модели не нужны.

    Классификатор слов учится на соседних строках того же набора, вопросы об одной картинке вместе. 1 – ответ виден без картинки.

    Пример: ruvlm data bias gqa-ru --out bias.csv
    """
    from ruvlm.evaluation.blind import set_biases

    sets = set_biases(data, split)
    if out is not None:
        lines = [f"{_quoted(row.id)},{row.bias},{int(row.right)}\n" for one in sets for row in one.rows]
        save_card(out, "id,bias,right\n" + "".join(lines))
    if json_:
        show_json(
            [
                {
                    "benchmark": one.benchmark,
                    "split": one.split,
                    "right": one.right,
                    "bias": one.bias,
                    "rows": len(one.rows),
                }
                for one in sets
            ]
        )
        return
    for one in sets:
        tell(
            f"{one.benchmark}, часть {one.split}: по словам вопроса верно {decimal(one.right)} % строк, среднее смещение "
            f"{decimal(one.bias, 3)}, строк {len(one.rows)}"
        )
    if out is not None:
        say(f"Строки: {out}")


def _quoted(text: str) -> str:
    """A cell of a CSV."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


@app.command("card")
def card(
    table: Annotated[str, typer.Argument(help="таблица (csv, tsv, xlsx, jsonl, json, parquet) или папка с нею")],
    out: Annotated[Path | None, typer.Option(help="файл карточки; по умолчанию на экран")] = None,
    json_: Annotated[bool, typer.Option("--json", help="карточка в JSON")] = False,
) -> None:
    """Написать карточку по таблице: что угадано и почему, и два вопроса, какими их увидит модель.

    Пример: ruvlm data card мои-вопросы.csv --out мои-вопросы.toml
    """
    from ruvlm.benchmarks.source import open_source

    source = open_source(table)
    text = source.card_text(out)
    for question in source.guessed_questions():
        say(question)
    if out is not None:
        save_card(out, text)
        say(f"Готово: {out}. Проверить: ruvlm data check {out}")
    if json_:
        show_json(tomllib.loads(text))
    elif out is None:
        tell(text)


def save_card(out: Path, text: str) -> None:
    """A new file, or the same one. Raises OutputError where another is there."""
    from ruvlm.errors import OutputError
    from ruvlm.files import write_text

    if out.is_file() and out.read_text(encoding="utf-8", errors="replace") == text:
        return
    if out.exists():
        raise OutputError(f"{out} уже есть: назовите другой файл или удалите этот.")
    write_text(out, text)


@app.command("world")
def world(
    level: Annotated[
        str,
        typer.Option(
            autocompletion=completion.levels, help="mini (128 пикселей, для процессора) или full (320 пикселей)"
        ),
    ] = "mini",
    out: Annotated[Path | None, typer.Option(help="куда писать; по умолчанию data/world-<level>")] = None,
    seed: Annotated[int, typer.Option(help="зерно: тот же мир при том же зерне")] = 0,
    version: Annotated[
        str | None,
        typer.Option(help="версия мира: 3 (по умолчанию) или прежняя 2, чьи вопросы звучат менее естественно"),
    ] = None,
    train_images: Annotated[int | None, typer.Option(help="обучающих картинок", min=1)] = None,
    scale: Annotated[float, typer.Option(help="доля размера остальных частей", min=0.001, max=1)] = 1.0,
    workers: Annotated[int, typer.Option(help="процессов; 0 – по числу ядер", min=0)] = 0,
    json_: Annotated[bool, typer.Option("--json", help="описание мира в JSON")] = False,
) -> None:
    """Нарисовать мир: сцены с русскими вопросами в форматах GQA-ru и MMBench-ru.

    Пример: ruvlm data world --level mini --out data/world-mini --seed 0
    """
    from ruvlm.world.export import build, plans

    folder = out or Path("data") / f"world-{level}"
    with counting(f"рисую {folder}") as progress:
        manifest = build(
            level, folder, seed, workers or os.cpu_count() or 1, plans(level, train_images, scale), progress, version
        )
    if json_:
        show_json({"out": str(folder)} | manifest)
        return
    parts = ", ".join(f"{name} {sizes['images']}" for name, sizes in manifest["splits"].items())
    say(f"Мир {level} готов: {folder} (картинок: {parts}; отпечаток {manifest['fingerprint']}).")
