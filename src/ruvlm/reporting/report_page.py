"""The report: one HTML file that opens from the disk, asks nothing of the network and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from ruvlm import __version__
from ruvlm.evaluation.causes import CAUSES
from ruvlm.numerals import around, chance, decimal
from ruvlm.reporting.calibration import Calibration, calibration
from ruvlm.reporting.curves import HEIGHT, LEFT, WIDTH, charts
from ruvlm.reporting.gathered import Answers, Gathered, ReportSection
from ruvlm.reporting.mistakes import Browser, browser
from ruvlm.reporting.overview import Matrix, matrices, overview
from ruvlm.reporting.shown import BLINDNESS
from ruvlm.reporting.waterfall import waterfall

HERE = Path(__file__).parent
# what breaks a script element, and what JavaScript of old took for ends of lines
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Part:
    """A section with what the page computes from it."""

    section: ReportSection
    number: int
    browser: Browser | None
    matrices: tuple[Matrix, ...]
    calibrations: tuple[tuple[str, Calibration], ...]


def report_page(gathered: Gathered, pictures: int, command: str) -> str:
    """The page's text. Everything that comes from data or models is escaped, in HTML and in the script's data."""
    from jinja2 import Environment, FileSystemLoader

    parts = [_part(section, number, pictures) for number, section in enumerate(gathered.sections)]
    data = [None if part.browser is None else _plain(part.browser) for part in parts]
    script = (HERE / "report.js").read_text(encoding="utf-8")
    style = (HERE / "report.css").read_text(encoding="utf-8")
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = decimal
    environment.filters["around"] = around
    environment.filters["chance"] = chance
    return environment.get_template("report.html.j2").render(
        parts=parts,
        overview=overview(gathered),
        charts=charts(gathered.histories),
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        style=style,
        script=script,
        script_mark=script_mark(script),
        data=_for_script(data),
        today=date.today().isoformat(),
        command=command,
        version=__version__,
        world=any(p.section.first.drawn for p in parts),
        colours=range(8),
        blindness=BLINDNESS,
        explanations=[
            (one, asdict(one.parts), base64.b64encode(waterfall(one)).decode()) for one in gathered.explanations
        ],
        causes=CAUSES,
    )


def _part(section: ReportSection, number: int, pictures: int) -> Part:
    calibrations = tuple((a.name, calibrated) for a in section.models if (calibrated := _calibrated(a)) is not None)
    return Part(section, number, browser(section, pictures), tuple(matrices(section)), calibrations)


def _calibrated(answers: Answers) -> Calibration | None:
    """Only where every answer has its probability."""
    rows = [(answers.said.get(name), verdict) for name, verdict in answers.verdicts.items()]
    known = [(r.probability, v.right) for r, v in rows if r is not None and r.probability is not None]
    if not rows or len(known) < len(rows):
        return None
    return calibration([p for p, _ in known], [right for _, right in known])


def _plain(shown: Browser) -> dict[str, object]:
    return {
        "rows": shown.rows,
        "types": shown.types,
        "rules": shown.rules,
        "models": shown.models,
        "pictures": shown.pictures,
        "best": shown.best,
        "total": shown.total,
    }


def _for_script(value: Sequence[object]) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


def script_mark(text: str) -> str:
    """A Content-Security-Policy source that lets exactly this text run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
