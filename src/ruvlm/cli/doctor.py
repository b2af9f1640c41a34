"""ruvlm doctor: what this machine has and lacks."""

from __future__ import annotations

from typing import Annotated

import typer

from ruvlm.cli.console import say, show_json, tell

MARKS = {"ok": "✓", "note": "·", "bad": "✗"}


def doctor(
    hub: Annotated[bool, typer.Option("--hub/--no-hub", help="спросить ли хаб")] = True,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Осмотреть машину: версии, устройство, память, диск, хаб, чего не хватает и как поставить. Код 1 – работать помешает.

    Пример: ruvlm doctor
    """
    from dataclasses import asdict

    from ruvlm.doctor import examine

    symptoms = examine(hub)
    bad = [finding for finding in symptoms if finding.state == "bad"]
    if json_:
        show_json([asdict(finding) for finding in symptoms])
    else:
        for finding in symptoms:
            fix = f" → {finding.fix}" if finding.fix else ""
            tell(f"{MARKS[finding.state]} {finding.name:<16} {finding.found}{fix}")
        say("Всё нужное есть." if not bad else f"Мешает: {', '.join(finding.name for finding in bad)}.")
    if bad:
        raise typer.Exit(1)
