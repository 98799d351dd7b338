"""Networks of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958): mapping, skip generator, residual discriminator.

Learning rates are equalised (Karras et al. 2018, arXiv:1710.10196, Sec. 4.1): weights are drawn with a deviation of 1
and multiplied by He's constant whenever they are used. A leaky ReLU passes a positive factor on, so that its gain is
given to what comes before it, where tensors are small.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.compute.device import lay_out_like
from ficta.nets.conv import SMALLEST
from ficta.nets.fir import Blur, Double
from ficta.nets.parts import LEAK, SUMMED, MinibatchDeviation

GAIN = math.sqrt(2)  # of a leaky ReLU, so that it keeps the variance
KERNEL = 3  # of convolutions, along both sides
MARGIN = KERNEL // 2
LEAST = 1e-8


class MappingSettings(Settings):
    """The network from latents to styles."""

    width: Annotated[int, Field(ge=1, description="numbers of a style, and of each hidden layer")] = 128
    layers: Annotated[
        int,
        Field(ge=1, description="dense layers; 8 in the paper, 2 where its authors train on few or small pictures"),
    ] = 2
    rate: Annotated[float, Field(gt=0, description="learning rate of these layers, as a share of the others'")] = 0.01


class SynthesisSettings(Settings):
    """The network from styles to pictures."""

    width: Annotated[int, Field(ge=1, description="channels at the finest grid, doubled per coarser one")] = 16
    widest: Annotated[int, Field(ge=1, description="most channels that doubling leads to")] = 128


class JudgeSettings(Settings):
    """The network from pictures to logits; twice as wide as synthesis by default, as a narrow one misses variety."""

    width: Annotated[int, Field(ge=1, description="channels at the finest grid, doubled per coarser one")] = 32
    widest: Annotated[int, Field(ge=1, description="most channels that doubling leads to")] = 256
    deviation: Annotated[
        bool,
        Field(description="see how much the samples of a batch vary; without, a batch can be in several parts"),
    ] = True


class MappingNetwork(nn.Module):
    """Normalised latents (B, latent_dim) and condition (B, C) to styles (B, width)."""

    def __init__(self, settings: MappingSettings, latent_dim: int, condition: int) -> None:
        super().__init__()
        self.condition = EqualLinear(condition, latent_dim, gain=1.0) if condition else None
        before = (2 if condition else 1) * latent_dim
        widths = [before, *[settings.width] * settings.layers]
        self.layers = nn.ModuleList(
            EqualLinear(one, other, rate=settings.rate) for one, other in itertools.pairwise(widths)
        )

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, latent_dim), float (B, C) or None => float (B, width).

        However loud it is, a condition comes to be as loud as a latent.
        """
        if self.condition is not None:
            z = torch.cat([z, normalised(self.condition(condition))], 1)
        for layer in self.layers:
            z = F.leaky_relu(layer(z), LEAK, inplace=True)
        return z


class Synthesis(nn.Module):
    """Styles (B, layers, width) and noise (B, numbers) to pictures (B, C, H, W): a skip generator (Fig. 7b).

    Attributes:
        layers: styles that it takes, from the coarsest grid to the finest. The last of a grid is also that of the next
            grid's first convolution, but for the finest's.
        numbers: standard normal numbers that it takes, one for each place that each convolution writes to.
    """

    def __init__(self, settings: SynthesisSettings, style: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, *axes = shape
        sizes = halved_sizes(axes)[::-1]
        widths = _widths(settings.width, settings.widest, len(sizes))[::-1]
        self.layers = 2 * len(sizes)
        self.constant = nn.Parameter(torch.randn(1, widths[0], *sizes[0]))
        self.places = [sizes[0], *(size for size in sizes[1:] for _ in range(2))]
        self.numbers = sum(math.prod(place) for place in self.places)
        self.ups = nn.ModuleList(
            StyledConv(style, one, other, size) for one, other, size in zip(widths, widths[1:], sizes[1:], strict=False)
        )
        self.convs = nn.ModuleList(StyledConv(style, width, width) for width in widths)
        self.doubles = nn.ModuleList(Double(size) for size in sizes[1:])
        self.shown = nn.ModuleList(ToPicture(style, width, channels) for width in widths)

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        """Float (B, layers, width), standard normal float (B, numbers) => float (B, C, H, W)."""
        parts = torch.split(noise, [math.prod(place) for place in self.places], 1)
        noises = iter(part.view(-1, 1, *place) for part, place in zip(parts, self.places, strict=True))
        grid, layers = self._begin(styles.shape[0]), styles.unbind(1)
        picture: Tensor | None = None
        for level, (conv, shown) in enumerate(zip(self.convs, self.shown, strict=True)):
            if level:
                grid = self.ups[level - 1](grid, layers[2 * level - 1], next(noises))
            grid = conv(grid, layers[2 * level], next(noises))
            found: Tensor = shown(grid, layers[2 * level + 1])
            picture = found + self.doubles[level - 1](picture) if level else found
        assert picture is not None
        return picture

    def _begin(self, count: int) -> Tensor:
        """The learnt constant for each of so many samples."""
        grid = self.constant.expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        return lay_out_like(grid, self.constant)


class Judge(nn.Module):
    """Pictures (B, C, H, W) to (B, outputs): a residual discriminator (Fig. 7c)."""

    def __init__(self, settings: JudgeSettings, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        channels, *axes = shape
        sizes = halved_sizes(axes)
        widths = _widths(settings.width, settings.widest, len(sizes))
        last, places = widths[-1], math.prod(sizes[-1])
        self.first = EqualLinear(channels, widths[0])
        self.blocks = nn.Sequential(*(Halving(one, other) for one, other in itertools.pairwise(widths)))
        self.deviation = MinibatchDeviation() if settings.deviation else nn.Identity()
        self.conv = EqualConv(last + settings.deviation, last)
        self.dense = EqualLinear(last * places, last)
        self.top = EqualLinear(last, outputs, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, C, H, W) => float (B, outputs)."""
        grid = self.blocks(_leaky(_everywhere(self.first, x)))
        grid = _leaky(self.conv(self.deviation(grid)))
        out: Tensor = self.top(_leaky(self.dense(grid.movedim(1, -1).flatten(1))))
        return out


class EqualLinear(nn.Module):
    """A dense layer whose weights are drawn with deviation 1 / rate and used times gain * rate / sqrt(inputs).

    ``bias`` is what biases begin with; None is for a layer without any.
    """

    def __init__(
        self, inputs: int, outputs: int, *, rate: float = 1.0, gain: float = GAIN, bias: float | None = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = None if bias is None else nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.bias_scale = gain * rate / math.sqrt(inputs), gain * rate

    def forward(self, x: Tensor) -> Tensor:
        """Float (…, inputs) => float (…, outputs)."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        return F.linear(x, self.weight * self.scale, bias)


class EqualConv(nn.Module):
    """A 3x3 convolution with equalised learning rate that keeps the size, or halves what a filter has blurred."""

    def __init__(self, inputs: int, outputs: int, *, halves: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = GAIN / math.sqrt(inputs * KERNEL**2)
        self.blur = Blur(margin=MARGIN) if halves else None

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, inputs, H, W) => float (B, outputs, H, W), or of half the sides, rounded up."""
        weight = self.weight * self.scale
        out = F.conv2d(x, weight, padding=MARGIN) if self.blur is None else F.conv2d(self.blur(x), weight, stride=2)
        return out.add_((self.bias * GAIN).to(out.dtype)[:, None, None])


class Halving(nn.Module):
    """Two convolutions, of which the second halves the sides, beside a shortcut that does."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.one = EqualConv(before, before)
        self.two = EqualConv(before, after, halves=True)
        self.shortcut, self.blur = EqualLinear(before, after, gain=SUMMED, bias=None), Blur(step=2)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, before, H, W) => float (B, after, half of H and W, rounded up)."""
        past = _everywhere(self.shortcut, self.blur(x))
        return torch.add(past, _leaky(self.two(_leaky(self.one(x)))), alpha=SUMMED)


class ModulatedConv(nn.Module):
    """A 3x3 convolution whose input channels a style scales, and whose outputs come to have a variance of 1.

    The weights of sample b are w'_ijk = s_bi w_ijk, divided by their length over i and k (Eqs. 1 and 3). Scaling the
    inputs before and the outputs after one convolution that all samples share is the same map.
    """

    def __init__(self, style: int, inputs: int, outputs: int, *, doubles: bool) -> None:
        super().__init__()
        self.style = EqualLinear(style, inputs, gain=1.0, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, KERNEL, KERNEL))
        self.scale, self.doubles = 1 / math.sqrt(inputs * KERNEL**2), doubles

    def forward(self, x: Tensor, style: Tensor, gain: float = 1.0) -> Tensor:
        """Float (B, inputs, H, W), float (B, style) => float (B, outputs, H, W), or (…, 2 H + 1, 2 W + 1) unfiltered.

        ``gain`` is the deviation of the result.
        """
        scales = self.style(style) * self.scale
        x = x * scales.to(x.dtype)[:, :, None, None]
        if self.doubles:
            out = F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
        else:
            out = F.conv2d(x, self.weight, padding=MARGIN)
        squares = self.weight.square().sum((2, 3))  # outputs, inputs
        lengths = torch.rsqrt(F.linear(scales.square(), squares) + LEAST)
        return out * (lengths * gain).to(out.dtype)[:, :, None, None]


class StyledConv(nn.Module):
    """Modulated convolution, noise with a learnt strength, bias, leaky ReLU (Fig. 2d)."""

    def __init__(self, style: int, inputs: int, outputs: int, doubled_to: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.conv = ModulatedConv(style, inputs, outputs, doubles=doubled_to is not None)
        self.blur = nn.Identity() if doubled_to is None else Blur(4.0, to=doubled_to)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Float (B, inputs, H, W), float (B, style), float (B, 1, *size written) => float (B, outputs, *that size)."""
        out = self.blur(self.conv(x, style, GAIN))
        out = out.add_((noise * (self.strength * GAIN)).to(out.dtype))
        return _leaky(out.add_((self.bias * GAIN).to(out.dtype)[:, None, None]))


class ToPicture(nn.Module):
    """What a grid adds to the picture: a modulated 1x1 convolution, not demodulated."""

    def __init__(self, style: int, inputs: int, channels: int) -> None:
        super().__init__()
        self.style = EqualLinear(style, inputs, gain=1.0, bias=1.0)
        self.colours = EqualLinear(inputs, channels, gain=1.0)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Float (B, inputs, H, W), float (B, style) => float (B, channels, H, W)."""
        return _everywhere(self.colours, x * self.style(style).to(x.dtype)[:, :, None, None])


def normalised(z: Tensor) -> Tensor:
    """Float (B, D) => the same with a mean square of 1 in each row; zeros stay zeros."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + LEAST)


def halved_sizes(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Sizes from the picture's own to the coarsest whose shortest side is at least ``SMALLEST``; halves round up."""
    sizes = [tuple(axes)]
    while min(smaller := tuple(math.ceil(axis / 2) for axis in sizes[-1])) >= SMALLEST:
        sizes.append(smaller)
    return sizes


def _widths(width: int, widest: int, grids: int) -> list[int]:
    """Channels from the finest grid to the coarsest."""
    return [min(width * 2**grid, widest) for grid in range(grids)]


def _everywhere(layer: nn.Module, x: Tensor) -> Tensor:
    """A dense layer at each place of float (B, C, H, W): a 1x1 convolution, which a CPU is slow at for one channel."""
    out: Tensor = layer(x.movedim(1, -1)).movedim(-1, 1)  # NCHW => NHWC => NCHW
    return out


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAK, inplace=True)
