"""What was left out on the way from annotations to questions, counted for the person."""

from __future__ import annotations

from collections import Counter


class Skipped:
    """Counts of what was left out, by reason, each with the first case of it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.firsts: dict[str, str] = {}

    def add(self, reason: str, case: str) -> None:
        self.counts[reason] += 1
        self.firsts.setdefault(reason, case)

    def add_count(self, reason: str, count: int) -> None:
        """A reason that has no one case to show."""
        self.counts[reason] += count

    def lines(self) -> list[str]:
        return [
            f"{reason}: {count}" + (f" (первый случай: {self.firsts[reason]})" if reason in self.firsts else "")
            for reason, count in self.counts.items()
        ]
