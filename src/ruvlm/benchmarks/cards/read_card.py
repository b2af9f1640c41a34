"""A card from its file: every key by its type, every fault of it said at once."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.base import Submission
from ruvlm.benchmarks.cards.card_fields import (
    BenchmarkCard,
    CardAnswer,
    CardColumns,
    CardFigure,
    CardProtocol,
    CardRotation,
    CardSource,
    CardStatistics,
    Join,
    Where,
)
from ruvlm.benchmarks.cards.card_table import CardTable
from ruvlm.errors import DataError, because
from ruvlm.rules.named import MATCHERS, MOST_OPTIONS, READERS
from ruvlm.schema import LETTERS

FORMATS = ("parquet", "jsonl", "json", "csv", "tsv", "xlsx", "vlmevalkit")
FORMS = ("text", "texts", "letter", "index0", "index1", "option")
DECODINGS = ("plain", "json", "python")
PLACES = ("first", "last", "tag", "first-keep")
LABELS = ("A", "1", "а")
LIKELIHOOD = "likelihood"
TEXTS = ("text", "texts")
# what rows and their figures hang on
ROWS = ("schema", "source", "columns", "answer", "rotation", "axes", "statistics")
# which readers know options by letters A, B, by numbers, by letters а, б
READ_BY = {
    "A": frozenset(READERS) - {"number-first"},
    "1": frozenset(("number-first", "letters-kaleidoscope", "letters-kaleidoscope-cot")),
    "а": frozenset(("letters-ru",)),
}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def shipped_cards() -> dict[str, Path]:
    """The cards that come with the package, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}


def read_card(path: Path) -> BenchmarkCard:
    """A card from a file. Raises DataError that names every fault of it at once."""
    return card_of(card_values(path), path)


def card_values(path: Path) -> dict[str, Any]:
    """What a card's file says, as it stands there. Raises DataError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"Карточка {path} – не TOML ({error}): исправьте строку.") from error
    except OSError as error:
        raise DataError(f"Карточку {path} не удалось прочитать ({because(error)}).") from error


def card_of(values: dict[str, Any], path: Path) -> BenchmarkCard:
    """A card from what its file says. Raises DataError that names every fault of it at once."""
    faults: list[str] = []
    card = _card(values, path, faults)
    if faults:
        raise DataError(f"Карточка {path}: {'; '.join(faults)}.")
    return card


def _card(values: dict[str, Any], path: Path, faults: list[str]) -> BenchmarkCard:
    top = CardTable(values, "", faults)
    if top.whole("schema", 0, needed=True) != 1 and "schema" in values:
        top.fault("schema", f"{values['schema']}, а здесь читается 1")
    about = top.table("benchmark")
    name = about.text("name", needed=True)
    if name and _NAME.fullmatch(name) is None:
        about.fault("name", f"«{name}»: нужны строчные латинские буквы, цифры и дефис")
    language = about.text("language", "ru")
    if not re.fullmatch("[a-z]{2}", language):
        about.fault("language", f"«{language}», а нужен код языка из двух букв")
    columns = _columns(top.table("columns"))
    protocols = tuple(_protocol(one, columns) for one in top.tables("protocol"))
    if not protocols:
        top.fault("protocol", "нет ни одного [[protocol]]")
    names = [protocol.name for protocol in protocols]
    for repeated in sorted({one for one in names if names.count(one) > 1}):
        top.fault("protocol", f"имя «{repeated}» повторяется")
    rotation = _rotation(top.table("rotation"))
    axes = top.table("axes")
    card = BenchmarkCard(
        path=path,
        name=name,
        title=about.text("title", name),
        language=language,
        licence=about.text("licence", needed=True),
        licence_note=about.text("licence_note"),
        cite=about.text("cite"),
        home=about.text("home"),
        notes=about.texts("notes"),
        hidden_answers=about.flag("hidden_answers"),
        source=_source(top.table("source"), path.parent),
        columns=columns,
        answer=_answer(top.table("answer")),
        rotation=rotation,
        axes={key: axes.text(key) for key in axes.values},
        statistics=_statistics(top.table("statistics"), rotation, list(axes.values)),
        protocols=protocols,
        published=tuple(_figure(one) for one in top.tables("published")),
        submission=_submission(top.table("submission")) if "submission" in values else None,
        mark=_mark(values),
        rows_mark=_rows_mark(values, name, language),
    )
    _refuse_unfit(top, card, values)
    about.close()
    top.close()
    return card


def _refuse_unfit(top: CardTable, card: BenchmarkCard, values: dict[str, Any]) -> None:
    """Name what is right in its section and wrong beside another."""
    for protocol in card.protocols if card.rotation.kind == "roll" else ():
        if protocol.prompt_column or "{options}" not in protocol.prompt:
            top.fault(
                "rotation.kind", f"roll переставляет {{options}} в prompt, а в протоколе «{protocol.name}» их там нет"
            )
    if card.rotation.kind == "roll" and card.columns.options_lines[0]:
        top.fault("rotation.kind", "roll, а варианты стоят в самом тексте вопроса: переставить их нельзя")
    chosen = [protocol.name for protocol in card.protocols if protocol.choice]
    if chosen and card.answer.form in TEXTS and "answer" in values:
        top.fault(
            "answer.form",
            f"«{card.answer.form}», а протокол «{chosen[0]}» – выбор: нужно letter, index0, index1 или option",
        )
    if len(card.axes) > 12:
        top.fault("axes", f"разбивок {len(card.axes)}, а можно 12")
    if card.hidden_answers and card.submission is None and "mera" not in card.licence.lower():
        top.fault("benchmark.hidden_answers", "ответов нет, а раздела [submission] тоже нет")


def _mark(values: dict[str, Any]) -> str:
    """A hash of the card without what is only shown."""
    shown = ("title", "notes", "cite", "home")
    kept = {key: value for key, value in values.items() if key != "published"}
    if isinstance(kept.get("benchmark"), dict):
        kept["benchmark"] = {key: value for key, value in kept["benchmark"].items() if key not in shown}
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rows_mark(values: dict[str, Any], name: str, language: str) -> str:
    """Where the files lie is not part of it: what they hold is known by their own marks."""
    kept = {key: values[key] for key in ROWS if key in values} | {"benchmark": {"name": name, "language": language}}
    if isinstance(kept.get("source"), dict):
        kept["source"] = {key: value for key, value in kept["source"].items() if key != "path"}
    return _mark(kept)


def _source(table: CardTable, folder: Path) -> CardSource:
    repo, path = table.text("repo"), table.text("path")
    if bool(repo) == bool(path):
        table.fault("repo", "нужно одно из двух: repo (набор на хабе) или path (папка или файл рядом с карточкой)")
    if path and not (folder / path).exists():
        table.fault("path", f"«{path}» рядом с карточкой нет")
    splits = _globs(table.table("splits")) or {"default": ("*",)}
    split = table.text("split", next(iter(splits)) if len(splits) == 1 else "", needed=len(splits) > 1)
    if split and split not in splits:
        table.fault("split", f"«{split}», а части – {', '.join(splits)}")
    images = table.text("images")
    for key in ("images", "images_root"):
        place = Path(str(table.values.get(key, "")))
        if place.is_absolute() or ".." in place.parts:
            table.fault(key, f"«{place}» ведёт из папки набора")
    explode = table.table("explode")
    source = CardSource(
        repo=repo,
        path=path,
        revision=table.text("revision"),
        splits=splits,
        split=split,
        format=table.one_of("format", FORMATS, ""),
        rows=table.text("rows"),
        key_as=table.text("key_as", "id"),
        delimiter=table.text("delimiter"),
        encoding=table.text("encoding"),
        images=images,
        images_root=table.text("images_root"),
        where=tuple(_where(one) for one in table.tables("where")),
        joins=tuple(_join(one) for one in table.tables("join")),
        explode=explode.text("column"),
        explode_decode=explode.one_of("decode", ("list", "json", "python"), "list"),
    )
    if len(source.delimiter) > 1:
        table.fault("delimiter", f"«{source.delimiter}», а нужен один знак")
    if source.revision and not re.fullmatch("[0-9a-f]{40}", source.revision):
        table.fault("revision", f"«{source.revision}», а нужно 40 шестнадцатеричных знаков")
    explode.close()
    table.close()
    return source


def _globs(table: CardTable) -> dict[str, tuple[str, ...]]:
    return {name: table.texts(name) for name in table.values}


def _where(table: CardTable) -> Where:
    column, values = table.text("column", needed=True), table.values_of("in")
    present = table.flag("present") if "present" in table.values else None
    if (values is None) == (present is None):
        table.fault("in", "нужно одно из двух: in = […] или present = true/false")
    table.close()
    return Where(column=column, values=values, present=present)


def _join(table: CardTable) -> Join:
    join = Join(
        here=table.text("here", needed=True),
        there=table.texts("there", needed=True),
        take=table.texts("take", needed=True),
        rename=table.text("as"),
        splits=_globs(table.table("splits")),
        files=table.texts("files"),
        path=table.text("path"),
        repo=table.text("repo"),
        revision=table.text("revision"),
    )
    several = len(join.there) > 1
    if several and len(join.there) != len(join.take):
        table.fault("take", f"столбцов {len(join.take)}, а в there – {len(join.there)}: нужно поровну")
    if join.rename and not several and len(join.take) != 1:
        table.fault("as", "новое имя бывает у одного столбца")
    if bool(join.splits) == bool(join.files):
        table.fault("files", "нужно одно из двух: files или splits")
    table.close()
    return join


def _columns(table: CardTable) -> CardColumns:
    given = table.any_of("options")
    lines = CardTable(given, "columns.options", table.faults) if isinstance(given, dict) else None
    several = tuple(map(str, given)) if isinstance(given, list) else ()
    columns = CardColumns(
        id=table.text("id"),
        images=table.texts("image"),
        image_id=table.text("image_id"),
        image_optional=table.flag("image_optional"),
        question=table.text("question", needed=True),
        hint=table.text("hint"),
        options=several,
        options_list=given if isinstance(given, str) else "",
        options_lines=(lines.text("column", needed=True), lines.text("lines", "1. "))
        if lines is not None
        else ("", ""),
        options_fixed=table.texts("options_fixed"),
        options_keep=table.one_of("options_empty", ("drop", "keep"), "drop") == "keep",
    )
    if lines is not None:
        lines.close()
    if given is not None and columns.options_fixed:
        table.fault("options_fixed", "есть и options: нужно одно из двух")
    if lines is not None and not columns.options_lines[1]:
        table.fault("options", "lines пуст, а нужно начало первого варианта: «1. » или «A. »")
    if len(columns.options_fixed) == 1:
        table.fault("options_fixed", "вариант один, а бывает от 2")
    if len(several) > len(LETTERS) or len(several) == 1:
        table.fault("options", f"столбцов {len(several)}, а вариантов бывает от 2 до {len(LETTERS)}")
    table.close()
    return columns


def _answer(table: CardTable) -> CardAnswer:
    answer = CardAnswer(
        column=table.text("column", needed=True),
        form=table.one_of("form", FORMS, "text", needed=True),
        letters=table.one_of("letters", ("A", "а"), "A"),
        decode=table.one_of("decode", DECODINGS, "plain"),
        hidden=table.values_of("hidden") or (),
    )
    table.close()
    return answer


def _rotation(table: CardTable) -> CardRotation:
    rotation = CardRotation(
        kind=table.one_of("kind", ("none", "rows", "roll"), "none"),
        index=table.text("index"),
        step=table.whole("step", 1_000_000, least=1),
    )
    if rotation.kind == "rows" and not rotation.index:
        table.fault("index", "при kind = rows нужен столбец")
    table.close()
    return rotation


def _statistics(table: CardTable, rotation: CardRotation, axes: list[str]) -> CardStatistics:
    cluster, average, group = table.text("cluster", "image"), table.text("average", "rows"), table.text("group")
    if cluster == "group" and rotation.kind == "none" and not group:
        table.fault("cluster", "«group» без [rotation] и без group: групп нет")
    macro = average.removeprefix("macro:") if average.startswith("macro:") else ""
    if average != "rows" and macro not in axes:
        table.fault("average", f"«{average}», а бывает rows или macro:РАЗБИВКА ({', '.join(axes) or 'разбивок нет'})")
    table.close()
    return CardStatistics(cluster=cluster, macro=macro, group=group)


def _protocol(table: CardTable, columns: CardColumns) -> CardProtocol:
    tag = table.text("image_tag")
    protocol = CardProtocol(
        name=table.text("name", needed=True),
        # what judges an answer changes nothing of what is asked
        mark=_mark({key: value for key, value in table.values.items() if key != "rules"}),
        choice=table.one_of("kind", ("short", "choice"), "short", needed=True) == "choice",
        prompt=table.text("prompt"),
        prompt_column=table.text("prompt_column"),
        fill=table.text("fill"),
        system=table.text("system"),
        option_line=table.text("option_line", "{letter}. {text}"),
        option_join=table.text("option_join", "\n"),
        labels=table.one_of("letters", LABELS, "A"),
        image_tag=tag,
        image_place=table.one_of("image_place", PLACES, "tag" if tag else "first"),
        image_size=table.whole("image_size", least=1),
        max_new_tokens=table.whole("max_new_tokens", 1, needed=True, least=1),
        stop=table.texts("stop"),
        rules=table.texts("rules", needed=True),
    )
    if bool(protocol.prompt) == bool(protocol.prompt_column):
        table.fault("prompt_column", "нужно одно из двух: prompt (шаблон) или prompt_column (шаблон в строке)")
    if protocol.choice and not columns.choice:
        table.fault("kind", "выбор варианта, а в [columns] нет options")
    if protocol.choice and "{letter}" not in protocol.option_line:
        table.fault("option_line", "нет {letter}")
    if not protocol.rules and "rules" in table.values:
        table.fault("rules", "список пуст: нужно хотя бы одно правило, первое – главное")
    known = (*READERS, LIKELIHOOD) if protocol.choice else tuple(MATCHERS)
    for rule in protocol.rules:
        if rule not in known:
            table.fault(
                "rules",
                f"«{rule}» – не правило {'выбора' if protocol.choice else 'короткого ответа'}: есть {', '.join(known)}",
            )
        elif len(columns.options or columns.options_fixed) >= MOST_OPTIONS.get(rule, len(LETTERS) + 1):
            table.fault(
                "rules",
                f"«{rule}» читает не больше {MOST_OPTIONS[rule] - 1} вариантов, а их {len(columns.options or columns.options_fixed)}",
            )
    for rule in protocol.rules if protocol.choice else ():
        if rule in READERS and rule not in READ_BY[protocol.labels]:
            table.fault("letters", f"«{protocol.labels}», а правило «{rule}» таких обозначений не читает")
    if protocol.image_place == "tag" and not tag:
        table.fault("image_tag", "image_place = tag, а слова, на место которого встаёт картинка, нет")
    if LIKELIHOOD in protocol.rules and len(protocol.rules) > 1:
        table.fault("rules", f"«{LIKELIHOOD}» – не правило чтения ответа: ему нужен свой [[protocol]]")
    table.close()
    return protocol


def _figure(table: CardTable) -> CardFigure:
    figure = CardFigure(
        model=table.text("model", needed=True),
        score=table.number("score", needed=True),
        rule=table.text("rule", needed=True),
        source=table.text("source", needed=True),
        split=table.text("split"),
        protocol=table.text("protocol"),
        unit=table.one_of("unit", ("row", "group"), "row"),
        note=table.text("note"),
        n=table.whole("n"),
    )
    table.close()
    return figure


def _submission(table: CardTable) -> Submission:
    submission = Submission(
        format=table.one_of("format", ("mera-json", "json", "csv", "jsonl"), "jsonl", needed=True),
        file=table.text("file"),
        columns=table.texts("columns"),
        value=table.one_of("value", ("text", "letter", "index0", "index1"), "text"),
    )
    if len(submission.columns) not in (0, 2):
        table.fault("columns", f"столбцов {len(submission.columns)}, а нужно два: номер и ответ")
    table.close()
    return submission
