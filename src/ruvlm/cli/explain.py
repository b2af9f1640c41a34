"""ruvlm explain: why two scores differ."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli.console import cells, quoted, results, say, show_json, tell
from ruvlm.numerals import bounds, decimal

if TYPE_CHECKING:
    from ruvlm.evaluation.causes import ExplainedRow, Explanation


def explain(
    a: Annotated[Path, typer.Argument(help="папка оценки, журнал другой программы или файл ответов")],
    b: Annotated[Path, typer.Argument(help="то же: с чем сравнить")],
    rule_a: Annotated[
        str | None, typer.Option(help="правило первого вместо его главного: exact, letters-lmms…")
    ] = None,
    rule_b: Annotated[str | None, typer.Option(help="правило второго")] = None,
    same_model: Annotated[
        bool, typer.Option("--same-model", help="модель одна и та же, хоть и зовётся по-разному")
    ] = False,
    ids: Annotated[str | None, typer.Option(help="показать эти строки у обоих, a,b,c или @файл")] = None,
    png: Annotated[Path | None, typer.Option(help="куда нарисовать лестницу причин")] = None,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Объяснить, почему баллы разные: строки, правило, оборванные, непрочитанные, просьба, настройки – и модель.

    Берёт и папки запусков. Пример: ruvlm explain results/nano_world results/cnn_lstm
    """
    from ruvlm.evaluation.causes import explain as explained

    a, b = _paired(a, b)
    if ids is not None:
        from ruvlm.evaluation.causes import explain_rows
        from ruvlm.evaluation.seen_rows import wanted_ids

        rows = explain_rows(a, b, wanted_ids(ids), rule_a, rule_b, same_model)
        _show_rows(rows, json_)
        return
    explanation = explained(a, b, rule_a, rule_b, same_model)
    if png is not None:
        from ruvlm.files import write_bytes
        from ruvlm.reporting.waterfall import waterfall

        write_bytes(png, waterfall(explanation))
    if json_:
        show_json(asdict(explanation))
        return
    _show(explanation)
    if png is not None:
        say(f"Лестница причин: {png}")


def _paired(a: Path, b: Path) -> tuple[Path, Path]:
    """The two evaluations themselves; of two runs' folders the first that both have, and the others are told of."""
    from ruvlm.evaluation.compare import paired_evaluations

    first, *others = paired_evaluations([a, b])
    for group in others:
        say(f"Есть и другая пара: ruvlm explain {quoted(group[0])} {quoted(group[-1])}")
    return first[0], first[-1]


def _show_rows(rows: list[ExplainedRow], json_: bool) -> None:
    if json_:
        show_json([asdict(row) for row in rows])
        return
    for row in rows:
        tell(f"── {row.id}")
        for name, side in (("первый", row.a), ("второй", row.b)):
            if side.prompt:
                tell(f"{name} спрошен: {side.prompt}")
            read = "не прочитано" if side.parsed is None else side.parsed
            cut = ", оборван" if side.cut else ""
            scores = ", ".join(f"{rule} {score:g}" for rule, score in side.scores.items())
            tell(f"{name}: «{side.text}»{cut} → {read}; свой балл {side.own:g} ({scores})")
        causes = ", ".join(f"{CAUSES[cause]} {points:+g}" for cause, points in row.causes.items())
        tell(f"→ {causes or 'разности нет'}")


CAUSES = {
    "rows": "другие строки",
    "rule": "другое правило",
    "cut": "оборванные ответы",
    "unread": "непрочитанные ответы",
    "prompt": "другая просьба",
    "settings": "другие настройки",
    "model": "сама модель",
}


def _show(explanation: Explanation) -> None:
    from rich.table import Table

    e = explanation
    tell(f"{e.a} ({e.rule_a}): {decimal(e.value_a, 2)} %")
    tell(f"{e.b} ({e.rule_b}): {decimal(e.value_b, 2)} %")
    unit = "вопросов со всеми перестановками" if e.by_question else "строк"
    tell(f"Разность {decimal(e.difference, 2, signed=True)} пункта; общих {unit} {e.n}. Из чего она:")
    table = Table()
    for column in ("причина", "пунктов", "примеры"):
        table.add_column(column)
    for cause, points in asdict(e.parts).items():
        rows = e.examples.get(cause, ())
        known = cause == "model" and e.model_low is not None
        interval = f" ({bounds(e.model_low, e.model_high)})" if known else ""
        table.add_row(
            *cells(CAUSES[cause], f"{decimal(points, 2, signed=True)}{interval}", ", ".join(row.id for row in rows[:3]))
        )
    results.print(table)
    for note in e.notes:
        tell(f"  {note}")
    say("Десять строк на каждую причину – с --json; одну строку целиком покажет ruvlm score ПАПКА --ids НОМЕР.")
