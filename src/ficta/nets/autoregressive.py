"""Networks in which output i depends on the inputs before i alone."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedLinear(nn.Linear):
    """A dense layer whose weights are cut where the mask (outputs, inputs) is 0."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.mask: Tensor
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., inputs) => (..., outputs)."""
        return F.linear(x, self.weight * self.mask, self.bias)


class Made(nn.Module):
    """Two numbers for each value of a vector, from the values before it (Germain et al. 2015, arXiv:1502.03509).

    They start as zeros.
    """

    def __init__(self, size: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        # unit of degree d sees the first d inputs; output i, which comes twice, sees i of them
        degrees = [torch.arange(size) + 1]
        degrees += [torch.arange(width) % max(1, size - 1) + (1 if size > 1 else 0) for width in hidden]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(degrees):
            layers += [MaskedLinear(after[:, None] >= before), nn.SiLU()]
        last = MaskedLinear((torch.arange(size).repeat(2))[:, None] >= degrees[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Float (..., size) => two of the same shape."""
        first, second = self.layers(x).chunk(2, -1)
        return first, second
