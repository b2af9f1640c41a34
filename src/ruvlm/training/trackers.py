"""Where training is watched besides metrics.jsonl: TensorBoard, trackio. Both write to the disk and ask for no account."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ruvlm.errors import ConfigError


class Tracker(ABC):
    """One place that is told what happens."""

    @abstractmethod
    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step by name."""

    @abstractmethod
    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """A picture of a step."""

    @abstractmethod
    def close(self) -> None:
        """Everything to the disk."""


class TensorBoardTracker(Tracker):
    """Event files under the run folder: tensorboard --logdir results."""

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _missing("tensorboard") from error
        # what was written after the checkpoint that the run goes on from is taken back
        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        self._writer.add_image(name, np.asarray(image), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class TrackioTracker(Tracker):
    """A local trackio project «ruvlm» under `results`: TRACKIO_DIR=results/trackio trackio show --project ruvlm."""

    def __init__(self, folder: Path, step: int) -> None:
        os.environ.setdefault("TRACKIO_DIR", str((folder.parent / "trackio").absolute()))
        try:
            import trackio
        except ImportError as error:
            raise _missing("trackio") from error
        self._trackio = trackio
        with contextlib.redirect_stdout(io.StringIO()):  # its advice how to open it; docs/training.md gives ours
            trackio.init(
                project="ruvlm",
                name=folder.name,
                resume="allow" if step else "never",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        self._trackio.log({name: self._trackio.Image(image)}, step=step)

    def close(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._trackio.finish()


def trackers_named(names: tuple[str, ...], folder: Path, step: int) -> list[Tracker]:
    """Trackers of a run that goes on from `step`. Raises ConfigError if a package is not there."""
    made = {"tensorboard": TensorBoardTracker, "trackio": TrackioTracker}
    return [made[name](folder, step) for name in names]


def _missing(package: str) -> ConfigError:
    return ConfigError(
        f"train.trackers: пакета {package} нет: {Path(sys.executable).name} -m pip install {package} (или 'ruvlm[tracking]')."
    )
