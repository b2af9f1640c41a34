"""A report of as many rows as the published sets have: how long to build, how large, how soon a browser shows it.

python bench/report_speed.py [--quick]: random answers to a mini world cut to 12,216 + 3,910 rows, two models; needs Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.browsing import browsing

from ruvlm.world.export import build, plans

SCALE = 1.05  # 418 pictures of 30 questions and 1,164 groups: no fewer rows than the published sets have


def seconds_to(command: list[str], here: Path) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ruvlm", *command], cwd=here, check=True, capture_output=True)
    return time.perf_counter() - started


def first_views(page_file: Path, runs: int) -> list[float]:
    """Seconds from navigation to the summary's table on the screen."""
    found = []
    for _ in range(runs):
        with browsing() as page:
            started = time.perf_counter()
            page.goto(page_file.as_uri())
            page.locator("table").first.wait_for()
            found.append(time.perf_counter() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        build("mini", here / "world", 1, os.cpu_count() or 1, plans("mini", 300, 0.05 if quick else SCALE))
        rows = 0
        for model in ("nano", "majority"):
            for protocol in ("gqa-ru/lmms", "mmbench-ru/lmms"):
                out = here / model
                seconds_to(
                    ["eval", model, "--data", "world", "--protocol", protocol, "--no-controls", "--out", str(out)], here
                )
        for summary in (here / "nano").glob("*/summary.json"):
            rows += json.loads(summary.read_text(encoding="utf-8"))["n"]
        built = [
            seconds_to(["report", "nano", "majority", "--data", "world", "--out", "report.html"], here)
            for _ in range(3)
        ]
        size = (here / "report.html").stat().st_size
        views = first_views(here / "report.html", 5)
    print(
        f"строк {rows} × 2 модели; собран за {statistics.median(built):.1f} с; {size / 1e6:.1f} МБ; виден через {statistics.median(views):.2f} с"
    )
    print(
        json.dumps(
            {
                "rows": rows,
                "build_s": round(statistics.median(built), 2),
                "megabytes": round(size / 1e6, 2),
                "first_view_s": round(statistics.median(views), 2),
                "slowest_view_s": round(max(views), 2),
                "quick": quick,
            }
        )
    )


if __name__ == "__main__":
    main()
