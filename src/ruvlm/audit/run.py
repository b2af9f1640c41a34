"""The whole audit of a folder: every split of every benchmark in it, then what the splits have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ruvlm.audit import files, gqa, mmbench
from ruvlm.audit.findings import Audit, Fact, Finding, Findings
from ruvlm.audit.leaks import Album, find_leaks
from ruvlm.audit.pictures import Picture, report, scan
from ruvlm.data.catalog import HUB_NAMES, open_source
from ruvlm.schema import Benchmark

Progress = Callable[[int], None]


def audit(name: str, images: bool = True, workers: int = 0, progress: Progress | None = None) -> Audit:
    """Check a folder of data. With `images` false, tables only: a quick look.

    Raises DataError if there is no data set at all.
    """
    source = open_source(name)
    findings: list[Finding] = []
    facts: list[Fact] = []
    albums: list[Album] = []
    count = workers or os.cpu_count() or 1
    for benchmark, folder in source.folders.items():
        found = Findings()
        manifest = files.check_manifest(folder, found)
        if benchmark == "gqa-ru":
            for split in _splits(folder):
                rows, usable = gqa.check_split(folder, split, manifest, found)
                pictures = list(scan(usable, "id", count, progress)) if images else []
                if images:
                    report(pictures, f"gqa-ru {split}", found)
                    gqa.check_images(rows, pictures, split, manifest, found)
                    albums.append(_album(benchmark, split, pictures))
                facts += gqa.facts(rows, len(pictures) or len({str(r.get("imageId")) for r in rows}), split, found)
        else:
            for path in sorted(folder.glob("mmbench_ru_*.parquet")):
                split = path.stem.removeprefix("mmbench_ru_")
                choices = mmbench.check_file(path, manifest, found)
                if not choices:
                    continue
                pictures = list(scan([path], "index", count, progress)) if images else []
                if images:
                    report(pictures, f"mmbench-ru {split}", found)
                    albums.append(_album(benchmark, split, pictures))
                mmbench.check_groups(choices, pictures, f"mmbench-ru {split}", found)
                facts += mmbench.facts(choices, f"mmbench-ru {split}", found)
        findings += found
    leaks = Findings()
    find_leaks(albums, leaks)
    return Audit((*findings, *leaks), tuple(facts))


def _splits(folder: Path) -> list[str]:
    return sorted({path.name.split("_balanced_")[0] for path in folder.glob("*_balanced_*") if path.is_dir()})


def _album(benchmark: Benchmark, split: str, pictures: list[Picture]) -> Album:
    own = "testdev" if split == "dev" else split
    distinct = {picture.mark: picture for picture in pictures}
    return Album(f"{HUB_NAMES[benchmark]} {split}", own, tuple(distinct.values()))
