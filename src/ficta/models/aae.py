"""Adversarial autoencoder (Makhzani et al. 2016, arXiv:1511.05644)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, final

import torch
from pydantic import Field
from torch import Tensor, nn

from ficta.base.spec import Spec
from ficta.compute.noise import Place, choices
from ficta.losses.adversarial import logistic_discriminator, non_saturating_generator
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of
from ficta.models.priors import StandardNormal
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder
from ficta.nets.heads import HeadSettings
from ficta.nets.parts import condition_size, conditioning


class AaeSettings(HeadSettings):
    """Settings of an adversarial autoencoder."""

    latent_dim: Annotated[int, Field(ge=1, description="numbers a latent")] = 16
    adversary: Annotated[float, Field(ge=0, description="weight of what the discriminator says of latents")] = 10.0
    encoder: Annotated[NetworkSettings, Field(description="network from data to latents")] = NetworkSettings()
    decoder: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    discriminator: Annotated[NetworkSettings, Field(description="network from latents to a logit")] = NetworkSettings()
    optimiser: Annotated[OptimiserSettings, Field(description="of encoder and decoder")] = OptimiserSettings()
    discriminator_optimiser: Annotated[OptimiserSettings, Field(description="of the discriminator")] = (
        OptimiserSettings(betas=(0.5, 0.999))
    )


@final
class Aae(Family):
    """An autoencoder without noise whose latents a discriminator cannot tell from draws from the prior; two phases.

    Unlike in the paper, where encoder and decoder have two optimisers, both costs are minimised by one.
    """

    settings_type = AaeSettings
    roles = ("encoder", "decoder", "discriminator")

    def __init__(self, settings: AaeSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.latent_dim = settings, spec, settings.latent_dim
        self.prior = StandardNormal(settings.latent_dim)
        self.classes = condition_size(spec)
        self.head = settings.build_head(spec)
        self.encoder = (
            networks["encoder"]
            if "encoder" in networks
            else build_encoder(settings.encoder, spec.shape, settings.latent_dim, self.classes)
        )
        self.decoder = (
            networks["decoder"]
            if "decoder" in networks
            else build_decoder(settings.decoder, settings.latent_dim, self.head.shape, self.classes)
        )
        self.discriminator = (
            networks["discriminator"]
            if "discriminator" in networks
            else build_encoder(settings.discriminator, (settings.latent_dim,), 1, 0)
        )

    def phases(self) -> Sequence[Phase]:
        """Discriminator, then encoder and decoder together."""
        return [
            Phase("discriminator", ("discriminator",), self.discriminator_loss, "discriminator"),
            Phase("autoencoder", ("encoder", "decoder", "head"), self.autoencoder_loss, "main"),
        ]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for each phase."""
        return {"main": self.settings.optimiser, "discriminator": self.settings.discriminator_optimiser}

    def discriminator_loss(self, batch: Batch) -> Losses:
        """How badly latents of data and draws from the prior are told apart, in nats."""
        with torch.no_grad():
            z = self.encode(batch.data, batch.condition)
        drawn = self.prior.draw(batch.noise.normal(self.latent_dim), batch.noise.uniform(0))
        prior_logits, data_logits = self._logits(torch.cat([drawn, z])).chunk(2)
        terms = {"prior_logit": prior_logits.detach(), "latent_logit": data_logits.detach()}
        return Losses(logistic_discriminator(prior_logits, data_logits), terms)

    def autoencoder_loss(self, batch: Batch) -> Losses:
        """Reconstruction cost in nats, and how well the discriminator sees through latents of data."""
        z = self.encode(batch.data, batch.condition)
        raw = self.decoder(z, *conditioning(batch.condition, self.classes))
        distortion = LIKELIHOODS[self.head.name](batch.data, *self.head(raw))
        logits = self._logits(z)
        told = non_saturating_generator(logits, logits)
        terms = {self.head.term: distortion.detach(), "told_nats": told.detach()}
        return Losses(distortion + self.settings.adversary * told, terms)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The latent."""
        z: Tensor = self.encoder(x, *conditioning(condition, self.classes)).float()
        return z

    def infer(self, batch: Batch) -> Tensor:
        """The latent, which is no draw."""
        return self.encode(batch.data, batch.condition)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Expected data given a latent."""
        return self.head.mean(self.decoder(z, *conditioning(condition, self.classes)))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Draw from the prior, and then from what the head says of the data."""
        z = self.prior.sample(n, seed, first, options.temperature)
        raw = self.decoder(z, *conditioning(condition, self.classes))
        return self.head.draw(raw, choices(seed, first, n, self.head.choices).to(device_of(self)))

    def _logits(self, z: Tensor) -> Tensor:
        """Evidence that latents are draws from the prior, float32 (B,)."""
        logits: Tensor = self.discriminator(z).float()[:, 0]
        return logits
