"""The training loop as on Apple's MPS: no float64 or complex anywhere on the device, no op that MPS lacks, memory asked its way.

There is no Mac here. Tensors lie on the CPU, the code is told that they are on MPS, and a dispatch mode refuses what MPS
refuses (float64, complex128 and the operations that torch's own test list marks as unimplemented there).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ruvlm.models.nano import learner
from ruvlm.training import loop
from ruvlm.training.step import precision
from tests.support.runs import nano, trained

# of torch 2.13's UNIMPLEMENTED_XFAILLIST for MPS, what a training loop might reach
LACKING = (
    "linalg_eig",
    "linalg_svd",
    "_linalg_svd",
    "linalg_qr",
    "geqrf",
    "ormqr",
    "lgamma",
    "digamma",
    "polygamma",
    "kthvalue",
    "mode",
    "histogramdd",
    "ctc_loss",
    "fft_",
    "cholesky_inverse",
    "segment_reduce",
    "special_",
)


class MpsRules(TorchDispatchMode):
    """Raises where MPS would. `seen` counts operations, so that the test knows it looked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen += 1
        name = func.overloadpacket.__name__
        if any(name.startswith(part) for part in LACKING):
            raise NotImplementedError(f"{name} is not there on MPS")
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{name}: MPS has no {leaf.dtype}")
        return out


@contextmanager
def as_on_mps(monkeypatch: pytest.MonkeyPatch) -> Iterator[MpsRules]:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 16 << 30)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 1 << 30)
    rules = MpsRules()
    with rules:
        yield rules


def test_the_rules_catch_what_mps_refuses() -> None:
    with MpsRules():
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(2, dtype=torch.float64)
        with pytest.raises(NotImplementedError):
            torch.linalg.svd(torch.eye(3))


def test_a_run_does_only_what_mps_can(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread a step, as on a GPU: dispatch modes do not reach other threads."""
    monkeypatch.setattr(learner.NanoLearner, "threads", False)
    with as_on_mps(monkeypatch) as rules:
        done, said = trained(nano(world, tmp_path, "mps", "train.validations=1", "train.ema=0.9", 'device="cpu"'))
    assert rules.seen > 10_000
    assert (done.folder / "final_model" / "model.safetensors").is_file()
    assert any(line.startswith("память:") for line in said)


def test_mps_is_chosen_trains_in_fp32_and_tells_its_memory(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ruvlm.training.checks import free_memory, used_memory
    from ruvlm.training.parallel import parts_of_step

    mps = torch.device("mps")
    with as_on_mps(monkeypatch):
        assert (free_memory(mps), used_memory(mps)) == (15 << 30, 1 << 30)
    assert precision(nano(world, tmp_path, "x"), mps) is None
    assert parts_of_step(0, mps, True, 16) == 1
    assert loop.FLOOR > 0
