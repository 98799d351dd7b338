"""Adversarial losses at logits whose probabilities are known, and gradient penalties of known functions."""

import math

import pytest
import torch
from torch import Tensor

from ficta.losses.adversarial import (
    ADVERSARIAL,
    Adversarial,
    gradient_penalty,
    logistic_discriminator,
    minimax_generator,
    non_saturating_generator,
)

LN2, LN3 = math.log(2), math.log(3)


def logits(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "real", "fake", "expected"),
    [
        # D = 1/2 on both: -ln 1/2 - ln 1/2
        (logistic_discriminator, 0, 0, 2 * LN2),
        # sigmoid(ln 3) = 3/4: -ln 3/4 - ln(1 - 1/4) = 2 ln 4/3
        (logistic_discriminator, LN3, -LN3, 2 * math.log(4 / 3)),
        # both wrong: -ln 1/4 - ln(1 - 3/4)
        (logistic_discriminator, -LN3, LN3, 2 * math.log(4)),
        # only one wrong: -ln 3/4 - ln 1/4 = ln 16/3
        (logistic_discriminator, LN3, LN3, math.log(16 / 3)),
        (non_saturating_generator, 7, 0, LN2),
        # -ln 3/4, then -ln 1/4
        (non_saturating_generator, 7, LN3, math.log(4 / 3)),
        (non_saturating_generator, 7, -LN3, math.log(4)),
        (minimax_generator, 7, 0, -LN2),
        # ln(1 - 3/4), then ln(1 - 1/4)
        (minimax_generator, 7, LN3, -math.log(4)),
        (minimax_generator, 7, -LN3, math.log(3 / 4)),
    ],
)
def test_worked_on_paper(loss: Adversarial, real: float, fake: float, expected: float) -> None:
    assert loss(logits(real), logits(fake)).tolist() == pytest.approx([expected], rel=1e-14)


def test_minimax_is_a_game_of_sum_zero_in_the_fakes() -> None:
    fake = torch.linspace(-9, 9, 19, dtype=torch.float64)
    certain = torch.full_like(fake, 800.0)  # real samples cost nothing
    torch.testing.assert_close(minimax_generator(certain, fake), -logistic_discriminator(certain, fake))


def test_gradients_say_why_non_saturating() -> None:
    # d/dl softplus(-l) = -sigmoid(-l) -> -1 for a bad fake; d/dl -softplus(l) = -sigmoid(l) -> 0
    fake = logits(-20.0).requires_grad_()
    strong = torch.autograd.grad(non_saturating_generator(fake, fake).sum(), fake)[0].item()
    weak = torch.autograd.grad(minimax_generator(fake, fake).sum(), fake)[0].item()
    assert strong == pytest.approx(-1.0, abs=1e-8)
    assert weak == pytest.approx(-math.exp(-20), rel=1e-6)


def test_extreme_logits_are_finite() -> None:
    extreme = torch.tensor([-1e4, 1e4])
    for pair in ADVERSARIAL.values():
        for loss in pair:
            assert loss(extreme, extreme).isfinite().all()
            assert loss(extreme, -extreme).isfinite().all()


def test_the_rows_say_which_generator() -> None:
    assert ADVERSARIAL["non-saturating"] == (logistic_discriminator, non_saturating_generator)
    assert ADVERSARIAL["minimax"] == (logistic_discriminator, minimax_generator)


def test_penalty_of_a_linear_function() -> None:
    # f(x) = w.x has gradient w everywhere: 1/2 (9 + 16 + 144) = 84.5
    weight = logits(3, -4, 12)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert gradient_penalty(x @ weight, x).tolist() == pytest.approx([84.5] * 5, rel=1e-14)


def test_penalty_of_a_quadratic() -> None:
    # f(x) = x1^2 / 2 + x2^2 has gradient (x1, 2 x2): at (3, 4) it is (3, 8), so 1/2 (9 + 64); at 0 nothing
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert gradient_penalty(x[:, 0] ** 2 / 2 + x[:, 1] ** 2, x).tolist() == pytest.approx([36.5, 0.0], rel=1e-14)


def test_penalty_flattens_all_axes() -> None:
    x = torch.ones(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradient_penalty(2 * x.flatten(1).sum(1), x).tolist() == pytest.approx([120.0] * 2)  # 1/2 * 60 * 2^2


def test_penalty_of_a_sample_depends_on_it_alone() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[2] += 1
    before, after = (
        gradient_penalty(item.pow(3).sum(1), item) for item in (x.requires_grad_(), changed.requires_grad_())
    )
    assert (before == after).tolist() == [True, True, False, True]


def test_penalty_is_differentiable_once_more() -> None:
    # d/dw 1/2 |w|^2 = w for each of 5 samples
    weight = logits(3, -4, 12).requires_grad_()
    x = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(gradient_penalty(x @ weight, x).sum(), weight)
    assert gradient.tolist() == pytest.approx([15, -20, 60], rel=1e-14)


def test_penalty_through_a_network_is_right_to_second_order() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    weight = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: gradient_penalty((x @ weight).tanh().sum(1), x), (x, weight))
