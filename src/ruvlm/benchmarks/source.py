"""From what a user names (a folder, «world») to data sets: which benchmarks are there, which files a split needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ruvlm.benchmarks.base import Place
from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
from ruvlm.benchmarks.cards.card_rows import place_of
from ruvlm.benchmarks.cards.carded import benchmark_of
from ruvlm.benchmarks.cards.guess_card import OpenedCard, open_card, open_table
from ruvlm.benchmarks.cards.guess_table import holds_tables
from ruvlm.benchmarks.cards.raw_rows import SUFFIXES, listed
from ruvlm.benchmarks.cards.read_card import card_values, read_card, shipped_cards
from ruvlm.benchmarks.catalog import benchmark_named, benchmarks, describe, house_benchmarks
from ruvlm.benchmarks.sample import sampled
from ruvlm.data.images import picture_files
from ruvlm.data.manifest import read_manifest, recorded_sums
from ruvlm.data.split_files import sha256_of
from ruvlm.errors import ConfigError, DataError
from ruvlm.files import sound
from ruvlm.runtime import collector_paused
from ruvlm.schema import Dataset, Example

WORLDS: MappingProxyType[str, str] = MappingProxyType({"world": "data/world-mini", "world-full": "data/world-full"})


@dataclass(frozen=True)
class Source:
    """A folder with data: where each benchmark is that it has. `guesses` are the cards that were not all there."""

    folder: Path
    places: dict[str, Place]
    guesses: tuple[OpenedCard, ...] = ()

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The names of those that it has."""
        return tuple(self.places)

    @property
    def label(self) -> str:
        """What the data of all its benchmarks are called."""
        return ", ".join(dict.fromkeys(place.label for place in self.places.values()))

    @property
    def graphs(self) -> Path | None:
        """Where scene graphs of its pictures may be."""
        return next((place.graphs for place in self.places.values()), None)

    def card_text(self, out: Path | None = None) -> str:
        """The card that was guessed, as the file `out` would say it. Raises ConfigError where none was."""
        if len(self.guesses) != 1:
            raise ConfigError(f"«{self.folder}» – не таблица без карточки: угадывать нечего.")
        return self.guesses[0].text(out)

    def guessed_questions(self) -> Iterator[str]:
        """Two questions of every guessed card as the model will see them, with their answers. Raises DataError."""
        for opened in self.guesses:
            first = benchmark_named(opened.card.name).protocols[0]
            examples = self.load(opened.card.name, opened.card.source.split).examples[:2]
            for example in examples:
                answers = ", ".join(example.answers)
                yield f"Вопрос {example.id}, как его увидит модель:\n{first.prompt(example).text}\n→ {answers}\n"

    def load(
        self, benchmark: str, split: str, grounding: bool = False, bare: bool = False, limit: int | None = None
    ) -> Dataset:
        """One split of one benchmark; with `bare`, no more than its questions and answers. Raises DataError.

        With `limit`, a seeded stratified sample of so many rows, whole rotation groups (see `sample`).
        """
        known, place = benchmark_named(benchmark), self._place(benchmark)
        with collector_paused():
            dataset = self._as_recorded(known.rows.load(place, known.own_split(split), grounding, bare))
            dataset = replace(dataset, files=picture_files(dataset.examples))
        return dataset if limit is None else sampled(dataset, limit)

    def _as_recorded(self, dataset: Dataset) -> Dataset:
        """The data set; where its files are not those that were made or fetched, it does not bear their name alone."""
        folder = self.places[dataset.name].folder
        base, sums = recorded_sums(folder)
        paths = benchmark_named(dataset.name).rows.files(folder, dataset.split)
        changed = [
            name
            for path in sorted(paths)
            if path.is_relative_to(base)
            and (name := str(path.relative_to(base))) in sums
            and sha256_of(path) != sums[name]
        ]
        if not changed:
            return dataset
        note = f"файлов не тех, что записаны при создании набора: {len(changed)} ({changed[0]}), это уже другие данные"
        return replace(dataset, source=f"{dataset.source} (изменён)", notes=(*dataset.notes, note))

    def stream(self, split: str) -> Iterator[Example]:
        """The examples of its first benchmark's split one by one, however large the set. Raises DataError."""
        name, place = next(iter(self.places.items()))
        known = benchmark_named(name)
        return known.rows.stream(place, known.own_split(split))

    def _place(self, benchmark: str) -> Place:
        if benchmark not in self.places:
            raise DataError(f"В {self.folder} нет набора {benchmark}: есть {', '.join(self.places)}.")
        return self.places[benchmark]


def open_source(name: str, skip_bad: bool = False) -> Source:
    """Find the data sets that a user names: a folder, a table, a card, a name here, or several of them with commas.

    With `skip_bad` a card's rows that cannot be asked are left out and counted.

    Raises DataError saying what to do when there are none.
    """
    folder = Path(name)
    if name.strip(", ") and "," in name and not folder.exists():
        return _together([open_source(part.strip(), skip_bad) for part in name.split(",") if part.strip()], name)
    if folder.suffix == ".toml":
        return _of_card(open_card(folder, skip_bad), skip_bad)
    if folder.is_file() or folder.suffix.lower() in SUFFIXES:
        return _of_card(open_table(folder, skip_bad), skip_bad)
    if name in shipped_cards() and not folder.is_dir():
        return _of_card(open_card(shipped_cards()[name], skip_bad), skip_bad)
    if not folder.is_dir():
        folder = Path(WORLDS.get(name, f"data/{name}" if name in benchmarks() else name))
    called = folder.resolve().name.rsplit("--", 1)[-1].lower()  # of a hub's cache the set's own name
    folder = _snapshot(folder)
    if not name.strip() or not folder.is_dir():
        hint = " или сделайте набор командой «ruvlm data world» либо «ruvlm data fetch»"
        if name in benchmarks():
            hint = f" или скачайте набор командой «ruvlm data fetch {name}»"
        elif name in WORLDS or "world" in name:
            level = "full" if "full" in name else "mini"
            hint = f" или нарисуйте мир командой «ruvlm data world --level {level} --out {folder}»"
        raise DataError(f"Папки с данными «{folder}» нет: проверьте путь{hint}.")
    folders = _house_folders(folder)
    if not folders and (folder / "dataset_info.json").is_file() and any(folder.glob("data-*.arrow")):
        raise DataError(
            f"{folder} – набор datasets.save_to_disk: здесь читается раскладка хаба. Скачайте набор командой ruvlm data fetch или "
            "сохраните его в parquet: load_from_disk(…).to_parquet(…)."
        )
    card = None if folders else _shipped(folder, called)
    if card is not None:
        return _of_card(OpenedCard(card=card), skip_bad, folder)
    own = [] if folders else _cards_in(folder)
    if len(own) > 1:
        raise DataError(
            f"В папке {folder} карточек {len(own)} ({', '.join(path.name for path in own)}): назовите одну."
        )
    if own:
        return _of_card(open_card(own[0], skip_bad), skip_bad)
    if not folders and holds_tables(folder):
        return _of_card(open_table(folder, skip_bad), skip_bad)
    if not folders:
        layouts = ", ни ".join(f"{known.name} ({known.rows.layout})" for known in house_benchmarks().values())
        raise DataError(f"В папке {folder} нет ни {layouts}: проверьте --data.")
    graph_places = (benchmark_named(name).rows.graphs(place) for name, place in folders.items())
    graphs = next((place for place in graph_places if place is not None), None)
    return Source(
        folder,
        {
            name: Place(folder=place, label=label_of(place, folder.name), graphs=graphs)
            for name, place in folders.items()
        },
    )


def open_by_card(card: Path, folder: Path | None, skip_bad: bool = False) -> Source:
    """The set that a card describes, its rows in a folder or where the card says, whatever else bears its name. Raises RuvlmError."""
    return _of_card(open_card(card), skip_bad, folder, replacing=True)


def _house_folders(folder: Path) -> dict[str, Path]:
    """Where in a folder each benchmark of the house is that it holds."""
    folders: dict[str, Path] = {}
    for known in house_benchmarks().values():
        for place in (folder / known.name, folder / known.title, folder):
            if known.name not in folders and place.is_dir() and known.rows.holds(place):
                folders[known.name] = place
    return folders


def _together(sources: list[Source], name: str) -> Source:
    """Several as one. Raises DataError where two hold the same benchmark."""
    places: dict[str, Place] = {}
    for source in sources:
        twice = [known for known in source.places if known in places]
        if twice:
            raise DataError(f"--data «{name}»: набор {twice[0]} назван дважды, оставьте один.")
        places |= source.places
    return Source(sources[0].folder, places, tuple(guess for source in sources for guess in source.guesses))


def _of_card(opened: OpenedCard, skip_bad: bool, folder: Path | None = None, replacing: bool = False) -> Source:
    """The benchmark that a card describes, known by its name from now on. Raises RuvlmError."""
    card = opened.card
    place = place_of(card) if folder is None else folder
    manifest = read_manifest(place) if place.is_dir() else None
    origin = f"{sound(manifest.label)}, " if manifest is not None else ""
    label = f"{origin}карточка {card.name} {card.rows_mark[:8]}"
    describe(benchmark_of(card, skip_bad), replacing)
    guesses = () if opened.guessed is None else (opened,)
    return Source(place, {card.name: Place(folder=place, label=label, graphs=None)}, guesses)


def _cards_in(folder: Path) -> list[Path]:
    """Files of TOML in a folder that are cards: a run's settings and a package's are none."""
    cards = []
    for path in sorted(folder.glob("*.toml")):
        try:
            cards += [path] if "schema" in (values := card_values(path)) and "benchmark" in values else []
        except DataError:
            continue
    return cards


def _shipped(folder: Path, named: str) -> BenchmarkCard | None:
    """The shipped card whose set a folder is: by its name here, or on the hub where one card alone is of that set."""
    cards = {name: card_values(path)["source"] for name, path in shipped_cards().items()}
    of_set = [name for name, source in cards.items() if source["repo"].rsplit("/", 1)[-1].lower() == named]
    name = named if named in cards else of_set[0] if len(of_set) == 1 else ""
    masks = [mask for globs in cards[name]["splits"].values() for mask in listed(globs)] if name else []
    return read_card(shipped_cards()[name]) if any(any(folder.glob(mask)) for mask in masks) else None


def _snapshot(folder: Path) -> Path:
    """Of a hub cache's folder (datasets--ORG--NAME) the snapshot that its main names, else the only one."""
    snapshots = sorted((folder / "snapshots").glob("*")) if (folder / "snapshots").is_dir() else []
    if not snapshots:
        return folder
    main = folder / "refs" / "main"
    named = folder / "snapshots" / main.read_text(encoding="utf-8").strip() if main.is_file() else snapshots[-1]
    return named if named.is_dir() else snapshots[-1]


def label_of(folder: Path, name: str) -> str:
    """«world-mini v1 seed 0», «deepvk/GQA-ru@revision», or «local» and `name`.

    A world's figures are never called a GQA-ru score.
    """
    for place in (folder, folder.parent):
        manifest = read_manifest(place)
        if manifest is not None:
            return sound(manifest.label)
        world = place / "world.json"
        if world.is_file():
            try:
                described = json.loads(world.read_text(encoding="utf-8"))
                return sound(f"world-{described['level']} v{described['version']} seed {described['seed']}")
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise DataError(f"Файл {world} повреждён ({error}): нарисуйте мир заново.") from error
    return f"local {name}"
