"""The bound and its parts: numbers worked out on paper, torch's divergences, and Monte Carlo."""

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from ficta.losses.elbo import (
    bits_per_dimension,
    doubly_reparameterised_nats,
    free_bits,
    gaussian_kl_nats,
    gaussian_log_densities,
    gaussian_log_density,
    importance_weighted_nats,
    negative_elbo,
    reparameterise,
)

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


def test_log_density_is_torchs() -> None:
    z, mean, log_variance = numbers(1, 4, 5, 3), numbers(2, 4, 1, 3), numbers(3, 4, 1, 3)
    reference = Normal(mean, (log_variance / 2).exp()).log_prob(z).sum(-1)
    found = gaussian_log_density(z, mean, log_variance)
    assert found.shape == (4, 5)
    torch.testing.assert_close(found, reference, rtol=1e-12, atol=1e-12)


def test_log_density_of_the_standard_normal_broadcasts() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    # -1/2 (4 + ln 2 pi) - 1/2 (1 + ln 2 pi)
    assert gaussian_log_density(row(2, -1), zero, zero).item() == pytest.approx(-2.5 - math.log(2 * math.pi), rel=1e-14)


def each_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of each latent under each Gaussian, one by one."""
    return torch.stack([gaussian_log_density(z, *pair) for pair in zip(mean, log_variance, strict=True)], -1)


def test_log_densities_worked_on_paper() -> None:
    # latent (1, 2); N((0, 0), (1, 1)): -5/2 - ln 2 pi; N((1, 0), (1/4, 4)): -1/2 (0 + 4/4 + ln 1/4 + ln 4) - ln 2 pi
    mean, log_variance = torch.cat([row(0, 0), row(1, 0)]), torch.cat([row(0, 0), row(-2 * LN2, 2 * LN2)])
    found = gaussian_log_densities(row(1, 2), mean, log_variance)
    assert (found + math.log(2 * math.pi)).tolist() == [pytest.approx([-2.5, -0.5], rel=1e-14)]


@pytest.mark.parametrize("shape", [(6,), (6, 4), (2, 3, 4)])
def test_log_densities_are_scipys(shape: tuple[int, ...]) -> None:
    z, mean, log_variance = numbers(1, *shape, 3), numbers(2, 5, 3), numbers(3, 5, 3)
    found = gaussian_log_densities(z, mean, log_variance)
    assert found.shape == (*shape, 5)
    for which in range(5):
        reference = multivariate_normal(mean[which].numpy(), log_variance[which].exp().diag().numpy()).logpdf(z.numpy())
        torch.testing.assert_close(found[..., which], torch.from_numpy(reference), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, each_density(z, mean, log_variance), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("log_variance", "size"), [(-20, 1), (-20, 10), (-10, 100), (0, 10_000), (20, 1000)])
def test_log_densities_of_narrow_and_far_gaussians(log_variance: float, size: float, dtype: torch.dtype) -> None:
    # latents near the means of Gaussians, where squares of some (size / deviation)^2 cancel
    mean, logs = size * numbers(1, 4, 20), torch.full((4, 20), float(log_variance), dtype=torch.float64)
    z = mean + math.exp(log_variance / 2) * numbers(2, 3, 4, 20)
    given = [each.to(dtype) for each in (z, mean, logs)]
    found = gaussian_log_densities(*given)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), each_density(*(each.double() for each in given)), rtol=1e-5, atol=1e-2)


def test_gradients_of_log_densities_are_right() -> None:
    arguments = [each.requires_grad_() for each in (numbers(1, 2, 3, 4), numbers(2, 5, 4), numbers(3, 5, 4))]
    assert torch.autograd.gradcheck(gaussian_log_densities, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_densities_and_their_gradients_have_the_dtype_of_what_is_given(dtype: torch.dtype) -> None:
    arguments = [each.to(dtype).requires_grad_() for each in (numbers(1, 2, 3, 4), numbers(2, 5, 4), numbers(3, 5, 4))]
    found = gaussian_log_densities(*arguments)
    assert found.dtype == dtype
    gradients = torch.autograd.grad(found.sum(), arguments)
    assert [gradient.dtype for gradient in gradients] == [dtype] * 3
    wide = [each.detach().double().requires_grad_() for each in arguments]
    exact = torch.autograd.grad(each_density(*wide).sum(), wide)
    for gradient, right in zip(gradients, exact, strict=True):
        torch.testing.assert_close(gradient, right.to(dtype))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((1 / 8,), 3 * LN2),
        ((1 / 8, 3 / 8), 2 * LN2),  # mean 1/4
        ((0.5, 0.5, 2.0, 1.0), 0.0),
    ],
)
def test_importance_weighted_bound_worked_on_paper(weights: tuple[float, ...], expected: float) -> None:
    found = importance_weighted_nats(row(*weights).log())
    assert found.shape == (1,)
    assert found.item() == pytest.approx(expected, rel=1e-13, abs=1e-14)


def test_importance_weighted_bound_far_below_the_least_number() -> None:
    assert importance_weighted_nats(row(-2000, -2000 + math.log(3))).item() == pytest.approx(2000 - LN2, rel=1e-14)


def test_draws_too_light_to_alter_a_digit_get_no_gradient() -> None:
    weights = torch.tensor([[0.0, -1.0, -39.0, -41.0, -95.0]], requires_grad=True)
    found = importance_weighted_nats(weights)
    assert found.item() == (math.log(5) - weights.logsumexp(1)).item()
    (gradient,) = torch.autograd.grad(found.sum(), weights)
    torch.testing.assert_close(gradient[0, :3], -weights[0].softmax(0)[:3], rtol=1e-5, atol=0)
    assert (gradient[0, 3:] == 0).all()


def test_one_draw_gives_the_negative_elbo() -> None:
    distortion, kl = numbers(1, 6).square(), numbers(2, 6)
    weighted = importance_weighted_nats(-(distortion + kl)[:, None])
    torch.testing.assert_close(weighted, negative_elbo(distortion, kl), rtol=1e-14, atol=0)


@pytest.mark.parametrize("k", [2, 5])
def test_fewer_draws_give_a_looser_bound_on_average(k: int) -> None:
    weights = 2 * numbers(4, 20, k)
    without = [weights[:, [i for i in range(k) if i != left_out]] for left_out in range(k)]
    fewer = torch.stack([importance_weighted_nats(each) for each in without]).mean(0)
    assert (fewer > importance_weighted_nats(weights)).all()


X = 1.5


class Toy(NamedTuple):
    """Bound of n samples of X | z ~ N(w z, 1), z ~ N(0, 1), q = N(a X, s^2), and gradients to a, log s^2 and w."""

    bound: Tensor
    gradients: list[Tensor]
    noise: Tensor
    z: Tensor


def toy(n: int, k: int, slope: float, spread: float, doubly: bool) -> Toy:
    start = (slope, 2 * math.log(spread), 1.0)
    parameters = [torch.full((n, 1), value, dtype=torch.float64, requires_grad=True) for value in start]
    a, log_variance, w = parameters
    noise = numbers(11, n, k)
    z = reparameterise((a * X)[..., None], log_variance[..., None], noise[..., None])
    mean_q, spread_q = a * X, (log_variance / 2).exp()
    q = Normal(mean_q.detach(), spread_q.detach()) if doubly else Normal(mean_q, spread_q)
    of_x = Normal(w * z[..., 0], 1).log_prob(torch.full_like(noise, X))
    log_weights = Normal(0, 1).log_prob(z[..., 0]) + of_x - q.log_prob(z[..., 0])
    bound = doubly_reparameterised_nats(log_weights, z) if doubly else importance_weighted_nats(log_weights)
    return Toy(bound.detach(), list(torch.autograd.grad(bound.sum(), parameters)), noise, z.detach()[..., 0])


FAR = (0.2, 0.5)  # the posterior has slope 1/2 and spread sqrt(1/2)


def test_doubly_reparameterised_bound_has_the_same_value() -> None:
    torch.testing.assert_close(toy(50, 5, *FAR, True).bound, toy(50, 5, *FAR, False).bound, rtol=1e-13, atol=0)


def test_doubly_reparameterised_gradient_of_the_decoder_is_that_of_the_bound() -> None:
    doubly, plain = (toy(50, 5, *FAR, which).gradients[2] for which in (True, False))
    torch.testing.assert_close(doubly, plain, rtol=1e-12, atol=1e-14)


def test_doubly_reparameterised_gradient_of_q_worked_on_paper() -> None:
    found = toy(50, 5, *FAR, True)
    slope, spread = FAR
    z = found.z.numpy()
    weights = torch.from_numpy(norm.pdf(z) * norm.pdf(X, z) / norm.pdf(z, slope * X, spread))
    squared_shares = (weights / weights.sum(1, keepdim=True)) ** 2
    # d/dz (log p(x, z) - log q(z)), times dz/da = x and dz/d log s^2 = s noise / 2
    path = -found.z + (X - found.z) + (found.z - slope * X) / spread**2
    by_slope = -(squared_shares * path * X).sum(1)
    by_log_variance = -(squared_shares * path * spread * found.noise / 2).sum(1)
    torch.testing.assert_close(found.gradients[0][:, 0], by_slope, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.gradients[1][:, 0], by_log_variance, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("which", [0, 1])
def test_doubly_reparameterised_gradient_of_q_is_right_on_average(k: int, which: int) -> None:
    doubly, plain = (toy(40_000, k, *FAR, way).gradients[which] for way in (True, False))
    error = (doubly - plain).std().item() / math.sqrt(len(plain))
    assert error < abs(plain.mean().item()) / 20
    assert doubly.mean().item() == pytest.approx(plain.mean().item(), abs=4 * error)


def noise_of_gradient(k: int, which: int, slope: float, spread: float, doubly: bool) -> float:
    return toy(500, k, slope, spread, doubly).gradients[which].std().item()


@pytest.mark.parametrize("which", [0, 1])
def test_doubly_reparameterised_gradient_of_q_is_less_noisy_and_loses_noise_faster(which: int) -> None:
    for near in ((0.49, 0.72), (0.4, 0.9)):
        assert noise_of_gradient(64, which, *near, True) < noise_of_gradient(64, which, *near, False) / 10
    # 16 times as many draws: k ** -1.5 of a mean of k terms a k-th as large, and k ** -0.5 (Rainforth et al. 2018)
    doubly, plain = (
        noise_of_gradient(256, which, 0.4, 0.9, way) / noise_of_gradient(16, which, 0.4, 0.9, way)
        for way in (True, False)
    )
    assert doubly == pytest.approx(1 / 64, rel=0.3)
    assert plain == pytest.approx(1 / 4, rel=0.2)


def test_doubly_reparameterised_bound_needs_no_gradient() -> None:
    weights, z = numbers(1, 4, 3), numbers(2, 4, 3, 2)
    torch.testing.assert_close(
        doubly_reparameterised_nats(weights, z), importance_weighted_nats(weights), rtol=1e-13, atol=0
    )
