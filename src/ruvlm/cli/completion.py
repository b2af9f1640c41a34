"""What Tab offers for the values of arguments and options: names that are known here, and folders that begin so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

CONTROLS = ("majority", "random", "question-only")
CHANGED = ("blind:", "no-picture:", "guess:", "shuffled:")


def splits(incomplete: str) -> list[str]:
    """The usual splits."""
    return _begun(incomplete, ("test", "val", "holdout", "train", "dev", "testdev"))


def levels(incomplete: str) -> list[str]:
    """Of the embedded world."""
    return _begun(incomplete, ("mini", "full"))


def devices(incomplete: str) -> list[str]:
    """What a model may be put on."""
    return _begun(incomplete, ("auto", "cpu", "cuda", "mps"))


def protocols(incomplete: str) -> list[str]:
    """Of the benchmarks of the house and of the shipped cards."""
    from ruvlm.benchmarks.cards.read_card import shipped_cards
    from ruvlm.benchmarks.catalog import benchmark_or_none, protocols

    for name in shipped_cards():
        benchmark_or_none(name)
    return _begun(incomplete, protocols())


def readers(incomplete: str) -> list[str]:
    """Rules that read a letter."""
    from ruvlm.rules.named import READERS

    return _begun(incomplete, READERS)


def matchers(incomplete: str) -> list[str]:
    """Rules that match a short answer."""
    from ruvlm.rules.named import MATCHERS

    return _begun(incomplete, MATCHERS)


def recipes(incomplete: str) -> list[str]:
    """The packaged recipes, files of settings, and folders of runs."""
    from ruvlm.config import RECIPES

    return [*_begun(incomplete, sorted(path.stem for path in RECIPES.glob("*.toml"))), *_paths(incomplete)]


def models(incomplete: str) -> list[str]:
    """The packaged model, ways to name others, controls, and folders."""
    from ruvlm.checkpoint import PACKAGED
    from ruvlm.registry import BACKENDS

    schemes = (f"{scheme}:" for scheme in BACKENDS)
    return [*_begun(incomplete, (*PACKAGED, *CONTROLS, *schemes, *CHANGED)), *_paths(incomplete)]


def sets(incomplete: str) -> list[str]:
    """Data: the worlds, benchmarks with a name, and folders; of several after commas, the last."""
    from ruvlm.benchmarks.cards.read_card import shipped_cards
    from ruvlm.benchmarks.catalog import house_benchmarks
    from ruvlm.benchmarks.source import WORLDS

    before, comma, last = incomplete.rpartition(",")
    names = (*WORLDS, *house_benchmarks(), *shipped_cards())
    return [f"{before}{comma}{name}" for name in (*_begun(last, names), *_paths(last))]


def tracks(incomplete: str) -> list[str]:
    """Of the record table."""
    from ruvlm.reporting.records import tracks as known

    return _begun(incomplete, known())


def benchmarks(incomplete: str) -> list[str]:
    """Those that can be fetched by name."""
    from ruvlm.benchmarks.catalog import hub_sets

    return _begun(incomplete, hub_sets())


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _paths(incomplete: str) -> list[str]:
    """Folders and files that begin so; a folder ends in a slash."""
    start = Path(incomplete)
    folder, beginning = (start, "") if incomplete.endswith("/") else (start.parent, start.name)
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.startswith(beginning) and path.name[:1] != "."]
    return sorted(f"{path}/" if path.is_dir() else str(path) for path in found)
