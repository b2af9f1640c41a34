"""ruvlm leaderboard: a static site of tables; submissions made and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json
from ruvlm.cli.russian import App, RussianGroup
from ruvlm.numerals import decimal


class BuildByDefault(RussianGroup):
    """`ruvlm leaderboard DIR…` is `ruvlm leaderboard build DIR…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["build", *args]
        return super().parse_args(ctx, args)


HELP = "Таблица моделей: статическая страница из папок запусков; заявки с ответами и их проверка."
app = App(cls=BuildByDefault, help=HELP, no_args_is_help=True)


@app.command("build")
def build(
    runs: Annotated[list[Path], typer.Argument(help="папки с запусками или оценками, файлы ответов")],
    out: Annotated[Path, typer.Option(help="папка страницы")] = Path("site"),
    json_: Annotated[bool, typer.Option("--json", help="таблицы в JSON на выход")] = False,
) -> None:
    """Собрать таблицу: страница, Markdown, CSV и JSON.

    Пример: ruvlm leaderboard results --out site
    """
    from ruvlm.files import write_bytes
    from ruvlm.reporting.leaderboard import as_csv, as_json, as_markdown, boards, leaderboard_page

    tables = boards(runs)
    for name, text in (
        ("leaderboard.md", as_markdown(tables)),
        ("leaderboard.csv", as_csv(tables)),
        ("leaderboard.json", as_json(tables)),
        ("index.html", leaderboard_page(tables)),
    ):
        write_bytes(out / name, text.encode())
    if json_:
        print(as_json(tables), end="")
    else:
        say(
            f"Готово: {out / 'index.html'}, таблиц {len(tables)}, моделей {len({e.model for b in tables for e in b.entries})}."
        )


@app.command("pack")
def pack(
    folder: Annotated[Path, typer.Argument(help="папка оценки: results/…/eval/…")],
    out: Annotated[Path, typer.Option(help="куда записать заявку")] = Path("submission.json"),
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Сделать заявку: ответы модели и баллы за них.

    Пример: ruvlm leaderboard pack results/nano_world/eval/… --out submission.json
    """
    import json

    from ruvlm.files import write_bytes
    from ruvlm.reporting.submission import pack as packed

    submission = packed(folder)
    write_bytes(out, (json.dumps(submission, ensure_ascii=False) + "\n").encode())
    if json_:
        show_json({"out": str(out), "responses": len(submission["responses"])})
        return
    say(
        f"Готово: {out}, ответов {len(submission['responses'])}. Проверить: ruvlm leaderboard verify {out} --data ДАННЫЕ"
    )


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="файл заявки, submission.json")],
    data: Annotated[
        str, typer.Option(autocompletion=completion.sets, help="данные, на которых ответы получены")
    ] = "world",
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Проверить заявку: баллы заново из её ответов. Код выхода 1 – не сошлось.

    Пример: ruvlm leaderboard verify submission.json --data data
    """
    from ruvlm.evaluation.evaluated import score_dict
    from ruvlm.reporting.submission import verify as verified

    checked = verified(file, data)
    if json_:
        scores = {rule: score_dict(score) for rule, score in checked.result.scores.items()}
        show_json(
            {"model": checked.model, "holds": not checked.problems, "problems": checked.problems, "scores": scores}
        )
    elif checked.problems:
        for problem in checked.problems:
            say(f"Не сошлось: {problem}")
        say(f"Заявка {file} отклонена.")
    else:
        rule, score = checked.result.headline
        say(
            f"Сошлось: {checked.model}, {rule} {decimal(score.value, 2)} % на {score.n}, правил {len(checked.result.scores)}."
        )
    if checked.problems:
        raise typer.Exit(1)
