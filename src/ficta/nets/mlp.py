"""Fully connected networks: for samples of one axis, and for small ones of any shape."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.nets.parts import Act, Activation, Initial, initialise


class MlpSettings(Settings):
    """Fully connected layers."""

    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(description="width of each hidden layer, in the order of the flow"),
    ] = (
        512,
        512,
    )
    activation: Annotated[Activation, Field(description="after each hidden layer")] = "leaky_relu"
    initial: Annotated[Initial, Field(description="initial weights")] = "he"


class MlpEncoder(nn.Module):
    """(B, *shape) and condition (B, C) to features (B, outputs)."""

    def __init__(self, settings: MlpSettings, shape: tuple[int, ...], outputs: int, condition: int) -> None:
        super().__init__()
        self.layers = _stack(settings, math.prod(shape) + condition, outputs)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, *shape), float (B, C) or None => float (B, outputs)."""
        flat = x.flatten(1)
        out: Tensor = self.layers(flat if condition is None else torch.cat([flat, condition], 1))
        return out


class MlpDecoder(nn.Module):
    """Features (B, inputs) and condition (B, C) to (B, *shape)."""

    def __init__(self, settings: MlpSettings, inputs: int, shape: tuple[int, ...], condition: int) -> None:
        super().__init__()
        self.shape = shape
        self.layers = _stack(settings, inputs + condition, math.prod(shape))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Float (B, inputs), float (B, C) or None => float (B, *shape)."""
        out: Tensor = self.layers(z if condition is None else torch.cat([z, condition], 1))
        return out.reshape(-1, *self.shape)


def _stack(settings: MlpSettings, inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in settings.hidden:
        layers += [nn.Linear(inputs, width), Act(settings.activation)]
        inputs = width
    stack = nn.Sequential(*layers, nn.Linear(inputs, outputs))
    initialise(stack, settings.initial, settings.activation)
    return stack
