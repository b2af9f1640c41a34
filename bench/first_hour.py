"""What a stranger meets in the first hour, in figures: lines that eval prints, seconds of ask and of data check, the light installation.

python bench/first_hour.py [--world data/world-mini] [--install] [--runs 3]

`--install` makes a fresh virtual environment and installs the package into it without models (needs a package index).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def ruvlm(*arguments: object) -> tuple[str, float, float]:
    """All that a command prints, and its seconds: processor's and by the clock."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "ruvlm", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout + done.stderr, spent, time.perf_counter() - started


def installed(place: Path) -> tuple[int, float]:
    """(MB of site-packages without pip and setuptools, seconds) of the light installation in a fresh environment."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    started = time.perf_counter()
    subprocess.run([str(python), "-m", "pip", "install", "-q", str(ROOT)], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    own = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    files = [f for f in place.rglob("site-packages/*") if not f.name.startswith(own)]
    size = sum(f.stat().st_size for top in files for f in ([top] if top.is_file() else top.rglob("*")) if f.is_file())
    subprocess.run(
        [str(python), "-c", "import ruvlm; ruvlm.score; import sys; assert 'torch' not in sys.modules"], check=True
    )
    return round(size / 1e6), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, default=Path("data/world-mini"))
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, float] = {"readme_lines": len((ROOT / "README.md").read_text(encoding="utf-8").splitlines())}
    with tempfile.TemporaryDirectory() as name:
        scene = ROOT / "docs" / "images" / "scene.png"
        asked = [ruvlm("ask", "nano", scene, "Кто в рубашке?")[1] for _ in range(arguments.runs)]
        figures["ask_cpu_seconds"] = round(statistics.median(asked), 2)
        if arguments.world.is_dir():
            checked = [ruvlm("data", "check", arguments.world)[2] for _ in range(arguments.runs)]
            figures["data_check_seconds"] = round(statistics.median(checked), 1)
            printed = ruvlm("eval", "nano", "--data", arguments.world, "--limit", 300, "--out", Path(name) / "eval")[0]
            lines = [line for line in printed.splitlines() if not line.startswith("спрашиваю")]
            figures["eval_lines"] = len(lines)
            figures["eval_table_columns"] = max(len(line.rstrip()) for line in lines if line.startswith(("gqa", "mmb")))
        if arguments.install:
            figures["base_mb"], seconds = installed(Path(name) / "venv")
            figures["base_install_seconds"] = round(seconds, 1)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
