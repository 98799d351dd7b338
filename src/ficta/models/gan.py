"""Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, final

from pydantic import Field
from torch import nn

from ficta.base.spec import Spec
from ficta.models.adversarial import AdversarialSettings, SingleGenerator
from ficta.nets.build import NetworkSettings, build_decoder, build_discriminator


class GanSettings(AdversarialSettings):
    """Settings of a GAN."""

    generator: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    discriminator: Annotated[NetworkSettings, Field(description="network from data to a logit")] = NetworkSettings()
    minibatch_features: Annotated[
        int, Field(ge=0, description="features whose spread over some samples the discriminator sees; 0: none")
    ] = 0


@final
class Gan(SingleGenerator):
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
