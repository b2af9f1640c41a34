"""What an audit says, findings with a count and a first case and plain facts, and what a benchmark's own part of it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruvlm.benchmarks.base import Benchmark
from ruvlm.data.manifest import Manifest

if TYPE_CHECKING:
    from ruvlm.audit.pictures import Picture


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding. `serious` would change a score; `known` is dirt that the published sets have as published."""

    code: str
    says: str
    serious: bool = True
    known: bool = False


@dataclass(frozen=True)
class Finding:
    """One kind found in one place: how often, and the first case."""

    code: str
    where: str
    says: str
    count: int
    first: str
    serious: bool


@dataclass(frozen=True)
class RowRule:
    """A fault that one row shows by itself, and the field that it is seen in."""

    kind: FindingKind
    holds: Callable[[dict[str, Any]], bool]
    field: str = "question"


@dataclass
class Findings:
    """Collects cases by kind and place, in the order in which they were met."""

    as_published: bool = False
    _found: dict[tuple[str, str], list[object]] = field(default_factory=dict)

    def add(self, kind: FindingKind, where: str, case: str, count: int = 1) -> None:
        serious = kind.serious and not (kind.known and self.as_published)
        says = f"{kind.says} (известно у опубликованного набора)" if kind.known and self.as_published else kind.says
        entry = self._found.setdefault((kind.code, where), [0, case, says, serious])
        entry[0] += count  # type: ignore[operator]

    def __iter__(self) -> Iterator[Finding]:
        for (code, where), (count, first, says, serious) in self._found.items():
            yield Finding(code, where, str(says), int(count), str(first)[:160], bool(serious))  # type: ignore[call-overload]


@dataclass(frozen=True)
class Fact:
    """A figure about a split that is neither right nor wrong."""

    where: str
    name: str
    value: str


@dataclass(frozen=True)
class Audit:
    """All that was found, and the facts."""

    findings: tuple[Finding, ...]
    facts: tuple[Fact, ...]

    @property
    def serious(self) -> bool:
        return any(finding.serious for finding in self.findings)


COUNT = FindingKind("row-count", "строк не столько, сколько опубликовано")


@dataclass(frozen=True)
class Task:
    """A benchmark's folder to check; what is odd goes into `findings`.

    `look(files, column)` gives the pictures of parquet files by what the column calls them, none at all where `images` are not
    looked at.
    """

    benchmark: Benchmark
    folder: Path
    manifest: Manifest | None
    look: Callable[[list[Path], str], list[Picture]]
    images: bool
    findings: Findings

    def count(self, key: str, rows: int) -> None:
        """Against the published counts, where the folder says that it is the published set."""
        published = self.benchmark.hub.rows.get(key) if self.benchmark.hub is not None else None
        if self.manifest is not None and self.manifest.kind == "hub" and published is not None and rows != published:
            self.findings.add(COUNT, key, f"{rows}, а опубликовано {published}")


@dataclass
class Checked:
    """The facts of a benchmark's splits, and the pictures of each of them by its name."""

    facts: list[Fact] = field(default_factory=list)
    albums: list[tuple[str, list[Picture]]] = field(default_factory=list)


Auditor = Callable[[Task], Checked]
