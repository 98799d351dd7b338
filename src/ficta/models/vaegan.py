"""VAE whose reconstructions are compared in the features of a discriminator (Larsen et al. 2016, arXiv:1512.09300)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.noise import Place, choices
from ficta.losses.adversarial import logistic_discriminator, non_saturating_generator
from ficta.losses.elbo import gaussian_kl_nats, negative_elbo, reparameterise
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of
from ficta.models.priors import StandardNormal, halves
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder, build_head
from ficta.nets.outputs import build_output
from ficta.nets.parts import LEAK, condition_size, conditioning, projected

ADAM = OptimiserSettings(rate=5e-4, betas=(0.5, 0.99))


class VaeGanSettings(Settings):
    """Settings of a VAE-GAN."""

    latent_dim: Annotated[int, Field(ge=1, description="numbers a latent")] = 32
    features: Annotated[int, Field(ge=1, description="of the discriminator, in which items are compared")] = 256
    beta: Annotated[float, Field(ge=0, description="weight of the KL term beside the cost of features")] = 1.0
    similarity: Annotated[
        float,
        Field(ge=0, description="weight of the cost of features in the decoder, beside the discriminator's word"),
    ] = 0.1
    encoder: Annotated[NetworkSettings, Field(description="network from data to latents")] = NetworkSettings()
    decoder: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    discriminator: Annotated[NetworkSettings, Field(description="network from data to features")] = NetworkSettings()
    encoder_optimiser: Annotated[OptimiserSettings, Field(description="of the encoder")] = ADAM
    decoder_optimiser: Annotated[OptimiserSettings, Field(description="of the decoder")] = ADAM
    discriminator_optimiser: Annotated[OptimiserSettings, Field(description="of the discriminator")] = ADAM


class Seen(NamedTuple):
    """What the discriminator makes of items: features float32 (B, features), logits float32 (B,)."""

    features: Tensor
    logits: Tensor


@final
class VaeGan(Family):
    """Encoder, decoder, discriminator; a phase each (Algorithm 1)."""

    settings_type = VaeGanSettings
    roles = ("encoder", "decoder", "discriminator")

    def __init__(self, settings: VaeGanSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.latent_dim = settings, spec, settings.latent_dim
        self.prior = StandardNormal(settings.latent_dim)
        self.classes = condition_size(spec)
        self.output = build_output("tanh", spec)
        self.encoder = (
            networks["encoder"]
            if "encoder" in networks
            else build_encoder(settings.encoder, spec.shape, 2 * settings.latent_dim, self.classes)
        )
        self.decoder = (
            networks["decoder"]
            if "decoder" in networks
            else build_decoder(settings.decoder, settings.latent_dim, self.output.shape, self.classes)
        )
        self.discriminator = (
            networks["discriminator"]
            if "discriminator" in networks
            else build_encoder(settings.discriminator, spec.shape, settings.features, 0)
        )
        self.top = build_head(settings.discriminator, settings.features, 1 + self.classes)

    def phases(self) -> Sequence[Phase]:
        """Discriminator, encoder, decoder."""
        return [
            Phase("discriminator", ("discriminator", "top"), self.discriminator_loss, "discriminator"),
            Phase("encoder", ("encoder",), self.encoder_loss, "encoder"),
            Phase("decoder", ("decoder",), self.decoder_loss, "decoder"),
        ]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for each network."""
        return {
            "encoder": self.settings.encoder_optimiser,
            "decoder": self.settings.decoder_optimiser,
            "discriminator": self.settings.discriminator_optimiser,
        }

    def discriminator_loss(self, batch: Batch) -> Losses:
        """How badly real items are told from reconstructions and from samples, in nats."""
        with torch.no_grad():
            again, fake = self._again(batch), self._fake(batch)
        real, *others = (self._see(x, batch.condition).logits for x in (batch.data, again, fake))
        value = 0.5 * (logistic_discriminator(real, others[0]) + logistic_discriminator(real, others[1]))
        terms = {"real_logit": real.detach(), "again_logit": others[0].detach(), "fake_logit": others[1].detach()}
        return Losses(value, terms)

    def encoder_loss(self, batch: Batch) -> Losses:
        """KL and the cost of features, in nats."""
        mean, log_variance = self.posterior(batch.data, batch.condition)
        zero = mean.new_zeros(())
        kl_nats = gaussian_kl_nats(mean, log_variance, zero, zero).sum(1)
        distortion = self._distortion(batch, self._see(self._again(batch), batch.condition))
        terms = {"features_nats": distortion.detach(), "kl_nats": kl_nats.detach()}
        return Losses(negative_elbo(distortion, kl_nats, self.settings.beta), terms)

    def decoder_loss(self, batch: Batch) -> Losses:
        """The cost of features, and how well the discriminator sees through reconstructions and samples."""
        again, fake = (self._see(x, batch.condition) for x in (self._again(batch), self._fake(batch)))
        both = torch.stack([non_saturating_generator(seen.logits, seen.logits) for seen in (again, fake)])
        told = both.mean(0)
        return Losses(self.settings.similarity * self._distortion(batch, again) + told, {"told_nats": told.detach()})

    def posterior(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), float32 (B, latent_dim) each."""
        return halves(self.encoder(x, *conditioning(condition, self.classes)))

    def logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Evidence that samples are real, float32 (B,); with a condition as a GAN has it."""
        return self._see(x, condition).logits

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Posterior mean."""
        return self.posterior(x, condition)[0]

    def infer(self, batch: Batch) -> Tensor:
        """A draw from each posterior."""
        return reparameterise(*self.posterior(batch.data, batch.condition), batch.noise.normal(self.latent_dim))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The decoder, its output kept within the data's range; of choices the likeliest."""
        return self.output.draw(self._raw(z, condition), z.new_full((len(z), self.output.choices), 0.5))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Decode draws from the prior."""
        z = self.prior.sample(n, seed, first, options.temperature)
        uniform = choices(seed, first, n, self.output.choices).to(device_of(self))
        return self.output.draw(self._raw(z, condition), uniform)

    def _see(self, x: Tensor, condition: Tensor | None) -> Seen:
        features = F.leaky_relu(self.discriminator(x), LEAK).float()
        return Seen(features, projected(self.top(features).float(), condition, self.classes))

    def _distortion(self, batch: Batch, again: Seen) -> Tensor:
        """-log of a unit Gaussian around the features of the reconstruction, less a constant (Eq. 7), (B,)."""
        with torch.no_grad():  # no phase that moves the discriminator pays this
            features = self._see(batch.data, batch.condition).features
        return 0.5 * (features - again.features).square().sum(1)

    def _again(self, batch: Batch) -> Tensor:
        """Reconstructions."""
        return self._shown(self.infer(batch), batch)

    def _fake(self, batch: Batch) -> Tensor:
        """Samples."""
        return self._shown(batch.noise.fork("fake").normal(self.latent_dim), batch)

    def _shown(self, z: Tensor, batch: Batch) -> Tensor:
        shown: Tensor = self.output(self._raw(z, batch.condition), batch.noise.uniform(self.output.choices))
        return shown

    def _raw(self, z: Tensor, condition: Tensor | None) -> Tensor:
        raw: Tensor = self.decoder(z, *conditioning(condition, self.classes)).float()
        return raw
