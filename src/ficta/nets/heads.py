"""Heads: from a decoder's raw output to the parameters of a distribution of the data, by value kind."""

from __future__ import annotations

import abc
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.nets.spans import Spans

HeadName = Literal["bernoulli", "grey-bce", "gaussian", "discretised-logistic", "mixed"]
CELLS = 64  # that a place within a range is cut into


class HeadSettings(Settings):
    """The distribution of the data given a latent, among the settings of a family."""

    head: Annotated[
        HeadName | Literal["auto"],
        Field(
            description="distribution of the data given a latent; auto: bernoulli for binary data, grey-bce for data "
            "with levels (pictures), mixed for rows of columns, else gaussian"
        ),
    ] = "auto"
    variance: Annotated[float | None, Field(gt=0, description="of a gaussian head; without, it is learned")] = None
    variance_floor: Annotated[float, Field(gt=0, description="least variance of a gaussian head")] = 1e-4

    def build_head(self, spec: Spec) -> Head:
        """The head of data like these; what does not fit is refused as ``build_head`` does."""
        return build_head(self.head, spec, self.variance, self.variance_floor)


class Head(nn.Module, abc.ABC):
    """What a decoder's raw output means. Leaf classes are final.

    Attributes:
        name: in ``HEADS``, and of the likelihood that takes what ``forward`` gives.
        term: what reports call its cost.
        shape: of the raw output of one sample.
        discrete: whether it gives a probability of the data's own values, so that bits per dimension exist.
        is_likelihood: whether its cost is minus the log of a probability or density of the data.
        choices: uniform numbers that a sample takes, beside its latent.
    """

    name: HeadName
    term: str = "distortion_nats"
    shape: tuple[int, ...]
    discrete: bool
    is_likelihood: bool = True
    choices: int = 0

    @abc.abstractmethod
    def forward(self, raw: Tensor) -> tuple[Any, ...]:
        """Raw output float (B, *shape) => the parameters that the likelihood of the same name takes."""

    @abc.abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Raw output float (B, *shape) => expected data in model space, float (B, *spec.shape)."""

    @abc.abstractmethod
    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """Raw output float (B, *shape) and numbers in [0, 1) (B, choices) => a sample, float (B, *spec.shape).

        Heads that say how each value of a picture lies around its mean give the mean: their noise, independent from
        value to value, is no part of a picture.
        """


class Bernoulli(Head):
    """Binary values; the raw output is a logit each."""

    name = "bernoulli"
    discrete = True

    def __init__(self, spec: Spec, variance: float | None, floor: float) -> None:
        super().__init__()
        self.shape = spec.shape

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Logits."""
        return (raw.float(),)

    def mean(self, raw: Tensor) -> Tensor:
        """Probabilities in [0, 1]."""
        return raw.float().sigmoid()

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """The mean."""
        return self.mean(raw)


class GreyBce(Head):
    """Grey values read as probabilities: a cost, not a likelihood (Loaiza-Ganem & Cunningham 2019 on why)."""

    name = "grey-bce"
    term = "grey_bce_nats"
    discrete = False
    is_likelihood = False

    def __init__(self, spec: Spec, variance: float | None, floor: float) -> None:
        super().__init__()
        self.shape = spec.shape

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Logits."""
        return (raw.float(),)

    def mean(self, raw: Tensor) -> Tensor:
        """2 sigmoid(raw) - 1, in [-1, 1]."""
        return raw.float().sigmoid() * 2 - 1

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """The mean."""
        return self.mean(raw)


class Gaussian(Head):
    """Mean by the decoder; one variance for each channel, learned (Rybkin et al. 2021) or fixed, with a floor."""

    name = "gaussian"
    discrete = False

    def __init__(self, spec: Spec, variance: float | None, floor: float) -> None:
        super().__init__()
        self.shape = spec.shape
        start = torch.full((spec.shape[0], *[1] * (len(spec.shape) - 1)), 0.25 if variance is None else variance).log()
        if variance is not None and variance < floor:
            raise UsageError(f"model.variance = {variance} lies below model.variance_floor = {floor}; lower the floor")
        self.learned = variance is None
        self.log_variance: Tensor
        self.log_floor: Tensor
        self.register_buffer("log_floor", torch.tensor(floor).log())
        if variance is None:
            self.log_variance = nn.Parameter(start)
        else:
            self.register_buffer("log_variance", start)

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Mean (B, *shape) and log-variance, which broadcasts to it."""
        # the floor is added, so that a variance far below it still gets a gradient
        return raw.float(), torch.logaddexp(self.log_variance, self.log_floor) if self.learned else self.log_variance

    def mean(self, raw: Tensor) -> Tensor:
        """The mean, kept within [-1, 1]."""
        return raw.float().clamp(-1, 1)

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """The mean."""
        return self.mean(raw)


class DiscretisedLogistic(Head):
    """A logistic distribution a value, cut into the data's levels (Salimans et al. 2017, arXiv:1701.05517)."""

    name = "discretised-logistic"
    discrete = True

    def __init__(self, spec: Spec, variance: float | None, floor: float) -> None:
        super().__init__()
        if spec.levels is None:
            raise UsageError("model.head = 'discretised-logistic' needs data with levels; choose 'gaussian'")
        self.shape = (2 * spec.shape[0], *spec.shape[1:])
        self.levels = spec.levels

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Mean, log-scale (B, *spec.shape each) and number of levels; scales lie between e^-7 and e."""
        mean, log_scale = raw.float().chunk(2, 1)
        return mean, (log_scale - 2).clamp(-7, 1), torch.tensor(self.levels)

    def mean(self, raw: Tensor) -> Tensor:
        """The mean, kept within [-1, 1]."""
        return raw.float().chunk(2, 1)[0].clamp(-1, 1)

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """The mean."""
        return self.mean(raw)


class Mixed(Head):
    """Rows of columns: a categorical distribution over the modes of each, and a logistic one over places in ranges."""

    name = "mixed"
    discrete = False  # ranges are cut into cells, which are no values of the data

    def __init__(self, spec: Spec, variance: float | None, floor: float) -> None:
        super().__init__()
        self.spans = Spans(spec)
        self.shape = (sum(self.spans.modes) + 2 * self.spans.places,)
        self.choices = len(self.spans.modes) + self.spans.places

    def forward(self, raw: Tensor) -> tuple[Any, ...]:
        """Logits of modes, means and log-scales of places (between e^-5 and e^3), and how they belong together."""
        logits, mean, log_scale = self._parts(raw)
        return logits, mean, log_scale, self.spans.modes, self.spans.ranges, CELLS

    def mean(self, raw: Tensor) -> Tensor:
        """The likeliest mode of each column, and the middle of the places."""
        logits, mean, _ = self._parts(raw)
        return self.spans.row(self.spans.likeliest(logits), mean.clamp(-1, 1))

    def draw(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """A mode of each column, and a place within it."""
        logits, mean, log_scale = self._parts(raw)
        which, where = torch.split(uniform, [len(self.spans.modes), self.spans.places], 1)
        scale = log_scale.exp()
        low, high = (-1 - mean) / scale, (1 - mean) / scale
        # logit of (1 - u) sigmoid(low) + u sigmoid(high), in logarithms: a mean may lie far beyond the ends
        shares = torch.log1p(-where), where.log()
        below = torch.logaddexp(shares[0] + F.logsigmoid(low), shares[1] + F.logsigmoid(high))
        above = torch.logaddexp(shares[0] + F.logsigmoid(-low), shares[1] + F.logsigmoid(-high))
        return self.spans.row(self.spans.choose(logits, which), (mean + scale * (below - above)).clamp(-1, 1))

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        places = self.spans.places
        logits, mean, log_scale = torch.split(raw.float(), [sum(self.spans.modes), places, places], 1)
        return logits, mean, log_scale.clamp(-5, 3)


HEADS: dict[HeadName, type[Head]] = {
    "bernoulli": Bernoulli,
    "grey-bce": GreyBce,
    "gaussian": Gaussian,
    "discretised-logistic": DiscretisedLogistic,
    "mixed": Mixed,
}
KINDS: dict[HeadName, str] = {
    "bernoulli": "binary",
    "grey-bce": "continuous",
    "gaussian": "continuous",
    "discretised-logistic": "continuous",
    "mixed": "mixed",
}


def build_head(name: HeadName | Literal["auto"], spec: Spec, variance: float | None, floor: float) -> Head:
    """The head of this name for this Spec.

    ``auto`` is ``bernoulli`` for binary data, ``mixed`` for rows of columns, ``grey-bce`` for continuous data with
    levels (it keeps the latents closest to the prior, so that samples look best; docs/defaults.md has the figures),
    else ``gaussian``.

    Args:
        name: which.
        spec: what the data are.
        variance: fixed variance of a Gaussian head; None learns it.
        floor: least variance of a Gaussian head.

    Raises:
        UsageError: the head does not fit the kind of value; the error says which do.
    """
    chosen = _automatic(spec) if name == "auto" else name
    if chosen is None or KINDS[chosen] != spec.kind:
        fitting = [known for known, kind in KINDS.items() if kind == spec.kind]
        raise UsageError(
            f"model.head = {name!r} does not fit {spec.kind} data; "
            + (f"use {' or '.join(fitting)}" if fitting else "no head does yet")
        )
    return HEADS[chosen](spec, variance, floor)


def _automatic(spec: Spec) -> HeadName | None:
    if spec.kind == "continuous":
        return "grey-bce" if spec.levels else "gaussian"
    kinds: dict[str, HeadName] = {"binary": "bernoulli", "mixed": "mixed"}
    return kinds.get(spec.kind)
