"""ruvlm score: figures of answers that are there already."""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json, tell, warn
from ruvlm.numerals import around, decimal

if TYPE_CHECKING:
    from ruvlm.evaluation.judge import Judge
    from ruvlm.evaluation.table import Dispute
    from ruvlm.schema import Result

# the rules of short answers in words
LEGEND = MappingProxyType(
    {
        "lmms": "точное совпадение, как в lmms-eval",
        "ru": "ё = е, кавычки и «да, …» прощены",
        "lemma": "по начальным формам слов",
        "vlmevalkit": "как в VLMEvalKit",
    }
)


def score(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSONL, JSON, CSV, xlsx: prediction и gold; журнал lmms-eval, LLaVA, VLMEvalKit или его папка; папка оценки …/eval/…"
        ),
    ],
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
    reference_random: Annotated[
        bool, typer.Option("--reference-random", help="и circular lmms-eval, где непрочитанное угадывается наугад")
    ] = False,
    gold: Annotated[Path | None, typer.Option(help="верные ответы отдельным файлом, по id или index")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.sets,
            help="для папки оценки: данные, на которых она сделана; по умолчанию – те, что записаны",
        ),
    ] = None,
    ids: Annotated[str | None, typer.Option(help="для папки оценки: показать эти строки, a,b,c или @файл")] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="для папки оценки: судья отдельным столбцом, encoder[:ПАПКА] или openai:МОДЕЛЬ@URL"),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="перечислить строки, на которых правила расходятся")
    ] = False,
    prediction_field: Annotated[str | None, typer.Option(help="поле ответа модели, если его имя необычно")] = None,
    gold_field: Annotated[str | None, typer.Option(help="поле верного ответа")] = None,
    id_field: Annotated[str | None, typer.Option(help="поле id вопроса")] = None,
) -> None:
    """Посчитать баллы готовых ответов: коротких (как в GQA-ru) или букв (как в MMBench-ru, если известны варианты).

    Пример: ruvlm score answers.jsonl --json
    """
    from ruvlm.data.predictions import Columns
    from ruvlm.evaluation.folder import holds_evaluations
    from ruvlm.evaluation.table import disputes, score_file

    columns = Columns(prediction_field, gold_field, id_field)
    stored = holds_evaluations(file)
    data = data or (_data_of(file) if stored else "world")
    if ids is not None:
        _show_ids(file, data, ids, stored, json_)
        return
    _refuse_keys(stored, explain or gold is not None or reference_random, judge is not None)
    if explain:
        _tell_disputes(disputes(file, gold, columns), json_)
        return
    if stored:
        from ruvlm.evaluation.asking import rescore

        result = rescore(file, data, None if judge is None else _judge(judge))
    else:
        result = score_file(file, gold, reference_random, columns)
    _tell_result(result, json_)


def _show_ids(file: Path, data: str, ids: str, stored: bool, json_: bool) -> None:
    """The rows of an evaluation that are named. Raises ConfigError for a file of answers."""
    from ruvlm.cli.evaluate import show_rows
    from ruvlm.errors import ConfigError
    from ruvlm.evaluation.seen_rows import stored_rows, wanted_ids

    if not stored:
        raise ConfigError("--ids – для папки оценки: строки файла видны в нём самом, спорные перечислит --explain.")
    show_rows(stored_rows(file, data, wanted_ids(ids)), json_)


def _refuse_keys(stored: bool, of_a_file: bool, of_a_folder: bool) -> None:
    """Raise ConfigError for keys of a file of answers given with a folder, or the other way."""
    from ruvlm.errors import ConfigError

    if stored and of_a_file:
        raise ConfigError("--explain, --gold и --reference-random – для файла ответов, а не для папки оценки.")
    if of_a_folder and not stored:
        raise ConfigError(
            "--judge – для папки оценки: готовые ответы с вопросами судит ruvlm eval file:ОТВЕТЫ --data НАБОР --judge."
        )


def _judge(name: str) -> Judge:
    from ruvlm.backends.base import Access
    from ruvlm.evaluation.plan import judge_named

    return judge_named(name, Access())


def _data_of(folder: Path) -> str:
    """By what name the data of an evaluation were found; the world where that is not written down."""
    from ruvlm.errors import DataError
    from ruvlm.evaluation.folder import EvaluationFolder

    try:
        how = EvaluationFolder(folder).how
    except DataError:  # said by whoever needs the folder
        return "world"
    return how.data if how is not None and how.data else "world"


def _tell_disputes(rows: list[Dispute], json_: bool) -> None:
    if not rows and not json_:
        say("Расхождений нет: на каждой строке все правила решили одинаково.")
    for row in rows:
        if json_:
            show_json({"line": row.line, "prediction": row.predicted, "gold": row.gold, "right_by": row.right_by})
        else:
            tell(f"{row.line}: «{row.predicted}» при верном «{row.gold}» – верно по {', '.join(row.right_by)}")


def _tell_result(result: Result, json_: bool) -> None:
    from dataclasses import asdict

    from ruvlm.evaluation.evaluated import score_dict

    if json_:
        scores = {rule: score_dict(score) for rule, score in result.scores.items()}
        show_json(
            {
                "n": result.n,
                "scores": scores,
                "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
                "absent": result.absent,
                "warnings": list(result.warnings),
                "notes": list(result.notes),
            }
        )
        return
    for warning in result.warnings:
        warn(f"Внимание: {warning}.")
    for rule, figure in result.scores.items():
        interval = f"интервал 95 %: {around(figure, 2)}" if around(figure) else "интервала нет"
        whole = math.isclose(100 * figure.correct, figure.value * figure.n, abs_tol=1e-6)
        counted = (
            f"{figure.correct} из {figure.n} ({decimal(figure.value, 2)} %)"
            if whole
            else f"{decimal(figure.value, 2)} % (n = {figure.n})"
        )
        tell(f"{rule}: {counted}, {interval}")
    legend = [
        f"{rule.partition('/')[2]} – {LEGEND[rule.partition('/')[2]]}"
        for rule in result.scores
        if rule.partition("/")[2] in LEGEND
    ]
    if len(legend) > 1:
        tell(f"  главное – первое; {'; '.join(legend)}")
    for name, metric in result.metrics.items():
        tell(f"{name}: {decimal(metric.value)} (n = {metric.n}; {metric.note})")
    for note in result.notes:
        tell(f"  {note}")
