"""What nano is made of: the convolutional stem, and the decoder layer with its looks that training teaches.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, A answering tokens of a row, D width, H heads,
S keys a token may look at, M mentions, N looking tokens.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import Cache

    from ruvlm.models.nano.model import NanoShape

HIDDEN = -1e4


class Stem(nn.Module):
    """Picture → visual tokens: three stride-2 convolutions and residual blocks. [B, 3, S, S] → [B, P, D]."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        widths = (3, *shape.stem_widths, shape.hidden_size)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.GroupNorm(1, b))
            for a, b in itertools.pairwise(widths)
        )
        width = shape.hidden_size
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(1, width))
            for _ in range(shape.stem_blocks)
        )

    def forward(self, pixels_BCSS: Tensor) -> Tensor:
        x = pixels_BCSS
        for layer in self.down:
            x = F.relu(layer(x))
        for block in self.blocks:
            x = x + F.relu(block(x))
        return x.flatten(2).transpose(1, 2)


class Layer(nn.Module):
    """A pre-norm decoder layer with normalised queries and keys and a squared-ReLU MLP."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        width = shape.hidden_size
        self.heads = shape.num_attention_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, shape.mlp_ratio * width, bias=False)
        self.down = nn.Linear(shape.mlp_ratio * width, width, bias=False)
        self.norms = nn.Parameter(torch.ones(2, width))
        # normalised queries and keys bound a score by √d: without a scale no head could look at one token alone
        self.sharpness = nn.Parameter(torch.full((self.heads, 1, 1), 2.5))

    def project(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [B, H, T, D / H]."""
        batch, length, width = x_BTD.shape
        normed = F.layer_norm(x_BTD, (width,), self.norms[0])
        qk, v = self.qkv(normed).view(batch, length, 3, self.heads, width // self.heads).split((2, 1), 2)
        q, k = F.layer_norm(qk, (width // self.heads,)).unbind(2)
        return q.transpose(1, 2) * self.sharpness, k.transpose(1, 2), v[:, :, 0].transpose(1, 2)

    def keys_values(self, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values only, each [B, H, T, D / H]."""
        width = x_BTD.shape[-1]
        normed = F.layer_norm(x_BTD, (width,), self.norms[0])
        k, v = (self._headed(x) for x in F.linear(normed, self.qkv.weight[width:]).chunk(2, -1))
        return F.layer_norm(k, (k.shape[-1],)), v

    def finish(self, x_BTD: Tensor, attended_BHTd: Tensor) -> Tensor:
        """The rest of the layer after attention."""
        x = x_BTD + self.out(attended_BHTd.transpose(1, 2).flatten(2))
        normed = F.layer_norm(x, (x.shape[-1],), self.norms[1])
        grown: Tensor = x + self.down(F.relu(self.up(normed)).square())
        return grown

    def forward(self, x_BTD: Tensor, mask: Tensor | None, cache: Cache | None = None, index: int = 0) -> Tensor:
        q, k, v = self.project(x_BTD)
        if cache is not None:
            k, v = cache.update(k, v, index)
        return self.finish(x_BTD, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))

    def forward_prefix(self, x_BPD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Visual tokens attend to one another; returns them with their keys and values."""
        q, k, v = self.project(x_BPD)
        return self.finish(x_BPD, F.scaled_dot_product_attention(q, k, v)), k, v

    def forward_rows(
        self,
        x_RTD: Tensor,
        keys: Tensor,
        values: Tensor,
        owner_R: Tensor,
        bias: Tensor,
        look: tuple[Tensor, int] | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Rows of text attend to their picture's keys and values [B, H, P, d] and, under `bias`, to themselves.

        With `look`, tokens (indices into [R, T]) and a head, also where these look: training teaches it. [N, P + T].
        """
        q, k, v = self.project(x_RTD)
        k, v = torch.cat([keys[owner_R], k], dim=2), torch.cat([values[owner_R], v], dim=2)
        out = self.finish(x_RTD, F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
        return out, None if look is None else log_attention(q, k, bias, *look)

    def forward_slots(
        self,
        x_RTD: Tensor,
        keys: Tensor,
        values: Tensor,
        owner_R: Tensor,
        bias: Tensor,
        slots_RA: Tensor,
        look_N: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """As forward_rows, for the tokens in columns `slots_RA` only: all that the last layer has to give.

        `look_N` are indices into [R, A].
        """
        width = x_RTD.shape[-1]
        at_RAD = slots_RA[..., None].expand(-1, -1, width)
        normed = F.layer_norm(x_RTD.gather(1, at_RAD), (width,), self.norms[0])
        q = self._headed(F.linear(normed, self.qkv.weight[:width]))
        q = F.layer_norm(q, (q.shape[-1],)) * self.sharpness
        k, v = self.keys_values(x_RTD)
        k, v = torch.cat([keys[owner_R], k], dim=2), torch.cat([values[owner_R], v], dim=2)
        bias = bias[:, 0].gather(1, slots_RA[..., None].expand(-1, -1, bias.shape[-1]))[:, None]
        out = self.finish(x_RTD.gather(1, at_RAD), F.scaled_dot_product_attention(q, k, v, attn_mask=bias))
        return out, log_attention(q, k, bias, look_N, 0)

    def match(self, x_RTD: Tensor, index_M: Tensor) -> Tensor:
        """Scores of the last head between the tokens `index_M`, indices into [R, T], wherever they stand. [M, M]."""
        width = x_RTD.shape[-1]
        normed = F.layer_norm(x_RTD.flatten(0, 1)[index_M], (width,), self.norms[0])
        size = width // self.heads
        q = F.layer_norm(F.linear(normed, self.qkv.weight[width - size : width]), (size,)) * self.sharpness[-1, 0]
        k = F.layer_norm(F.linear(normed, self.qkv.weight[2 * width - size : 2 * width]), (size,))
        scores: Tensor = q @ k.T * size**-0.5
        return scores

    def _headed(self, x_BTD: Tensor) -> Tensor:
        batch, length, width = x_BTD.shape
        return x_BTD.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


def log_attention(q_BHTd: Tensor, k_BHSd: Tensor, bias: Tensor, look_N: Tensor, head: int) -> Tensor:
    """Where one head of the tokens `look_N`, indices into [B, T], looks, as log-probabilities. [N, S].

    `bias` [B, 1, T, S] is 0 where a token may look and HIDDEN where not.
    """
    # the scores of all tokens are one product a row: cheaper than a copy of the keys for each that looks
    scores_BTS = torch.baddbmm(bias[:, 0], q_BHTd[:, head], k_BHSd[:, head].mT, alpha=q_BHTd.shape[-1] ** -0.5)
    return scores_BTS.flatten(0, 1)[look_N].float().log_softmax(-1)
