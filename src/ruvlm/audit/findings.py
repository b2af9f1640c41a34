"""What an audit says, findings with a count and a first case and plain facts, and what a benchmark's own part of it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruvlm.audit import text
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
    """A fault that one row shows by itself, and the field that it is seen in.

    `reads` are the fields that decide it: rows alike in these are looked at once. None: all may.
    """

    kind: FindingKind
    holds: Callable[[dict[str, Any]], bool]
    field: str = "question"
    reads: tuple[str, ...] = ()


class Rulebook:
    """Rules over many rows, of which most repeat what others say."""

    def __init__(self, rules: Sequence[RowRule]) -> None:
        self._order = {id(rule): n for n, rule in enumerate(rules)}
        self._groups: dict[tuple[str, ...], list[RowRule]] = {}
        for rule in rules:
            self._groups.setdefault(rule.reads, []).append(rule)
        self._known: dict[tuple[str, ...], dict[object, tuple[RowRule, ...]]] = {reads: {} for reads in self._groups}

    def faults(self, row: dict[str, Any]) -> list[RowRule]:
        """The rules that a row breaks, in their order, each kind once."""
        broken = [rule for reads in self._groups for rule in self._of(reads, row)]
        kinds = {rule.kind.code: rule for rule in sorted(broken, key=lambda rule: -self._order[id(rule)])}
        return sorted(kinds.values(), key=lambda rule: self._order[id(rule)]) if broken else broken

    def _of(self, reads: tuple[str, ...], row: dict[str, Any]) -> tuple[RowRule, ...]:
        rules = self._groups[reads]
        if not reads:
            return tuple(rule for rule in rules if rule.holds(row))
        known = self._known[reads]
        # a field that is not there is not one that is empty
        key: object = row.get(reads[0], self) if len(reads) == 1 else tuple([row.get(name, self) for name in reads])
        try:
            broken = known.get(key)
        except TypeError:  # a list or a table in a cell
            key = repr(key)
            broken = known.get(key)
        if broken is None:
            broken = known[key] = tuple(rule for rule in rules if rule.holds(row))
        return broken


def text_rules(kind: FindingKind, holds: Callable[[str], bool], *fields: str) -> tuple[RowRule, ...]:
    """A fault of the text of any of these fields."""
    return tuple(RowRule(kind, partial(_holds_of, holds, name), name, (name,)) for name in fields)


def _holds_of(holds: Callable[[str], bool], name: str, row: dict[str, Any]) -> bool:
    return holds("" if text.blank(row.get(name)) else str(row[name]))


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
    look: Callable[[list[Path], str], Iterator[Picture]]
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
