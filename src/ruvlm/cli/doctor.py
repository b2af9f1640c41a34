"""ruvlm doctor: what this machine has and lacks; whether a model server can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json, tell

if TYPE_CHECKING:
    from ruvlm.backends.base import Access

MARKS = {"ok": "✓", "note": "·", "bad": "✗"}


def doctor(
    server: Annotated[
        str | None, typer.Argument(help="openai:МОДЕЛЬ@URL – осмотреть не машину, а сервер: не путает ли картинки")
    ] = None,
    hub: Annotated[bool, typer.Option("--hub/--no-hub", help="спросить ли хаб")] = True,
    data: Annotated[str, typer.Option(autocompletion=completion.sets, help="сервер: на чьих вопросах")] = "world",
    rows: Annotated[int, typer.Option(help="сервер: сколько строк, запросов в 6–14 раз больше", min=2)] = 16,
    requests: Annotated[int, typer.Option(help="сервер: запросов одновременно", min=1, max=256)] = 16,
    timeout: Annotated[float, typer.Option(help="сервер: секунд на один запрос", min=0.1)] = 120.0,
    retries: Annotated[int, typer.Option(help="сервер: сколько раз повторять неудачный запрос", min=0)] = 2,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Осмотреть машину (версии, устройство, память, диск, хаб) или сервер. Код 1 – работать или верить помешает.

    Пример: ruvlm doctor
    """
    if server is not None:
        from ruvlm.backends.base import Access

        _examine_server(server, data, rows, Access(requests=requests, timeout_s=timeout, retries=retries), json_)
        return
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


def _examine_server(server: str, data: str, rows: int, access: Access, json_: bool) -> None:
    from dataclasses import asdict

    from ruvlm.evaluation.plan import probe_server
    from ruvlm.evaluation.probe import WORDS

    seen = probe_server(server, data, rows, access)
    if json_:
        show_json(asdict(seen) | {"honest": seen.honest, "faults": list(seen.faults), "notes": list(seen.notes)})
    else:
        tell(f"· вопросов {seen.rows}, каждый о своей картинке; о чужой спрошено {seen.swapped}")
        for how, count in seen.differing.items():
            tell(f"{MARKS['bad' if count else 'ok']} {WORDS[how]}: других ответов {count}")
        tell(
            f"{MARKS['bad' if seen.mixes else 'ok']} о чужой картинке прежний ответ: {seen.unchanged}, из них мимо кешей – другой: {seen.mixed}"
        )
        for line in (*seen.faults, *seen.notes):
            tell(f"  {line}")
        if seen.unanswered:
            tell(f"  запросов без ответа: {seen.unanswered}, о них ничего не известно")
        if not seen.honest:
            say("Баллам с этого сервера верить нельзя.")
        else:
            say("Сервер ответил не на всё: осмотр неполон." if seen.unanswered else "Сервер отвечает честно.")
    if not seen.honest or seen.unanswered:
        raise typer.Exit(1)
