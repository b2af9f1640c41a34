"""The leaderboard as a static page: sortable tables, no network."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ruvlm.reporting.leaderboard import GROUPS_RULE, Board
from ruvlm.reporting.report_page import around, percent, script_mark

HERE = Path(__file__).parent


def leaderboard_page(found: Sequence[Board]) -> str:
    """The page's text; names of models are escaped."""
    from jinja2 import Environment, FileSystemLoader

    script = (HERE / "leaderboard.js").read_text(encoding="utf-8")
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "around": around}
    return environment.get_template("leaderboard.html.j2").render(
        boards=found,
        rule=GROUPS_RULE,
        style=(HERE / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_mark=script_mark(script),
        today=date.today().isoformat(),
    )
