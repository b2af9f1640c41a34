"""ruvlm parse and ruvlm match: one rule applied to a file, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json, tell
from ruvlm.numerals import decimal


def parse(
    file: Annotated[Path, typer.Argument(help="JSONL с полями prediction и options (или n_options)")],
    rule: Annotated[
        str,
        typer.Option(
            autocompletion=completion.readers,
            help="letters-lmms, letters-ru, letters-vlmevalkit, letters-kaleidoscope, letters-kaleidoscope-cot, letters-pm4bench, "
            "number-first или имя балла набора (mmbench-ru/lmms)",
        ),
    ] = "letters-ru",
    json_: Annotated[bool, typer.Option("--json", help="строка JSON на каждый ответ")] = False,
) -> None:
    """Показать, как каждый ответ прочитан буквой варианта.

    Пример: ruvlm parse answers.jsonl --rule letters-lmms --json
    """
    from ruvlm.evaluation.rulefile import RUSSIAN_READER, parse_file

    lines = parse_file(file, rule)
    for number, line in enumerate(lines, 1):
        reading = line.reading
        if json_:
            said = reading.letter if reading.number is None else reading.number
            show_json({"read": said, "letter": reading.letter, "reason": reading.reason, "ru": line.russian.letter})
        else:
            tell(f"{number}: {reading.letter or f'не прочитано ({reading.reason})'}")
    _differing(rule, RUSSIAN_READER, [line.reading.letter != line.russian.letter for line in lines])


def match(
    file: Annotated[Path, typer.Argument(help="JSONL с полями pred и gold (текст или список)")],
    rule: Annotated[
        str,
        typer.Option(
            autocompletion=completion.matchers,
            help="exact, exact-ru, lemma, exact-vlmevalkit, any-of, mera-em, contains, contains-authors, contains-plain, anls, mws-vqa, "
            "numeric, numeric-5 или имя балла набора (gqa-ru/lmms)",
        ),
    ] = "exact-ru",
    json_: Annotated[bool, typer.Option("--json", help="строка JSON на каждый ответ")] = False,
) -> None:
    """Показать, какой ответ по правилу верен.

    Пример: ruvlm match answers.jsonl --rule exact --json
    """
    from ruvlm.evaluation.rulefile import RUSSIAN_MATCHER, match_file

    lines = match_file(file, rule)
    for number, line in enumerate(lines, 1):
        if json_:
            show_json({"score": line.score, "correct": line.score == 1, "ru": line.russian})
        else:
            tell(
                f"{number}: {'верно' if line.score == 1 else f'на {decimal(100 * line.score, 0)} %' if line.score else 'неверно'}"
            )
    _differing(rule, RUSSIAN_MATCHER, [line.score != line.russian for line in lines])


def _differing(rule: str, ours: str, differ: list[bool]) -> None:
    """On how many rows an official rule and ours do not agree."""
    if rule != ours:
        say(f"{rule} и {ours} расходятся в {sum(differ)} из {len(differ)} строк.")
