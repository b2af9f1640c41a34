"""What an audit says: findings with a count and a first case, and plain facts about the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
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


@dataclass
class Findings:
    """Collects cases by kind and place, in the order in which they were met."""

    as_published: bool = False
    _found: dict[tuple[str, str], list[object]] = field(default_factory=dict)

    def add(self, kind: Kind, where: str, case: str, count: int = 1) -> None:
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
