"""Networks from samples to a grid of vectors and back, as codes of discrete symbols need them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ficta.compute.device import lay_out_like
from ficta.nets.build import NetworkSettings
from ficta.nets.conv import CONV, ConvSettings, doublings, halvings, mirrored, widths
from ficta.nets.mlp import MlpDecoder, MlpEncoder
from ficta.nets.parts import Act, initialise


class Residual(nn.Module):
    """x + convolution 1(act(convolution 3(act(x)))) (van den Oord et al. 2017, arXiv:1711.00937, Sec. 4.1)."""

    def __init__(self, settings: ConvSettings, axes: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Act(settings.activation, in_place=False),
            CONV[axes](channels, channels, 3, 1, 1),
            Act(settings.activation),
            CONV[axes](channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, channels, *axes) => the same shape."""
        out: Tensor = x + self.layers(x)
        return out


class ConvGridEncoder(nn.Module):
    """(B, channels, *axes) to (B, outputs, *grid)."""

    def __init__(self, settings: ConvSettings, shape: tuple[int, ...], outputs: int, stages: int, blocks: int) -> None:
        super().__init__()
        before, *axes = shape
        channels = settings.channels or widths(settings.width, settings.widest, axes)[:stages]
        halving, _ = halvings(settings, before, axes, channels)
        around = [Residual(settings, len(axes), channels[-1]) for _ in range(blocks)]
        self.stages = nn.Sequential(*halving, *around, CONV[len(axes)](channels[-1], outputs, 1))
        initialise(self, settings.initial, settings.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, channels, *axes) => float (B, outputs, *grid)."""
        out: Tensor = self.stages(x)
        return out


class ConvGridDecoder(nn.Module):
    """(B, inputs, *grid) and condition (B, C) to (B, channels, *axes), of exactly that shape."""

    def __init__(
        self,
        settings: ConvSettings,
        inputs: int,
        shape: tuple[int, ...],
        condition: int,
        stages: int,
        blocks: int,
    ) -> None:
        super().__init__()
        outputs, *axes = shape
        channels = settings.channels or mirrored(settings, widths(settings.width, settings.widest, axes)[:stages])
        doubling, _ = doublings(settings, channels, outputs, axes)
        around = [Residual(settings, len(axes), channels[0]) for _ in range(blocks)]
        self.first = CONV[len(axes)](inputs + condition, channels[0], 3, 1, 1)
        self.stages = nn.Sequential(*around, Act(settings.activation), *doubling)
        initialise(self, settings.initial, settings.activation)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, inputs, *grid), float (B, C) or None => float (B, channels, *axes)."""
        if condition is not None:
            planes = condition.view(*condition.shape, *[1] * (z.ndim - 2)).expand(-1, -1, *z.shape[2:])
            z = torch.cat([z, planes], 1)
        out: Tensor = self.stages(self.first(lay_out_like(z, self.first.weight)))
        return out


class MlpGridEncoder(nn.Module):
    """(B, *shape) to a row of vectors (B, outputs, length)."""

    def __init__(self, settings: NetworkSettings, shape: tuple[int, ...], outputs: int, length: int) -> None:
        super().__init__()
        self.encoder, self.length = MlpEncoder(settings.mlp, shape, outputs * length, 0), length

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, *shape) => float (B, outputs, length)."""
        out: Tensor = self.encoder(x).unflatten(1, (-1, self.length))
        return out


class MlpGridDecoder(nn.Module):
    """A row of vectors (B, inputs, length) and condition (B, C) to (B, *shape)."""

    def __init__(self, settings: NetworkSettings, inputs: int, shape: tuple[int, ...], condition: int) -> None:
        super().__init__()
        self.decoder = MlpDecoder(settings.mlp, inputs, shape, condition)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, inputs, length), float (B, C) or None => float (B, *shape)."""
        out: Tensor = self.decoder(z.flatten(1), condition)
        return out


def build_grid_encoder(
    settings: NetworkSettings, shape: tuple[int, ...], outputs: int, *, stages: int, blocks: int, length: int
) -> nn.Module:
    """Network from samples (B, *shape) to vectors (B, outputs, *grid).

    Args:
        settings: a conv halves axes, an mlp makes a row of vectors.
        shape: of a sample.
        outputs: length of each vector.
        stages: of a conv without named channels, at most.
        blocks: residual blocks of a conv on the grid.
        length: vectors in the row that an mlp makes.
    """
    if settings.chosen(shape) == "conv":
        return ConvGridEncoder(settings.conv, shape, outputs, stages, blocks)
    return MlpGridEncoder(settings, shape, outputs, length)


def build_grid_decoder(
    settings: NetworkSettings,
    inputs: int,
    grid: tuple[int, ...],
    shape: tuple[int, ...],
    condition: int,
    *,
    stages: int,
    blocks: int,
) -> nn.Module:
    """Network from vectors (B, inputs, *grid) and condition (B, condition) to samples (B, *shape)."""
    if settings.chosen(shape) == "conv":
        return ConvGridDecoder(settings.conv, inputs, shape, condition, stages, blocks)
    return MlpGridDecoder(settings, inputs * math.prod(grid), shape, condition)
