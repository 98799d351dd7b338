"""Penalties on gradients of functions whose gradients are known."""

import pytest
import torch
from torch import Tensor

from ficta.losses.penalties import one_centred, zero_centred


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_penalty_of_a_linear_function() -> None:
    # f(x) = w.x has gradient w everywhere: 1/2 (9 + 16 + 144) = 84.5
    weight = numbers(3, -4, 12)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert zero_centred(x @ weight, x).tolist() == pytest.approx([84.5] * 5, rel=1e-14)


def test_penalty_of_a_quadratic() -> None:
    # f(x) = x1^2 / 2 + x2^2 has gradient (x1, 2 x2): at (3, 4) it is (3, 8), so 1/2 (9 + 64); at 0 nothing
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert zero_centred(x[:, 0] ** 2 / 2 + x[:, 1] ** 2, x).tolist() == pytest.approx([36.5, 0.0], rel=1e-14)


def test_penalty_flattens_all_axes() -> None:
    x = torch.ones(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert zero_centred(2 * x.flatten(1).sum(1), x).tolist() == pytest.approx([120.0] * 2)  # 1/2 * 60 * 2^2


def test_penalty_of_a_sample_depends_on_it_alone() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[2] += 1
    before, after = (zero_centred(item.pow(3).sum(1), item) for item in (x.requires_grad_(), changed.requires_grad_()))
    assert (before == after).tolist() == [True, True, False, True]


def test_penalty_is_differentiable_once_more() -> None:
    # d/dw 1/2 |w|^2 = w for each of 5 samples
    weight = numbers(3, -4, 12).requires_grad_()
    x = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(zero_centred(x @ weight, x).sum(), weight)
    assert gradient.tolist() == pytest.approx([15, -20, 60], rel=1e-14)


def test_penalty_through_a_network_is_right_to_second_order() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    weight = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: zero_centred((x @ weight).tanh().sum(1), x), (x, weight))


def test_lengths_are_kept_to_one() -> None:
    # a linear function of slope 13: (13 - 1)^2; of slope 1: nothing, and no gradient to speak of
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert one_centred(x @ numbers(3, -4, 12), x).tolist() == pytest.approx([144] * 5, rel=1e-14)
    assert one_centred(x @ numbers(0.6, 0, -0.8), x).tolist() == pytest.approx([0] * 5, abs=1e-14)


def test_a_flat_function_is_pulled_up_without_a_nan() -> None:
    # |w| at 0 has no gradient; the penalty there is 1
    weight = numbers(0, 0, 0).requires_grad_()
    x = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
    found = one_centred(x @ weight, x)
    assert found.tolist() == [1] * 5
    (gradient,) = torch.autograd.grad(found.sum(), weight)
    assert gradient.isfinite().all()


def test_one_centred_is_right_to_second_order() -> None:
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|
    weight = numbers(3, -4, 12).requires_grad_()
    x = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(one_centred(x @ weight, x).sum(), weight)
    assert gradient.tolist() == pytest.approx([2 * 12 / 13 * each for each in (3, -4, 12)], rel=1e-14)
