"""Likelihoods: numbers worked out on paper, and torch and the defining formula as references."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from ficta.losses.likelihoods import (
    bernoulli_nats,
    discretised_logistic_nats,
    gaussian_nats,
    grey_bce_nats,
    mixed_nats,
)

LN2, LN3 = math.log(2), math.log(3)
LEVELS = torch.tensor(256, dtype=torch.float64)
LOGISTIC_THIRD = math.log(1 / (2 * LN3))  # log-scale with half a bin of three levels = ln 3 scales


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "x", "parameters", "expected"),
    [
        # p = sigmoid(0) = 1/2: -ln 1/2
        (bernoulli_nats, row(1), [row(0)], LN2),
        # p = sigmoid(ln 3) = 3/4: -ln 3/4 - ln 1/4 = ln 16/3
        (bernoulli_nats, row(1, 0), [row(LN3, LN3)], math.log(16 / 3)),
        # grey 0 is the probability 1/2: -1/2 ln 1/2 - 1/2 ln 1/2
        (grey_bce_nats, row(0), [row(0)], LN2),
        # white 1/2 of the time, said to be 3/4: -1/2 ln 3/4 - 1/2 ln 1/4 = 1/2 ln 16/3; and black said to be 3/4: ln 4
        (grey_bce_nats, row(0, -1), [row(LN3, LN3)], 0.5 * math.log(16 / 3) + math.log(4)),
        # at the mean, variance 1: 1/2 ln 2 pi
        (gaussian_nats, row(0.3), [row(0.3), row(0)], 0.5 * math.log(2 * math.pi)),
        # (3 - 1)^2 / 4 = 1: 1/2 (1 + ln 4 + ln 2 pi) = 1/2 + 1/2 ln 8 pi
        (gaussian_nats, row(3), [row(1), row(math.log(4))], 0.5 + 0.5 * math.log(8 * math.pi)),
        # two levels around the mean: 1/2 each
        (discretised_logistic_nats, row(-1), [row(0), row(0), torch.tensor(2)], LN2),
        # levels -1, 0, 1, half a bin is ln 3 scales: P(0) = sigmoid(ln 3) - sigmoid(-ln 3) = 3/4 - 1/4 = 1/2
        (discretised_logistic_nats, row(0), [row(0), row(LOGISTIC_THIRD), torch.tensor(3)], LN2),
        # and P(-1) = P(1) = sigmoid(-ln 3) = 1/4: together 2 ln 4
        (discretised_logistic_nats, row(-1, 1), [row(0, 0), row(*[LOGISTIC_THIRD] * 2), torch.tensor(3)], 4 * LN2),
    ],
)
def test_worked_on_paper(loss: Callable[..., Tensor], x: Tensor, parameters: list[Tensor], expected: float) -> None:
    assert loss(x, *parameters).tolist() == pytest.approx([expected], rel=1e-12)


def test_gaussian_is_torchs_normal() -> None:
    x, mean, log_variance = numbers(1, 5, 2, 3), numbers(2, 5, 2, 3), numbers(3, 2, 1)
    reference = -Normal(mean, (log_variance / 2).exp()).log_prob(x).sum((1, 2))
    torch.testing.assert_close(gaussian_nats(x, mean, log_variance), reference, rtol=1e-13, atol=0)


def test_gaussian_density_can_exceed_one() -> None:
    assert gaussian_nats(row(0), row(0), row(math.log(1e-4))).item() == pytest.approx(-3.68623, abs=1e-5)


def test_bernoulli_is_torchs_bernoulli() -> None:
    logits = numbers(4, 6, 3, 2) * 3
    x = (numbers(5, 6, 3, 2) > 0).double()
    reference = -Bernoulli(logits=logits).log_prob(x).sum((1, 2))
    torch.testing.assert_close(bernoulli_nats(x, logits), reference, rtol=1e-13, atol=0)


def test_bernoulli_probabilities_sum_to_one() -> None:
    logits = torch.linspace(-30, 30, 121, dtype=torch.float64)[:, None]
    total = sum((-bernoulli_nats(torch.full_like(logits, value), logits)).exp() for value in (0.0, 1.0))
    torch.testing.assert_close(total, torch.ones(121, dtype=torch.float64), rtol=1e-14, atol=0)


def test_grey_bce_is_bernoulli_on_black_and_white() -> None:
    logits, bits = numbers(6, 4, 7), (numbers(7, 4, 7) > 0).double()
    torch.testing.assert_close(grey_bce_nats(bits * 2 - 1, logits), bernoulli_nats(bits, logits), rtol=0, atol=0)


def test_grey_bce_is_least_at_the_grey_value() -> None:
    x = torch.linspace(-0.9, 0.9, 7, dtype=torch.float64)[:, None]
    logits = torch.logit((x + 1) / 2).requires_grad_()
    (gradient,) = torch.autograd.grad(grey_bce_nats(x, logits).sum(), logits)
    assert gradient.abs().max() < 1e-15


def all_levels(mean: float, log_scale: float, levels: Tensor = LEVELS) -> tuple[Tensor, Tensor]:
    """Each level's value, and its log-probability, float64 (levels,)."""
    x = torch.linspace(-1, 1, int(levels), dtype=torch.float64)
    parameters = torch.full_like(x, mean)[:, None], torch.full_like(x, log_scale)[:, None]
    return x, -discretised_logistic_nats(x[:, None], *parameters, levels)


@pytest.mark.parametrize("mean", [-1.0, -0.3, 0.0, 0.11, 1.0, 5.0])
@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -2.0, 0.0, 1.0])
def test_levels_sum_to_one(mean: float, log_scale: float) -> None:
    _, log_p = all_levels(mean, log_scale)
    assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    assert (log_p <= 0).all()


@pytest.mark.parametrize("levels", [2, 3, 16, 65536])
def test_any_number_of_levels_sums_to_one(levels: int) -> None:
    _, log_p = all_levels(0.2, -1.5, torch.tensor(levels, dtype=torch.float64))
    assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("log_scale", [-3.0, -1.0, 1.0])
def test_each_level_is_a_difference_of_the_distribution_function(log_scale: float) -> None:
    x, log_p = all_levels(0.15, log_scale)
    inner_edges = (x[1:] + x[:-1]) / 2
    cdf = 1 / (1 + torch.exp(-(inner_edges - 0.15) / math.exp(log_scale)))
    cumulated = torch.cat([torch.zeros(1, dtype=torch.float64), cdf, torch.ones(1, dtype=torch.float64)])
    torch.testing.assert_close(log_p.exp(), cumulated.diff(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mean", [-1e4, -1.0, 0.0, 1.0, 1e4])
@pytest.mark.parametrize("log_scale", [-7.0, 1.0])
def test_extremes_are_finite_and_so_are_their_gradients(dtype: torch.dtype, mean: float, log_scale: float) -> None:
    x = torch.linspace(-1, 1, 256, dtype=dtype)[:, None]
    parameters = [torch.full_like(x, value).requires_grad_() for value in (mean, log_scale)]
    cost = discretised_logistic_nats(x, *parameters, torch.tensor(256))
    gradients = torch.autograd.grad(cost.sum(), parameters)
    assert cost.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (cost >= 0).all()


def test_far_tails_keep_their_slope() -> None:
    # Far from the mean -log P grows by 1 / scale for each unit: the gradient does not vanish where P underflows.
    mean = row(-50).requires_grad_()
    cost = discretised_logistic_nats(row(0.5), mean, row(-3), LEVELS)
    (gradient,) = torch.autograd.grad(cost.sum(), mean)
    assert gradient.item() == pytest.approx(-math.exp(3), rel=1e-9)


# Two columns: a value or a range of numbers, and one of three categories. Rows hold 2 + 3 modes and one place.
MODES = [2, 3]
RANGES = torch.tensor([[0], [1], [0], [0], [0]], dtype=torch.float64)
LOGITS = row(LN3, 0, 0, LN2, 0)  # 3/4 and 1/4; 1/4, 1/2 and 1/4


def columns(x: Tensor, mean: float = 0.0, log_scale: float = 0.0, logits: Tensor = LOGITS, cells: int = 2) -> Tensor:
    parameters = [torch.full_like(x[:, :1], value) for value in (mean, log_scale)]
    return mixed_nats(x, logits.expand(len(x), -1), *parameters, MODES, RANGES, cells)


@pytest.mark.parametrize(
    ("x", "cells", "expected"),
    [
        # 3/4 for the value, 1/2 for the category: -ln 3/8; no place is paid for
        (row(1, 0, 0, 1, 0, 0), 2, math.log(8 / 3)),
        # 1/4 for the range, 1/4 for the category, 1/2 for either half of [-1, 1] around the mean: ln 32
        (row(0, 1, 1, 0, 0, -0.7), 2, math.log(32)),
        (row(0, 1, 0, 0, 1, 0.0), 2, math.log(32)),
        # thirds with ends 3 ln 3 scales from the mean and edges ln 3: sigmoid(3 ln 3) = 27/28 and sigmoid(ln 3) = 3/4,
        # so that the middle has (3/4 - 1/4) / (27/28 - 1/28) = 7/13, and each other (1/4 - 1/28) / (26/28) = 3/13
        (row(0, 1, 0, 1, 0, 0.3), 3, math.log(8 * 13 / 7)),
        (row(0, 1, 0, 1, 0, 0.4), 3, math.log(8 * 13 / 3)),
        (row(0, 1, 0, 1, 0, -1.0), 3, math.log(8 * 13 / 3)),
        (row(0, 1, 0, 1, 0, 1.0), 3, math.log(8 * 13 / 3)),  # the highest belongs to the last cell
    ],
)
def test_rows_worked_on_paper(x: Tensor, cells: int, expected: float) -> None:
    log_scale = math.log(1 / (3 * LN3))  # of 1/3 and 1, ln 3 and 3 ln 3 scales
    assert columns(x, log_scale=log_scale, cells=cells).tolist() == pytest.approx([expected], rel=1e-12)


def test_rows_without_ranges_are_categories() -> None:
    logits = numbers(1, 5, 5)
    chosen = [torch.tensor([0, 1, 1, 0, 1]), torch.tensor([2, 0, 1, 1, 2])]
    x = torch.cat([torch.eye(2).double()[chosen[0]], torch.eye(3).double()[chosen[1]]], 1)
    nothing = torch.empty(5, 0, dtype=torch.float64)
    found = mixed_nats(x, logits, nothing, nothing, MODES, torch.empty(5, 0, dtype=torch.float64), 64)
    reference = [
        torch.nn.functional.cross_entropy(part, which, reduction="none")
        for part, which in zip(logits.split(MODES, 1), chosen, strict=True)
    ]
    torch.testing.assert_close(found, reference[0] + reference[1], rtol=1e-13, atol=0)


def middles(cells: int) -> Tensor:
    """The middle of each cell of [-1, 1], float64 (cells,)."""
    return (torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 - 1


def every_row(cells: int) -> Tensor:
    """All rows that differ: modes of both columns, and cells where the first is a range."""
    hot = [(torch.eye(2)[one], torch.eye(3)[two]) for one in range(2) for two in range(3)]
    places = [middles(cells) if one[1] else torch.zeros(1) for one, _ in hot]
    return torch.cat(
        [
            torch.cat([torch.cat(pair).double().expand(len(where), -1), where.double()[:, None]], 1)
            for pair, where in zip(hot, places, strict=True)
        ]
    )


@pytest.mark.parametrize("mean", [-30.0, -1.0, -0.3, 0.0, 0.11, 1.0, 5.0])
@pytest.mark.parametrize("log_scale", [-5.0, -2.0, 0.0, 3.0])
@pytest.mark.parametrize("cells", [1, 2, 64])
def test_rows_sum_to_one(mean: float, log_scale: float, cells: int) -> None:
    x = every_row(cells)
    assert len(x) == 3 + 3 * cells
    cost = columns(x, mean, log_scale, numbers(2, 1, 5) * 3, cells)
    assert (-cost).exp().sum().item() == pytest.approx(1, abs=1e-11)
    assert (cost >= 0).all()


@pytest.mark.parametrize("log_scale", [-3.0, -1.0, 2.0])
def test_each_cell_is_a_difference_of_the_distribution_function(log_scale: float) -> None:
    place = middles(64)[:, None]
    x = torch.cat([row(0, 1, 1, 0, 0).expand(64, -1), place], 1)
    edges = torch.linspace(-1, 1, 65, dtype=torch.float64)
    cdf = 1 / (1 + torch.exp(-(edges - 0.15) / math.exp(log_scale)))
    expected = cdf.diff() / (cdf[-1] - cdf[0]) / 16  # 1/4 for the range, 1/4 for the category
    torch.testing.assert_close((-columns(x, 0.15, log_scale, cells=64)).exp(), expected, rtol=1e-9, atol=1e-15)


def test_a_mode_that_is_no_range_pays_nothing_for_its_place() -> None:
    x = row(1, 0, 0, 1, 0, 0)
    mean, log_scale = row(0.3).requires_grad_(), row(-2).requires_grad_()
    cost = mixed_nats(x, LOGITS, mean, log_scale, MODES, RANGES, 64)
    gradients = torch.autograd.grad(cost.sum(), [mean, log_scale])
    assert [gradient.item() for gradient in gradients] == [0, 0]
    for place in (-1, 0.5, 1):  # whatever stands there
        assert columns(row(1, 0, 0, 1, 0, place), 0.3, -2).item() == pytest.approx(math.log(8 / 3), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mean", [-1e6, -1e4, -1.0, 0.0, 1.0, 1e4, 1e6])
@pytest.mark.parametrize("log_scale", [-5.0, 3.0])
def test_extremes_of_rows_are_finite_and_so_are_their_gradients(
    dtype: torch.dtype, mean: float, log_scale: float
) -> None:
    x = every_row(64).to(dtype)
    logits = (LOGITS.to(dtype) * 1e4).expand(len(x), -1).clone().requires_grad_()
    parameters = [logits, *(torch.full_like(x[:, :1], value).requires_grad_() for value in (mean, log_scale))]
    cost = mixed_nats(x, *parameters, MODES, RANGES.to(dtype), 64)
    gradients = torch.autograd.grad(cost.sum(), parameters)
    assert cost.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert (cost >= 0).all()


def test_places_far_from_the_mean_keep_their_slope() -> None:
    # between the ends the tail is an exponential one: with a scale of 1 / e, half a unit less costs e / 2 more
    x = torch.cat([row(0, 1, 1, 0, 0).expand(2, -1), row(0.5, 0).T], 1)
    upper, lower = columns(x, 40, -1, cells=64).tolist()
    assert lower - upper == pytest.approx(math.e / 2, rel=1e-9)
