"""ruvlm data check: what is wrong or odd in a data set."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import cells, counting, results, say, show_json

if TYPE_CHECKING:
    from ruvlm.audit.findings import Audit


def check(
    data: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.sets, help="имя набора, папка, таблица с картинками, карточка .toml или world"
        ),
    ],
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="смотреть и картинки: целы ли они и нет ли утечек")
    ] = True,
    workers: Annotated[int, typer.Option(help="процессов; 0 – по числу ядер", min=0)] = 0,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Проверить набор: файлы, строки, картинки, перестановки, утечки между частями, перекос ответов.

    Код выхода 1 – найдено то, что изменит балл. Грязь опубликованных наборов названа, но за порчу не считается.

    Пример: ruvlm data check data/gqa-ru
    """
    from ruvlm.audit.whole import audit

    seen = 0
    with counting("смотрю картинки") as progress:

        def update(more: int) -> None:
            nonlocal seen
            seen += more
            progress(seen, None)

        audited = audit(data, images, workers, update)
    if json_:
        show_json(
            {
                "serious": audited.serious,
                "findings": [asdict(f) for f in audited.findings],
                "facts": [asdict(f) for f in audited.facts],
            }
        )
    else:
        _show(audited)
    if audited.serious:
        raise typer.Exit(1)


def _show(audited: Audit) -> None:
    from rich.table import Table

    facts = Table(title="Что в наборе", title_justify="left")
    for column in ("часть", "что", "сколько"):
        facts.add_column(column)
    for fact in audited.facts:
        facts.add_row(*cells(fact.where, fact.name, fact.value))
    results.print(facts)
    if not audited.findings:
        say("Ничего плохого не найдено.")
        return
    table = Table(title="Что найдено", title_justify="left")
    for column in ("", "где", "что", "раз", "первый случай", "код"):
        table.add_column(column)
    for finding in sorted(audited.findings, key=lambda f: not f.serious):
        mark = "изменит балл" if finding.serious else "заметка"
        table.add_row(*cells(mark, finding.where, finding.says, finding.count, finding.first, finding.code))
    results.print(table)
    serious = sum(finding.serious for finding in audited.findings)
    say(f"Найдено: изменит балл – {serious}, заметок – {len(audited.findings) - serious}.")
