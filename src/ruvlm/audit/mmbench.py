"""MMBench-ru: every row of options, and how the rotations of a question fit together."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from pyarrow.parquet import ParquetFile

from ruvlm.audit import set_files, text
from ruvlm.audit.findings import Checked, Fact, FindingKind, Findings, RowRule, Rulebook, Task, text_rules
from ruvlm.audit.pictures import Picture, report
from ruvlm.benchmarks.circular import ROTATION
from ruvlm.numerals import decimal

Row = dict[str, Any]
L2_OF: dict[str, str] = {
    **dict.fromkeys(("function_reasoning", "physical_property_reasoning", "identity_reasoning"), "attribute_reasoning"),
    **dict.fromkeys(
        ("image_scene", "image_style", "image_emotion", "image_quality", "image_topic"), "coarse_perception"
    ),
    **dict.fromkeys(
        ("action_recognition", "spatial_relationship", "attribute_comparison"),
        "finegrained_perception (cross-instance)",
    ),
    **dict.fromkeys(
        ("celebrity_recognition", "object_localization", "attribute_recognition", "ocr"),
        "finegrained_perception (instance-level)",
    ),
    **dict.fromkeys(("structuralized_imagetext_understanding", "future_prediction"), "logic_reasoning"),
    **dict.fromkeys(("nature_relation", "social_relation", "physical_relation"), "relation_reasoning"),
}
DUPLICATE = FindingKind("duplicate-index", "index повторяется")
INCOMPLETE = FindingKind("group-incomplete", "в группе нет каких-то перестановок", known=True)
NO_BASE = FindingKind("group-without-base", "в группе нет исходной строки: эталонный код её не считает", known=True)
GOLD_DIFFERS = FindingKind("group-gold-differs", "в перестановках верны разные варианты", known=True)
OPTIONS_DIFFER = FindingKind("group-options-differ", "в перестановках разные наборы вариантов", known=True)
IMAGE_DIFFERS = FindingKind("group-image-differs", "в перестановках разные картинки", known=True)
CATEGORY_DIFFERS = FindingKind("group-category-differs", "в перестановках разные категории")
NOT_ROTATED = FindingKind("group-not-rotated", "верный вариант в перестановках стоит на одном месте")
LETTER_SKEW = FindingKind("letter-skew", "верна чаще одна буква", serious=False)


def options_of(row: Row) -> list[str]:
    """The texts of the options that are there, by letter."""
    return [str(row[letter]) for letter in "ABCD" if not text.blank(row.get(letter))]


def _gap(row: Row) -> bool:
    given = [not text.blank(row.get(letter)) for letter in "ABCD"]
    return given != sorted(given, reverse=True)


def _folded(value: Any) -> str:
    return " ".join(str(value).lower().replace("ё", "е").split())


def _equal(row: Row) -> bool:
    options = [_folded(option) for option in options_of(row)]
    return len(set(options)) < len(options)


def _strange_index(row: Row) -> bool:
    return not isinstance(row.get("index"), int) or row["index"] < 0 or row["index"] >= 4 * ROTATION


def _gold_out(row: Row) -> bool:
    answer = row.get("answer")
    return not (isinstance(answer, str) and answer.strip() in tuple("ABCD") and not text.blank(row.get(answer.strip())))


TEXTS = ("question", "hint", "A", "B", "C", "D")
RULES = (
    RowRule(FindingKind("strange-index", "index – не номер строки с перестановкой"), _strange_index, "index"),
    RowRule(FindingKind("empty-question", "вопрос пуст"), lambda r: text.blank(r.get("question")), reads=("question",)),
    RowRule(FindingKind("few-options", "вариантов меньше двух"), lambda r: len(options_of(r)) < 2, "A"),
    RowRule(FindingKind("option-gap", "вариант пропущен в середине"), _gap, "answer"),
    RowRule(FindingKind("equal-options", "два варианта одинаковы", known=True), _equal, "question"),
    RowRule(FindingKind("gold-not-option", "верная буква не входит в варианты"), _gold_out, "answer"),
    *text_rules(FindingKind("foreign-question", "вопрос не по-русски", known=True), text.foreign, "question"),
    *text_rules(FindingKind("broken-encoding", "текст в испорченной кодировке"), text.broken, *TEXTS),
    *text_rules(FindingKind("markup", "в тексте разметка", serious=False), text.marked_up, *TEXTS),
    *text_rules(FindingKind("hidden-characters", "невидимые знаки", known=True), text.hidden, *TEXTS),
    *text_rules(FindingKind("mixed-letters", "в слове смешаны латиница и кириллица", known=True), text.mixed, *TEXTS),
    RowRule(
        FindingKind("unknown-category", "неизвестная категория"),
        lambda r: "category" in r and r["category"] not in L2_OF,
        "category",
    ),
    RowRule(
        FindingKind("wrong-l2", "категория второго уровня не та"),
        lambda r: (
            bool(r.get("l2-category")) and r.get("category") in L2_OF and r["l2-category"] != L2_OF[r["category"]]
        ),
        "l2-category",
    ),
    RowRule(
        FindingKind("hint-nan", "подсказка записана словом nan", serious=False),
        lambda r: isinstance(r.get("hint"), str) and r["hint"] != "" and text.blank(r["hint"]),
        "hint",
    ),
)
COLUMNS = ("index", "question", "hint", "A", "B", "C", "D", "answer", "category", "l2-category")


def check(task: Task) -> Checked:
    """Every split of the folder."""
    checked = Checked()
    for path in sorted(task.folder.glob("mmbench_ru_*.parquet")):
        split = path.stem.removeprefix("mmbench_ru_")
        where = f"{task.benchmark.name} {split}"
        parquet = set_files.opened(
            path, path.name, set_files.MMBENCH_TYPES, ("index", "question", "answer", "A", "B", "image"), task.findings
        )
        if parquet is None:
            continue
        scanned = task.look([path], "index")  # goes on while the rows are looked at
        rows = _check_rows(task, parquet, path, where)
        pictures = list(scanned)
        if not rows:
            continue
        if task.images:
            report(pictures, where, task.findings)
            checked.albums.append((split, pictures))
        _check_groups(rows, pictures, where, task.findings)
        checked.facts += _facts(rows, where, task.findings)
    return checked


def _check_rows(task: Task, parquet: ParquetFile, path: Path, where: str) -> list[Row]:
    """Rows of one file, with everything that the table alone shows."""
    findings = task.findings
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    rows: list[Row] = set_files.rows_in(parquet, path, columns, findings)
    task.count(path.stem, len(rows))
    book = Rulebook(RULES)
    for number, row in enumerate(rows):
        for rule in book.faults(row):
            findings.add(rule.kind, where, f"строка {number}, index {row.get('index')}: {row.get(rule.field)!r}")
    for index, count in Counter(row.get("index") for row in rows).items():
        if count > 1:
            findings.add(DUPLICATE, where, f"index {index}: {count} раза")
    return rows


def _check_groups(rows: list[Row], pictures: list[Picture], where: str, findings: Findings) -> None:
    """Rotations of one question: all there, of one picture, with one right option that moves."""
    marks = {picture.name: picture.mark for picture in pictures}
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if not _strange_index(row):
            groups[row["index"] % ROTATION].append(row)
    if all(row["index"] < ROTATION for group in groups.values() for row in group):
        return  # one row a question: rotations are made when it is asked
    for base, group in groups.items():
        case = f"группа {base}"
        rotations = {row["index"] // ROTATION for row in group}
        if 0 not in rotations:
            findings.add(NO_BASE, where, case)
        if len(rotations) < len(options_of(group[0])):
            findings.add(INCOMPLETE, where, f"{case}: есть {sorted(rotations)} из {len(options_of(group[0]))}")
        if len({row.get("category") for row in group}) > 1:
            findings.add(CATEGORY_DIFFERS, where, case)
        if len({marks.get(str(row["index"])) for row in group}) > 1:
            findings.add(IMAGE_DIFFERS, where, case)
        if len({tuple(sorted(map(_folded, options_of(row)))) for row in group}) > 1:
            findings.add(OPTIONS_DIFFER, where, case)
        gold = [row for row in group if not _gold_out(row)]
        if len({_folded(row[row["answer"].strip()]) for row in gold}) > 1:
            findings.add(GOLD_DIFFERS, where, case)
        if len(gold) > 1 and len({row["answer"].strip() for row in gold}) == 1:
            findings.add(NOT_ROTATED, where, case)


def _facts(rows: list[Row], where: str, findings: Findings) -> list[Fact]:
    """Sizes, options, and how often each letter is right among the base rows."""
    counts = Counter(len(options_of(row)) for row in rows)
    base = [row for row in rows if isinstance(row.get("index"), int) and row["index"] < ROTATION]
    letters = Counter(str(row.get("answer")) for row in base)
    if len(base) >= 100 and max(letters.values()) > 0.5 * len(base):
        top, count = letters.most_common(1)[0]
        findings.add(LETTER_SKEW, where, f"{top}: {decimal(100 * count / len(base), 0)} % исходных строк")
    groups = len({row["index"] % ROTATION for row in rows if isinstance(row.get("index"), int)})
    return [
        Fact(where, "строк", str(len(rows))),
        Fact(where, "вопросов (групп)", str(groups)),
        Fact(where, "вариантов", ", ".join(f"{n}: {count}" for n, count in sorted(counts.items(), reverse=True))),
        Fact(
            where,
            "верная буква у исходных",
            ", ".join(f"{letter} {count}" for letter, count in sorted(letters.items())),
        ),
    ]
