"""Tables of a leaderboard, models on the same rows in groups that cannot be told apart: as a page, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from ruvlm.benchmarks.base import Benchmark, Published
from ruvlm.benchmarks.catalog import benchmark_or_none
from ruvlm.evaluation.answers import answers_under
from ruvlm.evaluation.compare import LEVEL, compare
from ruvlm.evaluation.evaluated import CONTROLS, Evaluated, Measured, beside, measured_together, same_rows
from ruvlm.evaluation.standing import THAN, label_of, place_of
from ruvlm.numerals import around, decimal
from ruvlm.reporting.records import records, tracks
from ruvlm.reporting.report_page import script_mark
from ruvlm.schema import Score


@dataclass(frozen=True)
class Entry:
    """A model's line. `group` 1 are those who cannot be told from the best; shares are per cent. `weights` marks the model itself."""

    group: int
    model: str
    parameters: int | None
    rule: str
    score: Score
    blind: float | None
    unparsed: float
    errors: int
    date: str
    folder: str
    weights: str = ""


@dataclass(frozen=True)
class Floor:
    """What a control that does not see gets on a board's rows."""

    model: str
    score: Score


@dataclass(frozen=True)
class Board:
    """One table. `world` boards are of drawn scenes and stand apart from those of published sets.

    `published` are figures of others by the rule, on the split and over the unit of the table's own, `published_otherwise` the rest.
    """

    benchmark: str
    source: str
    split: str
    protocol: str
    world: bool
    data: str
    entries: tuple[Entry, ...]
    published: tuple[Published, ...]
    published_otherwise: tuple[Published, ...]
    floors: tuple[Floor, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class ModelRow:
    """A model's line in the matrix: its entry on each board, None where it was not asked."""

    model: str
    parameters: int | None
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True)
class Grid:
    """All models against all boards of one kind. `floors` are the controls' lines."""

    world: bool
    boards: tuple[Board, ...]
    rows: tuple[ModelRow, ...]
    floors: tuple[tuple[str, tuple[Score | None, ...]], ...]


def grids(tables: Sequence[Board]) -> list[Grid]:
    """One of published sets and one of the embedded world, as far as there are any: they are never in one table."""
    return [_grid(world, chosen) for world in (False, True) if (chosen := [b for b in tables if b.world == world])]


def _grid(world: bool, tables: Sequence[Board]) -> Grid:
    lines: dict[tuple[str, str, int], list[Entry | None]] = {}
    for column, board in enumerate(tables):
        for entry in board.entries:
            # one model asked twice on the same rows has two lines
            place = 0
            while (line := lines.get((entry.model, entry.weights, place))) is not None and line[column] is not None:
                place += 1
            lines.setdefault((entry.model, entry.weights, place), [None] * len(tables))[column] = entry
    names = [name for name, _, _ in lines]
    rows = [
        ModelRow(
            name if names.count(name) == 1 else f"{name} ({_lies(line)})",
            next((e.parameters for e in line if e is not None), None),
            tuple(line),
        )
        for (name, _, _), line in lines.items()
    ]
    rows.sort(key=lambda row: [-1.0 if entry is None else entry.score.value for entry in row.entries], reverse=True)
    kinds = dict.fromkeys(floor.model for board in tables for floor in board.floors)
    floors = tuple(
        (kind, tuple(next((f.score for f in board.floors if f.model == kind), None) for board in tables))
        for kind in kinds
    )
    return Grid(world, tuple(tables), tuple(rows), floors)


def _lies(line: Sequence[Entry | None]) -> str:
    """Where the evaluations of a model lie."""
    return next(str(Path(entry.folder).parent) for entry in line if entry is not None)


def boards(paths: Sequence[Path]) -> list[Board]:
    """Every evaluation in folders, and files of answers; tables of published sets first. Raises DataError where there is none."""
    evaluations = {one.path.resolve(): one for path in paths for one in answers_under(path)}
    groups = same_rows(list(evaluations.values()))
    made = [_board(group) for group in groups if any(not one.measured.control for one in group)]
    return sorted(
        made,
        key=lambda b: (
            b.world,
            b.benchmark,
            b.source,
            b.split.startswith("holdout"),
            b.split,
            place_of(b.benchmark, b.protocol),
        ),
    )


def _board(group: Sequence[Evaluated]) -> Board:
    every = measured_together(group)
    own = sorted((m for m in every if not m.control), key=lambda m: -m.headline[1].value)
    days = {one.path: one.finished_on.isoformat() for one in group}
    first = own[0]
    groups = _groups(own)
    entries = tuple(
        Entry(
            groups[m.folder],
            m.model,
            m.parameters,
            *m.headline,
            _blind(m, every),
            100 * m.unparsed / max(1, m.n),
            m.errors,
            days[m.folder],
            str(m.folder),
            m.fingerprints["model"],
        )
        for m in own
    )
    # a published figure is of the whole set under the reference's own wording: one that was fetched, not changed
    whole = not first.drawn and first.sample is None and "@" in first.source and "(изменён)" not in first.source
    known = benchmark_or_none(first.benchmark) if whole else None
    figures = known.published if known is not None else ()
    same = tuple(figure for figure in figures if known is not None and _alike(known, first, figure))
    return Board(
        benchmark=first.benchmark,
        source=first.source,
        split=first.rows,
        protocol=first.protocol,
        world=first.drawn,
        data=first.fingerprints["data"],
        entries=entries,
        published=same,
        published_otherwise=tuple(figure for figure in figures if figure not in same),
        floors=tuple(Floor(m.model, m.headline[1]) for m in every if m.model in CONTROLS),
        label=label_of(first.benchmark, first.protocol),
    )


def _alike(benchmark: Benchmark, measured: Measured, figure: Published) -> bool:
    """Was it counted by the rule, on the split and over the unit of a measured headline?"""
    protocol = next((one for one in benchmark.protocols if one.name == measured.protocol), None)
    if protocol is None or figure.note or figure.n not in (0, measured.headline[1].n):
        return False
    if figure.protocol and f"{benchmark.name}/{figure.protocol}" != measured.protocol:
        return False
    unit = "group" if measured.headline[0].endswith("/circular") else "row"
    rule = protocol.rules[protocol.headline]
    return (figure.rule, figure.split or measured.split, figure.unit) == (rule, measured.split, unit)


def _blind(own: Measured, others: Sequence[Measured]) -> float | None:
    blind = [c for c in beside(own, others) if c.model == f"blind:{own.model}"]
    return blind[0].headline[1].value if blind else None


def _groups(own: Sequence[Measured]) -> dict[Path, int]:
    """From the best down: who differs from the head of the group above (McNemar, Holm over all pairs) heads the next one."""
    if len(own) == 1:
        return {own[0].folder: 1}
    pairs = [(a, b) for n, a in enumerate(own) for b in own[n + 1 :]]
    rows = compare([m.folder for m in own])
    each = len(rows) // len(pairs)
    differ = {(a.folder, b.folder): rows[n * each].p_holm < LEVEL for n, (a, b) in enumerate(pairs)}
    groups, head, number = {own[0].folder: 1}, own[0], 1
    for measured in own[1:]:
        if differ[head.folder, measured.folder]:
            head, number = measured, number + 1
        groups[measured.folder] = number
    return groups


_COLUMNS = [
    "kind",
    "benchmark",
    "source",
    "split",
    "protocol",
    "rule",
    "group",
    "model",
    "parameters",
    "n",
    "value",
    "low",
    "high",
    "blind",
    "unparsed_percent",
    "errors",
    "date",
    "data",
    "published_in",
]


def as_csv(tables: Sequence[Board]) -> str:
    """One line a model; published figures have «published» for their kind and no interval."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for board in tables:
        kind = "world" if board.world else "measured"
        for e in board.entries:
            s = e.score
            rows = map(_cell, (board.benchmark, board.source, board.split, board.protocol, e.rule))
            model = (e.group, _cell(e.model), e.parameters, s.n, s.value, s.low, s.high, e.blind)
            writer.writerow([kind, *rows, *model, round(e.unparsed, 4), e.errors, e.date, board.data, ""])
        for p in (*board.published, *board.published_otherwise):
            figure = ("", p.split, "", p.rule, "", p.model, "", p.n or "", p.value)
            writer.writerow(["published", board.benchmark, *figure, *[""] * 7, p.source])
    return out.getvalue()


def said_rule(figure: Published) -> str:
    """By what rule, over what and how many a published figure was counted, as far as it is said."""
    unit = "группы" if figure.unit == "group" else ""
    return ", ".join(filter(None, (figure.rule, unit, f"n = {figure.n}" if figure.n else "", figure.note)))


def _cell(text: str) -> str:
    """A name that a spreadsheet will not take for a formula."""
    text = " ".join(text.split("\n")).replace("\r", " ")
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@", "\t") else text


_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~!])")


def _md(text: str) -> str:
    """A text from outside as Markdown that shows it and does nothing else."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


def as_json(tables: Sequence[Board]) -> str:
    rows = [asdict(board) for board in tables]
    for row in rows:
        for key in ("published", "published_otherwise"):
            row[key] = [{"benchmark": row["benchmark"], **figure} for figure in row[key]]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def _grid_markdown(grid: Grid) -> list[str]:
    """Models against boards: a figure, its interval and its group in a cell."""
    kind = "Встроенный мир – **рисунки, не опубликованные наборы**" if grid.world else "Опубликованные наборы"
    heads = [f"{_md(board.label)}, {_md(board.split)}" for board in grid.boards]
    lines = ["", f"## {kind}", "", "| модель | " + " | ".join(heads) + " | параметров |"]
    lines.append("|---|" + "---|" * (len(heads) + 1))
    for row in grid.rows:
        cells = [
            "–" if e is None else f"**{decimal(e.score.value)}** ({around(e.score)}), группа {e.group}"
            for e in row.entries
        ]
        lines.append(f"| {_md(row.model)} | " + " | ".join(cells) + f" | {row.parameters or ''} |")
    for name, scores in grid.floors:
        cells = ["–" if score is None else decimal(score.value) for score in scores]
        lines.append(f"| *{_md(name)}* | " + " | ".join(cells) + " | |")
    return lines


def as_markdown(tables: Sequence[Board]) -> str:
    """The same tables for a forge's page."""
    lines = ["# Таблица моделей", "", GROUPS_RULE, *(line for grid in grids(tables) for line in _grid_markdown(grid))]
    for board in tables:
        mark = " – **встроенный мир, не балл опубликованного набора**" if board.world else ""
        lines += [
            "",
            f"## {_md(board.benchmark)}: {_md(board.source)}, {_md(board.split)}, {_md(board.protocol)}{mark}",
            "",
            "| группа | модель | верно, % (95 %) | вслепую, % | не прочитано, % | без ответа | правило | n | параметров | дата |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for e in board.entries:
            interval = f" ({around(e.score)})" if around(e.score) else ""
            blind = "" if e.blind is None else decimal(e.blind)
            lines.append(
                f"| {e.group} | {_md(e.model)} | {decimal(e.score.value, 2)}{interval} | {blind} | {decimal(e.unparsed)} | {e.errors or ''} | "
                f"{_md(e.rule)} | {e.score.n} | {e.parameters or ''} | {e.date} |"
            )
        for title, figures in (
            ("Опубликовано другими по тому же правилу, нами не измерялось:", board.published),
            (
                "Опубликовано по другому правилу или на других строках, с этой таблицей не сравнивать:",
                board.published_otherwise,
            ),
        ):
            if figures:
                lines += ["", title, "", "| модель | правило | часть | % | источник |", "|---|---|---|---|---|"]
                lines += [
                    f"| {p.model} | {_md(said_rule(p))} | {p.split} | {decimal(p.value, 2)} | {_md(p.source)} |"
                    for p in figures
                ]
    return "\n".join(lines) + "\n"


GROUPS_RULE = (
    "Модели одной группы неотличимы от первой в ней (точный критерий Макнемара на тех же строках, для дробных правил – бутстрэп, поправка Холма, 5 %). "
    "Сравнивать можно только внутри одной таблицы."
)


HERE = Path(__file__).parent


def leaderboard_page(tables: Sequence[Board]) -> str:
    """The page's text; names of models are escaped."""
    from jinja2 import Environment, FileSystemLoader

    script = (HERE / "leaderboard.js").read_text(encoding="utf-8")
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": decimal, "around": around, "rule": said_rule}
    return environment.get_template("leaderboard.html.j2").render(
        boards=tables,
        grids=grids(tables),
        controls=THAN,
        tracks=tracks(),
        records=records(),
        rule=GROUPS_RULE,
        style=(HERE / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_mark=script_mark(script),
        today=date.today().isoformat(),
    )
