"""Divergences of latents of which only samples are at hand: each couples the samples of a batch."""

import math

import torch
from torch import Tensor

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel (Tolstikhin et al. 2018, arXiv:1711.01558, App. D)


def total_correlation_nats(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """How far the latents of a batch are from independent: log q(z) - sum_d log q(z_d) for each.

    The middle term of Chen et al. 2018, arXiv:1802.04942, Eq. 2, with q(z) the mixture of the batch's own posteriors:
    their minibatch-weighted sampling with the batch in place of the data, which changes the value by a constant
    and its gradient not at all.

    Args:
        z: a latent drawn from each posterior, float (B, D).
        mean: of the posteriors, float (B, D).
        log_variance: of the posteriors, float (B, D).

    Returns:
        nats, float (B,); its mean is the total correlation. May be negative for single latents. Not averaged.
    """
    squares = (z[:, None] - mean).square() * torch.exp(-log_variance)
    each = -0.5 * (squares + log_variance + math.log(2 * math.pi))  # log q(z_i,d | x_j), (B, B, D)
    count = math.log(len(z))
    return each.sum(2).logsumexp(1) - count - (each.logsumexp(1) - count).sum(1)


def maximum_mean_discrepancy(z: Tensor, prior: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between latents and draws from their prior, spread evenly over the latents.

    The unbiased estimate (Gretton et al. 2012, Eq. 3) with a sum of inverse multiquadric kernels C / (C + |a - b|^2),
    C = 2 D s for each s of ``SCALES``, as in Tolstikhin et al. 2018 (arXiv:1711.01558, Algorithm 2 and App. D).

    Args:
        z: float (B, D), B >= 2.
        prior: as many independent draws, float (B, D).

    Returns:
        float (B,), whose mean is the estimate; it may be negative. Not averaged.
    """
    count = len(z)
    same = sum(_others(_kernel(points, points)) for points in (z, prior))
    cross = _kernel(z, prior)
    total: Tensor = same / (count - 1) - (cross.sum(1) + cross.sum(0)) / count
    return total


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Kernel between all pairs, float (len(a), len(b))."""
    squares = (a[:, None] - b).square().sum(2)
    scales = [2 * a.shape[1] * scale for scale in SCALES]
    return torch.stack([scale / (scale + squares) for scale in scales]).sum(0)


def _others(kernel: Tensor) -> Tensor:
    """Sum of each row without its diagonal entry, float (B,)."""
    return kernel.sum(1) - kernel.diagonal()
