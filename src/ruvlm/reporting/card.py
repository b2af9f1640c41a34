"""A model card in Russian: what a model learnt from, how, what it scores beside its controls, and what that does not mean."""

from __future__ import annotations

import json
from pathlib import Path

from ruvlm.benchmarks.catalog import hub_sets
from ruvlm.evaluation.evaluated import Measured, beside
from ruvlm.evaluation.folder import evaluations_in
from ruvlm.files import write_text
from ruvlm.numerals import decimal
from ruvlm.run_folder import RunFolder
from ruvlm.schema import Score, is_drawn

WORLD_LIMIT = "Обучена на нарисованных сценах: о фотографиях она гадает. Её баллы на встроенном мире – не баллы GQA-ru и MMBench-ru."
LIMITS = (
    "Модель отвечает на вопросы о картинке коротко и по-русски; в остальном не проверялась.",
    "Ответ бывает неверным и при высокой уверенности; не для решений о людях, здоровье, безопасности.",
)


def write_card(folder: Path) -> Path:
    """README.md in a run folder, from what lies there. Raises DataError, OutputError."""
    run = RunFolder(folder)
    write_text(run.card, card(run, [place.measured for place in evaluations_in(run.evaluations)]))
    return run.card


def card(run: RunFolder, measured: list[Measured]) -> str:
    """The card's Markdown, with the hub's header."""
    parts = [
        _header(run),
        f"# {run.path.name}\n\n{_what(run)}",
        "## Данные\n\n" + _data(run),
        "## Как обучена\n\n" + _recipe(run),
        "## Что показала\n\n" + _figures(run, measured),
        "## Границы\n\n" + "\n".join(f"- {line}" for line in _limits(run)),
        "## Повторить\n\n```\nruvlm train run.toml\nruvlm eval ПАПКА --data " + run.config.data.path + "\n```",
        "<details><summary>Все настройки (run.toml)</summary>\n\n```toml\n"
        + run.settings_text.strip()
        + "\n```\n\n</details>",
    ]
    return "\n\n".join(parts) + "\n"


def _header(run: RunFolder) -> str:
    """What the hub reads: language, task, data sets, the base model."""
    published = {hub.repo for hub in hub_sets().values()}
    sets = sorted({repo for part in run.facts.train for repo in published if repo in part.source})
    lines = [
        "---",
        "language:",
        "- ru",
        "pipeline_tag: image-text-to-text",
        "tags:",
        "- ruvlm",
        "- visual-question-answering",
    ]
    if sets:
        lines += ["datasets:", *(f"- {name}" for name in sets)]
    config = run.config
    base = config.base_model
    if base:
        lines += ["license: other", f"base_model: {json.dumps(base, ensure_ascii=False)}"]
        if config.adapter_rank:
            lines += ["library_name: peft"]
    elif run.facts.drawn:
        lines += ["license: apache-2.0"]
    return "\n".join([*lines, "---"])


def _what(run: RunFolder) -> str:
    config = run.config
    size = f"{run.facts.parameters:,}".replace(",", " ")
    if not config.base_model:
        return f"Модель `{config.model.name}` из RuVLM-Bench, обученная с нуля: {size} параметров."
    how = f"адаптер LoRA ранга {config.adapter_rank}" if config.adapter_rank else "дообученные веса"
    return f"`{config.base_model}`: {how}, {size} параметров всего. Лицензия – базовой модели."


def _data(run: RunFolder) -> str:
    rows = ["| набор | часть | вопросов | лицензия | отпечаток |", "|---|---|---|---|---|"]
    for part in run.facts.train:
        rows.append(
            f"| {part.name}: {part.source} | {part.split} | {part.questions} | {_licence(part.source)} | `{part.fingerprint}` |"
        )
    checks = ", ".join(f"{name} `{mark}`" for name, mark in run.facts.checks.items())
    return "\n".join(rows) + (
        f"\n\nПроверка при обучении: {checks}." if checks else "\n\nПроверки при обучении не было."
    )


def _licence(source: str) -> str:
    if is_drawn(source):
        return "Apache-2.0 (рисунки программы)"
    return next((hub.licence for hub in hub_sets().values() if hub.repo in source), "см. у набора")


def _recipe(run: RunFolder) -> str:
    facts, records = run.facts, run.records
    lines = [f"- {note}" for note in facts.notes]
    if records:
        minutes = decimal(records[-1].minutes)
        lines.append(f"- шагов: {records[-1].step}, времени обучения: {minutes} мин")
    where = facts.machine
    lines.append(
        f"- машина: {where.system}, ядер {where.cores}, ускоритель: {where.accelerator}; torch {where.torch}, python {where.python}; "
        f"код `{facts.code}`"
    )
    return "\n".join(lines) + "\n\n![Кривые обучения](training_history.png)"


def _figures(run: RunFolder, measured: list[Measured]) -> str:
    own = [m for m in measured if not m.control]
    if not own:
        checks = [record for record in run.records if record.kind == "validation" and record.scores]
        if not checks:
            return "Ещё не проверялась: `ruvlm eval`."
        best = max(checks, key=lambda record: sum(record.scores.values()))
        shown = ", ".join(f"{name} {decimal(value)} %" for name, value in best.scores.items())
        return (
            f"Полной проверки не было (`ruvlm eval`). На малой проверке при обучении, по которой выбиралась лучшая точка: "
            f"{shown} – оценка завышена выбором, интервала нет."
        )
    rows = ["| данные | часть | правило | n | верно, % (95 %) | контроли |", "|---|---|---|---|---|---|"]
    for m in own:
        for rule, score in m.scores.items():
            others = ", ".join(
                f"{c.model} {decimal(c.scores[rule].value)}" for c in beside(m, measured) if rule in c.scores
            )
            rows.append(f"| {m.source} | {m.rows} | {rule} | {score.n} | {_interval(score)} | {others or 'нет'} |")
    notes = [f"- {note}" for note in dict.fromkeys(note for m in own for note in (*m.warnings, *m.notes))]
    return "\n".join(rows) + ("\n\n" + "\n".join(notes) if notes else "")


def _interval(score: Score) -> str:
    around = (
        f" ({decimal(score.low)}–{decimal(score.high)})" if score.low is not None and score.high is not None else ""
    )
    return f"{decimal(score.value)}{around}"


def _limits(run: RunFolder) -> tuple[str, ...]:
    return ((WORLD_LIMIT,) if run.facts.drawn else ()) + LIMITS
