"""One evaluation on many processes: torchrun gives each its rank, each asks about its own pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Ranks:
    """A process's place among `size` of them. The first one writes what all share."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def owns(self, group: int) -> bool:
        """Is a group of rows, by its number, this process's to ask?"""
        return group % self.size == self.rank

    def wait(self) -> None:
        """Until every process has come here."""
        if self.size > 1:
            import torch.distributed as dist

            if not dist.is_initialized():
                # shares are uneven: the first to finish may wait for hours
                dist.init_process_group("gloo", timeout=timedelta(days=7))
            dist.barrier()


def current_ranks() -> Ranks:
    """What torchrun has put in the environment; one process where nothing has."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks()
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def leave() -> None:
    """Let the other processes go; nothing where there are none."""
    import sys

    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def local_device(name: str) -> str:
    """The device of this process: with several accelerators on a machine, one each."""
    number = os.environ.get("LOCAL_RANK")
    if number is None or name not in ("auto", "cuda"):
        return name
    import torch

    return f"cuda:{number}" if torch.cuda.is_available() else name
