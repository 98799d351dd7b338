"""Cost of data under a distribution: -log p(x), in nats, summed over a sample's values."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def _sum(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def bernoulli_nats(x: Tensor, logits: Tensor) -> Tensor:
    """Negative log-likelihood of binary data.

    Args:
        x: data in {0, 1}, float (B, ...).
        logits: log-odds of a 1, float (B, ...).

    Returns:
        -log p(x) in nats, float (B,). Summed over values, not averaged over samples.
    """
    return _sum(F.binary_cross_entropy_with_logits(logits, x, reduction="none"))


def grey_bce_nats(x: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of grey values read as probabilities.

    No likelihood: grey values are not binary, so this is not comparable with one (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845). It is what many tutorials train.

    Args:
        x: data in [-1, 1], float (B, ...).
        logits: log-odds of white, float (B, ...).

    Returns:
        Cost in nats, float (B,). Summed over values, not averaged over samples.
    """
    return bernoulli_nats((x + 1) / 2, logits)


def gaussian_nats(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Negative log-density of a diagonal Gaussian.

    Args:
        x: data, float (B, ...).
        mean: float (B, ...).
        log_variance: float, broadcasts to ``mean``.

    Returns:
        -log p(x) in nats, float (B,); a density, so that it can be negative. Summed over values.
    """
    squares = (x - mean).square() * torch.exp(-log_variance)
    return _sum(0.5 * (squares + log_variance + math.log(2 * math.pi)))


def discretised_logistic_nats(x: Tensor, mean: Tensor, log_scale: Tensor, levels: Tensor) -> Tensor:
    """Negative log-probability of a logistic distribution cut into equal bins (Salimans et al. 2017, Eq. 2).

    The outermost bins reach to infinity, so that the probabilities of all levels sum to 1.

    Args:
        x: data on ``levels`` equally spaced values in [-1, 1], float (B, ...).
        mean: float (B, ...).
        log_scale: log of the logistic scale, float (B, ...).
        levels: number of values, 0-d.

    Returns:
        -log P(x) in nats, float (B,), never negative. Summed over values.
    """
    half = 1 / (levels - 1)
    inverse = torch.exp(-log_scale)
    above, below = (x - mean + half) * inverse, (x - mean - half) * inverse
    lowest, highest = x <= -1 + half, x >= 1 - half
    inner = _log_between(x - half, x + half, mean, inverse)
    log_p = torch.where(lowest, F.logsigmoid(above), torch.where(highest, F.logsigmoid(-below), inner))
    return _sum(-log_p)


def mixed_nats(
    x: Tensor,
    logits: Tensor,
    mean: Tensor,
    log_scale: Tensor,
    modes: Sequence[int],
    ranges: Tensor,
    cells: int,
) -> Tensor:
    """Negative log-probability of rows of mixed columns.

    A categorical distribution over each column's modes and, of the place in a range, a logistic one that is cut off at
    the ends of [-1, 1] and into equal cells. Modes with places are those of Xu et al. 2019 (arXiv:1907.00503).

    Args:
        x: one-hot modes of all columns, then places of those with ranges in [-1, 1], float (B, M + P).
        logits: of the modes, float (B, M).
        mean: of the places, float (B, P).
        log_scale: log of their logistic scales, float (B, P).
        modes: how many each column has; their sum is M.
        ranges: 1 where a mode is a range of the column that has the place, else 0; float (M, P).
        cells: how many [-1, 1] is cut into.

    Returns:
        -log P(x) in nats, float (B,), never negative: a place is paid for only where the mode is a range. Summed over
        columns.
    """
    hot, places = torch.split(x, [logits.shape[1], mean.shape[1]], 1)
    total = torch.stack([part.logsumexp(1) for part in torch.split(logits, list(modes), 1)]).sum(0)
    which = total - (hot * logits).sum(1)
    if not mean.shape[1]:
        return which
    inverse = torch.exp(-log_scale)
    low = ((places + 1) / 2 * cells).floor().clamp(0, cells - 1) / cells * 2 - 1
    cell = _log_between(low, low + 2 / cells, mean, inverse)
    whole = _log_between(-torch.ones_like(mean), torch.ones_like(mean), mean, inverse)
    return which + ((hot @ ranges) * (whole - cell)).sum(1)


def _log_between(low: Tensor, high: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """Log of the logistic probability of [low, high]; sigmoid b - sigmoid a = sigmoid b sigmoid -a (1 - e^(a - b))."""
    a, b = (low - mean) * inverse, (high - mean) * inverse
    # a - b without the mean: far from it the two are one number in float32
    return F.logsigmoid(b) + F.logsigmoid(-a) + torch.log(-torch.expm1((low - high) * inverse))


LIKELIHOODS: dict[str, Callable[..., Tensor]] = {
    "bernoulli": bernoulli_nats,
    "grey-bce": grey_bce_nats,
    "gaussian": gaussian_nats,
    "discretised-logistic": discretised_logistic_nats,
    "mixed": mixed_nats,
}
