"""Distributions of latents: what a family is trained with, and what is fitted to its latents afterwards."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ficta.base.seeds import mix
from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.noise import Place, choices, latents
from ficta.losses.elbo import (
    gaussian_kl_nats,
    gaussian_log_densities,
    gaussian_log_density,
    gaussian_nats,
    reparameterise,
)
from ficta.nets.mlp import MlpDecoder, MlpEncoder, MlpSettings
from ficta.nets.parts import LOUD

CALM = 0.1  # times the initial weights that give means and log-variances: else spreads multiply from layer to layer
Posterior = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


class Prior(nn.Module, abc.ABC):
    """A distribution of latents. Leaf classes are final.

    Attributes:
        latent_dim: numbers a latent.
        normals: standard normal numbers that a draw takes.
        uniforms: uniform ones that it takes besides.
        auxiliary: standard normal numbers that a log-density takes: where there are further latents above, it is that
            of one draw of them, divided by their posterior, which is right on average.
        factorised: whether it has no parameters and latents are independent, so that divergences are sums over them.
    """

    normals: int
    uniforms: int = 0
    auxiliary: int = 0
    factorised: bool = False

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = self.normals = latent_dim

    @abc.abstractmethod
    def log_density(self, z: Tensor, noise: Tensor) -> Tensor:
        """Log p(z) in nats: latents float (..., latent_dim), noise (..., auxiliary) => float (...)."""

    @abc.abstractmethod
    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """Numbers float (n, normals) and (n, uniforms) => latents float (n, latent_dim)."""

    def kl_nats(self, mean: Tensor, log_variance: Tensor, z: Tensor, noise: Tensor) -> Tensor:
        """KL(q || p) of each posterior, of each latent where it is a sum over them: float (B, latent_dim) or (B, 1).

        Args:
            mean: of the posteriors, float (B, latent_dim).
            log_variance: of the posteriors, float (B, latent_dim).
            z: draws from them, float (B, k, latent_dim), over which an estimate is averaged.
            noise: float (B, k, auxiliary).
        """
        own = gaussian_log_density(z, mean[:, None], log_variance[:, None])
        return (own - self.log_density(z, noise)).mean(1, keepdim=True)

    def sample(self, n: int, seed: int, first: Place = 0, temperature: float = 1.0) -> Tensor:
        """Latents ``first`` to ``first + n``, or those named, float (n, latent_dim); i depends on (seed, i) alone.

        ``temperature`` is what normal numbers are multiplied by.
        """
        device = _device(self)
        normal = latents(seed, first, n, self.normals).to(device) * temperature
        return self.draw(normal, choices(mix(seed, "prior"), first, n, self.uniforms).to(device))


class StandardNormal(Prior):
    """All latents independent, with mean 0 and variance 1."""

    factorised = True

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.zero: Tensor
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def log_density(self, z: Tensor, noise: Tensor) -> Tensor:
        """In closed form."""
        return gaussian_log_density(z, self.zero, self.zero)

    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """The numbers themselves."""
        return normal

    def kl_nats(self, mean: Tensor, log_variance: Tensor, z: Tensor, noise: Tensor) -> Tensor:
        """In closed form, of each latent."""
        return gaussian_kl_nats(mean, log_variance, self.zero, self.zero)


class VampPrior(Prior):
    """A mixture of the encoder's own posteriors of learnt pseudo-inputs, each counting the same.

    Tomczak & Welling 2018, arXiv:1705.07120, Eq. 9. Of a conditional family a pseudo-input has a learnt condition, too.
    """

    uniforms = 1

    def __init__(self, latent_dim: int, inputs: int, spec: Spec, classes: int, posterior: Posterior) -> None:
        """``posterior`` gives mean and log-variance; it is a bound method of the family that owns this."""
        super().__init__(latent_dim)
        self.raw = nn.Parameter(torch.randn(inputs, *spec.shape))
        self.raw_condition = nn.Parameter(torch.randn(inputs, classes)) if classes else None
        self.low = 0.0 if spec.kind == "binary" else -1.0
        self._posterior = posterior

    def log_density(self, z: Tensor, noise: Tensor) -> Tensor:
        """Of the mixture."""
        mean, log_variance = self._components()
        return gaussian_log_densities(z, mean, log_variance).logsumexp(-1) - math.log(len(mean))

    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """A pseudo-input, and a draw from its posterior."""
        mean, log_variance = self._components()
        which = (uniform[:, 0] * len(mean)).long().clamp(max=len(mean) - 1)
        return reparameterise(mean[which], log_variance[which], normal)

    def _components(self) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of each, float (inputs, latent_dim)."""
        inputs = self.low + (1 - self.low) * self.raw.sigmoid()
        return self._posterior(inputs, None if self.raw_condition is None else LOUD * self.raw_condition.softmax(1))


class Stack(Prior):
    """Latents above latents, each layer normal given the one above, the topmost standard normal.

    The upper layers of Burda et al. 2016, arXiv:1509.00519, Sec. 2: the log-density of the lowest latents is that of
    all, divided by the bottom-up posterior of the upper ones, which are drawn once.
    """

    def __init__(self, latent_dim: int, above: tuple[int, ...], network: MlpSettings) -> None:
        super().__init__(latent_dim)
        self.above = above
        self.auxiliary = sum(above)
        self.normals = latent_dim + sum(above)
        pairs = list(zip((latent_dim, *above), above, strict=False))
        self.up = nn.ModuleList(MlpEncoder(network, (low,), 2 * high, 0) for low, high in pairs)
        self.down = nn.ModuleList(MlpDecoder(network, high, (2 * low,), 0) for low, high in pairs)
        with torch.no_grad():
            for between in (*self.up, *self.down):
                between.layers[-1].weight.mul_(CALM)

    def log_density(self, z: Tensor, noise: Tensor) -> Tensor:
        """Of one draw of the upper latents."""
        shape, z = z.shape[:-1], z.reshape(-1, self.latent_dim)
        total = z.new_zeros(len(z))
        numbers = torch.split(noise.reshape(-1, self.auxiliary), list(self.above), 1)
        for up, down, number in zip(self.up, self.down, numbers, strict=True):
            mean, log_variance = halves(up(z))
            above = reparameterise(mean, log_variance, number)
            total = total + gaussian_log_density(z, *halves(down(above)))
            total = total - gaussian_log_density(above, mean, log_variance)
            z = above
        zero = z.new_zeros(())
        return (total + gaussian_log_density(z, zero, zero)).reshape(shape)

    def draw(self, normal: Tensor, uniform: Tensor) -> Tensor:
        """From the top down."""
        *lower, z = torch.split(normal, [self.latent_dim, *self.above], 1)
        for down, number in zip(reversed(self.down), reversed(lower), strict=True):
            z = reparameterise(*halves(down(z)), number)
        return z

    def layer_nats(self, mean: Tensor, log_variance: Tensor, z: Tensor, noise: Tensor) -> list[Tensor]:
        """Log q / p of each latent, (B, size of the layer), lowest layer first.

        Args:
            mean: of the lowest posteriors, float (B, latent_dim).
            log_variance: of the lowest posteriors, float (B, latent_dim).
            z: draws from them, float (B, latent_dim).
            noise: that the upper layers are drawn by, float (B, auxiliary).
        """
        found = []
        for up, down, number in zip(self.up, self.down, torch.split(noise, list(self.above), 1), strict=True):
            upper = halves(up(z))
            above = reparameterise(*upper, number)
            found.append(gaussian_nats(z, *halves(down(above))) - gaussian_nats(z, mean, log_variance))
            z, (mean, log_variance) = above, upper
        zero = z.new_zeros(())
        return [*found, gaussian_nats(z, zero, zero) - gaussian_nats(z, mean, log_variance)]


def halves(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Raw numbers float (B, 2 D) => mean and log-variance, float32 (B, D) each; the latter within [-20, 20]."""
    mean, log_variance = raw.float().chunk(2, 1)
    return mean, log_variance.clamp(-20, 20)


class PriorSettings(Settings):
    """What latents are held to while the family is trained."""

    kind: Annotated[
        Literal["normal", "vamp", "stack"],
        Field(description="normal: standard normal; vamp: mixture of posteriors; stack: further latents above"),
    ] = "normal"
    inputs: Annotated[int, Field(ge=1, description="vamp: pseudo-inputs")] = 500
    above: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, description="stack: numbers a latent of each further layer, from below"),
    ] = (50,)
    network: Annotated[MlpSettings, Field(description="stack: networks between two layers")] = MlpSettings(
        hidden=(100, 100)
    )

    def build(self, latent_dim: int, spec: Spec, classes: int, posterior: Posterior) -> Prior:
        """The prior of a family that has this posterior."""
        match self.kind:
            case "vamp":
                return VampPrior(latent_dim, self.inputs, spec, classes, posterior)
            case "stack":
                return Stack(latent_dim, self.above, self.network)
            case "normal":
                return StandardNormal(latent_dim)


def _device(module: nn.Module) -> torch.device:
    """Where a module's numbers are."""
    return next(iter([*module.parameters(), *module.buffers()])).device
