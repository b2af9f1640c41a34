"""ruvlm data show: see a data set: a contact sheet, a page, plots."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json

if TYPE_CHECKING:
    from ruvlm.schema import Dataset


def show(
    data: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.sets, help="имя набора, папка, таблица с картинками, карточка .toml или world"
        ),
    ] = "world",
    split: Annotated[
        str,
        typer.Option(autocompletion=completion.splits, help="часть: test, val, holdout, train; по умолчанию главная"),
    ] = "",
    n: Annotated[int, typer.Option("--n", help="картинок", min=1, max=500)] = 12,
    each: Annotated[int, typer.Option(help="вопросов под картинкой", min=1, max=40)] = 4,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="только такие: verify, attr, chooseAttr, ocr… (можно несколько)")
    ] = None,
    seed: Annotated[int, typer.Option(help="зерно: другие картинки")] = 0,
    out: Annotated[Path | None, typer.Option(help="куда писать; по умолчанию results/show/<набор>")] = None,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Показать набор: лист картинок с вопросами (PNG) и страница с отбором по типам и графиками (HTML).

    Пример: ruvlm data show gqa-ru --n 12 --type verify
    """
    from ruvlm.benchmarks.source import open_source
    from ruvlm.data.sheet import contact_sheet, png
    from ruvlm.errors import MissingSplitError
    from ruvlm.files import write_bytes
    from ruvlm.reporting.data_page import data_page, plots
    from ruvlm.reporting.shown import cards, check_types

    source = open_source(data)
    datasets: list[Dataset] = []
    missing: MissingSplitError | None = None
    for benchmark in source.benchmarks:
        try:
            datasets.append(source.load(benchmark, split))
        except MissingSplitError as error:  # the other benchmark may have the split
            missing = error
    if missing is not None and not datasets:
        raise missing
    check_types(datasets, type_ or ())
    folder = out or Path("results/show") / re.sub(r"[^\w.-]+", "_", source.label)
    written: list[str] = []
    for dataset in datasets:
        drawn = cards(dataset, n, each, type_ or (), seed)
        if not drawn:
            continue
        stem = f"{dataset.name}-{dataset.split}"
        write_bytes(folder / f"{stem}.png", png(contact_sheet(drawn)))
        write_bytes(folder / f"{stem}.html", data_page(dataset, drawn, plots(dataset)).encode())
        written += [str(folder / f"{stem}.png"), str(folder / f"{stem}.html")]
    if json_:
        show_json(written)
    else:
        say("Готово: " + ", ".join(written))
