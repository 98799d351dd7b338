"""Vector-quantised VAE (van den Oord et al. 2017, arXiv:1711.00937): a grid of symbols, and what writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.spec import Spec
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Place, choices
from ficta.losses.elbo import bits_per_dimension
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.models.family import Batch, Family, Losses, OptimiserSettings, Phase, SampleSettings, device_of
from ficta.nets.build import NetworkSettings
from ficta.nets.grids import build_grid_decoder, build_grid_encoder
from ficta.nets.heads import HeadSettings
from ficta.nets.parts import condition_size, condition_vector, conditioning
from ficta.nets.transformer import Transformer, TransformerSettings

LEAST = 1e-5  # added to each code's count, so that one without any has a place


class VqVaeSettings(HeadSettings):
    """Settings of a vector-quantised VAE."""

    codes: Annotated[int, Field(ge=2, description="symbols")] = 256
    code_dim: Annotated[int, Field(ge=1, description="numbers that stand for a symbol")] = 16
    stages: Annotated[int, Field(ge=1, description="times that a conv halves the axes, at most")] = 2
    blocks: Annotated[int, Field(ge=0, description="residual blocks of a conv at the grid")] = 2
    length: Annotated[int, Field(ge=1, description="symbols a sample, where the network is an mlp")] = 8
    commitment: Annotated[float, Field(ge=0, description="weight of the vectors' distance to their codes")] = 0.25
    decay: Annotated[float, Field(ge=0, lt=1, description="share of a code's average kept at each step")] = 0.99
    restart_share: Annotated[
        float, Field(ge=0, lt=1, description="a code used less than this share of the mean starts anew; 0 never")
    ] = 0.05
    encoder: Annotated[NetworkSettings, Field(description="network from data to vectors")] = NetworkSettings()
    decoder: Annotated[NetworkSettings, Field(description="network from codes to data")] = NetworkSettings()
    prior: Annotated[TransformerSettings, Field(description="network that writes the symbols")] = TransformerSettings()
    optimiser: Annotated[OptimiserSettings, Field(description="of encoder and decoder")] = OptimiserSettings()
    prior_optimiser: Annotated[OptimiserSettings, Field(description="of the prior")] = OptimiserSettings()


class Quantised(NamedTuple):
    """A batch in symbols.

    Attributes:
        vectors: of the encoder, float32 (B, P, code_dim), P places of the grid in a row.
        symbols: nearest code of each, int64 (B, P).
        codes: those codes, float32 (B, P, code_dim).
    """

    vectors: Tensor
    symbols: Tensor
    codes: Tensor


@final
class VqVae(Family):
    """Encoder, codebook, decoder; and a transformer that learns to write the symbols. Two phases.

    Codes are running averages of the vectors that they stand for (App. A.1). One that is hardly used starts anew at a
    vector of the batch (Dhariwal et al. 2020, arXiv:2005.00341, Sec. 3.1).
    """

    settings_type = VqVaeSettings
    roles = ("encoder", "decoder")

    def __init__(self, settings: VqVaeSettings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(settings, spec, networks)
        self.settings, self.spec = settings, spec
        self.classes = condition_size(spec)
        self.head = settings.build_head(spec)
        self.observation, self.is_likelihood = self.head.name, self.head.is_likelihood
        depth = {"stages": settings.stages, "blocks": settings.blocks}
        self.encoder = (
            networks["encoder"]
            if "encoder" in networks
            else build_grid_encoder(settings.encoder, spec.shape, settings.code_dim, length=settings.length, **depth)
        )
        with torch.no_grad():
            self.grid = tuple(self.encoder(torch.zeros(1, *spec.shape)).shape[2:])
        self.decoder = (
            networks["decoder"]
            if "decoder" in networks
            else build_grid_decoder(
                settings.decoder, settings.code_dim, self.grid, self.head.shape, self.classes, **depth
            )
        )
        self.places = math.prod(self.grid)
        self.prior = Transformer(settings.prior, settings.codes, self.places, self.classes)
        self.codes: Tensor
        self.counts: Tensor
        self.sums: Tensor
        # so short that vectors choose by direction; no code has been used, so that most start anew after the first step
        self.register_buffer("codes", (torch.rand(settings.codes, settings.code_dim) * 2 - 1) / settings.codes)
        self.register_buffer("counts", torch.zeros(settings.codes))
        self.register_buffer("sums", torch.zeros(settings.codes, settings.code_dim))
        # what the steps between two updates have seen
        self.met_counts: Tensor
        self.met_sums: Tensor
        self.met: Tensor
        self.register_buffer("met_counts", torch.zeros(settings.codes), persistent=False)
        self.register_buffer("met_sums", torch.zeros(settings.codes, settings.code_dim), persistent=False)
        self.register_buffer("met", torch.zeros(settings.codes, settings.code_dim), persistent=False)

    def phases(self) -> Sequence[Phase]:
        """Encoder and decoder; prior."""
        return [
            Phase("autoencoder", ("encoder", "decoder", "head"), self.loss, "main"),
            Phase("prior_nats", ("prior",), self.prior_loss, "prior"),
        ]

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """One for each phase."""
        return {"main": self.settings.optimiser, "prior": self.settings.prior_optimiser}

    def loss(self, batch: Batch) -> Losses:
        """Reconstruction cost in nats and commitment (Eq. 3); gradients pass the codebook as if it were not there."""
        found = self._quantise(batch.data)
        straight = found.vectors + (found.codes - found.vectors).detach()
        distortion = self._distortion(batch, straight)
        commitment = (found.vectors - found.codes).square().sum((1, 2))
        if self.training:
            self._meet(found, batch)
        terms = {
            self.head.term: distortion.detach(),
            "commitment": commitment.detach(),
            "perplexity": self.perplexity().expand(len(distortion)),
        }
        return Losses(distortion + self.settings.commitment * commitment, terms)

    def prior_loss(self, batch: Batch) -> Losses:
        """-log p(symbols) under the transformer, in nats (B,)."""
        with torch.no_grad():
            symbols = self._quantise(batch.data).symbols
        return Losses(self._prior_nats(symbols, batch.condition), {})

    def bound(self, batch: Batch) -> Losses:
        """-log p(x, symbols) of the symbols that the encoder chooses, in nats (B,): at least -log p(x)."""
        found = self._quantise(batch.data)
        distortion = self._distortion(batch, found.codes)
        nats = self._prior_nats(found.symbols, batch.condition)
        terms = {self.head.term: distortion.detach(), "prior_nats": nats.detach()}
        if self.head.discrete:
            terms["bits_per_dimension"] = bits_per_dimension((distortion + nats).detach(), self.spec.size)
        return Losses(distortion + nats, terms)

    def perplexity(self) -> Tensor:
        """How many codes are in use: the exponential of the entropy of their running counts, 0-d."""
        shares = self.counts / self.counts.sum().clamp(min=LEAST)
        entropy: Tensor = torch.special.entr(shares).sum()
        return entropy.exp()

    def after_step(self, seen: Tensor, collectives: Collectives) -> None:
        """Move codes to the average of what they stand for; start those anew that stand for little."""
        super().after_step(seen, collectives)
        counts, sums, met = collectives.sum([self.met_counts, self.met_sums, self.met])
        keep = self.settings.decay
        self.counts.mul_(keep).add_(counts, alpha=1 - keep)
        self.sums.mul_(keep).add_(sums, alpha=1 - keep)
        mean = self.counts.mean()
        dead = (self.counts < self.settings.restart_share * mean)[:, None]
        self.counts.copy_(torch.where(dead[:, 0], mean, self.counts))
        self.sums.copy_(torch.where(dead, met * mean, self.sums))
        self.codes.copy_(self.sums / (self.counts[:, None] + LEAST))
        for each in (self.met_counts, self.met_sums, self.met):
            each.zero_()

    def reconstruct(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the decoder makes of the symbols of samples: expected data, float (B, *spec.shape)."""
        return self.head.mean(self._raw(self._quantise(x).codes, condition))

    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Write symbols, and draw what the head says of the data."""
        uniform = choices(seed, first, n, self.places + self.head.choices).to(device_of(self))
        vector = condition_vector(condition, self.classes)
        symbols = self.prior.draw(uniform[:, : self.places], vector, options.temperature)
        return self.head.draw(self._raw(self.codes[symbols], condition), uniform[:, self.places :])

    def _quantise(self, x: Tensor) -> Quantised:
        vectors = self.encoder(x).float().flatten(2).transpose(1, 2)
        flat = vectors.detach().flatten(0, 1)
        symbols = torch.cdist(flat, self.codes).min(1).indices.view(vectors.shape[:2])
        return Quantised(vectors, symbols, self.codes[symbols])

    @torch.no_grad()
    def _meet(self, found: Quantised, batch: Batch) -> None:
        """Count what codes stood for, and keep those vectors of this part of the step at which codes may start anew."""
        symbols, vectors = found.symbols.flatten(), found.vectors.detach().flatten(0, 1)
        self.met_counts.index_add_(0, symbols, torch.ones_like(symbols, dtype=torch.float32))
        self.met_sums.index_add_(0, symbols, vectors)
        order = batch.noise.fork("restart").shared().uniform(self.places).flatten().argsort()
        chosen = order[torch.arange(len(self.met), device=order.device) % len(order)]  # among all of the step
        here = chosen - batch.noise.start * self.places
        inside = (here >= 0) & (here < len(vectors))
        self.met.add_(torch.where(inside[:, None], vectors[here.clamp(0, len(vectors) - 1)], 0.0))

    def _prior_nats(self, symbols: Tensor, condition: Tensor | None) -> Tensor:
        logits = self.prior(symbols, condition_vector(condition, self.classes))
        return F.cross_entropy(logits.float().transpose(1, 2), symbols, reduction="none").sum(1)

    def _distortion(self, batch: Batch, codes: Tensor) -> Tensor:
        return LIKELIHOODS[self.head.name](batch.data, *self.head(self._raw(codes, batch.condition)))

    def _raw(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """Codes float (B, P, code_dim) => the head's raw input."""
        grid = codes.transpose(1, 2).reshape(len(codes), self.settings.code_dim, *self.grid)
        raw: Tensor = self.decoder(grid, *conditioning(condition, self.classes))
        return raw
