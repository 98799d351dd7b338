"""Small parts that networks share: activations, initial weights, the condition as a vector."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ficta.base.spec import Spec

Activation = Literal["relu", "leaky_relu", "silu", "tanh"]
Initial = Literal["he", "glorot", "narrow"]

GROUP = 4  # samples whose features are compared
MOMENTUM = 0.1  # of what is usual, as of batch normalisation
LEAK = 0.2  # slope of leaky_relu below zero
SUMMED = math.sqrt(0.5)  # of the sum of two paths, so that its variance is that of one
NARROW = 0.02  # standard deviation of narrow weights
LOUD = 10.0  # how loud a label is among a network's inputs; a single 1 among many numbers is not heard


class Act(nn.Module):
    """Activation by name, in place where what it follows does not need its own output any more."""

    def __init__(self, kind: Activation, in_place: bool = True) -> None:
        super().__init__()
        self.kind, self.in_place = kind, in_place

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to a tensor of any shape."""
        match self.kind:
            case "relu":
                return F.relu(x, inplace=self.in_place)
            case "leaky_relu":
                return F.leaky_relu(x, LEAK, inplace=self.in_place)
            case "silu":
                return F.silu(x)
            case "tanh":
                return torch.tanh(x)


class MinibatchDeviation(nn.Module):
    """One more feature: how much those of a sample's group vary (Karras et al. 2018, arXiv:1710.10196, Sec. 3).

    Outside training it is what it usually was there, so that what is said of a sample depends on that sample alone.
    """

    usual: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Float (B, F, *axes) => float (B, F + 1, *axes). A group is four samples; else the whole batch, if not 4 n."""
        if not self.training:
            return self._beside(features, self.usual.to(features.dtype).expand(len(features)))
        count = len(features)
        group = GROUP if count % GROUP == 0 else count
        groups = features.reshape(-1, group, *features.shape[1:])
        variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)  # ten times as fast as ``var``
        spread = variance.add(1e-8).sqrt().flatten(1).mean(1)
        self.usual.lerp_(spread.detach().mean().to(self.usual.dtype), MOMENTUM)
        return self._beside(features, spread.repeat_interleave(group))

    @staticmethod
    def _beside(features: Tensor, spread: Tensor) -> Tensor:
        found = spread.view(-1, *[1] * (features.ndim - 1))
        return torch.cat([features, found.expand(-1, 1, *features.shape[2:])], 1)


def couples(network: nn.Module) -> bool:
    """Whether what a network says of a sample in training depends on the others in its batch."""
    return normalises_batches(network) or any(isinstance(module, MinibatchDeviation) for module in network.modules())


def normalises_batches(network: nn.Module) -> bool:
    """Whether there is batch normalisation in it."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def initialise(network: nn.Module, initial: Initial, activation: Activation) -> None:
    """Set the weights of linear and convolution layers; biases to zero.

    Args:
        network: its layers are changed in place. The last one, which no activation follows, gets a gain of 1.
        initial: ``he`` keeps the variance of what is passed forward (He et al. 2015, arXiv:1502.01852, Eq. 10);
            ``glorot`` is the uniform compromise between forward and backward (Glorot & Bengio 2010, Eq. 16);
            ``narrow`` draws all with a standard deviation of 0.02, for networks whose normalisation sees to the rest
            (Radford et al. 2016, arXiv:1511.06434, Sec. 4).
        activation: what follows every layer but the last.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)]
    for layer in layers:
        fan_in, fan_out = _fans(layer)
        with torch.no_grad():
            if initial == "glorot":
                bound = math.sqrt(6 / (fan_in + fan_out))
                layer.weight.uniform_(-bound, bound)
            elif initial == "narrow":
                layer.weight.normal_(0, NARROW)
            else:
                gain = 1.0 if layer is layers[-1] else nn.init.calculate_gain(*_gain(activation))
                layer.weight.normal_(0, gain / math.sqrt(fan_in))
            if layer.bias is not None:
                layer.bias.zero_()


def condition_size(spec: Spec) -> int:
    """Length of the condition as a vector: categories of a label, values of a row; 0 for an unconditional Spec."""
    if spec.condition is None:
        return 0
    return len(spec.condition.categories) or spec.condition.size


def condition_vector(condition: Tensor | None, size: int) -> Tensor | None:
    """What a network is told: label int64 (B,) as one-hot times ``LOUD``, float32 (B, size); rows as they are."""
    named = _named(condition, size)
    return named if named is None or named is condition else LOUD * named


def blank_condition(spec: Spec, count: int) -> Tensor | None:
    """A condition for trying out: the first label, or a row of which nothing is given."""
    if spec.condition is None:
        return None
    return (
        torch.zeros(count, dtype=torch.int64)
        if spec.condition.categories
        else torch.zeros(count, *spec.condition.shape)
    )


def conditioning(condition: Tensor | None, size: int) -> tuple[Tensor, ...]:
    """What a network takes after its input: the condition's vector, or nothing, so that any module will serve."""
    vector = condition_vector(condition, size)
    return () if vector is None else (vector,)


def projected(out: Tensor, condition: Tensor | None, size: int) -> Tensor:
    """Numbers float (B, 1 + size) => one logit a sample, (B,): the first, and with a condition those that it names.

    The projection of Miyato & Koyama 2018 (arXiv:1802.05637, Eq. 3) onto a discriminator's last layer.
    """
    own = _named(condition, size)
    return out[:, 0] if own is None else out[:, 0] + (out[:, 1:] * own).sum(1)


def drawn(logits: Tensor, uniform: Tensor) -> Tensor:
    """Logits float (n, K) and numbers in [0, 1) float (n,) => choices with their probability, int64 (n,)."""
    reached = logits.softmax(1).cumsum(1)
    return (reached <= uniform[:, None] * reached[:, -1:]).sum(1).clamp(max=logits.shape[1] - 1)


def _named(condition: Tensor | None, size: int) -> Tensor | None:
    """Label int64 (B,) as one-hot float32 (B, size); a row of given columns, float32 (B, size), is a vector already."""
    if condition is None or condition.is_floating_point():
        return condition
    return F.one_hot(condition, size).float()


def _gain(activation: Activation) -> tuple[Literal["relu", "leaky_relu", "tanh"], float | None]:
    if activation == "silu":
        return "relu", None  # which it is close to
    return activation, LEAK if activation == "leaky_relu" else None


def _fans(layer: nn.Module) -> tuple[float, float]:
    """How many values feed one output, and how many outputs one value feeds."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if not isinstance(layer, nn.modules.conv._ConvNd):
        return weight.shape[1], weight.shape[0]
    area, strides = math.prod(layer.kernel_size), math.prod(layer.stride)
    if layer.transposed:  # a stride of s spreads each input over the output, so that 1/s of the kernel meets a value
        return layer.in_channels * area / strides, layer.out_channels * area
    return layer.in_channels * area, layer.out_channels * area / strides
