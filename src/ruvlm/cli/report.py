"""ruvlm report: evaluations as one page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="папки запусков или оценок, файлы ответов, журналы; один или несколько")
    ],
    out: Annotated[Path, typer.Option(help="куда записать страницу")] = Path("report.html"),
    data: Annotated[
        list[str] | None,
        typer.Option(autocompletion=completion.sets, help="где вопросы и картинки, если не там, где при обучении"),
    ] = None,
    pictures: Annotated[int, typer.Option(help="картинок вложить в раздел", min=0, max=2000)] = 120,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Собрать отчёт одним файлом HTML: баллы с интервалами, контроли, разбивки, кривые, сравнения, ошибки с картинками.

    Пример: ruvlm report results/nano_world results/cnn_lstm --out report.html
    """
    from ruvlm.data.hub import megabytes
    from ruvlm.files import write_bytes
    from ruvlm.reporting.gathered import gather
    from ruvlm.reporting.report_page import report_page

    gathered = gather(runs, data or [], say)
    words = [
        "ruvlm",
        "report",
        *map(str, runs),
        *(part for place in data or [] for part in ("--data", place)),
        "--out",
        str(out),
    ]
    page = report_page(gathered, pictures, shlex.join(words)).encode()
    write_bytes(out, page)
    if json_:
        show_json({"out": str(out), "bytes": len(page), "sections": len(gathered.sections)})
    else:
        say(f"Готово: {out} ({megabytes(len(page))}), разделов {len(gathered.sections)}.")
