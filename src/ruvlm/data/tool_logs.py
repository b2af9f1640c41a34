"""Logs of other tools as plain rows: lmms-eval's samples, OpenAI's batch output; and the tables that their folders hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruvlm.data.answer_tables import Table
from ruvlm.data.jsonl import Row
from ruvlm.errors import DataError

_OPTIONS = ("category", "imageId", "question")
_OPTION_LIKE = re.compile(
    r"^(?:options?|choices|candidates|(?:option|choice|opt)?[ _-]?[a-zа-я]|(?:option|choice|opt)[ _-]?\d{1,2})$"
)
# what tools write beside a table of answers
_BESIDE = (
    "_acc",
    "_score",
    "_result",
    "_openai_result",
    "_exact_matching_result",
    "_rating",
    "_judge",
    "_aux",
    "_PREV",
    "_PRED",
)
TABLES = (".jsonl", ".json", ".csv", ".tsv", ".xlsx")


def of_any_tool(path: Path, table: Table) -> Table:
    """Rows as id, prediction and gold, from those that a tool has written. Raises DataError."""
    first = table.rows[0]
    if _is_lmms_sample(first):
        return _lmms(path, table)
    if "custom_id" in first and "response" in first:
        return _batch(path, table)
    return table


# --- lmms-eval


def _is_lmms_sample(row: Row) -> bool:
    """Is a line one of lmms-eval's `--log_samples`?"""
    return "doc_id" in row and ("filtered_resps" in row or "resps" in row)


def _lmms(path: Path, table: Table) -> Table:
    """Samples as id, prediction, gold and, where the task logs them, options and category.

    `doc_id` is the row's place in the data set, not its id; a log in which it repeats holds two views of one answer.
    """
    filters = Counter(str(row.get("filter")) for row in table.rows if row.get("filter") is not None)
    if len(filters) > 1:
        raise DataError(
            f"{path}: в журнале ответы через несколько фильтров ({', '.join(filters)}), это одни и те же вопросы: "
            "оставьте строки одного."
        )
    twice = [name for name, count in Counter(str(row.get("doc_id")) for row in table.rows).items() if count > 1]
    if twice:
        raise DataError(
            f"{path}: doc_id «{twice[0]}» встречается не раз (всего таких {len(twice)}): оставьте по строке."
        )
    read = [_lmms_row(path, line, row) for line, row in zip(table.lines, table.rows, strict=True)]
    several = sum(count > 1 for _, count in read)
    notes = (f"вопросов с несколькими ответами: {several}, взят первый",) if several else ()
    rows = [row for row, _ in read]
    if not all("id" in row for row in rows):  # the rows' own ids count where every document has one
        rows = [{name: value for name, value in row.items() if name != "id"} for row in rows]
    return replace(table, rows=rows, notes=(*table.notes, *notes))


def _lmms_row(path: Path, number: int, row: Row) -> tuple[Row, int]:
    """A plain row, and how many answers the sample has."""
    if not isinstance(row.get("doc_id"), int | str):
        raise DataError(f"{path}, строка {number}: нет doc_id, а в других строках журнала он есть: исправьте строку.")
    answer, count = row.get("filtered_resps", row.get("resps")), 1
    while isinstance(answer, list):
        count = max(count, len(answer))
        answer = answer[0] if answer else None
    document = row["doc"] if isinstance(row.get("doc"), dict) else {}
    # a task's own record of the sample: MMBench keeps the options there
    record = next((value for value in row.values() if isinstance(value, dict) and "prediction" in value), {})
    known: dict[str, Any] = {**document, **record}
    plain: Row = {key: value for key, value in known.items() if _OPTION_LIKE.match(str(key).lower()) or key in _OPTIONS}
    plain["l2-category"] = known.get("l2-category", known.get("L2-category"))
    identity = next((key for key in ("id", "index", "question_id") if key in known), None)
    if identity is not None:
        plain["id"] = known[identity]
    return {**plain, "prediction": answer, "gold": _lmms_gold(path, number, row, known)}, count


def _lmms_gold(path: Path, number: int, row: Row, known: Row) -> Any:
    """The document's own answer, which must be what the tool scored against, or the letter of it."""
    own, target = known.get("answer"), row.get("target")
    if own is None or target is None or str(own).strip() == str(target).strip():
        return target if own is None else own
    if str(known.get(str(own).strip(), "")).strip() == str(target).strip() or isinstance(own, list | dict):
        return own if not isinstance(own, list | dict) else target
    raise DataError(
        f"{path}, строка {number}: верный ответ задачи (target «{target}») и строки (doc.answer «{own}») различаются: "
        "оставьте один."
    )


# --- OpenAI's batch output


def _batch(path: Path, table: Table) -> Table:
    rows, failed, several = [], 0, 0
    for row in table.rows:
        body = row["response"].get("body") if isinstance(row.get("response"), dict) else None
        choices = body.get("choices") if isinstance(body, dict) else None
        message = (
            choices[0].get("message")
            if isinstance(choices, list) and choices and isinstance(choices[0], dict)
            else None
        )
        text = message.get("content") if isinstance(message, dict) else _responses_text(body)
        if isinstance(text, list):
            text = "".join(str(part.get("text", "")) for part in text if isinstance(part, dict))
        failed += text is None
        several += isinstance(choices, list) and len(choices) > 1
        rows.append({"id": row.get("custom_id"), "prediction": text})
    notes = [f"запросов без ответа: {failed}"] if failed else []
    notes += [f"вопросов с несколькими ответами: {several}, взят первый"] if several else []
    return replace(table, rows=rows, notes=(*table.notes, *notes))


def _responses_text(body: Any) -> str | None:
    """The text of a body of the Responses API; None if it has none."""
    output = body.get("output") if isinstance(body, dict) else None
    contents = [one.get("content") for one in output if isinstance(one, dict)] if isinstance(output, list) else []
    texts = [
        part["text"]
        for content in contents
        if isinstance(content, list)
        for part in content
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    return "".join(texts) if texts else None


# --- folders


def holds_tables(folder: Path) -> bool:
    """Is there anything in a folder that may be a table of answers?"""
    return any(path.suffix.lower() in TABLES for path in folder.rglob("*"))


def table_in(folder: Path) -> Path:
    """The one table of answers in a folder of lmms-eval or VLMEvalKit. Raises DataError naming what there is."""
    if (folder / "identity.json").is_file() or any(folder.glob("*/identity.json")):
        raise DataError(f"{folder} – папка оценки: посчитайте её баллы командой ruvlm score {folder} --data ДАННЫЕ.")
    if (folder / "state.json").is_file() and any(folder.glob("data-*.arrow")):
        raise DataError(
            f"{folder} – набор datasets.save_to_disk, а не ответы модели: дайте его в --data команды ruvlm eval."
        )
    samples = sorted(folder.rglob("*samples_*.jsonl"))
    if not samples:
        tables = (path for path in folder.rglob("*") if path.suffix.lower() in TABLES and path.is_file())
        samples = sorted(path for path in tables if not path.stem.endswith(_BESIDE) and not _is_settings(path))
    if len(samples) == 1:
        return samples[0]
    if not samples:
        raise DataError(f"В {folder} нет таблицы ответов ({', '.join(TABLES)}): укажите сам файл.")
    raise DataError(
        f"В {folder} таблиц ответов {len(samples)} ({', '.join(_shown(folder, samples))}): укажите одну из них."
    )


def _is_settings(path: Path) -> bool:
    return path.suffix.lower() == ".json" and ("results" in path.stem or path.stem in ("status", "config", "args"))


def _shown(folder: Path, paths: Sequence[Path]) -> list[str]:
    names = [str(path.relative_to(folder)) for path in paths[:4]]
    return [*names, "…"] if len(paths) > 4 else names
