"""From what a user names (a folder, «world») to data sets: which benchmarks are there, which files a split needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ruvlm.data import gqa_ru, mmbench_ru
from ruvlm.data.annotations import objects_by_image
from ruvlm.data.files import sha256_of, split_files
from ruvlm.data.manifest import read_manifest, recorded_sums
from ruvlm.data.sample import sampled
from ruvlm.errors import DataError
from ruvlm.files import sound
from ruvlm.schema import Benchmark, Dataset, Example

ALIASES: MappingProxyType[str, str] = MappingProxyType(
    {
        "world": "data/world-mini",
        "world-full": "data/world-full",
        "gqa-ru": "data/gqa-ru",
        "mmbench-ru": "data/mmbench-ru",
    }
)
# what a clone of the hub's repository is called
HUB_NAMES: MappingProxyType[Benchmark, str] = MappingProxyType({"gqa-ru": "GQA-ru", "mmbench-ru": "MMBench-ru"})
# a user's split name -> each benchmark's own
SPLITS: MappingProxyType[str, dict[Benchmark, str]] = MappingProxyType(
    {
        "test": {"gqa-ru": "testdev", "mmbench-ru": "dev"},
        "testdev": {"gqa-ru": "testdev", "mmbench-ru": "dev"},
        "dev": {"gqa-ru": "testdev", "mmbench-ru": "dev"},
        **{name: {"gqa-ru": name, "mmbench-ru": name} for name in ("train", "val", "holdout")},
    }
)


@dataclass(frozen=True)
class Source:
    """A place with data: folders of the benchmarks it has, and what figures on it must be called."""

    folder: Path
    labels: dict[Benchmark, str]
    folders: dict[Benchmark, Path]

    @property
    def label(self) -> str:
        """What the data of all its benchmarks are called."""
        return ", ".join(dict.fromkeys(self.labels.values()))

    def load(
        self, benchmark: Benchmark, split: str, grounding: bool = False, bare: bool = False, limit: int | None = None
    ) -> Dataset:
        """One split of one benchmark; with `bare`, no more than its questions and answers. Raises DataError.

        With `limit`, a seeded stratified sample of so many rows, whole rotation groups (see `sample`).
        """
        found = self._as_recorded(self._loaded(benchmark, split, grounding, bare))
        return found if limit is None else sampled(found, limit)

    def _as_recorded(self, dataset: Dataset) -> Dataset:
        """The data set; where its files are not those that were made or fetched, it does not bear their name alone."""
        base, sums = recorded_sums(self.folders[dataset.name])
        paths = {example.image.path for example in dataset.examples}
        if dataset.name == "gqa-ru":
            paths |= set(split_files(self.folders["gqa-ru"], f"{dataset.split}_balanced_instructions", dataset.split))
        changed = [
            name for path in sorted(paths)
            if path.is_relative_to(base) and (name := str(path.relative_to(base))) in sums and sha256_of(path) != sums[name]
        ]  # fmt: skip
        if not changed:
            return dataset
        note = f"файлов не тех, что записаны при создании набора: {len(changed)} ({changed[0]}), это уже другие данные"
        return replace(dataset, source=f"{dataset.source} (изменён)", notes=(*dataset.notes, note))

    def stream(self, split: str) -> Iterator[Example]:
        """The GQA-ru examples of a split one by one: the first comes at once, however large the set. Raises DataError."""
        if "gqa-ru" not in self.folders:
            raise DataError(f"В {self.folder} нет набора gqa-ru: есть {', '.join(self.folders)}.")
        return gqa_ru.stream(self.folders["gqa-ru"], SPLITS.get(split, {}).get("gqa-ru", split))

    def _loaded(self, benchmark: Benchmark, split: str, grounding: bool, bare: bool) -> Dataset:
        if benchmark not in self.folders:
            raise DataError(f"В {self.folder} нет набора {benchmark}: есть {', '.join(self.folders)}.")
        own = SPLITS.get(split, {}).get(benchmark, split)
        if benchmark == "gqa-ru":
            found = gqa_ru.load(self.folders[benchmark], own, self.labels[benchmark], grounding, bare)
            known = None if bare or grounding else gqa_ru.answer_vocabulary(self.folders[benchmark])
            return replace(found, vocabulary=known)
        scenes = objects_by_image(self.folders["gqa-ru"], own) if grounding and "gqa-ru" in self.folders else None
        return mmbench_ru.load(self.folders[benchmark], own, self.labels[benchmark], scenes)


def open_source(name: str) -> Source:
    """Find the data sets that a user names. Raises DataError saying what to do when there are none."""
    folder = Path(name)
    if not folder.is_dir():
        folder = Path(ALIASES.get(name, name))
    folder = _snapshot(folder)
    if not name.strip() or not folder.is_dir():
        hint = " или сделайте набор командой «ruvlm data world» либо «ruvlm data fetch»"
        if name in HUB_NAMES:
            hint = f" или скачайте набор командой «ruvlm data fetch {name}»"
        elif name in ALIASES or "world" in name:
            level = "full" if "full" in name else "mini"
            hint = f" или нарисуйте мир командой «ruvlm data world --level {level} --out {folder}»"
        raise DataError(f"Папки с данными «{folder}» нет: проверьте путь{hint}.")
    checks: dict[Benchmark, Callable[[Path], bool]] = {"gqa-ru": _is_gqa, "mmbench-ru": _is_mmbench}
    folders: dict[Benchmark, Path] = {}
    for benchmark, check in checks.items():
        for place in (folder / benchmark, folder / HUB_NAMES[benchmark], folder):
            if benchmark not in folders and place.is_dir() and check(place):
                folders[benchmark] = place
    if not folders and (folder / "dataset_info.json").is_file() and any(folder.glob("data-*.arrow")):
        raise DataError(
            f"{folder} – набор datasets.save_to_disk: здесь читается раскладка хаба. Скачайте набор командой ruvlm data fetch или "
            "сохраните его в parquet: load_from_disk(…).to_parquet(…)."
        )
    if not folders:
        raise DataError(
            f"В папке {folder} нет ни gqa-ru (папки *_balanced_instructions), ни mmbench-ru (mmbench_ru_*.parquet): "
            "проверьте --data."
        )
    return Source(folder, {name: label_of(place, folder.name) for name, place in folders.items()}, folders)


def _snapshot(folder: Path) -> Path:
    """Of a hub cache's folder (datasets--ORG--NAME) the snapshot that its main names, else the only one."""
    snapshots = sorted((folder / "snapshots").glob("*")) if (folder / "snapshots").is_dir() else []
    if not snapshots:
        return folder
    main = folder / "refs" / "main"
    named = folder / "snapshots" / main.read_text(encoding="utf-8").strip() if main.is_file() else snapshots[-1]
    return named if named.is_dir() else snapshots[-1]


def _is_gqa(folder: Path) -> bool:
    return any(folder.glob("*_balanced_instructions"))


def _is_mmbench(folder: Path) -> bool:
    return any(folder.glob("mmbench_ru_*.parquet"))


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
                found = json.loads(world.read_text(encoding="utf-8"))
                return sound(f"world-{found['level']} v{found['version']} seed {found['seed']}")
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                raise DataError(f"Файл {world} повреждён ({error}): нарисуйте мир заново.") from error
    return f"local {name}"
