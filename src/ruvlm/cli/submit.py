"""ruvlm submit: the file of answers for a benchmark whose own answers are hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli.console import say, show_json


def submit(
    name: Annotated[
        str,
        typer.Argument(
            help="набор с закрытыми ответами: labtabvqa, cvqa-ru, карточка .toml; несколько – через запятую"
        ),
    ],
    results: Annotated[Path, typer.Argument(help="папка оценки, папка с оценками или файл ответов")],
    out: Annotated[Path, typer.Option(help="файл для организаторов; .zip – архив")],
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Собрать файл ответов в том виде, в каком его принимают организаторы, и сверить его с вопросами набора.

    Пример: ruvlm submit labtabvqa results/eval --out labtabvqa.zip
    """
    from ruvlm.evaluation.official_file import write_official

    sets = write_official(name, results, out)
    if json_:
        show_json([{"name": one.name, "file": one.file, "n": len(one.values), "unread": one.unread} for one in sets])
        return
    for one in sets:
        unread = f", не прочитано {one.unread}" if one.unread else ""
        say(f"{one.name}: ответов {len(one.values)}{unread}, файл {one.file}")
    say(f"Готово: {out}")
