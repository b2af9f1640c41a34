"""The record table: who had the best model within a budget, when, and what changed; dated rows that a submission can top."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ruvlm.errors import ConfigError

FILE = Path(__file__).parent / "records.toml"


@dataclass(frozen=True)
class Track:
    """What is raced for: a budget in words, the rows' source and the fingerprint of their contents, the rule that counts."""

    name: str
    title: str
    source: str
    data: str
    rows: int
    rule: str


@dataclass(frozen=True, kw_only=True)
class BestSoFar:
    """One row: a figure in per cent that was the best on its track on its day."""

    track: str
    model: str
    who: str
    date: date
    value: float
    change: str
    command: str


def tracks() -> dict[str, Track]:
    """By name."""
    return {row["name"]: Track(**row) for row in tomllib.loads(FILE.read_text(encoding="utf-8"))["track"]}


def records(track: str = "") -> list[BestSoFar]:
    """Of a track, or of all, the best first. Raises ConfigError for a track that is none."""
    known = tracks()
    if track and track not in known:
        raise ConfigError(f"Дорожки «{track}» нет: есть {', '.join(known)}.")
    rows = [BestSoFar(**row) for row in tomllib.loads(FILE.read_text(encoding="utf-8"))["record"]]
    chosen = [row for row in rows if not track or row.track == track]
    return sorted(chosen, key=lambda row: (list(known).index(row.track), -row.value))
