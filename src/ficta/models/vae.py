"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), its bounds, its costs and its priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, final

from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Spec
from ficta.compute.noise import Noise, Place, choices
from ficta.losses.divergences import maximum_mean_discrepancy, total_correlation_nats
from ficta.losses.elbo import (
    bits_per_dimension,
    doubly_reparameterised_nats,
    free_bits,
    gaussian_log_density,
    importance_weighted_nats,
    negative_elbo,
    reparameterise,
)
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of, risen
from ficta.models.priors import Prior, PriorSettings, Stack, halves
from ficta.nets.build import NetworkSettings, build_decoder, build_encoder
from ficta.nets.heads import HeadSettings
from ficta.nets.parts import condition_size, conditioning


class VaeSettings(HeadSettings):
    """Settings of a VAE."""

    latent_dim: Annotated[int, Field(ge=1, description="numbers a latent")] = 16
    bound: Annotated[
        Literal["elbo", "iwae", "dreg"],
        Field(description="elbo; iwae: importance-weighted over draws; dreg: the same, its gradient less noisy"),
    ] = "elbo"
    draws: Annotated[int, Field(ge=1, description="latents drawn a sample")] = 1
    beta: Annotated[float, Field(ge=0, description="weight of the KL term; 1 is the true bound")] = 1.0
    beta_samples: Annotated[int, Field(ge=0, description="samples seen over which that weight rises from 0")] = 0
    capacity_nats: Annotated[
        float | None, Field(ge=0, description="KL that each sample is drawn to, in place of 0")
    ] = None
    capacity_samples: Annotated[int, Field(ge=0, description="samples seen over which the capacity rises from 0")] = 0
    free_bits_nats: Annotated[float, Field(ge=0, description="least KL of each latent that is paid for anyway")] = 0.0
    total_correlation: Annotated[
        float, Field(ge=0, description="further weight of how far latents are from independent; beta-TCVAE's less 1")
    ] = 0.0
    discrepancy: Annotated[
        float,
        Field(ge=0, description="weight of the maximum mean discrepancy to the prior; with beta = 0 it is a WAE-MMD"),
    ] = 0.0
    prior: Annotated[PriorSettings, Field(description="what latents are held to")] = PriorSettings()
    encoder: Annotated[NetworkSettings, Field(description="network from data to latents")] = NetworkSettings()
    decoder: Annotated[NetworkSettings, Field(description="network from latents to data")] = NetworkSettings()
    optimiser: Annotated[OptimiserSettings, Field(description="of encoder and decoder")] = OptimiserSettings()


class Drawn(NamedTuple):
    """Latents drawn from the posteriors of a batch.

    Attributes:
        mean: of the posteriors, float32 (B, D).
        log_variance: of the posteriors, float32 (B, D).
        z: draws, float32 (B, k, D).
        noise: numbers for the prior's log-density at these, float32 (B, k, prior.auxiliary).
    """

    mean: Tensor
    log_variance: Tensor
    z: Tensor
    noise: Tensor


@final
class Vae(Family):
    """Encoder, decoder, head, prior; one phase."""

    settings_type = VaeSettings
    roles = ("encoder", "decoder")

    def __init__(self, settings: VaeSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec, self.latent_dim = settings, spec, settings.latent_dim
        self.classes = condition_size(spec)
        self.head = settings.build_head(spec)
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
        self.prior = settings.prior.build(settings.latent_dim, spec, self.classes, self.posterior)
        _check(settings, self.prior)

    def phases(self) -> Sequence[Phase]:
        """One: the negative bound and what is added to it."""
        coupling = (self.settings.free_bits_nats, self.settings.total_correlation, self.settings.discrepancy)
        modules = ("encoder", "decoder", "head", "prior")
        return [Phase("cost_nats", modules, self.loss, "main", couples_samples=any(coupling))]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for everything."""
        return {"main": self.settings.optimiser}

    def loss(self, batch: Batch) -> Losses:
        """What training minimises: the bound, with what the settings add to it."""
        asked, drawn = self.settings, self._draw(batch, self.settings.draws)
        if asked.bound != "elbo":
            return self._weighted(batch, drawn)
        distortion_nats, kl_nats = self._parts(batch, drawn)
        paid_nats = free_bits(kl_nats, asked.free_bits_nats).sum(1)
        if asked.capacity_nats is not None:  # Burgess et al. 2018, arXiv:1804.03599, Eq. 8
            paid_nats = (paid_nats - asked.capacity_nats * risen(batch.seen, asked.capacity_samples)).abs()
        value = negative_elbo(distortion_nats, paid_nats, asked.beta * risen(batch.seen, asked.beta_samples))
        terms = self._terms(distortion_nats, kl_nats)
        if asked.total_correlation:
            found = total_correlation_nats(drawn.z[:, 0], drawn.mean, drawn.log_variance)
            value, terms["total_correlation_nats"] = value + asked.total_correlation * found, found.detach()
        if asked.discrepancy:
            found = maximum_mean_discrepancy(drawn.z[:, 0], self._fresh(batch.noise.fork("prior")))
            value, terms["discrepancy"] = value + asked.discrepancy * found, found.detach()
        return Losses(value, terms)

    def bound(self, batch: Batch) -> Losses:
        """Negative ELBO of each sample, with one draw from the posterior."""
        distortion_nats, kl_nats = self._parts(batch, self._draw(batch, 1))
        value = negative_elbo(distortion_nats, kl_nats.sum(1))
        terms = self._terms(distortion_nats, kl_nats)
        if self.head.discrete:
            terms["bits_per_dimension"] = bits_per_dimension(value.detach(), self.spec.size)
        return Losses(value, terms)

    def log_weights(self, batch: Batch, draws: int) -> Tensor:
        """Log importance weights of draws from the posterior, float (B, draws), in nats."""
        return self._log_weights(batch, self._draw(batch, draws))

    def posterior(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), float32 (B, latent_dim) each; the latter within [-20, 20]."""
        return halves(self.encoder(x, *conditioning(condition, self.classes)))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Posterior mean."""
        return self.posterior(x, condition)[0]

    def infer(self, batch: Batch) -> Tensor:
        """A draw from each posterior."""
        return self._draw(batch, 1).z[:, 0]

    def layer_nats(self, batch: Batch) -> Sequence[Tensor]:
        """Log q / p of a draw of each latent of a stack, lowest layer first."""
        if not isinstance(self.prior, Stack):
            return ()
        drawn = self._draw(batch, 1)
        return self.prior.layer_nats(drawn.mean, drawn.log_variance, drawn.z[:, 0], drawn.noise[:, 0])

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

    def _draw(self, batch: Batch, draws: int) -> Drawn:
        mean, log_variance = self.posterior(batch.data, batch.condition)
        noise = batch.noise.normal(draws, self.latent_dim)
        z = reparameterise(mean[:, None], log_variance[:, None], noise)
        return Drawn(mean, log_variance, z, batch.noise.fork("upper").normal(draws, self.prior.auxiliary))

    def _parts(self, batch: Batch, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Reconstruction cost (B,) and KL (B, latents or 1), in nats, means over draws."""
        return self._distortion(batch, drawn.z).mean(1), self.prior.kl_nats(*drawn)

    def _distortion(self, batch: Batch, z: Tensor) -> Tensor:
        """Reconstruction cost in nats of each of several latents, (B, k, D) => (B, k)."""
        draws = z.shape[1]
        condition = None if batch.condition is None else batch.condition.repeat_interleave(draws, 0)
        raw = self.decoder(z.flatten(0, 1), *conditioning(condition, self.classes))
        found = LIKELIHOODS[self.head.name](batch.data.repeat_interleave(draws, 0), *self.head(raw))
        return found.view(-1, draws)

    def _log_weights(self, batch: Batch, drawn: Drawn) -> Tensor:
        own = gaussian_log_density(drawn.z, drawn.mean[:, None], drawn.log_variance[:, None])
        return self.prior.log_density(drawn.z, drawn.noise) - own - self._distortion(batch, drawn.z)

    def _weighted(self, batch: Batch, drawn: Drawn) -> Losses:
        """The importance-weighted bound over the draws."""
        if self.settings.bound == "iwae":
            return Losses(importance_weighted_nats(self._log_weights(batch, drawn)), {})
        held = drawn._replace(mean=drawn.mean.detach(), log_variance=drawn.log_variance.detach())
        return Losses(doubly_reparameterised_nats(self._log_weights(batch, held), drawn.z), {})

    def _fresh(self, noise: Noise) -> Tensor:
        """A draw from the prior for each sample of a batch."""
        return self.prior.draw(noise.normal(self.prior.normals), noise.uniform(self.prior.uniforms))

    def _terms(self, distortion_nats: Tensor, kl_nats: Tensor) -> dict[str, Tensor]:
        return {self.head.term: distortion_nats.detach(), "kl_nats": kl_nats.detach().sum(1)}


def _check(settings: VaeSettings, prior: Prior) -> None:
    """Refuse settings that cannot act together."""
    inert = VaeSettings()
    if settings.bound != "elbo":
        weights = ("beta", "beta_samples", "capacity_nats", "capacity_samples")
        for name in (*weights, "free_bits_nats", "total_correlation", "discrepancy"):
            if getattr(settings, name) != getattr(inert, name):
                raise UsageError(f"model.{name} is for model.bound = 'elbo'; {settings.bound!r} has no parts to weigh")
    if settings.capacity_samples and settings.capacity_nats is None:
        raise UsageError("model.capacity_samples says how long the capacity rises; give model.capacity_nats, too")
    if settings.bound == "dreg" and not prior.factorised:
        raise UsageError("model.bound = 'dreg' needs a prior of its own parameters: model.prior.kind = 'normal'")
    if settings.free_bits_nats and not prior.factorised:
        raise UsageError("model.free_bits_nats counts latents one by one, which only model.prior.kind = 'normal' does")
