"""ruvlm parse and ruvlm match: one rule applied to a file, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli.console import show_json, tell


def parse(
    file: Annotated[Path, typer.Argument(help="JSONL с полями prediction и options")],
    rule: Annotated[
        str, typer.Option(help="mmbench-ru/lmms, mmbench-ru/ru или mmbench-ru/vlmevalkit")
    ] = "mmbench-ru/ru",
    json_: Annotated[bool, typer.Option("--json", help="строка JSON на каждый ответ")] = False,
) -> None:
    """Показать, как каждый ответ прочитан буквой варианта.

    Пример: ruvlm parse answers.jsonl --rule mmbench-ru/lmms --json
    """
    from ruvlm.evaluation.rulefile import parse_file

    for number, reading in enumerate(parse_file(file, rule), 1):
        if json_:
            show_json({"letter": reading.letter, "reason": reading.reason})
        else:
            tell(f"{number}: {reading.letter or f'не прочитано ({reading.reason})'}")


def match(
    file: Annotated[Path, typer.Argument(help="JSONL с полями pred и gold")],
    rule: Annotated[str, typer.Option(help="gqa-ru/lmms, gqa-ru/ru, gqa-ru/lemma или gqa-ru/vlmevalkit")] = "gqa-ru/ru",
    json_: Annotated[bool, typer.Option("--json", help="строка JSON на каждый ответ")] = False,
) -> None:
    """Показать, какой ответ по правилу верен.

    Пример: ruvlm match answers.jsonl --rule gqa-ru/lmms --json
    """
    from ruvlm.evaluation.rulefile import match_file

    for number, correct in enumerate(match_file(file, rule), 1):
        if json_:
            show_json({"correct": correct})
        else:
            tell(f"{number}: {'верно' if correct else 'неверно'}")
