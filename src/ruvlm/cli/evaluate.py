"""ruvlm eval: ask a model, figures with their certainty."""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import cells, counting, plain, results, say, show_json, tell, warn
from ruvlm.numerals import around, decimal

if TYPE_CHECKING:
    from ruvlm.backends.base import Access
    from ruvlm.evaluation.asking import Evaluation
    from ruvlm.evaluation.blind import BlindSection
    from ruvlm.evaluation.seen_rows import SeenRow
    from ruvlm.evaluation.wording_spread import PromptSpread

# GQA's own metrics in words
METRICS = MappingProxyType(
    {
        "consistency": "согласованность: верно и то, что следует из верных ответов, %",
        "validity": "допустимость: ответ того рода, о котором спросили, %",
        "distribution": "расстояние между распределениями ответов",
    }
)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.models,
            help="папка запуска; hf:ИМЯ_ИЛИ_ПАПКА[+АДАПТЕР]; openai:МОДЕЛЬ@URL; file:ОТВЕТЫ; py:ФАЙЛ.py:ИМЯ; majority, random, question-only; "
            "blind:, no-picture:, guess: и shuffled: перед МОДЕЛЬ – она же с серой картинкой, без неё, с просьбой угадать, с чужой",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.sets,
            help="world (по умолчанию), имя набора, папка, таблица с картинками или карточка .toml; несколько – через запятую",
        ),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="карточка, которая заменит набор с её именем; --data – папка с его строками")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.splits,
            help="часть набора: test (у GQA-ru её файл зовётся testdev, у MMBench-ru – dev), val, holdout, train; по умолчанию главная",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="не весь набор, а выборка стольких строк: всегда та же, по типам, группы целиком", min=1),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(autocompletion=completion.protocols, help="протокол; по умолчанию все подходящие"),
    ] = None,
    prompts: Annotated[
        int, typer.Option(help="во скольких просьбах задать те же вопросы: разброс балла от слов", min=1, max=8)
    ] = 1,
    controls: Annotated[
        bool, typer.Option(help="рядом – случайный, самый частый, только вопрос, серая картинка")
    ] = True,
    blind: Annotated[
        bool | None,
        typer.Option(
            "--blind/--no-blind",
            help="спросить и вслепую: с серой картинкой, без неё, с просьбой угадать; по умолчанию да, а серверы – нет",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="куда писать; по умолчанию <запуск>/eval")] = None,
    device: Annotated[str, typer.Option(autocompletion=completion.devices, help="auto, cpu, cuda, mps")] = "auto",
    dtype: Annotated[str, typer.Option(help="hf: auto, float32, bfloat16, float16, 4bit")] = "auto",
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="hf: разрешить исполнять код из репозитория модели")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="hf: вопросов сразу; 0 – сколько поместится", min=0)] = 0,
    shared: Annotated[
        bool, typer.Option("--shared/--no-shared", help="hf: общее начало вопросов о картинке считать один раз")
    ] = True,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="предел длины ответа вместо заданного протоколом", min=1)
    ] = None,
    thinking: Annotated[
        str, typer.Option(help="рассуждение модели до ответа: off – просить без него, on – дать ему место")
    ] = "off",
    judge: Annotated[
        str | None,
        typer.Option(
            help="отдельным столбцом: openai:МОДЕЛЬ@URL о непрочитанных буквах; encoder[:ПАПКА] о коротких ответах"
        ),
    ] = None,
    requests: Annotated[int, typer.Option(help="openai: запросов одновременно", min=1, max=256)] = 8,
    timeout: Annotated[float, typer.Option(help="openai: секунд на один запрос", min=0.1)] = 120.0,
    retries: Annotated[int, typer.Option(help="openai: сколько раз повторять неудачный запрос", min=0)] = 6,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe/--no-probe",
            help="openai: сначала спросить 8 строк по-разному – не путает ли сервер картинки, повторимы ли ответы",
        ),
    ] = True,
    prices: Annotated[
        str | None, typer.Option(help="openai: цена миллиона токенов на входе и выходе, например 0.15,0.6")
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(help="только эти строки, a,b,c или @файл: что спрошено, ответ, как прочитан; без записи"),
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad", "--skip-bad-images", help="карточки и таблицы: негодные строки пропустить и сосчитать"
        ),
    ] = False,
    save_card: Annotated[
        Path | None, typer.Option(help="таблица без карточки: куда записать угаданную карточку")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="не только главное: все правила, контроли, метрики, сколько видно вслепую")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Проверить модель на наборе: баллы с интервалами, контроли, разбивки.

    Прерванную проверку та же команда продолжает. Код выхода 1 – часть запросов не удалась: повторите команду.
    На нескольких картах или машинах (папка --out общая): torchrun --nproc_per_node 2 -m ruvlm eval …

    Пример: ruvlm eval results/nano_world --data world
    """
    from ruvlm.backends.base import Access
    from ruvlm.evaluation.plan import evaluate_model
    from ruvlm.processes import current_ranks, leave
    from ruvlm.reporting.card import write_card
    from ruvlm.run_folder import RunFolder

    data = data or ("" if card is not None else "world")
    if save_card is not None:
        from ruvlm.benchmarks.source import open_source
        from ruvlm.cli.data import save_card as saved

        text = open_source(data).card_text(save_card)
        if current_ranks().first:
            saved(save_card, text)
    access = Access(
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        rows=batch_size,
        requests=requests,
        timeout_s=timeout,
        retries=retries,
        prices=_prices(prices),
        thinking=_switched(thinking),
        shared=shared,
    )
    if ids is not None:
        show_rows(_asked_rows(model, data, split, ids, protocol, access, max_new_tokens), json_)
        return
    try:
        with counting("спрашиваю") as progress:
            done = evaluate_model(
                model,
                data,
                split or "",
                tuple(protocol or ()),
                controls,
                out,
                access=access,
                max_new_tokens=max_new_tokens,
                judge=judge,
                progress=progress,
                limit=limit,
                skip_bad=skip_bad,
                card=card,
                blind=blind,
                probed=probe,
                prompts=prompts,
                report=say,
            )
    except (KeyboardInterrupt, SystemExit):
        say("Что отвечено, сохранено: та же команда продолжит.")
        raise
    leave()
    if current_ranks().first:
        _show(done, json_, all_)
        if out is None and RunFolder(Path(model)).described:
            say(f"Карточка: {write_card(Path(model))}")
    failed = sum(evaluation.failed for evaluation in done)
    if failed:
        say(f"Запросов без ответа: {failed}. В балле они стоят неверными и сосчитаны отдельно: {done[0].advice}.")
        raise typer.Exit(1)


def _asked_rows(
    model: str,
    data: str,
    split: str | None,
    ids: str,
    protocols: list[str] | None,
    access: Access,
    limit: int | None,
) -> list[SeenRow]:
    from ruvlm.evaluation.seen_rows import ask_rows, wanted_ids

    return ask_rows(model, data, split or "", wanted_ids(ids), tuple(protocols or ()), access, limit)


def show_rows(rows: list[SeenRow], json_: bool) -> None:
    from dataclasses import asdict

    if json_:
        show_json([asdict(row) for row in rows])
        return
    for row in rows:
        tell(f"── {row.id}, протокол {row.protocol}")
        if row.system:
            tell(f"система: {row.system}")
        tell(row.text)
        tell(f"→ модель: {row.answer if row.error is None else f'ошибка: {row.error}'}")
        read = row.parsed if row.parsed is not None else f"не прочитано ({row.reason})"
        tell(f"→ прочитано: {read}; верно: {', '.join(row.golds) or 'не опубликовано'}")
        tell("→ баллы: " + ", ".join(f"{rule} {score:g}" for rule, score in row.scores.items()))


def _prices(text: str | None) -> tuple[float, float] | None:
    from ruvlm.errors import ConfigError

    if text is None:
        return None
    try:
        read, written = map(float, text.split(","))
    except ValueError as error:
        raise ConfigError(f"--prices «{text}»: нужны два числа через запятую, например 0.15,0.6.") from error
    if not all(math.isfinite(price) and price >= 0 for price in (read, written)):
        raise ConfigError(f"--prices «{text}»: цены – числа не меньше нуля, например 0.15,0.6.")
    return read, written


def _switched(text: str) -> bool:
    from ruvlm.errors import ConfigError

    if text not in ("on", "off"):
        raise ConfigError(f"--thinking «{text}»: есть on и off.")
    return text == "on"


def _show(done: list[Evaluation], json_: bool, all_: bool) -> None:
    from ruvlm.evaluation.outcomes import Evaluations
    from ruvlm.evaluation.wording_spread import prompt_spreads

    if json_:
        from dataclasses import asdict

        from ruvlm.evaluation.evaluated import score_dict
        from ruvlm.evaluation.folder import blind_dict

        show_json(
            [
                {
                    "model": e.model,
                    "protocol": e.protocol,
                    "source": e.dataset.source,
                    "split": e.dataset.split,
                    "n": e.result.n,
                    "scores": {rule: score_dict(s) for rule, s in e.result.scores.items()},
                    "metrics": {name: asdict(metric) for name, metric in e.result.metrics.items()},
                    "unparsed": e.result.unparsed,
                    "errors": e.result.errors,
                    "absent": e.result.absent,
                    "warnings": list(e.result.warnings),
                    "notes": list(e.result.notes),
                    "blind": None if e.blind is None else blind_dict(e.blind),
                }
                for e in done
            ]
        )
        return
    main = [evaluation for evaluation in done if evaluation.model == done[0].model]
    if all_:
        _every_figure(done, main)
    if any(evaluation.result.scores for evaluation in done):
        tell(Evaluations(tuple(done)).tabular().text)
    for spread in prompt_spreads(main):
        _tell_spread(spread)
    for warning in dict.fromkeys(f"{e.protocol}: {warning}" for e in main for warning in e.result.warnings):
        warn(f"Внимание: {warning}.")
    costs = [e.usage.cost for e in done if e.usage is not None and e.usage.cost is not None]
    if costs:
        tell(f"Цена всех запросов: {decimal(sum(costs), 4)} (в тех же деньгах, что --prices).")
    folders = [evaluation.folder for evaluation in main if evaluation.folder is not None]
    if folders:
        more = "" if all_ else "; все правила и метрики – --all"
        say(f"Ответы и разбивки: {folders[0].parent if len(folders) > 1 else folders[0]}{more}")


def _every_figure(done: list[Evaluation], main: list[Evaluation]) -> None:
    """All rules of the model and of its controls, the metrics, and what is answered without the picture."""
    from rich.table import Table
    from rich.text import Text

    source, split = done[0].dataset.source, done[0].dataset.split
    table = Table(title=Text(plain(f"Данные: {source}, часть {split}")), title_justify="left")
    for column in ("модель", "правило", "n", "верно, %", "95 % интервал", "не прочитано", "без ответа"):
        table.add_column(column, justify="left" if column in ("модель", "правило") else "right")
    for evaluation in done:
        for rule, score in evaluation.result.scores.items():
            table.add_row(
                *cells(
                    evaluation.model,
                    rule,
                    score.n,
                    decimal(score.value, 2),
                    around(score) or "нет",
                    evaluation.result.unparsed,
                    evaluation.result.errors,
                )
            )
    results.print(table)
    for evaluation in main:
        for name, metric in evaluation.result.metrics.items():
            tell(f"{METRICS.get(name, name)}: {decimal(metric.value)} (n = {metric.n}; {metric.note})")
        if evaluation.blind is not None:
            _tell_blind(evaluation.protocol, evaluation.blind)


def _tell_spread(spread: PromptSpread) -> None:
    each = ", ".join(f"{name} {decimal(score.value)}" for name, score in spread.scores.items())
    tell(f"просьб {len(spread.scores)}: {each}")
    by_chance = "" if spread.sampling is None else f", ошибка выборки одного балла {decimal(spread.sampling, 2)}"
    tell(
        f"от {decimal(spread.lowest, 2)} до {decimal(spread.highest, 2)} %: разброс от просьбы {decimal(spread.wording, 2)} пункта{by_chance}; "
        f"от слов зависит исход {decimal(spread.changed)} % строк"
    )


def _tell_blind(protocol: str, section: BlindSection) -> None:
    from ruvlm.reporting.shown import BLINDNESS

    without = "; ".join(f"{BLINDNESS[name]} {decimal(score.value)}" for name, score in section.controls.items())
    if without:
        tell(f"{protocol}, с картинкой {decimal(section.whole.value)} %; без неё: {without}")
    if section.sighted is None:
        tell(f"{protocol}: без картинки отвечены все вопросы, зрячего балла нет")
    elif without:
        s = section.sighted
        interval = f" ({around(s)})" if around(s) else ""
        rest = section.units - section.answered
        tell(
            f"{protocol}, зрячий балл: {decimal(s.value, 2)} %{interval} на {rest} из {section.units}, что вслепую не отвечены"
        )
