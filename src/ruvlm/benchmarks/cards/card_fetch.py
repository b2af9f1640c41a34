"""What a card's data are on the hub: its own set, those joined to it, and of its pictures the ones that its rows name."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.card_pictures import picture_bytes
from ruvlm.benchmarks.cards.guess_table import source_card
from ruvlm.benchmarks.cards.raw_rows import files_of, listed, missing, raw_rows
from ruvlm.benchmarks.cards.read_card import card_of, card_values, shipped_cards
from ruvlm.data.hub_sets import HubSet
from ruvlm.errors import ConfigError


@dataclass(frozen=True)
class CardPart:
    """A set of the hub that a card needs, the folder beside the others where it goes, the revision it is pinned to."""

    hub: HubSet
    folder: str
    revision: str


def card_to_fetch(name: str) -> BenchmarkCard | None:
    """The card of a name here or of a file; None for anything else. Raises DataError, ConfigError for one beside its data."""
    path = shipped_cards().get(name.lower()) or (Path(name) if name.endswith(".toml") else None)
    if path is None:
        return None
    values = card_values(path)
    # columns that are guessed are guessed when the rows are there
    card = card_of(values, path) if "columns" in values and "protocol" in values else source_card(values, path)
    if not card.source.repo:
        raise ConfigError(f"Карточка {path}: её данные лежат рядом (source.path), качать нечего.")
    return card


def parts_of_card(card: BenchmarkCard) -> list[CardPart]:
    """Its tables with whatever is joined to them, the sets of others first."""
    source = card.source
    joins = [join for join in source.joins if not join.path]
    own = [join for join in joins if join.repo in ("", source.repo)]
    parts = [
        CardPart(
            HubSet(
                name=join.repo.rsplit("/", 1)[-1],
                repo=join.repo,
                splits={split: join.files or join.splits.get(split, ()) for split in source.splits},
                default=source.split,
                licence=card.licence,
            ),
            join.repo.rsplit("/", 1)[-1],
            join.revision,
        )
        for join in joins
        if join not in own
    ]
    archive = (source.images,) if source.images.endswith(".zip") else ()
    splits = {
        split: (*masks, *archive, *(mask for join in own for mask in join.files or join.splits.get(split, ())))
        for split, masks in source.splits.items()
    }
    hub = HubSet(name=card.name, repo=source.repo, splits=splits, default=source.split, licence=card.licence)
    return [*parts, CardPart(hub, card.name, source.revision)]


def with_named_pictures(card: BenchmarkCard, part: CardPart, base: Path, splits: Sequence[str]) -> CardPart | None:
    """The card's own part with the pictures that rows already fetched name by a path; None where they name none."""
    masks = {split: [*names, *_named(card, base, split)] for split, names in part.hub.splits.items() if split in splits}
    if all(len(masks[split]) == len(part.hub.splits[split]) for split in masks):
        return None
    hub = HubSet(
        name=part.hub.name,
        repo=part.hub.repo,
        splits={split: tuple(names) for split, names in masks.items()},
        default=part.hub.default,
        licence=part.hub.licence,
    )
    return CardPart(hub, part.folder, part.revision)


def _named(card: BenchmarkCard, base: Path, split: str) -> list[str]:
    """Where in the repository the pictures may be that rows name: beside the table, or in `images`."""
    source = card.source
    if source.images.endswith(".zip"):
        return []
    beside = files_of(card, base, split)[0].parent.relative_to(base)
    folders = [beside, Path(source.images) / source.images_root] if source.images else [beside]
    values = (
        one for raw in raw_rows(card, base, split) for path in card.columns.images for one in listed(raw.get(path))
    )
    names = dict.fromkeys(
        value for value in values if isinstance(value, str) and not missing(value) and picture_bytes(value) is None
    )
    return [glob.escape((folder / name).as_posix()) for name in names for folder in folders]
