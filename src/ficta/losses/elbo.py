"""The evidence lower bound and what it is made of."""

import math

import torch
from torch import Tensor


def gaussian_kl_nats(mean_q: Tensor, log_variance_q: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """KL(q || p) between diagonal Gaussians, of each latent.

    With a standard normal p it is Kingma & Welling 2014, arXiv:1312.6114, App. B.

    Args:
        mean_q: float (B, D).
        log_variance_q: float (B, D).
        mean_p: float, broadcasts to (B, D); 0 for the standard normal.
        log_variance_p: float, broadcasts to (B, D); 0 for the standard normal.

    Returns:
        Divergence in nats, float (B, D): not summed, as free bits act on each latent.
    """
    ratio = log_variance_q - log_variance_p
    shift = (mean_q - mean_p).square() * torch.exp(-log_variance_p)
    return 0.5 * (torch.exp(ratio) + shift - 1 - ratio)


def reparameterise(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """A draw from a diagonal Gaussian as a differentiable function of standard noise (ibid., Sec. 2.4).

    Args:
        mean: float (B, D).
        log_variance: float (B, D).
        noise: standard normal numbers, float (B, D).

    Returns:
        mean + exp(log_variance / 2) * noise, float (B, D).
    """
    return mean + torch.exp(0.5 * log_variance) * noise


def free_bits(kl_nats: Tensor, floor_nats: float) -> Tensor:
    """KL of each latent, with no reward for pushing a latent's batch mean below a floor.

    Kingma et al. 2016, arXiv:1606.04934, Eq. 15 with one latent a group; the floor holds for the batch mean, so that
    single samples may lie below it. Latents under the floor get no gradient.

    Args:
        kl_nats: float (B, D).
        floor_nats: least nats a latent; 0 changes nothing.

    Returns:
        float (B, D).
    """
    if floor_nats <= 0:
        return kl_nats
    return torch.where(kl_nats.mean(0, keepdim=True) > floor_nats, kl_nats, torch.full_like(kl_nats, floor_nats))


def negative_elbo(nll_nats: Tensor, kl_nats: Tensor, beta: float | Tensor = 1.0) -> Tensor:
    """Negative evidence lower bound of each sample (Kingma & Welling 2014, arXiv:1312.6114, Eq. 3).

    Args:
        nll_nats: reconstruction cost -log p(x|z) in nats, float (B,).
        kl_nats: KL(q(z|x) || p(z)) in nats, float (B,).
        beta: weight of the KL term; 1 is the true bound (Higgins et al. 2017).

    Returns:
        Cost in nats, float (B,). Not averaged.
    """
    return nll_nats + beta * kl_nats


def log_importance_weight(nll_nats: Tensor, z: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
    """Log p(x, z) / q(z|x) of latents z = mean + exp(log_variance / 2) * noise under a standard normal prior.

    Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, Eq. 8: the log of the mean weight bounds log p(x) from below.

    Args:
        nll_nats: -log p(x|z), float (...).
        z: float (..., D).
        noise: standard normal numbers that made z, float (..., D).
        log_variance: of q, float, broadcasts to (..., D).

    Returns:
        nats, float (...).
    """
    ratio = 0.5 * (noise.square() - z.square() + log_variance)  # log p(z) / q(z|x) of each latent
    return ratio.sum(-1) - nll_nats


def bits_per_dimension(nats: Tensor, dimensions: int) -> Tensor:
    """Nats a sample as bits a value; only meaningful for a discrete likelihood.

    Args:
        nats: float, any shape.
        dimensions: values a sample.

    Returns:
        Bits a value, same shape.
    """
    return nats / (dimensions * math.log(2))
