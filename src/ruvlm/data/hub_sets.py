"""A published data set: where it lives on the hub, which files a split needs, how many rows it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ruvlm.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class HubSet:
    """A published set. `patterns` are the files of each split; `rows` the published row counts of each kind of file."""

    name: str
    repo: str
    splits: Mapping[str, tuple[str, ...]]
    default: str
    licence: str
    rows: Mapping[str, int] = field(default_factory=dict)

    def wanted(self, files: Sequence[str], split: str) -> list[str]:
        """Those of a repository's files that a split needs. Raises ConfigError for a split the set does not have."""
        if split not in self.splits:
            raise ConfigError(f"У {self.name} нет части «{split}»: есть {', '.join(self.splits)}.")
        return [name for name in sorted(files) if any(_fits(name, mask) for mask in self.splits[split])]


def _fits(name: str, mask: str) -> bool:
    """Does a file's name follow a mask, folder by folder? An asterisk takes no slash."""
    parts, masks = name.split("/"), mask.split("/")
    return len(parts) == len(masks) and all(map(fnmatchcase, parts, masks))
