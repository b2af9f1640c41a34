"""Muon for the decoder's matrices, Adam for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# x ← a·x + (b·xxᵀ + c·(xxᵀ)²)·x, a row a step: Polar Express (Amsel et al., 2025), for singular values from 1e-3 on
_STEPS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
# room for rounding at a singular value of one; theirs, who leave it out of the last of eight steps
_ROOM = 1.01
STEPS = (*((a / _ROOM, b / _ROOM**3, c / _ROOM**5) for a, b, c in _STEPS[:-1]), _STEPS[-1])
# matrices wider than this many times their height are iterated on by their Gram matrix alone
WIDE = 1.5


def orthogonalised(matrices_NRC: Tensor) -> Tensor:
    """Each matrix's nearest semi-orthogonal one, by Newton–Schulz steps (Jordan et al., 2024). [N, R, C] → [N, R, C]."""
    x: Tensor = matrices_NRC / (matrices_NRC.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    flip = x.shape[-2] > x.shape[-1]
    if flip:
        x = x.mT.contiguous()
    x = _by_gram(x) if x.shape[-1] >= WIDE * x.shape[-2] else _directly(x)
    return x.mT if flip else x


def _directly(x_NRC: Tensor) -> Tensor:
    for a, b, c in STEPS:
        gram = x_NRC @ x_NRC.mT
        x_NRC = torch.baddbmm(x_NRC, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x_NRC, beta=a)
    return x_NRC


def _by_gram(x_NRC: Tensor) -> Tensor:
    """The same in products of the small side only: what a step multiplies by is a polynomial of the Gram matrix, and they commute."""
    gram = x_NRC @ x_NRC.mT
    product = gram
    for number, (a, b, c) in enumerate(STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if number == 0 else factor @ product
        if number < len(STEPS) - 1:
            gram = factor @ factor @ gram
    return product @ x_NRC


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al., 2024). Matrices of one shape are worked on together, which on a CPU
    is what keeps the step cheap.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for shape, parameters in shapes.items():
                self._step_together(shape, parameters, group)

    def _step_together(self, shape: torch.Size, parameters: list[Tensor], group: dict[str, Any]) -> None:
        updates = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            grad = parameter.grad
            assert grad is not None
            state["momentum"].lerp_(grad, 1 - group["momentum"])
            updates.append(grad.lerp(state["momentum"], group["momentum"]))
        directions = orthogonalised(torch.stack(updates).flatten(2))
        scale = max(1.0, directions.shape[-2] / directions.shape[-1]) ** 0.5
        for parameter, update in zip(parameters, directions, strict=True):
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.view(shape), alpha=-group["lr"] * scale)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(matrices for Muon, the rest for Adam): embeddings, norms, biases and the first convolution are the rest."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        big = parameter.ndim in (2, 4) and min(parameter.shape[:2]) > 3 and id(parameter) not in embeddings
        (matrices if big else rest).append(parameter)
    return matrices, rest
