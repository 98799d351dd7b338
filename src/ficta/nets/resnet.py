"""Residual networks over 1, 2 or 3 axes, as those of SNGAN (Miyato et al. 2018, arXiv:1802.05957, Appendix B)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.compute.device import lay_out_like
from ficta.nets.conv import CONV, Norm, normalisation, widths
from ficta.nets.parts import SUMMED, Act, Activation, Initial, initialise

POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class ResnetSettings(Settings):
    """Residual blocks, each of which halves or doubles every axis."""

    channels: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None,
        Field(
            description="channels of each block, in the order of the flow; the decoder's first are those of the grid "
            "that the dense layer makes. Without: as many blocks as the shape needs"
        ),
    ] = None
    width: Annotated[int, Field(ge=1, description="channels at the finest block, doubled per coarser one")] = 32
    widest: Annotated[int, Field(ge=1, description="most channels that doubling leads to")] = 256
    flat: Annotated[
        bool, Field(description="encoder: read every place of the last grid by itself, rather than their sum")
    ] = True
    norm: Annotated[Norm, Field(description="normalisation before each activation")] = "none"
    activation: Annotated[Activation, Field(description="before each convolution but the first")] = "relu"
    initial: Annotated[Initial, Field(description="initial weights")] = "he"


class ResnetEncoder(nn.Module):
    """(B, channels, *axes) and condition (B, C) to features (B, outputs)."""

    def __init__(self, settings: ResnetSettings, shape: tuple[int, ...], outputs: int, condition: int) -> None:
        super().__init__()
        before, *axes = shape
        channels = settings.channels or widths(settings.width, settings.widest, axes)
        blocks: list[nn.Module] = []
        for after in channels:
            blocks.append(Block(settings, before, after, len(axes), resize="halve", first=not blocks))
            before, axes = after, [math.ceil(axis / 2) for axis in axes]
        self.blocks = nn.Sequential(*blocks, *normalisation(settings.norm, before, len(axes)), Act(settings.activation))
        self.flat = settings.flat
        self.dense = nn.Linear(before * (math.prod(axes) if settings.flat else 1) + condition, outputs)
        _initialise(self, settings)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, channels, *axes), float (B, C) or None => float (B, outputs)."""
        grid = self.blocks(x)
        features = grid.movedim(1, -1).flatten(1) if self.flat else grid.flatten(2).sum(2)
        out: Tensor = self.dense(features if condition is None else torch.cat([features, condition], 1))
        return out


class ResnetDecoder(nn.Module):
    """Features (B, inputs) and condition (B, C) to (B, channels, *axes), of exactly that shape."""

    def __init__(self, settings: ResnetSettings, inputs: int, shape: tuple[int, ...], condition: int) -> None:
        super().__init__()
        out_channels, *axes = shape
        channels = settings.channels or _mirrored(widths(settings.width, settings.widest, axes))
        sizes = [axes]
        for _ in channels[1:]:
            sizes.append([math.ceil(axis / 2) for axis in sizes[-1]])
        self.sizes = [tuple(size) for size in sizes[::-1]]
        self.grid = (*self.sizes[0], channels[0])
        self.dense = nn.Linear(inputs + condition, math.prod(self.grid))
        self.blocks = nn.ModuleList(
            Block(settings, before, after, len(axes), resize=size)
            for before, after, size in zip(channels, channels[1:], self.sizes[1:], strict=False)
        )
        self.last = nn.Sequential(
            *normalisation(settings.norm, channels[-1], len(axes)),
            Act(settings.activation),
            CONV[len(axes)](channels[-1], out_channels, 3, 1, 1),
        )
        _initialise(self, settings)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, inputs), float (B, C) or None => float (B, channels, *axes)."""
        flat = self.dense(z if condition is None else torch.cat([z, condition], 1))
        grid = lay_out_like(flat.reshape(-1, *self.grid).movedim(-1, 1), next(self.last.parameters()))
        for block in self.blocks:
            grid = block(grid)
        out: Tensor = self.last(grid)
        return out


class Block(nn.Module):
    """Two convolutions beside a shortcut; then, or between, half or another size."""

    def __init__(
        self,
        settings: ResnetSettings,
        before: int,
        after: int,
        axes: int,
        *,
        resize: tuple[int, ...] | Literal["halve"],
        first: bool = False,
    ) -> None:
        super().__init__()
        self.resize, conv = resize, CONV[axes]
        enters = [] if first else [*normalisation(settings.norm, before, axes), Act(settings.activation, False)]
        self.enter = nn.Sequential(*enters)
        self.one = conv(before, after, 3, 1, 1)
        self.between = nn.Sequential(*normalisation(settings.norm, after, axes), Act(settings.activation))
        self.two = conv(after, after, 3, 1, 1)
        self.shortcut = conv(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Float (B, before, *axes) => float (B, after, *half of them, or the size that it was told)."""
        past, residual = x, self.enter(x)
        if self.resize == "halve":
            residual = _halved(self.two(self.between(self.one(residual))))
            past = self.shortcut(_halved(past))
        else:
            residual = self.two(self.between(self.one(F.interpolate(residual, self.resize))))
            past = F.interpolate(self.shortcut(past), self.resize)
        out: Tensor = SUMMED * (residual + past)
        return out


def _halved(x: Tensor) -> Tensor:
    """Means of two along each axis; of an odd one the last stays as it is."""
    out: Tensor = POOL[x.ndim - 2](x, [min(2, size) for size in x.shape[2:]], 2, ceil_mode=True)
    return out


def _mirrored(encoding: tuple[int, ...]) -> tuple[int, ...]:
    """Decoder channels that mirror an encoder's: the grid's first, the finest once more."""
    return (*encoding[::-1], encoding[0])


def _initialise(network: nn.Module, settings: ResnetSettings) -> None:
    """Shortcuts, which no activation precedes, get a gain of 1."""
    initialise(network, settings.initial, settings.activation)
    for block in network.modules():
        if isinstance(block, Block):
            initialise(block.shortcut, settings.initial, settings.activation)
