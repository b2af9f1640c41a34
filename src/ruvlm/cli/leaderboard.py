"""ruvlm leaderboard: a static site of tables; submissions made and verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json, tell
from ruvlm.cli.russian import App, RussianGroup
from ruvlm.numerals import decimal
from ruvlm.tabular import Tabular

if TYPE_CHECKING:
    from ruvlm.reporting.submission import Verified


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
    track: Annotated[
        str, typer.Option(autocompletion=completion.tracks, help="дорожка рекордов: 5min, 45min; побит ли рекорд")
    ] = "",
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Проверить заявку: баллы заново из её ответов. Код выхода 1 – не сошлось.

    Пример: ruvlm leaderboard verify submission.json --data data
    """
    from ruvlm.evaluation.evaluated import score_dict
    from ruvlm.reporting.submission import verify as verified

    checked = verified(file, data)
    beaten = _record_line(track, checked) if track else ""
    if json_:
        scores = {rule: score_dict(score) for rule, score in checked.result.scores.items()}
        show_json(
            {
                "model": checked.model,
                "holds": not checked.problems,
                "problems": checked.problems,
                "scores": scores,
                "record": beaten,
            }
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
    if beaten and not checked.problems and not json_:
        say(beaten)
    if checked.problems:
        raise typer.Exit(1)


def _record_line(track: str, checked: Verified) -> str:
    """How a submission stands to the best of a track. Raises ConfigError for a track that is none, or of other rows."""
    from ruvlm.errors import ConfigError
    from ruvlm.reporting.records import records, tracks

    rows, course = records(track), tracks()[track]
    if checked.data != course.data or course.rule not in checked.result.scores:
        raise ConfigError(
            f"Дорожка {track} – на {course.source}, часть test целиком, {course.rows} строк, правило {course.rule}, а в заявке строк "
            f"{checked.result.n} ({checked.source}, {', '.join(checked.result.scores)}): сравнивать нечего."
        )
    value = round(checked.result.scores[course.rule].value, 1)  # the table is kept to a digit
    if not rows:
        return f"На дорожке {track} рекорда ещё нет: {decimal(value)} – первый."
    best = rows[0]
    if value == best.value:
        return f"Столько же, сколько у рекорда дорожки {track}: {decimal(value)} ({best.model}, {best.date})."
    if value > best.value:
        return f"Рекорд дорожки {track}: {decimal(value)} против {decimal(best.value)} ({best.model}, {best.date})."
    return f"До рекорда дорожки {track} не хватило {decimal(best.value - value)}: там {decimal(best.value)} ({best.model}, {best.date})."


@app.command("records")
def show_records(json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False) -> None:
    """Показать рекорды: лучшая модель за пять и за 45 минут двух ядер, кто, когда и что изменил.

    Пример: ruvlm leaderboard records
    """
    from dataclasses import asdict

    from ruvlm.reporting.records import records, tracks

    rows = records()
    if json_:
        show_json([{**asdict(row), "date": row.date.isoformat()} for row in rows])
        return
    for track in tracks().values():
        table = Tabular(
            f"{track.name}: {track.title}",
            ("%", "модель", "кто", "когда", "что изменилось", "команда"),
            tuple(
                (decimal(r.value), r.model, r.who, r.date.isoformat(), r.change, r.command)
                for r in rows
                if r.track == track.name
            ),
        )
        tell(table.text)
