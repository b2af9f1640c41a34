"""The folder of a run: taken once, with its settings and what it was made of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruvlm.config import RunConfig
from ruvlm.errors import ModelError, OutputError, because
from ruvlm.files import LOCK, held, recover, write_json, write_text
from ruvlm.runtime import code_fingerprint, machine
from ruvlm.training.state import checkpoints
from ruvlm.training.task import Task
from ruvlm.training.validation import Validator

# all that a run writes before its first checkpoint
BEGUN = frozenset(
    {"run.toml", "run.json", "metrics.jsonl", "checkpoints", "samples", "tensorboard", "training_history.png"}
)


@contextmanager
def claimed(config: RunConfig, resume: bool) -> Iterator[None]:
    """Hold a fresh run folder, or one to go on with. The system lets go of it however the process ends.

    Raises OutputError if another process trains there or another run lies there, ModelError if there is nothing to resume.
    """
    folder = config.folder
    if resume and not checkpoints(folder / "checkpoints"):
        raise ModelError(
            f"В {folder} нет точки, с которой продолжать: запустите обучение без --resume, начатое до первой точки начнётся заново."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
    except OSError as error:
        raise OutputError(f"Папку {folder} не создать ({because(error)}).") from error
    with held(folder / LOCK, f"В {folder} уже учит другой процесс: дождитесь его или смените имя (--set name=…)."):
        if not resume:
            _clear_begun(folder)
        if not resume and any(path.name != LOCK for path in folder.iterdir()):
            raise OutputError(
                f"Папка {folder} занята другим запуском: продолжите его с --resume или смените имя (--set name=…)."
            )
        for name in ("best_model", "final_model"):
            recover(folder / name)
        yield


def _clear_begun(folder: Path) -> None:
    """Take away what a run left that was ended before its first checkpoint: there is nothing in it to go on from."""
    held = {path.name for path in folder.iterdir()} - {LOCK}
    if "run.toml" not in held and "metrics.jsonl" not in held:
        return
    if held <= BEGUN and not checkpoints(folder / "checkpoints"):
        for name in held:
            path = folder / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def refuse_other_data(config: RunConfig, task: Task, validator: Validator) -> None:
    """Raise ModelError if the data of a run that is gone on with is not what it began on."""
    try:
        facts = json.loads((config.folder / "run.json").read_text(encoding="utf-8"))
        began = [part["fingerprint"] for part in facts["train"]], facts["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"Файл {config.folder / 'run.json'} повреждён ({error}): на каких данных начато, неизвестно."
        ) from error
    now = [dataset.fingerprint for dataset in task.datasets], validator.fingerprints
    for what, before, after in zip(("обучения", "проверки"), began, now, strict=True):
        if before != after:
            raise ModelError(
                f"Данные {what} с начала запуска {config.folder} изменились (отпечаток был {before}, стал {after}): верните их или "
                "начните другой запуск (--set name=…)."
            )


def describe(config: RunConfig, task: Task, validator: Validator) -> None:
    """run.toml: the resolved settings; run.json: what code, data and machine the run had."""
    write_text(config.folder / "run.toml", to_toml(config))
    facts = {
        "code": code_fingerprint(),
        "train": [
            {
                "source": d.source,
                "name": d.name,
                "split": d.split,
                "questions": len(d.examples),
                "fingerprint": d.fingerprint,
            }
            for d in task.datasets
        ],
        "data": validator.fingerprints,
        "source": validator.source,
        "machine": machine(),
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "baselines": validator.baselines,
        "notes": list(task.notes),
    }
    write_json(config.folder / "run.json", facts)


def to_toml(config: RunConfig) -> str:
    """Settings as TOML that load_config reads back."""
    values = config.model_dump(exclude_none=True)
    lines = _fields(values)
    for section, fields in values.items():
        if isinstance(fields, dict):
            lines += ["", f"[{section}]", *_fields(fields)]
            for name, several in fields.items():
                if _tables(several):
                    lines += [line for one in several for line in ("", f"[[{section}.{name}]]", *_fields(one))]
    return "\n".join(lines) + "\n"


def _fields(values: dict[str, Any]) -> list[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict) and not _tables(value)}
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)
