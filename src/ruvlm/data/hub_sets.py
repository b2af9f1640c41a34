"""The published data sets: where each one lives on the hub, which files a split needs, how many rows it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from ruvlm.errors import ConfigError


@dataclass(frozen=True)
class HubSet:
    """A published set. `patterns` are the files of each split; `rows` the published row counts of each kind of file."""

    name: str
    repo: str
    splits: MappingProxyType[str, tuple[str, ...]]
    default: str
    rows: MappingProxyType[str, int]
    licence: str

    def wanted(self, files: Sequence[str], split: str) -> list[str]:
        """Those of a repository's files that a split needs. Raises ConfigError for a split the set does not have."""
        if split not in self.splits:
            raise ConfigError(f"У {self.name} нет части «{split}»: есть {', '.join(self.splits)}.")
        return [name for name in sorted(files) if any(_fits(name, mask) for mask in self.splits[split])]


def _fits(name: str, mask: str) -> bool:
    """Does a file's name follow a mask, folder by folder? An asterisk takes no slash."""
    parts, masks = name.split("/"), mask.split("/")
    return len(parts) == len(masks) and all(map(fnmatchcase, parts, masks))


def _gqa(split: str) -> tuple[str, ...]:
    return tuple(f"{split}_balanced_{kind}/{split}-*.parquet" for kind in ("instructions", "images"))


HUB_SETS: MappingProxyType[str, HubSet] = MappingProxyType(
    {
        found.name: found
        for found in (
            HubSet(
                "gqa-ru", "deepvk/GQA-ru",
                MappingProxyType({"testdev": _gqa("testdev"), "train": _gqa("train")}), "testdev",
                MappingProxyType({
                    "testdev_balanced_instructions": 12_216, "testdev_balanced_images": 398,
                    "train_balanced_instructions": 40_000, "train_balanced_images": 27_519,
                }),
                "Apache-2.0",
            ),
            HubSet(
                "mmbench-ru", "deepvk/MMBench-ru", MappingProxyType({"dev": ("mmbench_ru_dev.parquet",)}), "dev",
                MappingProxyType({"mmbench_ru_dev": 3_910}), "Apache-2.0",
            ),
            HubSet(
                "llava-instruct-ru", "deepvk/LLaVA-Instruct-ru",
                MappingProxyType({"train": ("llava_instruct_ru_train.json",), "val": ("llava_instruct_ru_val.json",)}), "train",
                MappingProxyType({}), "Apache-2.0",
            ),
        )
    }
)  # fmt: skip


def hub_set(name: str) -> HubSet:
    """A set by its name here or on the hub. Raises ConfigError that lists them."""
    import difflib

    for found in HUB_SETS.values():
        if name.lower() in (found.name, found.repo.lower()):
            return found
    near = difflib.get_close_matches(name.lower(), HUB_SETS, 1)
    hint = f" Может быть, «{near[0]}»?" if near else ""
    raise ConfigError(f"Набора «{name}» на хабе не знаю: есть {', '.join(HUB_SETS)}.{hint}")
