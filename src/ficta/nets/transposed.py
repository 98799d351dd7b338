"""Transposed convolutions: torch's maps and weights, computed so that a CPU need not wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 3  # of the convolution that is computed in blocks
SIDES = (4, 2)  # of its blocks, in pixels
REGISTER = 16  # output channels that oneDNN computes at once with AVX-512, however few there are


class Transposed1d(nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` with its bias added apart in training."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Float (B, in_channels, L) => float (B, out_channels, longer L); ``output_padding`` decides which."""
        return _plain(F.conv_transpose1d, x, self, output_size)


class Transposed2d(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` with its bias added apart in training; few channels of the same size go in blocks."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Float (B, in_channels, H, W) => float (B, out_channels, larger H, W), as ``output_padding`` decides."""
        side = self._side(x)
        if side > 1 and not torch.compiler.is_compiling():  # a compiler has ways of its own
            return _biased(_Blocks.apply(x, self.weight, side), self)  # type: ignore[no-untyped-call]
        return _plain(F.conv_transpose2d, x, self, output_size)

    def _side(self, x: Tensor) -> int:
        """Side of the largest block of pixels whose channels fit a register; 1 where blocks are of no use."""
        keeps = self.kernel_size == (KERNEL, KERNEL) and self.stride == self.padding == (1, 1) == self.dilation
        if x.device.type != "cpu" or not keeps or self.groups > 1:
            return 1
        fitting = [side for side in SIDES if self.out_channels * side**2 <= REGISTER]
        return next((side for side in fitting if x.shape[2] % side == x.shape[3] % side == 0), 1)


class Transposed3d(nn.ConvTranspose3d):
    """``nn.ConvTranspose3d`` with its bias added apart in training."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Float (B, in_channels, D, H, W) => float (B, out_channels, larger D, H, W), as ``output_padding`` decides."""
        return _plain(F.conv_transpose3d, x, self, output_size)


def _plain(
    convolve: Callable[..., Tensor],
    x: Tensor,
    layer: Transposed1d | Transposed2d | Transposed3d,
    output_size: list[int] | None,
) -> Tensor:
    if output_size is not None:
        raise NotImplementedError("the size follows from output_padding alone")
    sides = (layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation)
    if not torch.is_grad_enabled():
        return convolve(x, layer.weight, layer.bias, *sides)
    return _biased(convolve(x, layer.weight, None, *sides), layer)


def _biased(out: Tensor, layer: Transposed1d | Transposed2d | Transposed3d) -> Tensor:
    """Add the bias in place. Inside, oneDNN would sum its gradient with a plain loop: a twentieth of a step."""
    if layer.bias is None:
        return out
    return out.add_(layer.bias.to(out.dtype).view(-1, *[1] * (out.ndim - 2)))  # of two dtypes, adding is slow


class _Blocks(torch.autograd.Function):
    """Transposed 3x3 convolution with stride 1 and padding 1 to few channels.

    Forward, the pixels of a block become the channels of a convolution with a wider kernel and the block as stride,
    so that they fill the register that one channel alone would leave empty. Backward, the plain way is faster.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, side: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.pixel_shuffle(F.conv2d(x, _block_weight(weight, side), stride=side, padding=1), side)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        dtype = gradient.dtype  # bf16 under autocast
        for_x, for_weight, _ = torch.ops.aten.convolution_backward(
            gradient, x.to(dtype), weight.to(dtype), None, [1, 1], [1, 1], [1, 1], True, [0, 0], 1, [True, True, False]
        )
        return for_x.to(x.dtype), for_weight.to(weight.dtype), None


def _block_weight(weight: Tensor, side: int) -> Tensor:
    """Weight (C_in, C_out, 3, 3) of the transposed one => (C_out side^2, C_in, side + 2, side + 2)."""
    inputs, outputs = weight.shape[:2]
    margin, width = side - 1, side + 2
    windows = F.pad(weight, [margin] * 4).unfold(2, width, 1).unfold(3, width, 1)  # C_in, C_out, i, j, u, v
    taps = windows.flip(4, 5)  # pixel (i, j) of a block sees input (u, v) by tap (2 + i - u, 2 + j - v)
    return taps.permute(1, 2, 3, 0, 4, 5).reshape(outputs * side**2, inputs, width, width)
