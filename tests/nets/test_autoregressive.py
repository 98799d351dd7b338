"""What a masked network's outputs depend on, and what they do not."""

import pytest
import torch
from torch import Tensor, nn

from ficta.nets.autoregressive import Made, MaskedLinear


def made(size: int, hidden: tuple[int, ...]) -> Made:
    """With random weights, as those of a new one give zeros."""
    torch.manual_seed(0)
    network = Made(size, hidden).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


def jacobians(network: Made, size: int) -> tuple[Tensor, ...]:
    """Of either output to the inputs, (outputs, inputs) each."""
    x = torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.autograd.functional.jacobian(network, x)  # type: ignore[no-any-return,no-untyped-call]


@pytest.mark.parametrize(("size", "hidden"), [(2, (4,)), (5, (16,)), (5, (16, 12, 9)), (7, (6, 6)), (3, ())])
def test_each_output_depends_on_all_inputs_before_it_and_on_no_other(size: int, hidden: tuple[int, ...]) -> None:
    before = torch.ones(size, size).tril(-1).bool()
    for jacobian in jacobians(made(size, hidden), size):
        assert (jacobian[~before] == 0).all()
        assert (jacobian[before].abs() > 1e-6).all()


@pytest.mark.parametrize("hidden", [(1,), (2, 5), (3, 3, 3)])
def test_too_narrow_layers_see_less_and_nothing_that_they_must_not(hidden: tuple[int, ...]) -> None:
    before = torch.ones(6, 6).tril(-1).bool()
    for jacobian in jacobians(made(6, hidden), 6):
        assert (jacobian[~before] == 0).all()
        assert (jacobian[before] == 0).any()
        assert jacobian[1, 0] != 0


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_every_hidden_unit_has_a_part_in_some_output(size: int) -> None:
    network = made(size, (9, 7))
    biases = [layer.bias for layer in network.layers[:-1] if isinstance(layer, MaskedLinear)]
    first, second = network(torch.randn(1, size, dtype=torch.float64))
    for gradient in torch.autograd.grad((first + second).sum(), biases):
        assert gradient.abs().min() > 0


def test_a_single_value_is_given_what_does_not_depend_on_it() -> None:
    network = made(1, (8, 8))
    one, other = (network(torch.full((3, 1), value, dtype=torch.float64)) for value in (-2.0, 5.0))
    assert [each.shape for each in one] == [(3, 1), (3, 1)]
    for first, second in zip(one, other, strict=True):
        assert torch.equal(first, second)
        assert first.abs().min() > 0
    assert not torch.equal(*one)


def test_a_new_one_gives_zeros_and_learns_from_there() -> None:
    torch.manual_seed(0)
    network = Made(4, (8, 8))
    first, second = network(torch.randn(5, 4))
    assert not first.any()
    assert not second.any()
    gradients = torch.autograd.grad((first + second - 1).square().sum(), list(network.layers[-1].parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_leading_axes_are_kept() -> None:
    network, x = made(4, (8,)), torch.randn(2, 3, 4, dtype=torch.float64)
    for found, flat in zip(network(x), network(x.flatten(0, 1)), strict=True):
        assert found.shape == (2, 3, 4)
        torch.testing.assert_close(found.flatten(0, 1), flat)


def test_the_two_outputs_have_weights_of_their_own() -> None:
    first, second = jacobians(made(5, (16,)), 5)
    assert (first - second)[1:].abs().sum(1).min() > 0


def test_weights_that_are_cut_get_no_gradient_and_are_not_kept_with_a_mask() -> None:
    mask = torch.tensor([[1, 0, 1], [0, 1, 0]])
    layer = MaskedLinear(mask)
    (gradient,) = torch.autograd.grad(layer(torch.ones(1, 3)).sum(), [layer.weight])
    assert torch.equal(gradient, mask.float())
    assert layer.state_dict().keys() == {"weight", "bias"}
