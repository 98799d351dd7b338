"""The evidence lower bound and what it is made of."""

import math

import torch
from torch import Tensor

LIGHT_NATS = 40.0  # below the heaviest draw; e^-40 is less than the rounding of float64


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


def gaussian_nats(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Minus the log-density of Gaussians, of each latent.

    Args:
        z: float (..., D).
        mean: float, broadcasts to (..., D).
        log_variance: float, broadcasts to (..., D).

    Returns:
        nats, float (..., D).
    """
    squares = (z - mean).square() * torch.exp(-log_variance)
    return 0.5 * (squares + log_variance + math.log(2 * math.pi))


def gaussian_log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of a diagonal Gaussian, in nats, summed over the last axis: float (..., D) => float (...)."""
    return -gaussian_nats(z, mean, log_variance).sum(-1)


def gaussian_log_densities(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of each latent under each of many diagonal Gaussians, in nats, by a product of matrices.

    Args:
        z: float (..., D).
        mean: float (K, D).
        log_variance: float (K, D).

    Returns:
        nats, in the dtype of ``z``, (..., K); what is in between is float64, as large squares cancel. What is left of
        rounding is that of the sum of mean^2 / variance: 0.001 nats where means are 10 and log-variances -20.
    """
    precision = torch.exp(-log_variance.double())
    scaled = mean * precision
    constant = (mean * scaled + log_variance + math.log(2 * math.pi)).sum(1)
    wide = z.double()
    squares = wide.square() @ precision.T - 2 * wide @ scaled.T
    return (-0.5 * (squares + constant)).to(z.dtype)


def importance_weighted_nats(log_weights: Tensor) -> Tensor:
    """Importance-weighted bound on -log p(x) (Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, Eq. 8).

    Args:
        log_weights: log p(x, z) / q(z|x) of k latents drawn from q, in nats, float (B, k).

    Returns:
        -log of the mean weight, nats, float (B,). Not averaged over samples; one draw gives the negative ELBO. Draws
        lighter than the heaviest by more than ``LIGHT_NATS`` get no gradient.
    """
    # lighter draws alter no digit, but their gradients would be denormal numbers, with which a CPU is many times slower
    light = log_weights < log_weights.detach().amax(1, keepdim=True) - LIGHT_NATS
    return math.log(log_weights.shape[1]) - log_weights.masked_fill(light, -math.inf).logsumexp(1)


def doubly_reparameterised_nats(log_weights: Tensor, z: Tensor) -> Tensor:
    """The same bound with another estimate of its gradient, whose noise does not grow with k.

    Tucker et al. 2019, arXiv:1810.04152, Eq. 7: what reaches q through the latents counts by the square of a weight's
    share, and nothing else reaches it.

    Args:
        log_weights: as above, computed from ``z`` with the parameters of q held fixed, float (B, k).
        z: the latents, a differentiable function of the parameters of q, float (B, k, D). Its gradient is changed, so
            that it must be used for nothing else.

    Returns:
        nats, float (B,). Not averaged.
    """
    shares = log_weights.detach().softmax(1)
    if z.requires_grad:
        z.register_hook(lambda gradient: gradient * shares[..., None].to(gradient.dtype))  # type: ignore[no-untyped-call]
    return importance_weighted_nats(log_weights)  # whose own gradient counts by the share once


def bits_per_dimension(nats: Tensor, dimensions: int) -> Tensor:
    """Nats a sample as bits a value; only meaningful for a discrete likelihood.

    Args:
        nats: float, any shape.
        dimensions: values a sample.

    Returns:
        Bits a value, same shape.
    """
    return nats / (dimensions * math.log(2))
