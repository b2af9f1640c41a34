"""Where and how a run computes: device, dtype, threads, seeds, logging, fingerprints of code and machine."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import logging
import os
import platform
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ruvlm.errors import DeviceError

if TYPE_CHECKING:
    import torch

log = logging.getLogger("ruvlm")


def keep_freed_memory() -> None:
    """Tell glibc to keep freed tensors instead of returning them to the system.

    Without it every large tensor of a CPU step is mapped and faulted in anew: 15–25 % of the step on two cores.
    Elsewhere than on glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        log.debug("mallopt is not there")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Without Python's cyclic garbage collector: it walks a growing heap of rows again and again, half the time of their reading."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def quiet_transformers() -> None:
    """No progress bars and no remarks from transformers: what matters we say ourselves."""
    import logging

    from transformers.utils import logging as chatter

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft loads it for any adapter, and it misses a kernel
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # every retry of a hub that is not there, in English
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()


def pick_device(name: str = "auto") -> torch.device:
    """«auto», «cpu», «cuda», «cuda:1» or «mps» → device. Raises DeviceError for one that is not there."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind = name.split(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available:
        raise DeviceError(f"Устройство «{name}» не известно: есть auto, cpu, cuda, mps.")
    if not available[kind]:
        usable = ", ".join(key for key, value in available.items() if value)
        raise DeviceError(f"Устройство «{name}» недоступно на этой машине: есть {usable}. Укажите --device auto.")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"Устройство «{name}» не отвечает ({str(error).splitlines()[0]}).") from error
    return device


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def code_fingerprint() -> str:
    """A hash of this package's sources: which code made a figure."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a figure was measured on."""

    system: str
    python: str
    torch: str
    cores: int
    accelerator: str


def machine() -> Machine:
    """The machine that this runs on."""
    import torch

    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
        cores=os.cpu_count() or 1,
        accelerator=torch.cuda.get_device_name() if torch.cuda.is_available() else "нет",
    )
