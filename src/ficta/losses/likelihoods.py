"""Cost of data under a distribution: -log p(x), in nats, summed over a sample's values."""

import math
from collections.abc import Callable

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
    # P = sigmoid(above) - sigmoid(below) = sigmoid(above) sigmoid(-below) (1 - exp(below - above)), stable throughout
    inner = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))
    log_p = torch.where(lowest, F.logsigmoid(above), torch.where(highest, F.logsigmoid(-below), inner))
    return _sum(-log_p)


LIKELIHOODS: dict[str, Callable[..., Tensor]] = {
    "bernoulli": bernoulli_nats,
    "grey-bce": grey_bce_nats,
    "gaussian": gaussian_nats,
    "discretised-logistic": discretised_logistic_nats,
}
