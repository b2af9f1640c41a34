"""ruvlm push: a run to the hub, or the list of what would be sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli.console import say, show_json, tell


def push(
    run: Annotated[Path, typer.Argument(help="папка запуска, например results/nano_world")],
    repo: Annotated[str, typer.Argument(help="куда: ОРГАНИЗАЦИЯ/ИМЯ на хабе")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="только показать, что было бы отправлено")] = False,
    private: Annotated[bool, typer.Option("--private/--public", help="закрытый репозиторий")] = True,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Отправить модель на хаб: веса, карточку, кривые, настройки, итоги проверок. Нужен HF_TOKEN с правом записи.

    Пример: ruvlm push results/nano_world org/nano-world --dry-run
    """
    from ruvlm.data.hub import megabytes
    from ruvlm.reporting.push import left_out, named, planned
    from ruvlm.reporting.push import push as send

    named(repo)
    files = planned(run)
    address = None if dry_run else send(run, repo, private)
    if json_:
        show_json({"repo": repo, "sent": address, "files": [{"name": f.name, "size": f.size} for f in files]})
        return
    for file in files:
        tell(f"{megabytes(file.size):>8}  {file.name}  ← {file.path}")
    for name in left_out(run):
        say(f"не отправляется: {name} (не файл модели)")
    total = megabytes(sum(file.size for file in files))
    if address is None:
        say(f"Было бы отправлено в {repo}: файлов {len(files)}, {total}. Ничего не отправлено (--dry-run).")
    else:
        say(f"Отправлено: {address} (файлов {len(files)}, {total}).")
