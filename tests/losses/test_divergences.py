"""Divergences of samples: where they are known in closed form, and loops written from the equations."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from torch import Tensor

from ficta.losses.divergences import maximum_mean_discrepancy, total_correlation_nats

LN2 = math.log(2)


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def posteriors(seed: int, b: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws, means, log-variances."""
    mean, log_variance = 2 * numbers(seed, b, d), numbers(seed + 1, b, d) - 1
    return mean + (log_variance / 2).exp() * numbers(seed + 2, b, d), mean, log_variance


def test_total_correlation_by_loops() -> None:
    z, mean, log_variance = posteriors(1, 5, 3)
    found = total_correlation_nats(z, mean, log_variance)
    assert found.shape == (5,)
    spread = (log_variance / 2).exp().numpy()
    for i in range(5):
        each = [[norm.logpdf(z[i, d], mean[j, d], spread[j, d]) for d in range(3)] for j in range(5)]
        joint = logsumexp([sum(row) for row in each]) - math.log(5)
        alone = [logsumexp([row[d] for row in each]) - math.log(5) for d in range(3)]
        assert found[i].item() == pytest.approx(joint - sum(alone), rel=1e-10, abs=1e-12)


def test_latents_that_all_share_a_posterior_are_independent() -> None:
    mean, log_variance = numbers(1, 1, 4).expand(6, 4), numbers(2, 1, 4).expand(6, 4)
    found = total_correlation_nats(3 * numbers(3, 6, 4), mean, log_variance)
    torch.testing.assert_close(found, torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-12)


def test_latents_on_all_corners_of_a_box_are_independent() -> None:
    # a mixture over all combinations is the product of mixtures
    mean = torch.tensor(list(itertools.product([-1.0, 1.0], [-3.0, 2.0], [0.0, 0.5])), dtype=torch.float64)
    log_variance = torch.tensor([0.3, -1.0, -2.0], dtype=torch.float64).expand(8, 3)
    found = total_correlation_nats(2 * numbers(4, 8, 3), mean, log_variance)
    torch.testing.assert_close(found, torch.zeros(8, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_of_two_far_apart_posteriors_each_latent_tells_all_others(d: int) -> None:
    # log q(z) is that of its own posterior less ln 2, and so is each log q(z_d)
    mean = torch.tensor([[-50.0], [50.0]], dtype=torch.float64).expand(2, d)
    found = total_correlation_nats(mean + numbers(5, 2, d), mean, torch.zeros_like(mean))
    assert found.tolist() == pytest.approx([(d - 1) * LN2] * 2, rel=1e-12, abs=1e-12)


def test_total_correlation_is_that_of_a_correlated_normal() -> None:
    # many posteriors of variance 1/100 whose means have covariance C - 1/100 make up a normal of covariance C, whose
    # total correlation is -1/2 ln (1 - r^2)
    r, n = 0.9, 1500
    factor = torch.linalg.cholesky(torch.tensor([[0.99, r], [r, 0.99]], dtype=torch.float64))
    mean = numbers(6, n, 2) @ factor.T
    log_variance = torch.full_like(mean, -math.log(100))
    found = total_correlation_nats(mean + 0.1 * numbers(7, n, 2), mean, log_variance)
    error = found.std().item() / math.sqrt(n)
    assert found.mean().item() == pytest.approx(-0.5 * math.log(1 - r**2), abs=4 * error)
    assert error < 0.05


def test_total_correlation_passes_gradients_to_draws_and_posteriors() -> None:
    inputs = [tensor.requires_grad_() for tensor in posteriors(1, 4, 2)]
    gradients = torch.autograd.grad(total_correlation_nats(*inputs).sum(), inputs)
    assert all(gradient.abs().min() > 0 for gradient in gradients)
    assert torch.autograd.gradcheck(total_correlation_nats, inputs)


def kernel(a: np.ndarray, b: np.ndarray) -> float:
    squared = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return sum(2 * len(a) * s / (2 * len(a) * s + squared) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))


@pytest.mark.parametrize("d", [1, 3])
def test_discrepancy_is_the_u_statistic_and_each_pair_counts_for_both_of_its_samples(d: int) -> None:
    n, latents, priors = 6, 1.5 * numbers(1, 6, d) + 0.5, numbers(2, 6, d)
    found, z, prior = maximum_mean_discrepancy(latents, priors), latents.numpy(), priors.numpy()
    assert found.shape == (n,)
    for i in range(n):
        same = sum(kernel(z[i], z[j]) + kernel(prior[i], prior[j]) for j in range(n) if j != i)
        cross = sum(kernel(z[i], prior[j]) + kernel(z[j], prior[i]) for j in range(n))
        assert found[i].item() == pytest.approx(same / (n - 1) - cross / n, rel=1e-12)
    # Gretton et al. 2012, Eq. 3
    pairs = list(itertools.permutations(range(n), 2))
    same = sum(kernel(z[i], z[j]) + kernel(prior[i], prior[j]) for i, j in pairs) / (n * (n - 1))
    cross = 2 / n**2 * sum(kernel(z[i], prior[j]) for i in range(n) for j in range(n))
    assert found.mean().item() == pytest.approx(same - cross, rel=1e-12)


def test_discrepancy_worked_on_paper() -> None:
    # both points at 0 against both at 1, one latent: 7 + 7 - 2 sum_s 2 s / (2 s + 1) for each
    kept = 0.2 / 1.2 + 0.4 / 1.4 + 1 / 2 + 2 / 3 + 4 / 5 + 10 / 11 + 20 / 21
    found = maximum_mean_discrepancy(torch.zeros(2, 1), torch.ones(2, 1))
    assert found.tolist() == pytest.approx([14 - 2 * kept] * 2, rel=1e-6)


def discrepancies(shift: float, stretch: float) -> Tensor:
    """Of 300 batches of 8 latents from N(shift, stretch^2)."""
    drawn = [(numbers(2 * i, 8, 2), numbers(2 * i + 1, 8, 2)) for i in range(300)]
    return torch.stack([maximum_mean_discrepancy(stretch * a + shift, b).mean() for a, b in drawn])


def test_discrepancy_to_the_own_distribution_is_zero_on_average() -> None:
    found = discrepancies(0.0, 1.0)
    error = found.std().item() / math.sqrt(300)
    assert error < 0.02  # with the diagonals counted, as a V-statistic does, the mean would be above 0.5
    assert abs(found.mean().item()) < 3 * error


@pytest.mark.parametrize(("shift", "stretch"), [(1.0, 1.0), (0.0, 0.3)])
def test_discrepancy_to_another_distribution_is_positive(shift: float, stretch: float) -> None:
    found = discrepancies(shift, stretch)
    assert found.mean().item() > 10 * found.std().item() / math.sqrt(300)


def test_discrepancy_stays_with_its_sample() -> None:
    z, prior, order = numbers(1, 6, 2), numbers(2, 6, 2), torch.tensor([3, 1, 5, 0, 2, 4])
    found = maximum_mean_discrepancy(z, prior)
    assert len(found.unique()) == 6
    torch.testing.assert_close(maximum_mean_discrepancy(z[order], prior[order]), found[order], rtol=1e-12, atol=0)
    torch.testing.assert_close(maximum_mean_discrepancy(z, prior[order]).mean(), found.mean(), rtol=1e-12, atol=0)


def test_discrepancy_passes_gradients_to_both() -> None:
    inputs = [numbers(1, 4, 2).requires_grad_(), numbers(2, 4, 2).requires_grad_()]
    gradients = torch.autograd.grad(maximum_mean_discrepancy(*inputs).sum(), inputs)
    assert all(gradient.abs().min() > 0 for gradient in gradients)
    assert torch.autograd.gradcheck(maximum_mean_discrepancy, inputs)


@pytest.mark.parametrize("d", [2, 3])
def test_a_step_downhill_pulls_a_batch_towards_its_prior(d: int) -> None:
    z = (numbers(1, 50, d) + 1).requires_grad_()
    (gradient,) = torch.autograd.grad(maximum_mean_discrepancy(z, numbers(2, 50, d)).mean(), z)
    assert (gradient.mean(0) > 0).all()
