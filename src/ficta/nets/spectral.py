"""Spectral normalisation: layers whose largest singular value is 1 (Miyato et al. 2018, arXiv:1802.05957)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

FIRST = 15  # rounds of power iteration before training; then one a step


class Spectral(nn.Module):
    """A weight divided by its largest singular value.

    Unlike ``torch.nn.utils.parametrizations.spectral_norm`` it does not iterate while it is used, but when told to:
    what a network says within a step does not depend on how often it was asked.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs  # axis of the weight
        rows = self._matrix(weight)
        self.register_buffer("left", F.normalize(torch.randn_like(rows[:, 0]), dim=0))
        self.register_buffer("right", F.normalize(torch.randn_like(rows[0]), dim=0))
        for _ in range(FIRST):
            self.advance(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight over its largest singular value, as far as that is known; of the same shape."""
        with torch.autocast(weight.device.type, enabled=False):  # the products are of all digits, whatever the layer's
            return weight / torch.dot(self.left, self._matrix(weight) @ self.right)

    @torch.no_grad()
    def advance(self, weight: Tensor) -> None:
        """One round of power iteration (Algorithm 1)."""
        rows = self._matrix(weight)
        self.left.copy_(F.normalize(rows @ self.right, dim=0))
        self.right.copy_(F.normalize(rows.T @ self.left, dim=0))

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.outputs, 0).flatten(1)


def normalise_spectrally(network: nn.Module) -> None:
    """Divide the weights of all linear and convolution layers by their largest singular values, from now on."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)]
    for layer in layers:
        outputs = 1 if getattr(layer, "transposed", False) else 0
        parametrize.register_parametrization(layer, "weight", Spectral(layer.weight.detach(), outputs))


def advance(network: nn.Module) -> None:
    """One round of power iteration for every weight that is normalised."""
    for module in network.modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], Spectral):
            assert isinstance(module.original, Tensor)
            module[0].advance(module.original)
