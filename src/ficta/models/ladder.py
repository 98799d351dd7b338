"""Ladder variational autoencoder: layers of latents, inferred from the top down (Sønderby et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.spec import Spec
from ficta.compute.noise import Place, choices
from ficta.losses.elbo import (
    bits_per_dimension,
    free_bits,
    gaussian_kl_nats,
    gaussian_log_density,
    gaussian_nats,
    negative_elbo,
    reparameterise,
)
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of, risen
from ficta.models.priors import StandardNormal, halves
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder
from ficta.nets.heads import HeadSettings
from ficta.nets.mlp import MlpDecoder, MlpEncoder, MlpSettings
from ficta.nets.parts import condition_size, conditioning


class LadderSettings(HeadSettings):
    """Settings of a ladder VAE."""

    latent_dims: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, description="numbers of each layer of latents, from the data up"),
    ] = (16, 8, 4)
    beta: Annotated[float, Field(ge=0, description="weight of the KL terms; 1 is the true bound")] = 1.0
    beta_samples: Annotated[
        int, Field(ge=0, description="samples seen over which that weight rises from 0: upper layers need the time")
    ] = 50_000
    free_bits_nats: Annotated[float, Field(ge=0, description="least KL of each latent that is paid for anyway")] = 0.0
    features: Annotated[int, Field(ge=1, description="numbers that each layer's posterior is read from")] = 256
    between: Annotated[MlpSettings, Field(description="networks from one layer to the next")] = MlpSettings(
        hidden=(256,), activation="silu"
    )
    encoder: Annotated[NetworkSettings, Field(description="network from data to features")] = NetworkSettings()
    decoder: Annotated[NetworkSettings, Field(description="network from the lowest latents to data")] = (
        NetworkSettings()
    )
    optimiser: Annotated[OptimiserSettings, Field(description="of everything")] = OptimiserSettings()


class Layer(NamedTuple):
    """Latents of one layer, float32 (B, D) each.

    Attributes:
        mean_q: of the posterior given the layer above.
        log_variance_q: of the posterior.
        mean_p: of the prior given the layer above.
        log_variance_p: of the prior.
        z: a draw from the posterior.
        number: the standard normal number that the prior would have made that draw from.
    """

    mean_q: Tensor
    log_variance_q: Tensor
    mean_p: Tensor
    log_variance_p: Tensor
    z: Tensor
    number: Tensor


@final
class Ladder(Family):
    """Features from the data up; latents from the top down, each layer's posterior a compromise with its prior.

    A sample's latent is the standard normal numbers of all layers, lowest first: what its prior makes each layer from.
    """

    settings_type = LadderSettings
    roles = ("encoder", "decoder")

    def __init__(self, settings: LadderSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.dims = settings, spec, settings.latent_dims
        self.latent_dim = sum(self.dims)
        self.prior = StandardNormal(self.latent_dim)
        self.classes = condition_size(spec)
        self.head = settings.build_head(spec)
        self.observation, self.is_likelihood = self.head.name, self.head.is_likelihood
        width, between = settings.features, settings.between
        self.encoder = (
            networks["encoder"]
            if "encoder" in networks
            else build_encoder(settings.encoder, spec.shape, width, self.classes)
        )
        self.decoder = (
            networks["decoder"]
            if "decoder" in networks
            else build_decoder(settings.decoder, self.dims[0], self.head.shape, self.classes)
        )
        self.up = nn.ModuleList(MlpEncoder(between, (width,), width, 0) for _ in self.dims[1:])
        self.read = nn.ModuleList(nn.Linear(width, 2 * size) for size in self.dims)
        pairs = zip(self.dims, self.dims[1:], strict=False)
        self.down = nn.ModuleList(MlpDecoder(between, high, (2 * low,), 0) for low, high in pairs)

    def phases(self) -> Sequence[Phase]:
        """One: the negative ELBO, with beta and free bits."""
        modules = ("encoder", "decoder", "head", "up", "read", "down")
        return [Phase("cost_nats", modules, self.loss, "main", couples_samples=self.settings.free_bits_nats > 0)]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for everything."""
        return {"main": self.settings.optimiser}

    def loss(self, batch: Batch) -> Losses:
        """The bound with beta and free bits."""
        layers = self._infer(batch)
        distortion_nats = self._distortion(batch, layers[0].z)
        each = [gaussian_kl_nats(*layer[:4]) for layer in layers]
        paid_nats = torch.stack([free_bits(kl_nats, self.settings.free_bits_nats).sum(1) for kl_nats in each]).sum(0)
        beta = self.settings.beta * risen(batch.seen, self.settings.beta_samples)
        terms = {f"kl_layer_{number}_nats": kl_nats.detach().sum(1) for number, kl_nats in enumerate(each, 1)}
        value = negative_elbo(distortion_nats, paid_nats, beta)
        return Losses(value, {self.head.term: distortion_nats.detach(), **terms})

    def bound(self, batch: Batch) -> Losses:
        """Negative ELBO of each sample, with one draw from the posterior; KL as that draw has it."""
        layers = self._infer(batch)
        distortion_nats, kl_nats = self._distortion(batch, layers[0].z), self._log_ratio(layers)
        value = negative_elbo(distortion_nats, kl_nats)
        terms = {self.head.term: distortion_nats.detach(), "kl_nats": kl_nats.detach()}
        if self.head.discrete:
            terms["bits_per_dimension"] = bits_per_dimension(value.detach(), self.spec.size)
        return Losses(value, terms)

    def log_weights(self, batch: Batch, draws: int) -> Tensor:
        """Log importance weights of draws from the posterior, float (B, draws), in nats."""
        layers = self._infer(batch, draws)
        costs = self._distortion(batch, layers[0].z, draws) + self._log_ratio(layers)
        return -costs.view(-1, draws)

    def infer(self, batch: Batch) -> Tensor:
        """A draw from each posterior."""
        return torch.cat([layer.number for layer in self._infer(batch)], 1)

    def layer_nats(self, batch: Batch) -> Sequence[Tensor]:
        """Log q / p of a draw of each latent, lowest layer first."""
        return [
            gaussian_nats(layer.z, layer.mean_p, layer.log_variance_p)
            - gaussian_nats(layer.z, layer.mean_q, layer.log_variance_q)
            for layer in self._infer(batch)
        ]

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Posterior mean of each layer given the means above it."""
        zeros = [x.new_zeros(len(x), size) for size in self.dims]
        return torch.cat([layer.number for layer in self._down(self._features(x, condition), zeros)], 1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Expected data given a latent."""
        return self.head.mean(self._raw(z, condition))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Draw from the prior, and then from what the head says of the data."""
        raw = self._raw(self.prior.sample(n, seed, first, options.temperature), condition)
        return self.head.draw(raw, choices(seed, first, n, self.head.choices).to(device_of(self)))

    def _features(self, x: Tensor, condition: Tensor | None) -> list[Tensor]:
        """What each layer's posterior is read from, lowest first."""
        found = [F.silu(self.encoder(x, *conditioning(condition, self.classes)))]
        for up in self.up:
            found.append(F.silu(up(found[-1])))
        return found

    def _infer(self, batch: Batch, draws: int = 1) -> list[Layer]:
        """Draws from the posteriors, (B * draws, D), lowest layer first."""
        features = [each.repeat_interleave(draws, 0) for each in self._features(batch.data, batch.condition)]
        noise = batch.noise.normal(draws, self.latent_dim).flatten(0, 1)
        return self._down(features, torch.split(noise, list(self.dims), 1))

    def _down(self, features: Sequence[Tensor], noise: Sequence[Tensor]) -> list[Layer]:
        """From the top: the posterior is the product of what features and the prior say (Eqs. 13 and 14)."""
        found: list[Layer] = []
        for place in reversed(range(len(self.dims))):
            mean_q, log_variance_q = halves(self.read[place](features[place]))
            mean_p = log_variance_p = torch.zeros_like(mean_q)
            if found:
                mean_p, log_variance_p = halves(self.down[place](found[-1].z))
                shares = torch.sigmoid(log_variance_p - log_variance_q)  # of the features' word
                mean_q = shares * mean_q + (1 - shares) * mean_p
                log_variance_q = log_variance_q + F.logsigmoid(log_variance_p - log_variance_q)
            z = reparameterise(mean_q, log_variance_q, noise[place])
            number = (z - mean_p) * torch.exp(-0.5 * log_variance_p)
            found.append(Layer(mean_q, log_variance_q, mean_p, log_variance_p, z, number))
        return found[::-1]

    def _log_ratio(self, layers: Sequence[Layer]) -> Tensor:
        """Log q(z|x) / p(z) of the draws, in nats."""
        numbers = torch.cat([layer.number for layer in layers], 1)
        total = -self.prior.log_density(numbers, numbers.new_empty(len(numbers), 0))
        for layer in layers:  # the density of z is that of its number, divided by the prior's spread
            own = gaussian_log_density(layer.z, layer.mean_q, layer.log_variance_q)
            total = total + own + 0.5 * layer.log_variance_p.sum(1)
        return total

    def _raw(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """From standard normal numbers, top down, to the head's raw input."""
        *lower, latent = torch.split(z, list(self.dims), 1)
        for down, number in zip(reversed(self.down), reversed(lower), strict=True):
            latent = reparameterise(*halves(down(latent)), number)
        raw: Tensor = self.decoder(latent, *conditioning(condition, self.classes))
        return raw

    def _distortion(self, batch: Batch, z: Tensor, draws: int = 1) -> Tensor:
        """Reconstruction cost in nats of latents (B * draws, D): (B * draws,)."""
        condition = None if batch.condition is None else batch.condition.repeat_interleave(draws, 0)
        raw = self.decoder(z, *conditioning(condition, self.classes))
        return LIKELIHOODS[self.head.name](batch.data.repeat_interleave(draws, 0), *self.head(raw))
