"""Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, final

from pydantic import Field
from torch import Tensor, nn

from ficta.base.spec import Spec
from ficta.compute.noise import choices
from ficta.models.adversarial import Adversarial, AdversarialSettings
from ficta.models.family import Batch, SampleSettings, device_of
from ficta.nets.build import NetworkSettings, build_decoder, build_discriminator
from ficta.nets.parts import conditioning


class GanSettings(AdversarialSettings):
    """Settings of a GAN."""

    generator: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    discriminator: Annotated[NetworkSettings, Field(description="network from data to a logit")] = NetworkSettings()
    minibatch_features: Annotated[
        int, Field(ge=0, description="features whose spread over some samples the discriminator sees; 0: none")
    ] = 0


@final
class Gan(Adversarial):
    """Any generator network against any discriminator network."""

    settings_type = GanSettings
    roles = ("generator", "discriminator")

    def __init__(self, settings: GanSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.generator = (
            networks["generator"]
            if "generator" in networks
            else build_decoder(settings.generator, settings.latent_dim, self.output.shape, self.classes)
        )
        self.discriminator = (
            networks["discriminator"]
            if "discriminator" in networks
            else build_discriminator(settings.discriminator, spec.shape, 1 + self.classes, settings.minibatch_features)
        )

    def outputs(self, x: Tensor) -> Tensor:
        """The discriminator's."""
        found: Tensor = self.discriminator(x).float()
        return found

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The generator, its output kept within the data's range; of choices the likeliest."""
        return self.output.draw(self.raw(z, condition), z.new_full((len(z), self.output.choices), 0.5))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: int = 0
    ) -> Tensor:
        """Decode draws from the prior."""
        device = device_of(self)
        z = self.prior.sample(n, seed, first, options.temperature)
        return self.output.draw(self.raw(z, condition), choices(seed, first, n, self.output.choices).to(device))

    def fake(self, batch: Batch) -> Tensor:
        """Samples such as the discriminator sees in training, float (B, *spec.shape)."""
        raw = self.raw(batch.noise.normal(self.latent_dim), batch.condition)
        fake: Tensor = self.output(raw, batch.noise.uniform(self.output.choices))
        return fake

    def raw(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """What the generator says before its output layer, float32 (B, *output.shape)."""
        raw: Tensor = self.generator(z, *conditioning(condition, self.classes)).float()
        return raw
