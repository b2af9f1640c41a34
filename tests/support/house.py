"""Where things are, what a command gives, and a run that takes seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
RECIPES = ROOT / "src" / "ruvlm" / "recipes"


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str


def tiny(name: str, world: Path, results: Path) -> list[str]:
    """Overrides that make a run a matter of seconds."""
    return [
        f'results="{results}"',
        f'data.path="{world}"',
        "train.max_steps=12",
        "train.images_per_step=4",
        "train.validations=2",
        f'name="{name}"',
    ]
