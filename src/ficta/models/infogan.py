"""InfoGAN: a GAN some of whose latents can be read off its samples (Chen et al. 2016, arXiv:1606.03657)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.compute.noise import Place
from ficta.losses.likelihoods import gaussian_nats
from ficta.models.adversarial import AdversarialSettings, SingleGenerator
from ficta.models.family import Batch, Losses, OptimiserSettings, Sweep
from ficta.nets.augment import WARPS, warped
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder, build_head
from ficta.nets.conv import ConvSettings
from ficta.nets.parts import LEAK

# Networks after the paper's, at about half their width, and its rates (Appendix C.1)
GENERATOR, DISCRIMINATOR = (
    NetworkSettings(conv=ConvSettings(norm="batch", hidden=(512,), initial="narrow", last=last))
    for last in ("doubling", "plain")
)
FAST, SLOW = (OptimiserSettings(rate=rate, betas=(0.5, 0.999)) for rate in (1e-3, 2e-4))
STEPS = 10  # values of a continuous code that are looked at


class InfoGanSettings(AdversarialSettings):
    """Settings of an InfoGAN."""

    categories: Annotated[
        tuple[Annotated[int, Field(ge=2)], ...], Field(description="numbers of values of each categorical code")
    ] = (10,)
    continuous: Annotated[int, Field(ge=0, description="continuous codes, each from -1 to 1")] = 2
    categorical_weight: Annotated[float, Field(ge=0, description="weight of reading categorical codes, in nats")] = 1.0
    continuous_weight: Annotated[float, Field(ge=0, description="weight of reading continuous codes, in nats")] = 1.0
    warp: Annotated[
        float,
        Field(
            ge=0,
            description="how far pictures are turned, slanted, stretched and moved before categorical codes are read, "
            "so that these stand for something else; 0: not at all",
        ),
    ] = 1.0
    features: Annotated[int, Field(ge=1, description="numbers that evidence and codes are read from")] = 128
    generator: Annotated[NetworkSettings, Field(description="network from latents and codes to data")] = GENERATOR
    discriminator: Annotated[NetworkSettings, Field(description="network from data to features")] = DISCRIMINATOR
    r1_gamma: Annotated[float, Field(ge=0, description="weight of the R1 penalty on real samples; 0 is none")] = 0.0
    generator_optimiser: Annotated[OptimiserSettings, Field(description="of the generator")] = FAST
    discriminator_optimiser: Annotated[OptimiserSettings, Field(description="of the discriminator")] = SLOW


class Codes(NamedTuple):
    """Codes of some samples.

    Attributes:
        categorical: int64 (B, categorical codes).
        continuous: float32 (B, continuous codes), from -1 to 1.
    """

    categorical: Tensor
    continuous: Tensor


@final
class InfoGan(SingleGenerator):
    """A game in which both sides also make the codes of samples easy to read (Eq. 6).

    A latent is standard normal throughout. Its last numbers are the codes, categorical ones first: their shares of the
    normal distribution, uniform from 0 to 1, are cut into equally likely values, or stretched to -1 to 1.

    Unlike there, categorical codes of pictures are read from warped samples, unless ``warp`` is 0: what such a change
    alters cannot be a code's meaning then. Ojha et al. 2020 (arXiv:1910.01112) hold codes of real pictures to the same.
    """

    settings: InfoGanSettings
    settings_type = InfoGanSettings
    roles = ("generator", "discriminator")
    judges = ("discriminator", "judge")
    readers = ("reader",)

    def __init__(self, settings: InfoGanSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.kinds = list(settings.categories)
        codes = len(self.kinds) + settings.continuous
        self.plain = settings.latent_dim - codes
        if not codes:
            raise UsageError(
                "an infogan without codes is a gan: name model.categories or model.continuous, or use 'gan'"
            )
        if self.plain < 0:
            raise UsageError(f"model.latent_dim = {settings.latent_dim} has no room for {codes} codes: raise it")
        if settings.warp and self.kinds and len(spec.shape) != 3:
            raise UsageError(f"an infogan warps pictures, the data have shape {spec.shape}: set model.warp to 0")
        inputs, width = self.plain + sum(self.kinds) + settings.continuous, settings.features
        self.generator = (
            networks["generator"]
            if "generator" in networks
            else build_decoder(settings.generator, inputs, self.output.shape, self.classes)
        )
        self.discriminator = (
            networks["discriminator"]
            if "discriminator" in networks
            else build_encoder(settings.discriminator, spec.shape, width, 0)
        )
        self.judge = build_head(settings.discriminator, width, 1 + self.classes)
        self.reader = nn.Sequential(
            nn.Linear(width, width), nn.LeakyReLU(LEAK), nn.Linear(width, sum(self.kinds) + settings.continuous)
        )

    def outputs(self, x: Tensor) -> Tensor:
        """Evidence, then what is read of the codes: logits of each value, and means of continuous ones."""
        features = F.leaky_relu(self.discriminator(x), LEAK)
        return torch.cat([self.judge(features), self.reader(features)], 1).float()

    def drawn(self, batch: Batch) -> Tensor:
        """See the base; the same whenever they are asked for."""
        return batch.noise.fork("latents").normal(self.latent_dim)

    def raw(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """See the base; of a categorical code all values are 0 but its own, which is 1."""
        codes = self.codes_of(z)
        hot = [
            F.one_hot(code, kinds).float() for code, kinds in zip(codes.categorical.unbind(1), self.kinds, strict=True)
        ]
        return super().raw(torch.cat([z[:, : self.plain], *hot, codes.continuous], 1), condition)

    def read(self, batch: Batch, fake: Tensor, outputs: Mapping[str, Tensor]) -> list[Losses]:
        """See the base; of samples the codes, too: less a constant, a bound on mutual information (Eq. 5)."""
        codes, settings = self.codes_of(self.drawn(batch)), self.settings
        parts = super().read(batch, fake, outputs)
        for name in outputs.keys() - {"real"}:
            *logits, means = self._readings(outputs[name])
            if settings.warp and self.kinds:
                changed = warped(fake, batch.noise.fork(f"warp {name}").normal(WARPS), settings.warp)
                *logits, _ = self._readings(self.outputs(changed))
            asked = codes.categorical.unbind(1)
            each = [F.cross_entropy(*pair, reduction="none") for pair in zip(logits, asked, strict=True)]
            categorical = torch.stack([*each, means.new_zeros(len(means))]).sum(0)
            continuous = gaussian_nats(codes.continuous, means, means.new_zeros(()))
            value = settings.categorical_weight * categorical + settings.continuous_weight * continuous
            terms = {"categorical_nats": categorical.detach(), "continuous_nats": continuous.detach()}
            parts.append(Losses(value, {f"{name}_{term}": nats for term, nats in terms.items()}))
        return parts

    def latents(self, n: int, seed: int, first: Place, temperature: float) -> Tensor:
        """See the base; values of categorical codes are as likely at any temperature."""
        z = super().latents(n, seed, first, 1.0)
        scale = z.new_full((self.latent_dim,), temperature)
        scale[self.plain : self.plain + len(self.kinds)] = 1
        return z * scale

    def codes_of(self, z: Tensor) -> Codes:
        """Codes that are part of latents float (B, latent_dim)."""
        shares = torch.special.ndtr(z[:, self.plain :])
        kinds = torch.tensor(self.kinds, device=z.device)
        values = (shares[:, : len(self.kinds)] * kinds).long()
        return Codes(torch.minimum(values, kinds - 1), 2 * shares[:, len(self.kinds) :] - 1)

    def codes(self, x: Tensor) -> Tensor:
        """The likeliest value of each categorical code, int64 (B, codes)."""
        *logits, _ = self._readings(self.outputs(x))
        read = [each.argmax(1, keepdim=True) for each in logits]
        return torch.cat([x.new_zeros(len(x), 0, dtype=torch.int64), *read], 1)

    def sweeps(self) -> Sequence[Sweep]:
        """Every value of each categorical code; continuous ones evenly from -1 to 1, the ends left out."""
        kinds = [*self.kinds, *[STEPS] * self.settings.continuous]
        return [
            Sweep(self.plain + place, torch.special.ndtri((torch.arange(count) + 0.5) / count))
            for place, count in enumerate(kinds)
        ]

    def _readings(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """Logits of each categorical code, (B, values), and means of the continuous ones, (B, codes)."""
        return torch.split(outputs[:, 1 + self.classes :], [*self.kinds, self.settings.continuous], 1)
