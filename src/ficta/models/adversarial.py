"""What all games between a generator and a discriminator share: losses, penalties, labels, augmentation."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Place, choices
from ficta.losses.adversarial import ADVERSARIAL
from ficta.losses.penalties import one_centred, zero_centred
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings
from ficta.models.priors import StandardNormal
from ficta.nets.augment import Augment, AugmentSettings
from ficta.nets.outputs import OutputName, build_output
from ficta.nets.parts import condition_size, conditioning, couples, normalises_batches, projected

ADAM = OptimiserSettings(rate=1e-3, betas=(0.0, 0.99))
# a penalty: name, weight, what, where
Taken = tuple[str, float, Callable[[Tensor, Tensor], Tensor], Callable[[], Tensor]]
NEARBY = 0.25  # standard deviation of what DRAGAN adds to real samples, which lie in [-1, 1]


class AdversarialSettings(Settings):
    """Settings of the game."""

    latent_dim: Annotated[int, Field(ge=1, description="numbers a latent")] = 64
    loss: Annotated[
        Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"],
        Field(description="adversarial loss"),
    ] = "non-saturating"
    r1_gamma: Annotated[float, Field(ge=0, description="weight of the R1 penalty on real samples; 0 is none")] = 1.0
    r2_gamma: Annotated[float, Field(ge=0, description="weight of the R2 penalty on generated samples")] = 0.0
    one_centred: Annotated[
        float, Field(ge=0, description="weight of the squared difference of the gradient's length to 1; 10 in WGAN-GP")
    ] = 0.0
    one_centred_at: Annotated[
        Literal["between", "around"],
        Field(description="taken between real and generated samples (WGAN-GP), or around real ones (DRAGAN)"),
    ] = "between"
    penalty_every: Annotated[
        int,
        Field(ge=1, description="steps from one penalty to the next, which counts as much more; 1: part of the loss"),
    ] = 16
    clip_weights: Annotated[
        float | None, Field(gt=0, description="largest weight of the discriminator, as in WGAN without a penalty")
    ] = None
    generator_every: Annotated[int, Field(ge=1, description="discriminator steps a generator step")] = 1
    labels: Annotated[
        Literal["projection", "auxiliary"],
        Field(description="how labels are heard: by a logit of each (projection), or by a classifier beside (AC-GAN)"),
    ] = "projection"
    augment: Annotated[AugmentSettings, Field(description="of what the discriminator sees")] = AugmentSettings()
    output: Annotated[
        OutputName,
        Field(description="of the generator: tanh keeps to the data's range but passes no gradient at its ends"),
    ] = "tanh"
    generator_optimiser: Annotated[OptimiserSettings, Field(description="of the generator")] = ADAM
    discriminator_optimiser: Annotated[OptimiserSettings, Field(description="of the discriminator")] = ADAM

    @property
    def penalised(self) -> bool:
        """Whether there is a penalty at all."""
        return max(self.r1_gamma, self.r2_gamma, self.one_centred) > 0

    @property
    def penalty_joined(self) -> bool:
        """Whether penalties are part of the discriminator's loss."""
        return self.penalised and self.penalty_every == 1


class Adversarial(Family):
    """Generator and discriminator, a phase each, and a lazy phase for penalties that not every step pays.

    A leaf builds the networks and makes samples to be judged (``fake``).
    """

    discriminator: nn.Module
    judges: tuple[str, ...] = ("discriminator",)
    """Attributes that evidence comes from."""
    readers: tuple[str, ...] = ()
    """Attributes that read something else of what the discriminator sees, in its phases."""
    makers: tuple[str, ...] = ("generator",)
    """Attributes whose parameters the generator's phases move."""

    def __init__(self, settings: AdversarialSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.latent_dim = settings, spec, settings.latent_dim
        self.classes = condition_size(spec)
        if settings.labels == "auxiliary" and not (spec.condition and spec.condition.categories):
            raise UsageError(
                "model.labels = 'auxiliary' reads labels, and there are none: give --conditional and data with labels"
            )
        self.output = build_output(settings.output, spec)
        self.augment = Augment(settings.augment, spec.shape)
        self.prior = StandardNormal(settings.latent_dim)
        self.sides = ADVERSARIAL[settings.loss]

    def outputs(self, x: Tensor) -> Tensor:
        """What the discriminator says of samples, float32 (B, 1 + classes or more).

        Evidence as such, and for each label; then what a leaf reads by itself.
        """
        found: Tensor = self.discriminator(x).float()
        return found

    @abc.abstractmethod
    def fake(self, batch: Batch) -> Tensor:
        """Samples such as the discriminator sees in training, float (B, *spec.shape)."""

    def phases(self) -> Sequence[Phase]:
        """Discriminator, its penalty now and then, generator.

        Raises:
            UsageError: penalties on a discriminator with batch normalisation (Gulrajani et al. 2017, Sec. 4).
        """
        settings, own, moved = self.settings, "discriminator", (*self.judges, *self.readers)
        if settings.penalised and normalises_batches(self.discriminator):
            raise UsageError(
                "a penalty is on each sample's own gradient, which batch normalisation mixes with the others': set "
                "model.r1_gamma, model.r2_gamma and model.one_centred to 0, or another norm of the discriminator"
            )
        phases = [Phase(own, moved, self.discriminator_loss, own, second_order=settings.penalty_joined)]
        if settings.penalised and not settings.penalty_joined:
            every = settings.penalty_every
            phases.append(Phase("penalty", moved, self.penalty, own, every=every, second_order=True))
        every = settings.generator_every
        return [*phases, Phase("generator", self.makers, self.generator_loss, "generator", every=every)]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for each side."""
        return {
            "generator": self.settings.generator_optimiser,
            "discriminator": self.settings.discriminator_optimiser,
        }

    def after_step(self, seen: Tensor, collectives: Collectives) -> None:
        """Keep the discriminator's weights small, if asked to, and augmentation as strong as it takes."""
        super().after_step(seen, collectives)
        self.augment.adapt(collectives)
        if self.settings.clip_weights is not None:
            with torch.no_grad():
                for name in self.judges:
                    for parameter in getattr(self, name).parameters():
                        parameter.clamp_(-self.settings.clip_weights, self.settings.clip_weights)

    def discriminator_loss(self, batch: Batch) -> Losses:
        """How badly real and generated samples are told apart."""
        with torch.no_grad():
            fake = self.fake(batch)
        return self.told_apart(batch, fake)

    def generator_loss(self, batch: Batch) -> Losses:
        """How well the discriminator sees through generated samples."""
        return self.seen_through(batch, self.fake(batch))

    def penalty(self, batch: Batch) -> Losses:
        """Penalties, times the steps they stand for (Karras et al. 2020, arXiv:1912.04958, Sec. 3.1).

        Unlike there, Adam's rate and betas are not adjusted for the extra steps.
        """

        @functools.cache
        def fake() -> Tensor:
            with torch.no_grad():
                return self._changed(batch, self.fake(batch), "fake")

        found = self._penalties(batch, self._changed(batch, batch.data, "real"), fake)
        return Losses(found.value * self.settings.penalty_every, found.terms)

    def told_apart(self, batch: Batch, fake: Tensor) -> Losses:
        """Cost to the discriminator of a batch of real samples, and of generated ones float (B, *spec.shape)."""
        real, seen = self._changed(batch, batch.data, "real"), self._changed(batch, fake, "fake")
        if couples(self.discriminator):  # real samples are not judged by generated ones beside them
            outputs = [self.outputs(real), self.outputs(seen)]
        else:
            outputs = list(self.outputs(torch.cat([real, seen])).chunk(2))
        real_logits, fake_logits = (self._evidence(each, batch.condition) for each in outputs)
        self.augment.watch(real_logits - (fake_logits if self.sides.relative else self.sides.undecided))
        parts = [Losses(self.sides.discriminator(real_logits, fake_logits), {})]
        parts += self.read(batch, fake, dict(zip(("real", "fake"), outputs, strict=True)))
        if self.settings.penalty_joined:
            parts.append(self._penalties(batch, real, lambda: seen))
        logits = {"real_logit": real_logits.detach(), "fake_logit": fake_logits.detach()}
        return total(parts, logits)

    def seen_through(self, batch: Batch, fake: Tensor) -> Losses:
        """Cost to the generator of a batch of its samples, float (B, *spec.shape)."""
        outputs = self.outputs(self._changed(batch, fake, "fake"))
        fake_logits = self._evidence(outputs, batch.condition)
        real_logits = torch.full_like(fake_logits, torch.nan)  # which no loss looks at that is not paired
        if self.sides.paired:
            with torch.no_grad():
                real_logits = self.logits(self._changed(batch, batch.data, "real"), batch.condition)
        cost = Losses(self.sides.generator(real_logits, fake_logits), {})
        return total([cost, *self.read(batch, fake, {"made": outputs})])

    def read(self, batch: Batch, fake: Tensor, outputs: Mapping[str, Tensor]) -> list[Losses]:
        """Costs of reading what samples were asked for.

        Args:
            batch: of the step.
            fake: its generated samples, as they were made, float (B, *spec.shape).
            outputs: what the discriminator says of samples as it sees them, by what these are: real, fake or made.
        """
        if self.settings.labels == "projection":
            return []
        assert batch.condition is not None
        nats = {
            f"{name}_label_nats": F.cross_entropy(each[:, 1 : 1 + self.classes], batch.condition, reduction="none")
            for name, each in outputs.items()
        }  # Odena et al. 2017, arXiv:1610.09585, Eq. 3
        return [Losses(value, {name: value.detach()}) for name, value in nats.items()]

    def logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Evidence that samples are real, float32 (B,).

        With projected labels it is the sum of an unconditional logit and the logit of the sample's own label.
        """
        return self._evidence(self.outputs(x), condition)

    def _changed(self, batch: Batch, x: Tensor, name: str) -> Tensor:
        """What the discriminator sees of samples."""
        changed: Tensor = self.augment(x, batch.noise.fork(f"augment {name}").uniform(self.augment.numbers))
        return changed

    def _evidence(self, outputs: Tensor, condition: Tensor | None) -> Tensor:
        told = outputs[:, : 1 + self.classes]
        return told[:, 0] if self.settings.labels == "auxiliary" else projected(told, condition, self.classes)

    def _penalties(self, batch: Batch, real: Tensor, fake: Callable[[], Tensor]) -> Losses:
        """Those that have a weight, on what the discriminator sees of real samples and of generated ones.

        Augmented samples are what gradients are taken by, too. In the code of StyleGAN2-ADA they are taken by samples
        as they were, which asks for augmentations that can be differentiated twice.
        """
        settings, noise = self.settings, batch.noise.fork("penalty")

        def near() -> Tensor:
            if settings.one_centred_at == "around":
                return real + NEARBY * noise.normal(*self.spec.shape)
            return torch.lerp(real, fake(), noise.uniform(*[1] * len(self.spec.shape)))

        taken: tuple[Taken, ...] = (
            ("r1", settings.r1_gamma, zero_centred, lambda: real),
            ("r2", settings.r2_gamma, zero_centred, fake),
            ("one_centred", settings.one_centred, one_centred, near),
        )
        parts = []
        for name, weight, penalty, place in taken:
            if weight:
                x = place().detach().requires_grad_()
                found = penalty(self.logits(x, batch.condition), x)
                parts.append(Losses(weight * found, {name: found.detach()}))
        return total(parts)


class SingleGenerator(Adversarial):
    """A game whose samples one network, ``generator``, makes of latents."""

    generator: nn.Module

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The generator, its output kept within the data's range; of choices the likeliest."""
        return self.output.draw(self.raw(z, condition), z.new_full((len(z), self.output.choices), 0.5))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Decode draws from the prior."""
        z = self.latents(n, seed, first, options.temperature)
        return self.output.draw(self.raw(z, condition), choices(seed, first, n, self.output.choices).to(z.device))

    def latents(self, n: int, seed: int, first: Place, temperature: float) -> Tensor:
        """Draws from the prior, float32 (n, latent_dim)."""
        return self.prior.sample(n, seed, first, temperature)

    def fake(self, batch: Batch) -> Tensor:
        """Samples such as the discriminator sees in training, float (B, *spec.shape)."""
        raw = self.raw(self.drawn(batch), batch.condition)
        fake: Tensor = self.output(raw, batch.noise.uniform(self.output.choices))
        return fake

    def drawn(self, batch: Batch) -> Tensor:
        """Latents of a batch in training, float32 (B, latent_dim)."""
        return batch.noise.normal(self.latent_dim)

    def raw(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """What the generator says before its output layer, float32 (B, *output.shape)."""
        raw: Tensor = self.generator(z, *conditioning(condition, self.classes)).float()
        return raw


def total(parts: Sequence[Losses], terms: Mapping[str, Tensor] | None = None) -> Losses:
    """Costs of the same samples, added up, with the terms of all."""
    values = torch.stack([part.value for part in parts]).sum(0)
    return Losses(values, {**(terms or {}), **{name: term for part in parts for name, term in part.terms.items()}})
