"""The bound and its parts: numbers worked out on paper, torch's divergences, and Monte Carlo."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from ficta.losses.elbo import bits_per_dimension, free_bits, gaussian_kl_nats, negative_elbo, reparameterise

LN2 = math.log(2)
MOMENTS = st.tuples(*[st.floats(-5, 5)] * 4)


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("q_and_p", "expected"),
    [
        ((1, 1, 0, 1), 0.5),  # shift of one: 1/2 (1 + 1 - 1 - 0)
        ((0, 4, 0, 1), 1.5 - LN2),  # 1/2 (4 - 1 - ln 4)
        ((2, 1, 0, 4), 0.125 + LN2),  # 1/2 (1/4 + 4/4 - 1 + ln 4)
        ((3, 2, 3, 2), 0.0),
    ],
)
def test_kl_worked_on_paper(q_and_p: tuple[float, float, float, float], expected: float) -> None:
    mean_q, variance_q, mean_p, variance_p = q_and_p
    found = gaussian_kl_nats(row(mean_q), row(math.log(variance_q)), row(mean_p), row(math.log(variance_p)))
    assert found.item() == pytest.approx(expected, rel=1e-13, abs=1e-15)


def test_kl_is_torchs() -> None:
    mean_q, log_q, mean_p, log_p = (numbers(seed, 7, 3) for seed in range(4))
    reference = kl_divergence(Normal(mean_q, (log_q / 2).exp()), Normal(mean_p, (log_p / 2).exp()))
    found = gaussian_kl_nats(mean_q, log_q, mean_p, log_p)
    assert found.shape == (7, 3)
    torch.testing.assert_close(found, reference, rtol=1e-12, atol=1e-14)


def test_kl_from_the_standard_normal_broadcasts() -> None:
    mean, log_variance, zero = numbers(5, 4, 2), numbers(6, 4, 2), torch.zeros((), dtype=torch.float64)
    reference = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(zero, zero + 1))
    torch.testing.assert_close(gaussian_kl_nats(mean, log_variance, zero, zero), reference, rtol=1e-12, atol=1e-14)


def test_kl_is_the_mean_log_ratio() -> None:
    mean_q, log_q, mean_p, log_p = row(0.7), row(-0.5), row(-0.2), row(0.4)
    q, p = Normal(mean_q, (log_q / 2).exp()), Normal(mean_p, (log_p / 2).exp())
    draws = reparameterise(mean_q, log_q, numbers(8, 200_000, 1))
    ratios = q.log_prob(draws) - p.log_prob(draws)
    error = ratios.std().item() / math.sqrt(len(draws))
    assert error < 0.01
    assert gaussian_kl_nats(mean_q, log_q, mean_p, log_p).item() == pytest.approx(ratios.mean().item(), abs=5 * error)


@settings(deadline=None, derandomize=True)
@given(MOMENTS)
def test_kl_is_never_negative_and_zero_only_for_the_same(moments: tuple[float, float, float, float]) -> None:
    mean_q, log_q, mean_p, log_p = moments
    found = gaussian_kl_nats(*(row(value) for value in moments)).item()
    assert found >= -1e-14
    if abs(mean_q - mean_p) > 1e-3 or abs(log_q - log_p) > 1e-3:
        assert found > 1e-10
    assert gaussian_kl_nats(row(mean_q), row(log_q), row(mean_q), row(log_q)).item() == 0.0


def test_reparameterise_worked_on_paper() -> None:
    # deviation sqrt(4) = 2: 1 + 2 * 0.5
    assert reparameterise(row(1), row(math.log(4)), row(0.5)).item() == pytest.approx(2.0, rel=1e-14)


def test_reparameterised_draws_have_the_moments_and_carry_gradients() -> None:
    mean, log_variance = row(1.5).requires_grad_(), row(math.log(0.25)).requires_grad_()
    noise = numbers(9, 100_000, 1)
    draws = reparameterise(mean, log_variance, noise)
    assert draws.mean().item() == pytest.approx(1.5, abs=5 * 0.5 / math.sqrt(100_000))
    assert draws.std().item() == pytest.approx(0.5, rel=0.012)
    by_mean, by_log_variance = torch.autograd.grad(draws.sum(), [mean, log_variance])
    assert by_mean.item() == 100_000
    # d/dv exp(v / 2) e = 1/2 exp(v / 2) e = e / 4
    assert by_log_variance.item() == pytest.approx(noise.sum().item() / 4, rel=1e-10)


def test_free_bits_worked_on_paper() -> None:
    # batch means 2 and 0.3: the first is above the floor of 0.5 and stays, the second becomes the floor throughout
    kl = torch.tensor([[1.0, 0.5], [3.0, 0.1]], dtype=torch.float64)
    assert free_bits(kl, 0.5).tolist() == [[1.0, 0.5], [3.0, 0.5]]


def test_single_samples_may_lie_below_the_floor() -> None:
    kl = torch.tensor([[0.0], [4.0]], dtype=torch.float64)  # mean 2
    assert free_bits(kl, 1.0).tolist() == [[0.0], [4.0]]


def test_free_bits_gives_no_gradient_under_the_floor() -> None:
    kl = torch.tensor([[1.0, 0.5], [3.0, 0.1]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(free_bits(kl, 0.5).sum(), kl)
    assert gradient.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_no_floor_changes_nothing() -> None:
    kl = numbers(3, 4, 2).square()
    assert free_bits(kl, 0.0) is kl


@pytest.mark.parametrize(("beta", "expected"), [(1.0, 5.0), (0.5, 4.0), (0.0, 3.0)])
def test_negative_elbo_worked_on_paper(beta: float, expected: float) -> None:
    # 3 nats of distortion, 2 nats of KL
    value = negative_elbo(torch.tensor([3.0, 3.0]), torch.tensor([2.0, 2.0]), beta)
    assert value.tolist() == [expected, expected]


@pytest.mark.parametrize(
    ("nats", "dimensions", "bits"),
    [
        (LN2, 1, 1.0),  # a fair coin
        (784 * math.log(256), 784, 8.0),  # 256 equally likely levels each
    ],
)
def test_bits_per_dimension_worked_on_paper(nats: float, dimensions: int, bits: float) -> None:
    assert bits_per_dimension(row(nats), dimensions).item() == pytest.approx(bits, rel=1e-14)
