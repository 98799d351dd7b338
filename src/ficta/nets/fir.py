"""The filter that StyleGAN puts before halving and after doubling, so that no pattern of the grid is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FIR = (1.0, 3.0, 3.0, 1.0)  # Karras et al. 2020 (arXiv:1912.04958), App. B


class Blur(nn.Module):
    """Filters each channel by ``FIR`` along both sides; around a picture there are zeros.

    Args:
        gain: what the filter sums to.
        step: 2 keeps every other pixel.
        margin: pixels more on each side, for a convolution without padding and with a step of 2 that follows.
        to: size of the result, for what a transposed convolution with a step of 2 has made; without, the result is, or
            becomes by that convolution, half of what comes in, rounded up.
    """

    taps: Tensor

    def __init__(self, gain: float = 1.0, *, step: int = 1, margin: int = 0, to: Sequence[int] | None = None) -> None:
        super().__init__()
        self.step, self.margin, self.size = step, margin, to
        self.register_buffer("taps", _taps(gain), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, C, H, W) => float (B, C, *the size described)."""
        padding, before = [], 1 + self.margin
        for axis, size in reversed(list(enumerate(x.shape[2:]))):  # F.pad begins with the last axis
            wanted = self.size[axis] if self.size is not None else 2 * math.ceil(size / 2) - 1 + 2 * self.margin
            padding += [before, wanted + len(FIR) - 1 - size - before]
        taps = self.taps.expand(x.shape[1], -1, -1, -1)
        if len(set(padding)) > 1:
            x, padding = F.pad(x, padding), [0]
        return F.conv2d(x, taps, stride=self.step, padding=padding[0], groups=x.shape[1])


class Double(nn.Module):
    """Doubles both sides, filtered by ``FIR``, but for what is cut off at the end."""

    taps: Tensor

    def __init__(self, to: Sequence[int]) -> None:
        super().__init__()
        self.height, self.width = to
        self.register_buffer("taps", _taps(4.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, C, H, W) => float (B, C, *to)."""
        taps = self.taps.expand(x.shape[1], -1, -1, -1)
        return F.conv_transpose2d(x, taps, stride=2, padding=1, groups=x.shape[1])[:, :, : self.height, : self.width]


def _taps(gain: float) -> Tensor:
    """The filter over both sides, float (1, 1, 4, 4); it sums to ``gain``."""
    taps = torch.tensor(FIR) / sum(FIR)
    return (gain * taps[:, None] * taps)[None, None]
