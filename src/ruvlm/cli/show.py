"""ruvlm data show: see a data set: a contact sheet, a page, plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli.console import say, show_json


def show(
    data: Annotated[str, typer.Argument(help="папка с gqa-ru/ и mmbench-ru/, или gqa-ru, mmbench-ru, world")] = "world",
    split: Annotated[str, typer.Option(help="часть: test, val, holdout, train")] = "test",
    n: Annotated[int, typer.Option("--n", help="картинок", min=1, max=500)] = 12,
    each: Annotated[int, typer.Option(help="вопросов под картинкой", min=1, max=40)] = 4,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="только такие: verify, attr, chooseAttr, ocr… (можно несколько)")
    ] = None,
    seed: Annotated[int, typer.Option(help="зерно: другие картинки")] = 0,
    out: Annotated[Path, typer.Option(help="куда писать")] = Path("results/show"),
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Показать набор: лист картинок с вопросами (PNG) и страница с отбором по типам и графиками (HTML).

    Пример: ruvlm data show gqa-ru --n 12 --type verify
    """
    from ruvlm.data.catalog import open_source
    from ruvlm.data.files import write_bytes
    from ruvlm.errors import ConfigError, MissingSplitError, RuvlmError
    from ruvlm.reporting.choice import cards
    from ruvlm.reporting.data_page import data_page
    from ruvlm.reporting.data_plots import plots
    from ruvlm.reporting.sheet import contact_sheet, png

    source = open_source(data)
    written: list[str] = []
    refused: RuvlmError | None = None
    for benchmark in source.folders:
        try:
            dataset = source.load(benchmark, split)
            drawn = cards(dataset, n, each, type_ or (), seed)
        except (MissingSplitError, ConfigError) as error:  # the other benchmark may have the split, or the type
            refused = error
            continue
        stem = f"{benchmark}-{dataset.split}"
        write_bytes(out / f"{stem}.png", png(contact_sheet(drawn)))
        write_bytes(out / f"{stem}.html", data_page(dataset, drawn, plots(dataset)).encode())
        written += [str(out / f"{stem}.png"), str(out / f"{stem}.html")]
    if not written and refused is not None:
        raise refused
    if json_:
        show_json(written)
    else:
        say("Готово: " + ", ".join(written))
