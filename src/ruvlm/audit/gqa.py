"""GQA-ru: every row of questions, and how questions and pictures fit together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruvlm.audit import set_files, text
from ruvlm.audit.findings import Checked, Fact, FindingKind, Findings, RowRule, Rulebook, Task, text_rules
from ruvlm.audit.pictures import Picture, report
from ruvlm.numerals import decimal

Row = dict[str, Any]
STRUCTURAL = ("query", "verify", "choose", "logical", "compare")
YES_NO = ("да", "нет")
DUPLICATE_ID = FindingKind("duplicate-id", "id повторяется", known=True)
DUPLICATE = FindingKind(
    "duplicate-question", "тот же вопрос о той же картинке с тем же ответом под другим id", serious=False
)
CONTRADICTION = FindingKind("contradiction", "тот же вопрос о той же картинке с другим ответом", known=True)
NO_IMAGE = FindingKind("question-without-image", "вопрос о картинке, которой нет")
NO_QUESTION = FindingKind("image-without-questions", "картинка, о которой нет вопросов", serious=False)
DUPLICATE_IMAGE = FindingKind("duplicate-image-id", "id картинки повторяется")
SAME_IMAGE = FindingKind("same-image-twice", "одна и та же картинка под разными id", serious=False)
SKEW = FindingKind("answer-skew", "один ответ даёт больше половины балла своего типа", serious=False)
YES_SKEW = FindingKind("yes-no-skew", "среди да/нет один ответ чаще 65 %", serious=False)


def _said(row: Row, field: str) -> str:
    return "" if text.blank(row.get(field)) else str(row[field])


def _structural(row: Row) -> str | None:
    types = row.get("types")
    return types.get("structural") if isinstance(types, dict) else None


def _bad_entailed(value: Any) -> bool:
    if value is None or isinstance(value, list | tuple):
        return False
    return bool(str(value).strip()) and not re.fullmatch(r"\s*\[[^\[\]]*\]\s*", str(value))


def _yes_no(row: Row) -> bool:
    return _said(row, "answer").strip().lower().rstrip(".") in YES_NO


ANSWERED = ("answer", "types")
RULES = (
    RowRule(FindingKind("empty-id", "id пуст"), lambda r: text.blank(r.get("id")), "id"),
    RowRule(FindingKind("empty-question", "вопрос пуст"), lambda r: text.blank(r.get("question")), reads=("question",)),
    RowRule(FindingKind("empty-answer", "ответ пуст"), lambda r: text.blank(r.get("answer")), "answer", ("answer",)),
    *text_rules(FindingKind("foreign-question", "вопрос не по-русски"), text.foreign, "question"),
    *text_rules(FindingKind("foreign-answer", "ответ не по-русски", known=True), text.foreign, "answer"),
    *text_rules(
        FindingKind("mixed-letters", "в слове смешаны латиница и кириллица", known=True),
        text.mixed,
        "question",
        "answer",
    ),
    *text_rules(FindingKind("broken-encoding", "текст в испорченной кодировке"), text.broken, "question", "answer"),
    *text_rules(FindingKind("markup", "в тексте разметка", serious=False), text.marked_up, "question", "answer"),
    *text_rules(FindingKind("hidden-characters", "невидимые знаки", known=True), text.hidden, "question", "answer"),
    *text_rules(
        FindingKind("answer-spaces", "лишние пробелы в ответе: эталонное правило их не срезает", known=True),
        text.untidy,
        "answer",
    ),
    *text_rules(FindingKind("question-spaces", "лишние пробелы в вопросе", serious=False), text.untidy, "question"),
    *text_rules(
        FindingKind("answer-case", "ответ с прописной буквы", serious=False),
        lambda said: said[:1].isupper() and not said.isupper(),
        "answer",
    ),
    *text_rules(
        FindingKind("answer-full-stop", "ответ с точкой на конце", serious=False),
        lambda said: said.strip().endswith("."),
        "answer",
    ),
    *text_rules(
        FindingKind("long-answer", "ответ длиннее пяти слов: одним словом на него не ответить", known=True),
        lambda said: len(said.split()) > 5,
        "answer",
    ),
    RowRule(
        FindingKind("verify-not-yes-no", "вопрос да/нет с другим ответом", known=True),
        lambda r: _structural(r) in ("verify", "logical") and bool(_said(r, "answer")) and not _yes_no(r),
        "answer",
        ANSWERED,
    ),
    RowRule(
        FindingKind("open-yes-no", "открытый вопрос с ответом да/нет", known=True),
        lambda r: _structural(r) in ("query", "choose") and _yes_no(r),
        "answer",
        ANSWERED,
    ),
    RowRule(
        FindingKind("no-type", "нет типа вопроса", serious=False),
        lambda r: "types" in r and not _structural(r),
        "types",
        ANSWERED,
    ),
    RowRule(
        FindingKind("unknown-type", "неизвестный тип вопроса"),
        lambda r: _structural(r) is not None and _structural(r) not in ("", *STRUCTURAL),
        "types",
        ANSWERED,
    ),
    RowRule(
        FindingKind("broken-entailed", "поле entailed – не список", serious=False),
        lambda r: _bad_entailed(r.get("entailed")),
        "entailed",
        ("entailed",),
    ),
)
COLUMNS = ("id", "imageId", "question", "answer", "types", "entailed")


def check(task: Task) -> Checked:
    """Every split of the folder."""
    checked = Checked()
    splits = {path.name.split("_balanced_")[0] for path in task.folder.glob("*_balanced_*") if path.is_dir()}
    for split in sorted(splits):
        scanned = task.look(_image_files(task, split), "id")  # goes on while the rows are looked at
        rows = _check_rows(task, split)
        pictures = list(scanned)
        if task.images:
            report(pictures, f"{task.benchmark.name} {split}", task.findings)
            _check_images(task, rows, pictures, split)
            checked.albums.append((split, pictures))
        shown = len(pictures) or len({str(row.get("imageId")) for row in rows})
        checked.facts += _facts(rows, shown, f"{task.benchmark.name} {split}", task.findings)
    return checked


def _image_files(task: Task, split: str) -> list[Path]:
    """The files of a split's pictures that can be read."""
    images = f"{split}_balanced_images"
    return [
        path
        for path in set_files.shards(task.folder, images, split, task.findings)
        if set_files.opened(path, f"{images}/{path.name}", set_files.IMAGE_TYPES, ("id", "image"), task.findings)
        is not None
    ]


def _check_rows(task: Task, split: str) -> list[Row]:
    """The rows of a split, with everything that the tables alone show."""
    folder, findings = task.folder, task.findings
    rows: list[Row] = []
    config = f"{split}_balanced_instructions"
    for path in set_files.shards(folder, config, split, findings):
        parquet = set_files.opened(
            path, f"{config}/{path.name}", set_files.GQA_TYPES, ("id", "imageId", "question", "answer"), findings
        )
        if parquet is None:
            continue
        columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
        rows += set_files.rows_in(parquet, path, columns, findings)
    if rows:
        task.count(config, len(rows))
    where = f"{task.benchmark.name} {split}"
    book = Rulebook(RULES)
    for number, row in enumerate(rows):
        for rule in book.faults(row):
            findings.add(rule.kind, where, f"строка {number}, id {row.get('id')}: {row.get(rule.field)!r}")
    _repeats(rows, where, findings)
    return rows


@lru_cache(maxsize=1 << 18)
def _folded(said: str) -> str:
    return " ".join(said.lower().split())


def _repeats(rows: list[Row], where: str, findings: Findings) -> None:
    ids: Counter[str] = Counter()
    asked: dict[tuple[str, str], tuple[str, str]] = {}
    for number, row in enumerate(rows):
        name, answer = str(row.get("id")), _folded(_said(row, "answer"))
        ids[name] += 1
        if ids[name] > 1:
            findings.add(DUPLICATE_ID, where, f"строка {number}, id {name}")
        key = (str(row.get("imageId")), _folded(_said(row, "question")))
        if not key[1]:
            continue
        before = asked.setdefault(key, (answer, name))
        if before[1] != name:
            kind = DUPLICATE if before[0] == answer else CONTRADICTION
            findings.add(kind, where, f"строка {number}, id {name} и {before[1]}: «{row['question']}»")


def _check_images(task: Task, rows: list[Row], pictures: list[Picture], split: str) -> None:
    """How a split's questions and pictures fit together."""
    findings = task.findings
    where = f"{task.benchmark.name} {split}"
    names = Counter(picture.name for picture in pictures)
    for name, count in names.items():
        if count > 1:
            findings.add(DUPLICATE_IMAGE, where, f"{name}: {count} раза")
    asked = Counter(str(row.get("imageId")) for row in rows)
    for number, row in enumerate(rows):
        if str(row.get("imageId")) not in names:
            findings.add(NO_IMAGE, where, f"строка {number}, id {row.get('id')}, картинка {row.get('imageId')}")
    for name in names:
        if name not in asked:
            findings.add(NO_QUESTION, where, name)
    marks: dict[bytes, str] = {}
    for picture in pictures:
        if picture.mark and marks.setdefault(picture.mark, picture.name) != picture.name:
            findings.add(SAME_IMAGE, where, f"{marks[picture.mark]} и {picture.name}")
    task.count(f"{split}_balanced_images", len(pictures))


def _facts(rows: list[Row], pictures: int, where: str, findings: Findings) -> list[Fact]:
    """Sizes, the share of да/нет, and what the most frequent answer of each type is worth."""
    said: Counter[str] = Counter()
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    pairs = Counter((_structural(row) or "без типа", _said(row, "answer")) for row in rows)
    for (kind, answer), count in pairs.items():
        answers[kind][answer.strip().lower()] += count
        said[answer.strip().lower()] += count
    binary = Counter({answer: count for answer, count in said.items() if answer in YES_NO})
    result = [
        Fact(where, "строк", str(len(rows))),
        Fact(where, "картинок", str(pictures)),
        Fact(where, "вопросов на картинку", decimal(len(rows) / pictures) if pictures else "–"),
        Fact(where, "да/нет", f"{decimal(100 * sum(binary.values()) / max(1, len(rows)))} %"),
    ]
    if sum(binary.values()) >= 100 and max(binary.values()) > 0.65 * sum(binary.values()):
        top, count = binary.most_common(1)[0]
        findings.add(YES_SKEW, where, f"«{top}» – {decimal(100 * count / sum(binary.values()), 0)} %")
    for kind, counts in sorted(answers.items()):
        top, count = counts.most_common(1)[0]
        share = 100 * count / sum(counts.values())
        result.append(
            Fact(where, f"самый частый ответ, {kind}", f"«{top}» – {decimal(share)} % из {sum(counts.values())}")
        )
        if kind in ("query", "choose", "compare") and sum(counts.values()) >= 100 and share > 50:
            findings.add(SKEW, where, f"{kind}: «{top}» – {decimal(share, 0)} %")
    return result
