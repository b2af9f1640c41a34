"""The whole audit of a folder: every split of every benchmark in it, then the pictures that two splits share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from pathlib import Path

import numpy as np

from ruvlm.audit import set_files
from ruvlm.audit.findings import Audit, Auditor, Checked, Fact, Finding, FindingKind, Findings, Task
from ruvlm.audit.pictures import Picture, Scanner
from ruvlm.benchmarks.base import Benchmark
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.source import open_source

Progress = Callable[[int], None]
UNSEEN = FindingKind("no-auditor", "своего осмотра у набора нет, сверены только файлы", serious=False)


def audit(name: str, images: bool = True, workers: int = 0, progress: Progress | None = None) -> Audit:
    """Check a folder of data. With `images` false, tables only: a quick look.

    Raises DataError if there is no data set at all.
    """
    source = open_source(name)
    findings: list[Finding] = []
    facts: list[Fact] = []
    albums: list[Album] = []

    with Scanner(workers or os.cpu_count() or 1, progress) as scanner:

        def look(paths: list[Path], key: str) -> Iterator[Picture]:
            return scanner.pictures(paths, key) if images else iter(())

        for known, place in source.places.items():
            benchmark = benchmark_named(known)
            own = Findings()
            manifest = set_files.check_manifest(place.folder, own) if benchmark.hub is not None else None
            checked = _auditor(benchmark.auditor)(Task(benchmark, place.folder, manifest, look, images, own))
            facts += checked.facts
            for split, pictures in checked.albums:
                distinct = {picture.mark: picture for picture in pictures}
                albums.append(Album(benchmark, split, tuple(distinct.values())))
            findings += own
    leaks = Findings()
    find_leaks(albums, leaks)
    return Audit((*findings, *leaks), tuple(facts))


def _only_files(task: Task) -> Checked:
    task.findings.add(UNSEEN, task.benchmark.name, "строки и картинки не осмотрены")
    return Checked()


def _auditor(address: str) -> Auditor:
    """A benchmark's own checks, imported now that they are asked for; none where it names none."""
    if not address:
        return _only_files
    module, _, name = address.partition(":")
    auditor: Auditor = getattr(import_module(module), name)
    return auditor


SAME = FindingKind("leak-image", "картинка есть и в другой части")
NEAR = FindingKind("leak-near-image", "почти такая же картинка есть и в другой части")
# Bits of 64 in which the hashes of one picture, saved anew, may differ; and by how much (of 255, in any colour) any cell of
# its thumbnail may. Photographs saved as JPEG 20, halved or brightened differ by at most 14, drawn scenes by 28, with 2 % cut
# off on every side by about 48 (half of them), 64 (nine of ten); the closest pairs of different drawn scenes by 87.
BITS, SHADE = 10, 64
BLOCK = 256


@dataclass(frozen=True)
class Album:
    """The pictures of one split of one set. Sets of one split may share pictures, other splits may not."""

    benchmark: Benchmark
    split: str
    pictures: tuple[Picture, ...]

    @property
    def name(self) -> str:
        return f"{self.benchmark.title} {self.split}"

    @property
    def common_split(self) -> str:
        return self.benchmark.common_split(self.split)


def find_leaks(albums: list[Album], findings: Findings) -> None:
    """Between every two albums of different splits."""
    for a, b in combinations(albums, 2):
        if a.benchmark is b.benchmark or a.common_split != b.common_split:
            _between(a, b, findings)


def _between(a: Album, b: Album, findings: Findings) -> None:
    where = f"{a.name} и {b.name}"
    marks = {picture.mark: picture.name for picture in a.pictures if picture.mark}
    same = set()
    for picture in b.pictures:
        if picture.mark and picture.mark in marks:
            findings.add(SAME, where, f"{marks[picture.mark]} и {picture.name}")
            same.add(picture.mark)
    left = _distinct([p for p in a.pictures if p.thumb and p.mark not in same])
    right = _distinct([p for p in b.pictures if p.thumb and p.mark not in same])
    if not left or not right:
        return
    hashes = np.array([p.phash for p in left], dtype=np.uint64)
    thumbs = np.stack([np.frombuffer(p.thumb, np.uint8) for p in left]).reshape(len(left), -1)
    for start in range(0, len(right), BLOCK):
        block = right[start : start + BLOCK]
        bits = np.bitwise_count(np.array([p.phash for p in block], dtype=np.uint64)[:, None] ^ hashes[None, :])
        for row, column in zip(*np.nonzero(bits <= BITS), strict=True):
            mine = np.frombuffer(block[row].thumb, np.uint8).astype(np.int16)
            if np.abs(mine - thumbs[column].astype(np.int16)).max() <= SHADE:
                findings.add(NEAR, where, f"{left[column].name} и {block[row].name}")


def _distinct(pictures: list[Picture]) -> list[Picture]:
    return list({picture.mark: picture for picture in pictures}.values())
