"""Generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.noise import choices
from ficta.losses.adversarial import ADVERSARIAL, gradient_penalty
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of
from ficta.models.priors import StandardNormal
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder
from ficta.nets.outputs import OutputName, build_output
from ficta.nets.parts import condition_size, conditioning, projected

ADAM = OptimiserSettings(rate=1e-3, betas=(0.0, 0.99))


class GanSettings(Settings):
    """Settings of a GAN."""

    latent_dim: Annotated[int, Field(ge=1, description="numbers a latent")] = 64
    loss: Annotated[Literal["non-saturating", "minimax"], Field(description="adversarial loss")] = "non-saturating"
    r1_gamma: Annotated[float, Field(ge=0, description="weight of the R1 penalty on real samples; 0 is none")] = 1.0
    r1_every: Annotated[
        int, Field(ge=1, description="steps from one R1 penalty to the next, which counts as much more")
    ] = 16
    generator_every: Annotated[int, Field(ge=1, description="discriminator steps a generator step")] = 1
    output: Annotated[
        OutputName,
        Field(description="of the generator: tanh keeps to the data's range but passes no gradient at its ends"),
    ] = "tanh"
    generator: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    discriminator: Annotated[NetworkSettings, Field(description="network from data to a logit")] = NetworkSettings()
    generator_optimiser: Annotated[OptimiserSettings, Field(description="of the generator")] = ADAM
    discriminator_optimiser: Annotated[OptimiserSettings, Field(description="of the discriminator")] = ADAM


@final
class Gan(Family):
    """Generator and discriminator; two phases, and a lazy R1 penalty on the discriminator's optimiser."""

    settings_type = GanSettings
    roles = ("generator", "discriminator")

    def __init__(self, settings: GanSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.latent_dim = settings, spec, settings.latent_dim
        self.classes = condition_size(spec)
        self.output = build_output(settings.output, spec)
        self.generator = (
            networks["generator"]
            if "generator" in networks
            else build_decoder(settings.generator, settings.latent_dim, self.output.shape, self.classes)
        )
        self.discriminator = (
            networks["discriminator"]
            if "discriminator" in networks
            else build_encoder(settings.discriminator, spec.shape, 1 + self.classes, 0)
        )
        self.prior = StandardNormal(settings.latent_dim)
        self.sides = ADVERSARIAL[settings.loss]

    def phases(self) -> Sequence[Phase]:
        """Discriminator, its penalty now and then, generator."""
        phases = [Phase("discriminator", ("discriminator",), self.discriminator_loss, "discriminator")]
        if self.settings.r1_gamma:
            every = self.settings.r1_every
            phases.append(
                Phase("r1", ("discriminator",), self.penalty, "discriminator", every=every, second_order=True)
            )
        every = self.settings.generator_every
        phases.append(Phase("generator", ("generator",), self.generator_loss, "generator", every=every))
        return phases

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for each side."""
        return {
            "generator": self.settings.generator_optimiser,
            "discriminator": self.settings.discriminator_optimiser,
        }

    def discriminator_loss(self, batch: Batch) -> Losses:
        """How badly real and generated samples are told apart."""
        with torch.no_grad():
            fake = self._fake(batch)
        both = None if batch.condition is None else torch.cat([batch.condition, batch.condition])
        real_logits, fake_logits = self.logits(torch.cat([batch.data, fake]), both).chunk(2)
        terms = {"real_logit": real_logits.detach(), "fake_logit": fake_logits.detach()}
        return Losses(self.sides.discriminator(real_logits, fake_logits), terms)

    def generator_loss(self, batch: Batch) -> Losses:
        """How well the discriminator sees through generated samples."""
        fake_logits = self.logits(self._fake(batch), batch.condition)
        unread = torch.full_like(fake_logits, torch.nan)  # no row of ADVERSARIAL looks at real logits here yet
        return Losses(self.sides.generator(unread, fake_logits), {})

    def penalty(self, batch: Batch) -> Losses:
        """R1, times the steps it stands for (lazy regularisation: Karras et al. 2020, arXiv:1912.04958, Sec. 3.1).

        Unlike there, Adam's rate and betas are not adjusted for the extra steps.
        """
        real = batch.data.detach().requires_grad_()
        penalty = gradient_penalty(self.logits(real, batch.condition), real)
        return Losses(penalty * self.settings.r1_gamma * self.settings.r1_every, {"r1": penalty.detach()})

    def logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Evidence that samples are real, float32 (B,).

        With a condition it is the sum of an unconditional logit and the logit of the sample's own class.
        """
        return projected(self.discriminator(x).float(), condition, self.classes)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The generator, its output kept within the data's range; of choices the likeliest."""
        return self.output.draw(self._raw(z, condition), z.new_full((len(z), self.output.choices), 0.5))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: int = 0
    ) -> Tensor:
        """Decode draws from the prior."""
        device = device_of(self)
        z = self.prior.sample(n, seed, first, options.temperature)
        return self.output.draw(self._raw(z, condition), choices(seed, first, n, self.output.choices).to(device))

    def _fake(self, batch: Batch) -> Tensor:
        raw = self._raw(batch.noise.normal(self.latent_dim), batch.condition)
        fake: Tensor = self.output(raw, batch.noise.uniform(self.output.choices))
        return fake

    def _raw(self, z: Tensor, condition: Tensor | None) -> Tensor:
        raw: Tensor = self.generator(z, *conditioning(condition, self.classes)).float()
        return raw
