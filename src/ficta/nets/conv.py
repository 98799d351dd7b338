"""Convolutional networks over 1, 2 or 3 axes with one code: halve every axis per stage, or double it back."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.settings import Settings
from ficta.compute.device import lay_out_like
from ficta.nets.parts import Act, Activation, Initial, initialise
from ficta.nets.transposed import Transposed1d, Transposed2d, Transposed3d

CONV: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
UP: dict[int, type[Transposed1d] | type[Transposed2d] | type[Transposed3d]] = {
    1: Transposed1d,
    2: Transposed2d,
    3: Transposed3d,
}
NORM: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {
    1: nn.BatchNorm1d,
    2: nn.BatchNorm2d,
    3: nn.BatchNorm3d,
}
Norm = Literal["none", "group", "batch"]
FEWEST = 2  # stages without named channels; one convolution alone sees too little
SMALLEST = 4  # without named channels, stages halve until the shortest axis is this long or shorter


class ConvSettings(Settings):
    """Convolutions with stride 2."""

    channels: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None,
        Field(
            description="channels in the order of the flow. Encoder: of each halving stage. Decoder: of the grid that "
            "the first dense layer makes, then of each doubling stage. Without: as many stages as the shape needs"
        ),
    ] = None
    width: Annotated[int, Field(ge=1, description="channels at the finest stage, doubled per coarser one")] = 32
    widest: Annotated[int, Field(ge=1, description="most channels that doubling leads to")] = 256
    kernel: Annotated[int, Field(ge=3, le=7, description="kernel length along each axis")] = 4
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(description="dense layers between the grid and the features")
    ] = ()
    last: Annotated[
        Literal["plain", "doubling"],
        Field(description="decoder: whether the last convolution keeps the size or doubles it"),
    ] = "plain"
    norm: Annotated[
        Norm,
        Field(
            description="normalisation after each stage's convolution. With batch, as in DCGAN, also of hidden dense "
            "layers and of the decoder's grid, and not of the encoder's first stage"
        ),
    ] = "none"
    activation: Annotated[Activation, Field(description="after each layer but the last")] = "leaky_relu"
    initial: Annotated[Initial, Field(description="initial weights")] = "he"


class ConvEncoder(nn.Module):
    """(B, channels, *axes) and condition (B, C) to features (B, outputs)."""

    def __init__(self, settings: ConvSettings, shape: tuple[int, ...], outputs: int, condition: int) -> None:
        super().__init__()
        before, *axes = shape
        channels = settings.channels or widths(settings.width, settings.widest, axes)
        stages, grid = halvings(settings, before, axes, channels)
        self.stages = nn.Sequential(*stages)
        self.dense = _dense(settings, channels[-1] * math.prod(grid) + condition, outputs, last=True)
        initialise(self, settings.initial, settings.activation)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, channels, *axes), float (B, C) or None => float (B, outputs)."""
        features = self.stages(x).movedim(1, -1).flatten(1)  # a view where channels are last in memory, too
        out: Tensor = self.dense(features if condition is None else torch.cat([features, condition], 1))
        return out


class ConvDecoder(nn.Module):
    """Features (B, inputs) and condition (B, C) to (B, channels, *axes), of exactly that shape."""

    def __init__(self, settings: ConvSettings, inputs: int, shape: tuple[int, ...], condition: int) -> None:
        super().__init__()
        out_channels, *axes = shape
        channels = settings.channels or mirrored(settings, widths(settings.width, settings.widest, axes))
        stages, grid = doublings(settings, channels, out_channels, axes)
        self.grid = (*grid, channels[0])
        self.dense = _dense(settings, inputs + condition, math.prod(self.grid), last=False)
        self.stages = nn.Sequential(*stages)
        initialise(self, settings.initial, settings.activation)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, inputs), float (B, C) or None => float (B, channels, *axes)."""
        flat = self.dense(z if condition is None else torch.cat([z, condition], 1))
        grid = flat.reshape(-1, *self.grid).movedim(-1, 1)  # channels are last in memory
        out: Tensor = self.stages(lay_out_like(grid, next(self.stages.parameters())))
        return out


def halvings(
    settings: ConvSettings, before: int, axes: list[int], channels: Sequence[int]
) -> tuple[list[nn.Module], list[int]]:
    """Stages that halve axes, to so many channels each, and the size that they end with."""
    kernel, padding = _kernel(settings.kernel, axes)
    stages: list[nn.Module] = []
    for after in channels:
        norm = "none" if settings.norm == "batch" and not stages else settings.norm
        stages += [CONV[len(axes)](before, after, kernel, 2, padding)]  # type: ignore[arg-type]
        stages += [*normalisation(norm, after, len(axes)), Act(settings.activation)]
        before = after
    return stages, _sizes(axes, len(channels), settings.kernel)[-1]


def doublings(
    settings: ConvSettings, channels: Sequence[int], outputs: int, axes: list[int]
) -> tuple[list[nn.Module], list[int]]:
    """Stages from a grid of ``channels[0]`` channels to ``outputs`` of size ``axes``, and the size of that grid."""
    doubles = settings.last == "doubling"
    sizes = _sizes(axes, len(channels) - 1 + doubles, settings.kernel)[::-1]
    stages: list[nn.Module] = []
    for before, after, small, large in zip(channels, channels[1:], sizes, sizes[1:], strict=False):
        stages += [_doubling(settings, before, after, axes, small, large)]
        stages += [*normalisation(settings.norm, after, len(axes)), Act(settings.activation)]
    if doubles:
        stages.append(_doubling(settings, channels[-1], outputs, axes, sizes[-2], sizes[-1]))
    else:
        # transposed with stride 1: the same map, and its backward pass takes half the time for few channels
        stages.append(UP[len(axes)](channels[-1], outputs, 3, 1, 1))
    return stages, sizes[0]


def widths(width: int, widest: int, axes: list[int]) -> tuple[int, ...]:
    """Encoder channels for a shape: width, doubled per stage, but no more than widest."""
    shortest = min((axis for axis in axes if axis > 1), default=1)
    stages = max(FEWEST, math.ceil(math.log2(shortest / SMALLEST)))
    while stages > 1 and shortest < 2**stages:
        stages -= 1
    return tuple(min(width * 2**stage, widest) for stage in range(stages))


def mirrored(settings: ConvSettings, encoding: tuple[int, ...]) -> tuple[int, ...]:
    """Decoder channels that mirror an encoder's: grid first; the finest one once more for a plain last layer."""
    return encoding[::-1] if settings.last == "doubling" else (*encoding[::-1], encoding[0])


def _kernel(kernel: int, axes: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kernel and padding along each axis; one of a single element has nothing to convolve and stays as it is."""
    kernels = tuple(1 if axis == 1 else kernel for axis in axes)
    return kernels, tuple((length - 1) // 2 for length in kernels)


def _sizes(axes: list[int], stages: int, kernel: int) -> list[list[int]]:
    """Sizes from the full one to the coarsest, by the arithmetic of a convolution with stride 2."""
    sizes = [axes]
    kernels, paddings = _kernel(kernel, axes)
    for _ in range(stages):
        smaller = [(a + 2 * p - k) // 2 + 1 for a, k, p in zip(sizes[-1], kernels, paddings, strict=True)]
        if min(smaller) < 1:
            raise UsageError(f"{stages} stages halve {tuple(axes)} away; name fewer channels")
        sizes.append(smaller)
    return sizes


def _doubling(
    settings: ConvSettings, before: int, after: int, axes: list[int], small: list[int], large: list[int]
) -> nn.Module:
    """Transposed convolution from size ``small`` to exactly ``large``."""
    kernel, padding = _kernel(settings.kernel, axes)
    sides = zip(small, large, kernel, padding, strict=True)
    extra = tuple(big - (2 * (little - 1) - 2 * p + k) for little, big, k, p in sides)
    return UP[len(small)](before, after, kernel, 2, padding, output_padding=extra)  # type: ignore[arg-type]


def normalisation(kind: Norm, channels: int, axes: int) -> list[nn.Module]:
    """The layer that normalises grids (B, channels, *axes), or nothing."""
    match kind:
        case "group":
            return [nn.GroupNorm(math.gcd(channels, 8), channels)]
        case "batch":
            return [NORM[axes](channels)]
        case "none":
            return []


def _dense(settings: ConvSettings, inputs: int, outputs: int, *, last: bool) -> nn.Sequential:
    """Hidden layers and one to ``outputs``; an activation follows that too unless it is the network's last."""
    layers: list[nn.Module] = []
    for width in (*settings.hidden, outputs):
        layers.append(nn.Linear(inputs, width))
        if settings.norm == "batch":
            layers.append(nn.BatchNorm1d(width))
        layers.append(Act(settings.activation))
        inputs = width
    after = 2 if settings.norm == "batch" else 1
    return nn.Sequential(*(layers[:-after] if last else layers))
