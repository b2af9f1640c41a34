"""The whole audit of a folder: every split of every benchmark in it, then what the splits have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from ruvlm.audit import set_files
from ruvlm.audit.findings import Audit, Auditor, Checked, Fact, Finding, Findings, Task
from ruvlm.audit.leaks import Album, find_leaks
from ruvlm.audit.pictures import Picture, scan
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.source import open_source

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

    def look(paths: list[Path], key: str) -> list[Picture]:
        return list(scan(paths, key, count, progress)) if images else []

    for known, place in source.places.items():
        benchmark = benchmark_named(known)
        found = Findings()
        manifest = set_files.check_manifest(place.folder, found)
        checked = _auditor(benchmark.auditor)(Task(benchmark, place.folder, manifest, look, images, found))
        facts += checked.facts
        for split, pictures in checked.albums:
            distinct = {picture.mark: picture for picture in pictures}
            albums.append(Album(f"{benchmark.title} {split}", benchmark.common_split(split), tuple(distinct.values())))
        findings += found
    leaks = Findings()
    find_leaks(albums, leaks)
    return Audit((*findings, *leaks), tuple(facts))


def _auditor(address: str) -> Auditor:
    """A benchmark's own checks, imported now that they are asked for; none where it names none."""
    if not address:
        return lambda task: Checked()
    module, _, name = address.partition(":")
    auditor: Auditor = getattr(import_module(module), name)
    return auditor
