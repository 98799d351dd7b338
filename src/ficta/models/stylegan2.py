"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Noise, Place, inputs
from ficta.losses.penalties import path_lengths
from ficta.models.adversarial import Adversarial, AdversarialSettings
from ficta.models.family import Batch, Losses, OptimiserSettings, Phase, SampleSettings, device_of
from ficta.nets.outputs import OutputName
from ficta.nets.parts import conditioning
from ficta.nets.stylegan2 import (
    Judge,
    JudgeSettings,
    MappingNetwork,
    MappingSettings,
    Synthesis,
    SynthesisSettings,
    normalised,
)

ADAM = OptimiserSettings(rate=2e-3, betas=(0.0, 0.99))  # as in the paper (App. B), for equalised learning rates
PATH_SHARE = 0.01  # of a step's mean length in the running one (App. B: a decay of 0.99)
HALF_LIFE = 1000  # samples of a condition after which half of its average style is made of later ones


class StyleGan2Settings(AdversarialSettings):
    """Settings of a StyleGAN2."""

    mapping: Annotated[MappingSettings, Field(description="network from latents to styles")] = MappingSettings()
    synthesis: Annotated[SynthesisSettings, Field(description="network from styles to pictures")] = SynthesisSettings()
    discriminator: Annotated[JudgeSettings, Field(description="network from pictures to logits")] = JudgeSettings()
    mixing: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of the samples whose finer layers follow a second style in training, so that layers "
            "come to depend on their own style alone; 0.9 in the paper",
        ),
    ] = 0.9
    path_weight: Annotated[
        float, Field(ge=0, description="weight of the squared difference of path lengths to their mean; 0 is none")
    ] = 2.0
    path_every: Annotated[
        int,
        Field(
            ge=1, description="generator steps from one penalty of path lengths to the next, which counts as much more"
        ),
    ] = 4
    output: Annotated[
        OutputName,
        Field(description="of the generator: tanh keeps to the data's range but passes no gradient at its ends"),
    ] = "linear"
    generator_optimiser: Annotated[OptimiserSettings, Field(description="of mapping and synthesis")] = ADAM
    discriminator_optimiser: Annotated[OptimiserSettings, Field(description="of the discriminator")] = ADAM


@final
class StyleGan2(Adversarial):
    """A mapping from latents to styles, a synthesis that each layer's style steers, a residual discriminator.

    Average styles, one for each label, and the mean path length are part of the state: what a step has seen is noted by
    its costs and joins them after it.
    """

    settings_type = StyleGan2Settings
    roles = ("discriminator",)
    makers = ("mapping", "synthesis")

    settings: StyleGan2Settings
    mean_style: Tensor
    styles_seen: Tensor
    path_mean: Tensor
    met_styles: Tensor
    met_counts: Tensor
    met_paths: Tensor
    still: Tensor

    def __init__(self, settings: StyleGan2Settings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        _check(spec)
        super().__init__(settings, spec, networks)
        width, kinds = settings.mapping.width, max(1, self.classes)
        self.mapping = MappingNetwork(settings.mapping, settings.latent_dim, self.classes)
        self.synthesis = Synthesis(settings.synthesis, width, spec.shape)
        self.discriminator = (
            networks["discriminator"]
            if "discriminator" in networks
            else Judge(settings.discriminator, spec.shape, 1 + self.classes)
        )
        self.layers = self.synthesis.layers
        self.register_buffer("mean_style", torch.zeros(kinds, width))
        self.register_buffer("styles_seen", torch.zeros(kinds))
        self.register_buffer("path_mean", torch.zeros(()))
        # what a step has met: sums of styles and how many, the sum of path lengths and how many
        self.register_buffer("met_styles", torch.zeros(kinds, width), persistent=False)
        self.register_buffer("met_counts", torch.zeros(kinds), persistent=False)
        self.register_buffer("met_paths", torch.zeros(2), persistent=False)
        still = Noise.whole(0, "cpu", 1).normal(self.synthesis.numbers)  # of pictures that are a function of styles
        self.register_buffer("still", still, persistent=False)

    def phases(self) -> Sequence[Phase]:
        """Discriminator, its penalty, generator, and the penalty of path lengths now and then."""
        phases = super().phases()
        if not self.settings.path_weight:
            return phases
        every = self.settings.path_every * self.settings.generator_every
        return [*phases, Phase("path", self.makers, self.path_loss, "generator", every=every, second_order=True)]

    def after_step(self, seen: Tensor, collectives: Collectives) -> None:
        """Let what the step has met join the averages."""
        super().after_step(seen, collectives)
        styles, counts, paths = collectives.sum([self.met_styles, self.met_counts, self.met_paths])
        self.styles_seen.add_(counts)
        # a plain average of what there is at first, a running one later
        share = torch.maximum(1 - 0.5 ** (counts / HALF_LIFE), counts / self.styles_seen.clamp(min=1))
        self.mean_style.lerp_(styles / counts.clamp(min=1)[:, None], share[:, None])
        self.path_mean.lerp_(paths[0] / paths[1].clamp(min=1), PATH_SHARE * (paths[1] > 0))
        for each in (self.met_styles, self.met_counts, self.met_paths):
            each.zero_()

    def fake(self, batch: Batch) -> Tensor:
        """Samples whose finer layers may follow a second style."""
        return self._shown(self._mixed(batch), batch)

    def path_loss(self, batch: Batch) -> Losses:
        """Squared difference of path lengths to their mean (Eq. 4), times the steps that it stands for."""
        styles = self._mixed(batch)
        directions = batch.noise.fork("directions").normal(*self.spec.shape) / math.sqrt(math.prod(self.spec.shape[1:]))
        lengths = path_lengths(self._shown(styles, batch), styles, directions)
        found = lengths.detach()
        if self.training:
            self.met_paths += torch.stack([found.sum(), torch.ones_like(found).sum()])
        weight = self.settings.path_weight * self.settings.path_every
        return Losses(weight * (lengths - self.path_mean).square(), {"path_length": found})

    def styles(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Latents float (B, latent_dim), of any length => the same style for every layer, float (B, layers, width)."""
        return self._styles(normalised(z), condition)[:, None].expand(-1, self.layers, -1)

    def truncated(self, styles: Tensor, condition: Tensor | None, truncation: float) -> Tensor:
        """Styles moved to the average, or to that of their label (Karras et al. 2019, arXiv:1812.04948, App. B)."""
        return torch.lerp(self.mean_style[_kinds(styles, condition)][:, None], styles, truncation)

    def synthesise(self, styles: Tensor) -> Tensor:
        """Pictures with noise that is always the same."""
        return self._drawn(styles, self.still.expand(styles.shape[0], -1))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Pictures of latents, with noise that is always the same."""
        return self.synthesise(self.styles(z, condition))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Pictures of draws from the prior, with noise of their own.

        As latents are normalised, temperature multiplies what comes of that, and the noise.
        """
        z = normalised(self.prior.sample(n, seed, first)) * options.temperature
        styles = self._styles(z, condition)[:, None].expand(-1, self.layers, -1)
        noise = inputs(seed, first, n, self.synthesis.numbers).to(device_of(self)) * options.temperature
        return self._drawn(self.truncated(styles, condition, options.truncation), noise)

    def _styles(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Normalised latents => styles, float32 (B, width)."""
        found: Tensor = self.mapping(z, *conditioning(condition, self.classes)).float()
        return found

    def _mixed(self, batch: Batch) -> Tensor:
        """Styles in training, float32 (B, layers, width): from a layer on, some samples follow a second one."""
        noise, mixing = batch.noise, batch.noise.fork("mixing")
        z = normalised(torch.cat([noise.normal(self.latent_dim), mixing.normal(self.latent_dim)]))
        condition = None if batch.condition is None else batch.condition.repeat(2)
        one, other = self._styles(z, condition).chunk(2)
        self._meet(one.detach(), batch.condition)
        chance, place = mixing.uniform(2).unbind(1)
        cut = torch.where(chance < self.settings.mixing, 1 + (place * (self.layers - 1)).floor(), self.layers)
        layer = torch.arange(self.layers, device=cut.device)
        return torch.where((layer < cut[:, None])[:, :, None], one[:, None], other[:, None])

    def _meet(self, styles: Tensor, condition: Tensor | None) -> None:
        """Note styles float (B, width) by their label."""
        if self.training:
            named = F.one_hot(_kinds(styles, condition), len(self.met_counts)).float()
            self.met_styles += named.T @ styles
            self.met_counts += named.sum(0)

    def _shown(self, styles: Tensor, batch: Batch) -> Tensor:
        """What the discriminator sees of styles, with the noise of this batch."""
        raw = self.synthesis(styles, batch.noise.fork("inputs").normal(self.synthesis.numbers)).float()
        shown: Tensor = self.output(raw, batch.noise.uniform(self.output.choices))
        return shown

    def _drawn(self, styles: Tensor, noise: Tensor) -> Tensor:
        raw = self.synthesis(styles, noise).float()
        return self.output.draw(raw, raw.new_zeros(raw.shape[0], self.output.choices))


def _kinds(styles: Tensor, condition: Tensor | None) -> Tensor:
    """Which average each style belongs to, int64 (B,): that of its label, or the only one."""
    return styles.new_zeros(len(styles), dtype=torch.int64) if condition is None else condition


def _check(spec: Spec) -> None:
    """Refuse what is no picture, and conditions that are no label."""
    if len(spec.shape) != 3:
        raise UsageError(f"a stylegan2 makes pictures, the data have shape {spec.shape}: use 'gan'")
    if spec.condition is not None and not spec.condition.categories:
        raise UsageError(
            f"a stylegan2 can be asked for labels, not for {spec.condition.kind} values of shape "
            f"{spec.condition.shape}: use 'gan'"
        )
