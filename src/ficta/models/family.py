"""What a family of models is to the rest: phases to train, and a way to make samples."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor, nn

from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.adam import Adam
from ficta.compute.collectives import Collectives
from ficta.compute.noise import Noise, Place
from ficta.models.priors import Prior
from ficta.nets.parts import couples
from ficta.nets.spectral import advance


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a phase sees.

    Attributes:
        data: model tensor, float (B, *spec.shape).
        condition: encoded condition, int64 (B,), or None.
        seen: samples seen so far in this run, 0-d int64 on the device: schedules read it.
        noise: this phase's random numbers for this batch.
    """

    data: Tensor
    condition: Tensor | None
    seen: Tensor
    noise: Noise


@dataclasses.dataclass(frozen=True)
class Losses:
    """What a phase gives back.

    Attributes:
        value: cost of each sample, float (B,), not averaged: the loop averages, an audit of privacy must not.
        weight: units summed in each value (tokens, observed cells), float (B,); None means 1.
        terms: detached parts for reports, (B,) each, with the unit in the name.
    """

    value: Tensor
    terms: Mapping[str, Tensor]
    weight: Tensor | None = None


@dataclasses.dataclass(frozen=True)
class Phase:
    """One optimiser's turn on a batch.

    Attributes:
        name: for reports and for its random numbers.
        modules: attributes of the family whose parameters it moves.
        loss: from a batch to costs.
        optimiser: name in ``Family.optimisers``; two phases may share one.
        every: it runs on each step whose number this divides.
        couples_samples: its cost of a sample depends on the others in the batch, whatever the networks are.
        second_order: it differentiates a gradient; never compiled.
    """

    name: str
    modules: tuple[str, ...]
    loss: Callable[[Batch], Losses]
    optimiser: str
    every: int = 1
    couples_samples: bool = False
    second_order: bool = False


class OptimiserSettings(Settings):
    """Adam (Kingma & Ba 2015) and its kin."""

    kind: Annotated[Literal["adam", "adamw"], Field(description="adamw decouples weight decay")] = "adam"
    rate: Annotated[float, Field(gt=0, description="learning rate")] = 1e-3
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        Field(description="decay of the first and second moment"),
    ] = (0.9, 0.999)
    epsilon: Annotated[float, Field(gt=0, description="added to the root of the second moment")] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, description="pull of weights towards zero")] = 0.0

    def build(self, parameters: Sequence[nn.Parameter]) -> Adam:
        """The optimiser of these parameters."""
        return Adam(parameters, self.betas, self.epsilon, self.weight_decay, decoupled=self.kind == "adamw")


class SampleSettings(Settings):
    """How samples are made from a trained model."""

    temperature: Annotated[float, Field(ge=0, description="spread of the latents; below 1 safer and less varied")] = 1.0
    truncation: Annotated[
        float,
        Field(ge=0, description="how far styles may be from their average: 1 as far as they are, 0 not at all"),
    ] = 1.0


class Objective(nn.Module, abc.ABC):
    """Networks, and what is to be made small in which order: all that a step needs."""

    spec: Spec

    @abc.abstractmethod
    def phases(self) -> Sequence[Phase]:
        """What happens in a step, in order."""

    @abc.abstractmethod
    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """The optimisers that phases name."""

    def after_step(self, seen: Tensor, collectives: Collectives) -> None:
        """Update state that is not learnt by gradient and shared by all ranks (codebooks, augmentation strength)."""
        advance(self)


class Family(Objective):
    """A model of a distribution; leaf classes are final.

    ``networks`` of the constructor takes the place of networks that the settings would build, by attribute name.
    """

    settings_type: ClassVar[type[Settings]]
    roles: ClassVar[tuple[str, ...]]
    """Attributes that hold networks a user may bring."""

    @abc.abstractmethod
    def __init__(self, settings: Settings, spec: Spec, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()

    @abc.abstractmethod
    def sample(
        self, n: int, condition: Tensor | None = None, *, options: SampleSettings, seed: int, first: Place = 0
    ) -> Tensor:
        """Make samples ``first`` to ``first + n``; but for rounding, sample i depends on (seed, i) and its condition.

        ``first`` can also name each of them.

        Returns:
            Model space, float (n, *spec.shape).
        """


@runtime_checkable
class Decodes(Protocol):
    """A family whose samples are a function of a latent vector.

    Attributes:
        latent_dim: numbers a latent.
        prior: what latents are drawn from; another may take its place after training.
    """

    spec: Spec
    latent_dim: int
    prior: Prior

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Latents float (B, latent_dim) => model space float (B, *spec.shape)."""


@runtime_checkable
class Styled(Decodes, Protocol):
    """A family that turns a latent into a style, which each layer of a generator follows for itself.

    Attributes:
        layers: how many follow a style, the coarsest first.
    """

    layers: int

    def styles(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Latents float (B, latent_dim) => the style of each layer, float (B, layers, D)."""

    def truncated(self, styles: Tensor, condition: Tensor | None, truncation: float) -> Tensor:
        """Styles moved to their average so far that this share of the way is left, float (B, layers, D)."""

    def synthesise(self, styles: Tensor) -> Tensor:
        """Styles float (B, layers, D) => model space float (B, *spec.shape)."""


@runtime_checkable
class Encodes(Decodes, Protocol):
    """A family that also finds the latent vector of a sample."""

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Model space float (B, *spec.shape) => posterior mean float (B, latent_dim)."""


@runtime_checkable
class Reconstructs(Protocol):
    """A family that goes from a sample to a code and back, where the code is no vector of latents."""

    def reconstruct(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """What it makes of samples, float (B, *spec.shape) => the same."""


@runtime_checkable
class Layered(Encodes, Protocol):
    """A family whose latents may form layers."""

    def layer_nats(self, batch: Batch) -> Sequence[Tensor]:
        """Log q / p of a draw of each latent given the layers beside it, float (B, size of the layer), lowest first.

        Nothing where there is a single layer.
        """


@runtime_checkable
class Infers(Encodes, Protocol):
    """A family that draws latents from their posteriors: a prior can be fitted to these."""

    def infer(self, batch: Batch) -> Tensor:
        """A draw from the posterior of each sample, float (B, latent_dim)."""


class Sweep(NamedTuple):
    """A way through latents along one of their numbers.

    Attributes:
        place: of the number in the latent.
        values: that it takes, float32 (n,).
    """

    place: int
    values: Tensor


@runtime_checkable
class Coded(Decodes, Protocol):
    """A family some of whose latents are codes that can be read off samples."""

    def codes(self, x: Tensor) -> Tensor:
        """Model space float (B, *spec.shape) => value of each categorical code, int64 (B, codes)."""

    def sweeps(self) -> Sequence[Sweep]:
        """A way along each code."""


@runtime_checkable
class Bounds(Protocol):
    """A family with a bound on the likelihood.

    Attributes:
        observation: name of what it says of the data given a latent.
        is_likelihood: whether that is a likelihood, rather than a cost alone.
    """

    observation: str
    is_likelihood: bool

    def bound(self, batch: Batch) -> Losses:
        """Negative evidence lower bound of each sample in nats, (B,), with its terms."""


@runtime_checkable
class Discriminates(Protocol):
    """A family that learns to tell its samples from real items."""

    def logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Evidence that items in model space, float (B, *spec.shape), are real: float (B,)."""


@runtime_checkable
class Weighs(Bounds, Protocol):
    """A family whose bound can be tightened by importance weighting."""

    def log_weights(self, batch: Batch, draws: int) -> Tensor:
        """Log p(x, z) / q(z|x) in nats for each of ``draws`` latents from the posterior, float (B, draws)."""


def reconstruct(family: Encodes | Reconstructs, x: Tensor, condition: Tensor | None) -> Tensor:
    """What a family makes of samples in model space, float (B, *spec.shape) => the same."""
    if isinstance(family, Encodes):
        return family.decode(family.encode(x, condition), condition)
    return family.reconstruct(x, condition)


def couples_samples(objective: Objective, phase: Phase) -> bool:
    """Whether a sample's cost depends on the others in its batch; private training refuses that."""
    return phase.couples_samples or couples(objective)


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights are."""
    return next(module.parameters()).device


def risen(seen: Tensor, samples: int) -> Tensor | float:
    """Share of a weight that rises from 0 to 1 while so many samples are seen."""
    return (seen / samples).clamp(max=1).float() if samples else 1.0
