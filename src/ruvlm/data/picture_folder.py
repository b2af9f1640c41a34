"""Pictures that annotations name, found in a folder: never outside it, and by the base name alone only where that is unique."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from ruvlm.files import inside

# where COCO's archives put a picture that is named without its folder
COCO_PLACES = (
    "train2017/{base}",
    "val2017/{base}",
    "train2014/COCO_train2014_{base}",
    "val2014/COCO_val2014_{base}",
    "COCO_train2014_{base}",
    "COCO_val2014_{base}",
)


class PictureFolder:
    """A folder of pictures for a file of annotations whose picture names are all known.

    `by_base` counts the pictures that were found by their base name, `outside` the names that lead out of the folder.
    """

    def __init__(self, folder: Path, names: Iterable[str], places: Sequence[str] = ()) -> None:
        self.folder, self._places = folder, places
        self._bases = Counter(_base(name) for name in dict.fromkeys(names))
        self._by_base_names: set[str] = set()
        self._outside_names: set[str] = set()

    def find(self, *names: str) -> Path | None:
        """The file that the first of the names that has one means; None if there is none."""
        for name in names:
            # a name without a folder is where COCO's archives put it, too
            places = [place.format(base=name) for place in self._places] if "/" not in name.replace("\\", "/") else []
            for place in (name, *places):
                path = inside(self.folder, place)
                if path is not None and _is_file(path):
                    return path
        bases = [_base(name) for name in names]
        for base in dict.fromkeys(bases):
            path = self._by_base(base) if base and self._bases[base] <= 1 else None
            if path is not None:
                self._by_base_names.add(base)
                return path
        self._outside_names.update(name for name in names if inside(self.folder, name) is None)
        return None

    @property
    def by_base(self) -> int:
        return len(self._by_base_names)

    @property
    def outside(self) -> int:
        return len(self._outside_names)

    def _by_base(self, base: str) -> Path | None:
        for place in self._places:
            path = inside(self.folder, place.format(base=base))
            if path is not None and _is_file(path):
                return path
        paths = self._files.get(base, [])
        return paths[0] if len(paths) == 1 else None

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """Every regular file below the folder by its base name; links out of it are none."""
        by_name: dict[str, list[Path]] = {}
        for root, _, names in os.walk(self.folder):
            for name in names:
                path = Path(root) / name
                if _is_file(path) and path.resolve().is_relative_to(self.folder.resolve()):
                    by_name.setdefault(name, []).append(path)
        return by_name


def _base(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/").split("?")[0]).name


def _is_file(path: Path) -> bool:
    """Is it a regular file? A name that no disk can hold is none."""
    try:
        return path.is_file()
    except OSError:
        return False
