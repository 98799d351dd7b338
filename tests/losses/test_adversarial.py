"""Adversarial losses at logits whose probabilities are known, and gradient penalties of known functions."""

import math

import pytest
import torch
from torch import Tensor

from ficta.losses.adversarial import (
    ADVERSARIAL,
    Side,
    hinge_discriminator,
    least_squares_discriminator,
    least_squares_generator,
    logistic_discriminator,
    minimax_generator,
    non_saturating_generator,
    raising_generator,
    relativistic_discriminator,
    relativistic_generator,
    wasserstein_discriminator,
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
        # (3 - 1)^2 / 2 + 2^2 / 2, then (2 - 1)^2 / 2
        (least_squares_discriminator, 3, 2, 4),
        (least_squares_generator, 7, 2, 0.5),
        # within the margin, then beyond it on both sides, then on the wrong sides
        (hinge_discriminator, 0.5, 0.25, 1.75),
        (hinge_discriminator, 1.5, -2, 0),
        (hinge_discriminator, -2, 3, 7),
        (wasserstein_discriminator, 3, 5, 2),
        (raising_generator, 7, 5, -5),
        # a pair that is ln 3 apart: -ln 3/4, and from the other side -ln 1/4
        (relativistic_discriminator, 5 + LN3, 5, math.log(4 / 3)),
        (relativistic_generator, 5 + LN3, 5, math.log(4)),
        (relativistic_discriminator, 7, 7, LN2),
    ],
)
def test_worked_on_paper(loss: Side, real: float, fake: float, expected: float) -> None:
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
        for loss in pair[:2]:
            assert loss(extreme, extreme).isfinite().all()
            assert loss(extreme, -extreme).isfinite().all()


def test_the_rows_say_which_sides_and_whether_only_differences_count() -> None:
    assert {
        "non-saturating": (logistic_discriminator, non_saturating_generator, 0.0, False, False),
        "minimax": (logistic_discriminator, minimax_generator, 0.0, False, False),
        "least-squares": (least_squares_discriminator, least_squares_generator, 0.5, False, False),
        "hinge": (hinge_discriminator, raising_generator, 0.0, False, False),
        "wasserstein": (wasserstein_discriminator, raising_generator, 0.0, True, False),
        "relativistic": (relativistic_discriminator, relativistic_generator, 0.0, True, True),
    } == ADVERSARIAL


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_number_added_to_all_logits(name: str) -> None:
    real, fake = logits(0.3, -0.2), logits(0.1, 0.6)
    before, after = (ADVERSARIAL[name].discriminator(real + shift, fake + shift) for shift in (0, 0.25))
    assert torch.allclose(before, after) == (ADVERSARIAL[name].relative or name == "hinge")  # within its margin
