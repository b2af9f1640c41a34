"""What a stranger gets: the sdist and the wheel that is built from it, in a clean environment and without our constraints.

    python bench/first_install.py [--python PATH …] [--resolution newest|oldest] [--models SITE-PACKAGES] [--quick]

Builds both, compares what they hold with what git knows, installs the wheel into a new environment of each Python (with the newest
versions of what it depends on, or with the oldest that it allows) and runs it: doctor, a world, a check, an evaluation, a score, the
refusal of what needs models. With `--models`, where torch and transformers are, also ask, quickstart and a recipe. Needs nothing but
Python and the package index. Ends in one line of JSON; exits with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WITHOUT_MODELS = (
    ("doctor",),
    ("data", "world", "--out", "w", "--train-images", "30", "--scale", "0.02"),
    ("data", "check", "w"),
    ("eval", "majority", "--data", "w", "--out", "e"),
    ("score", "a.jsonl"),
    ("report", "e", "--data", "w", "--out", "r.html"),
    ("leaderboard", "build", "e", "--out", "site"),
    ("recipes",),
)
WITH_MODELS = (
    ("doctor",),
    ("ask", "nano", "p.png", "Что на картинке?"),
    ("quickstart", "--quick", "--out", "q", "--nano-steps", "15", "--cnn-steps", "5"),
    (
        "train",
        "nano_world",
        *(part for one in ('data.path="w"', 'results="r"', "train.max_steps=6") for part in ("--set", one)),
    ),
)
ANSWERS = '{"id": "1", "prediction": "кот", "gold": "кот"}\n{"id": "2", "prediction": "пёс", "gold": "кот"}\n'


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Ставит пакет так, как поставит чужой человек, и запускает.")
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="какими Python пробовать")
    parser.add_argument("--resolution", choices=("newest", "oldest"), default="newest", help="версии зависимостей")
    parser.add_argument("--models", type=Path, help="site-packages, где лежат torch и transformers")
    parser.add_argument("--quick", action="store_true", help="только собрать и сверить, что внутри")
    return parser.parse_args()


def call(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, cwd=cwd)


def picture() -> bytes:
    """A green PNG of 32 × 32 points."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + b"\x20\xa0\x40" * 32) * 32
    header = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def environment(python: str, folder: Path) -> Path:
    """A new one; its interpreter."""
    done = call(python, "-m", "venv", folder)
    if done.returncode:
        raise SystemExit(done.stderr)
    return folder / "bin" / "python"


def install(python: Path, *what: object) -> str:
    """Empty, or why it could not be installed."""
    done = call(
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--progress-bar", "off", *what
    )
    return done.stderr[-2000:] if done.returncode else ""


def built(place: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    tools = environment(sys.executable, place / "tools")
    problem = install(tools, "build")
    done = call(tools, "-m", "build", "--outdir", place / "dist", ROOT)
    if problem or done.returncode:
        raise SystemExit(problem or done.stdout[-2000:] + done.stderr[-2000:])
    (sdist,), (wheel,) = (place / "dist").glob("*.tar.gz"), (place / "dist").glob("*.whl")
    return sdist, wheel


def tracked(*places: str) -> set[str]:
    """Files that git knows, as far as they lie on the disk."""
    names = call("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", *places).stdout.splitlines()
    return {name for name in names if (ROOT / name).is_file()}


def differing(sdist: Path, wheel: Path) -> list[str]:
    """What is lacking or too much in either, and where a version is named otherwise."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(archive.read(n).decode() for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        licence = any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())
    with tarfile.open(sdist) as archive:
        kept = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {name.removeprefix("src/") for name in tracked("src")}
    parts = ("src", "tests", "bench", "docs", "notebooks", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt")
    problems = [f"в колесе нет {name}" for name in sorted(wanted - held)]
    problems += [f"в колесе лишнее: {name}" for name in sorted(held - wanted)]
    problems += [f"в sdist нет {name}" for name in sorted(tracked(*parts) - kept)]
    problems += [f"в sdist лишнее: {name}" for name in sorted(kept - tracked() - {"", "PKG-INFO"}) if "." in name]
    for words in ("License-Expression: Apache-2.0", f"Version: {PROJECT['version']}", "Requires-Python: >=3.11"):
        problems += [] if words in metadata else [f"в описании нет «{words}»"]
    problems += [] if licence else ["в колесе нет лицензии"]
    for name in ("CITATION.cff", "CHANGELOG.md", "docs/citing.md"):
        if PROJECT["version"] not in (ROOT / name).read_text(encoding="utf-8"):
            problems.append(f"в {name} не версия {PROJECT['version']}")
    return problems


def oldest() -> list[str]:
    """The oldest versions that the dependencies allow, as constraints."""
    pins = []
    for line in PROJECT["dependencies"]:
        match = re.match(r"([\w-]+)>=([\d.]+)", line)
        if match:
            pins.append(f"{match[1]}=={match[2]}")
    return pins


def tried(python: str, wheel: Path, given: argparse.Namespace, place: Path) -> list[str]:
    """What failed under one Python."""
    own = environment(python, place / "env")
    what: list[object] = [wheel]
    if given.resolution == "oldest":
        (place / "oldest.txt").write_text("\n".join(oldest()), encoding="utf-8")
        what += ["--constraint", place / "oldest.txt"]
    problem = install(own, *what)
    if problem:
        return [f"не поставилось: {problem}"]
    work = place / "work"
    work.mkdir()
    (work / "a.jsonl").write_text(ANSWERS, encoding="utf-8")
    (work / "p.png").write_bytes(picture())
    problems = [*ran(own, work, WITHOUT_MODELS), *refused(own, work)]
    if given.models is not None:
        (site,) = (place / "env" / "lib").glob("python*/site-packages")
        (site / "models.pth").write_text(str(given.models.resolve()), encoding="utf-8")
        problems += ran(own, work, WITH_MODELS)
    return problems


def ran(python: Path, work: Path, commands: tuple[tuple[str, ...], ...]) -> list[str]:
    problems = []
    for words in commands:
        done = call(python, "-W", "error::SyntaxWarning", "-m", "ruvlm", *words, cwd=work)
        # doctor's 1 names what is missing
        if done.returncode not in ((0, 1) if words[0] == "doctor" else (0,)) or "Traceback" in done.stderr:
            problems.append(f"ruvlm {' '.join(words)}: код {done.returncode}: {done.stderr[-400:]}")
    return problems


def refused(python: Path, work: Path) -> list[str]:
    """Without models, what needs them says so."""
    done = call(python, "-m", "ruvlm", "ask", "nano", "p.png", "Что?", cwd=work)
    fits = done.returncode == 2 and "ruvlm[models]" in done.stderr and "Traceback" not in done.stderr
    return [] if fits else [f"ask без torch: код {done.returncode}: {done.stderr[-300:]}"]


def main() -> int:
    given = parsed()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        sdist, wheel = built(place)
        problems = {"состав": differing(sdist, wheel)}
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} МБ, {sdist.name}: {sdist.stat().st_size / 1e6:.1f} МБ")
        for number, python in enumerate([] if given.quick else given.python):
            (place / str(number)).mkdir()
            label = call(python, "--version").stdout.strip()
            problems[f"{label}, {given.resolution}"] = tried(python, wheel, given, place / str(number))
    for where, said in problems.items():
        print(f"{where}: {'всё' if not said else ''}")
        for line in said:
            print(f"  {line}")
    print(
        json.dumps({where: len(said) for where, said in problems.items()} | {"quick": given.quick}, ensure_ascii=False)
    )
    return int(any(problems.values()))


if __name__ == "__main__":
    sys.exit(main())
