"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, final

from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.noise import choices, latents
from ficta.losses.elbo import (
    bits_per_dimension,
    free_bits,
    gaussian_kl_nats,
    log_importance_weight,
    negative_elbo,
    reparameterise,
)
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder
from ficta.nets.heads import HeadName, build_head
from ficta.nets.parts import condition_size, conditioning


class VaeSettings(Settings):
    """Settings of a VAE."""

    latent_dim: Annotated[int, Field(ge=1, description="numbers a latent")] = 16
    head: Annotated[
        HeadName | Literal["auto"],
        Field(
            description="distribution of the data given a latent; auto: bernoulli for binary data, grey-bce for data "
            "with levels (pictures), mixed for rows of columns, else gaussian"
        ),
    ] = "auto"
    variance: Annotated[float | None, Field(gt=0, description="of a gaussian head; without, it is learned")] = None
    variance_floor: Annotated[float, Field(gt=0, description="least variance of a gaussian head")] = 1e-4
    beta: Annotated[float, Field(ge=0, description="weight of the KL term; 1 is the true bound")] = 1.0
    free_bits_nats: Annotated[float, Field(ge=0, description="least KL of each latent that is paid for anyway")] = 0.0
    encoder: Annotated[NetworkSettings, Field(description="network from data to latents")] = NetworkSettings()
    decoder: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    optimiser: Annotated[OptimiserSettings, Field(description="of encoder and decoder")] = OptimiserSettings()


@final
class Vae(Family):
    """Encoder, decoder, head; one phase."""

    settings_type = VaeSettings
    roles = ("encoder", "decoder")

    def __init__(self, settings: VaeSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.latent_dim = settings, spec, settings.latent_dim
        self.classes = condition_size(spec)
        self.head = build_head(settings.head, spec, settings.variance, settings.variance_floor)
        self.observation, self.is_likelihood = self.head.name, self.head.is_likelihood
        self.encoder = (
            networks["encoder"]
            if "encoder" in networks
            else build_encoder(settings.encoder, spec.shape, 2 * settings.latent_dim, self.classes)
        )
        self.decoder = (
            networks["decoder"]
            if "decoder" in networks
            else build_decoder(settings.decoder, settings.latent_dim, self.head.shape, self.classes)
        )

    def phases(self) -> Sequence[Phase]:
        """One: the negative ELBO, with beta and free bits."""
        modules = ("encoder", "decoder", "head")
        return [Phase("cost_nats", modules, self.loss, "main", couples_samples=self.settings.free_bits_nats > 0)]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for everything."""
        return {"main": self.settings.optimiser}

    def loss(self, batch: Batch) -> Losses:
        """What training minimises: the bound with beta and free bits."""
        distortion_nats, kl_nats = self._parts(batch)
        paid_nats = free_bits(kl_nats, self.settings.free_bits_nats).sum(1)
        value = negative_elbo(distortion_nats, paid_nats, self.settings.beta)
        return Losses(value, self._terms(distortion_nats, kl_nats))

    def bound(self, batch: Batch) -> Losses:
        """Negative ELBO of each sample, with one draw from the posterior."""
        distortion_nats, kl_nats = self._parts(batch)
        value = negative_elbo(distortion_nats, kl_nats.sum(1))
        terms = self._terms(distortion_nats, kl_nats)
        if self.head.discrete:
            terms["bits_per_dimension"] = bits_per_dimension(value.detach(), self.spec.size)
        return Losses(value, terms)

    def log_weights(self, batch: Batch, draws: int) -> Tensor:
        """Log importance weights of draws from the posterior, float (B, draws), in nats."""
        mean, log_variance = (part[:, None] for part in self.posterior(batch.data, batch.condition))
        noise = batch.noise.normal(draws, self.latent_dim)
        z = reparameterise(mean, log_variance, noise)
        condition = None if batch.condition is None else batch.condition.repeat_interleave(draws, 0)
        raw = self.decoder(z.flatten(0, 1), *conditioning(condition, self.classes))
        nll = LIKELIHOODS[self.head.name](batch.data.repeat_interleave(draws, 0), *self.head(raw))
        return log_importance_weight(nll.view(-1, draws), z, noise, log_variance)

    def posterior(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), float32 (B, latent_dim) each; the latter within [-20, 20]."""
        mean, log_variance = self.encoder(x, *conditioning(condition, self.classes)).float().chunk(2, 1)
        return mean, log_variance.clamp(-20, 20)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Posterior mean."""
        return self.posterior(x, condition)[0]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Expected data given a latent."""
        return self.head.mean(self.decoder(z, *conditioning(condition, self.classes)))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: int = 0
    ) -> Tensor:
        """Draw from the prior, and then from what the head says of the data."""
        device = device_of(self)
        z = latents(seed, first, n, self.latent_dim).to(device) * options.temperature
        raw = self.decoder(z, *conditioning(condition, self.classes))
        return self.head.draw(raw, choices(seed, first, n, self.head.choices).to(device))

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Reconstruction cost (B,) and KL of each latent (B, latent_dim), in nats."""
        mean, log_variance = self.posterior(batch.data, batch.condition)
        z = reparameterise(mean, log_variance, batch.noise.normal(self.latent_dim))
        raw = self.decoder(z, *conditioning(batch.condition, self.classes))
        nll = LIKELIHOODS[self.head.name]
        zero = mean.new_zeros(())
        return nll(batch.data, *self.head(raw)), gaussian_kl_nats(mean, log_variance, zero, zero)

    def _terms(self, distortion_nats: Tensor, kl_nats: Tensor) -> dict[str, Tensor]:
        return {self.head.term: distortion_nats.detach(), "kl_nats": kl_nats.detach().sum(1)}
