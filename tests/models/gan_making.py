"""Small GANs, and discriminators whose costs can be worked out on paper."""

from typing import Any

import torch
from torch import Tensor, nn

from ficta.base.spec import Spec, class_condition
from ficta.compute.noise import Noise
from ficta.models.family import Batch
from ficta.models.gan import Gan
from ficta.models.registry import build

ROW = Spec(("column",), (4,), "continuous")
LABELLED = Spec(("column",), (4,), "continuous", condition=class_condition(("a", "b", "c")))
SMALL = {"mlp": {"hidden": (16,)}}
SLOPE_5 = [[1.0, 2.0, -2.0, 4.0]]  # its length
NO_PENALTY = {"r1_gamma": 0.0}


def batch(data: Tensor, condition: Tensor | None = None, key: int = 0) -> Batch:
    return Batch(data, condition, torch.tensor(0), Noise.whole(key, "cpu", len(data)))


def gan(settings: dict[str, Any], spec: Spec = ROW, **networks: nn.Module) -> Gan:
    torch.manual_seed(0)
    family = build("gan", {"latent_dim": 3, "generator": SMALL, "discriminator": SMALL, **settings}, spec, networks)
    assert isinstance(family, Gan)
    return family


class Affine(nn.Module):
    """weight x + bias, whatever the condition."""

    def __init__(self, weight: list[list[float]], bias: list[float]) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.tensor(numbers, dtype=torch.float32)) for numbers in (weight, bias)
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x @ self.weight.T + self.bias


def always(*made: float) -> Affine:
    """A generator that makes these numbers, whatever the latent."""
    return Affine([[0, 0, 0]] * len(made), list(made))


class HalfSquare(nn.Module):
    """|x|^2 / 2, whose gradient is x; notes what it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        return self.weight * x.square().sum(1, keepdim=True) / 2
