"""A model card in Russian: what a model learnt from, how, what it scores beside its controls, and what that does not mean."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruvlm.data.hub_sets import HUB_SETS
from ruvlm.errors import DataError
from ruvlm.evaluation.folder import Measured, beside, evaluations_in
from ruvlm.files import write_bytes
from ruvlm.schema import Score

WORLD_LIMIT = "Обучена на нарисованных сценах: о фотографиях она гадает. Её баллы на встроенном мире – не баллы GQA-ru и MMBench-ru."
LIMITS = (
    "Модель отвечает на вопросы о картинке коротко и по-русски; в остальном не проверялась.",
    "Ответ бывает неверным и при высокой уверенности; не для решений о людях, здоровье, безопасности.",
)


@dataclass(frozen=True)
class RunFacts:
    """What a run folder says of itself."""

    name: str
    settings: dict[str, Any]
    settings_text: str
    facts: dict[str, Any]
    records: list[dict[str, Any]]


def write_card(folder: Path) -> Path:
    """README.md in a run folder, from what lies there. Raises DataError, OutputError."""
    run = _read(folder)
    target = folder / "README.md"
    write_bytes(target, card(run, [place.measured for place in evaluations_in(folder / "eval")]).encode())
    return target


def is_run(folder: Path) -> bool:
    """Is this the folder of a training run?"""
    return (folder / "run.json").is_file() and (folder / "run.toml").is_file()


def card(run: RunFacts, measured: list[Measured]) -> str:
    """The card's Markdown, with the hub's header."""
    parts = [
        _header(run),
        f"# {run.name}\n\n{_what(run)}",
        "## Данные\n\n" + _data(run),
        "## Как обучена\n\n" + _recipe(run),
        "## Что показала\n\n" + _figures(run, measured),
        "## Границы\n\n" + "\n".join(f"- {line}" for line in _limits(run)),
        "## Повторить\n\n```\nruvlm train run.toml\nruvlm eval ПАПКА --data " + str(run.settings["data"]["path"]) + "\n```",
        "<details><summary>Все настройки (run.toml)</summary>\n\n```toml\n" + run.settings_text.strip() + "\n```\n\n</details>",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _read(folder: Path) -> RunFacts:
    try:
        text = (folder / "run.toml").read_text(encoding="utf-8")
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        metrics = folder / "metrics.jsonl"
        lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
        return RunFacts(folder.name, tomllib.loads(text), text, facts, [json.loads(line) for line in lines])
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} – не папка запуска ruvlm train или повреждена ({error}).") from error


def _drawn(run: RunFacts) -> bool:
    return all(part["source"].startswith("world") for part in run.facts["train"])


def _header(run: RunFacts) -> str:
    """What the hub reads: language, task, data sets, the base model."""
    published = {found.repo for found in HUB_SETS.values()}
    sets = sorted({repo for part in run.facts["train"] for repo in published if repo in part["source"]})
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
    base = run.settings.get("vlm", {}).get("path") if run.settings["model"]["name"] == "vlm" else ""
    if base:
        lines += ["license: other", f"base_model: {json.dumps(base, ensure_ascii=False)}"]
        if run.settings["vlm"]["lora_rank"]:
            lines += ["library_name: peft"]
    elif _drawn(run):
        lines += ["license: apache-2.0"]
    return "\n".join([*lines, "---"])


def _what(run: RunFacts) -> str:
    model, vlm = run.settings["model"]["name"], run.settings.get("vlm", {})
    size = f"{run.facts['parameters']:,}".replace(",", " ")
    if model != "vlm":
        return f"Модель `{model}` из RuVLM-Bench, обученная с нуля: {size} параметров."
    how = f"адаптер LoRA ранга {vlm['lora_rank']}" if vlm["lora_rank"] else "дообученные веса"
    return f"`{vlm['path']}`: {how}, {size} параметров всего. Лицензия – базовой модели."


def _data(run: RunFacts) -> str:
    rows = ["| набор | часть | вопросов | лицензия | отпечаток |", "|---|---|---|---|---|"]
    for part in run.facts["train"]:
        rows.append(
            f"| {part['name']}: {part['source']} | {part['split']} | {part['questions']} | {_licence(part['source'])} | `{part['fingerprint']}` |"
        )
    checks = ", ".join(f"{name} `{mark}`" for name, mark in run.facts["data"].items())
    return "\n".join(rows) + (
        f"\n\nПроверка при обучении: {checks}." if checks else "\n\nПроверки при обучении не было."
    )


def _licence(source: str) -> str:
    if source.startswith("world"):
        return "Apache-2.0 (рисунки программы)"
    return next((found.licence for found in HUB_SETS.values() if found.repo in source), "см. у набора")


def _recipe(run: RunFacts) -> str:
    there = run.facts["machine"]
    lines = [f"- {note}" for note in run.facts["notes"]]
    if run.records:
        last = run.records[-1]
        minutes = f"{last['seconds'] / 60:.1f}".replace(".", ",")
        lines.append(f"- шагов: {last['step']}, времени обучения: {minutes} мин")
    lines.append(
        f"- машина: {there['system']}, ядер {there['cores']}, ускоритель: {there['accelerator']}; torch {there['torch']}, "
        f"python {there['python']}; код `{run.facts['code']}`"
    )
    return "\n".join(lines) + "\n\n![Кривые обучения](training_history.png)"


def _figures(run: RunFacts, measured: list[Measured]) -> str:
    own = [m for m in measured if not m.control]
    if not own:
        checks = [r for r in run.records if r["kind"] == "validation"]
        if not checks:
            return "Ещё не проверялась: `ruvlm eval`."
        best = max(checks, key=lambda r: sum(v for v in (r["gqa"], r["mmbench"]) if v is not None))
        said = [
            f"{name} {best[key]:.1f} %".replace(".", ",")
            for key, name in (("gqa", "GQA"), ("mmbench", "MMBench (circular; без перестановок – по строкам)"))
            if best[key] is not None
        ]
        return (
            f"Полной проверки не было (`ruvlm eval`). На малой проверке при обучении, по которой выбиралась лучшая точка: "
            f"{', '.join(said)} – оценка завышена выбором, интервала нет."
        )
    rows = ["| данные | часть | правило | n | верно, % (95 %) | контроли |", "|---|---|---|---|---|---|"]
    for m in own:
        for rule, score in m.scores.items():
            others = ", ".join(
                f"{c.model} {c.scores[rule].value:.1f}".replace(".", ",")
                for c in beside(m, measured)
                if rule in c.scores
            )
            rows.append(f"| {m.source} | {m.rows} | {rule} | {score.n} | {_interval(score)} | {others or 'нет'} |")
    notes = [f"- {note}" for note in dict.fromkeys(note for m in own for note in (*m.warnings, *m.notes))]
    return "\n".join(rows) + ("\n\n" + "\n".join(notes) if notes else "")


def _interval(score: Score) -> str:
    around = f" ({score.low:.1f}–{score.high:.1f})" if score.low is not None and score.high is not None else ""
    return f"{score.value:.1f}{around}".replace(".", ",")


def _limits(run: RunFacts) -> tuple[str, ...]:
    return ((WORLD_LIMIT,) if _drawn(run) else ()) + LIMITS
