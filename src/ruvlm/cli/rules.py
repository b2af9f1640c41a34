"""ruvlm parse and ruvlm match: one rule applied to a file, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli.console import show_json, tell


def parse(
    file: Annotated[Path, typer.Argument(help="JSONL с полями prediction и options")],
    rule: Annotated[
        str, typer.Option(help="letters-lmms, letters-ru, letters-vlmevalkit или имя балла набора (mmbench-ru/lmms)")
    ] = "letters-ru",
    json_: Annotated[bool, typer.Option("--json", help="строка JSON на каждый ответ")] = False,
) -> None:
    """Показать, как каждый ответ прочитан буквой варианта.

    Пример: ruvlm parse answers.jsonl --rule letters-lmms --json
    """
    from ruvlm.evaluation.rulefile import parse_file

    for number, reading in enumerate(parse_file(file, rule), 1):
        if json_:
            show_json({"letter": reading.letter, "reason": reading.reason})
        else:
            tell(f"{number}: {reading.letter or f'не прочитано ({reading.reason})'}")


def match(
    file: Annotated[Path, typer.Argument(help="JSONL с полями pred и gold")],
    rule: Annotated[
        str, typer.Option(help="exact, exact-ru, lemma, exact-vlmevalkit или имя балла набора (gqa-ru/lmms)")
    ] = "exact-ru",
    json_: Annotated[bool, typer.Option("--json", help="строка JSON на каждый ответ")] = False,
) -> None:
    """Показать, какой ответ по правилу верен.

    Пример: ruvlm match answers.jsonl --rule exact --json
    """
    from ruvlm.evaluation.rulefile import match_file

    for number, score in enumerate(match_file(file, rule), 1):
        if json_:
            show_json({"score": score, "correct": score == 1})
        else:
            tell(f"{number}: {'верно' if score == 1 else f'на {100 * score:.0f} %' if score else 'неверно'}")
