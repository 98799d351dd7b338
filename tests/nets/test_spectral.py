"""Spectral normalisation: against exact singular values, against torch's own, and its gradient on paper."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ficta.nets.build import NetworkSettings, build_decoder, build_discriminator, build_encoder
from ficta.nets.spectral import Spectral, advance, normalise_spectrally

LAYERS = {
    "dense": lambda: nn.Linear(7, 5),
    "over 1 axis": lambda: nn.Conv1d(3, 5, 4),
    "over 2 axes": lambda: nn.Conv2d(3, 5, 3, 2),
    "over 3 axes": lambda: nn.Conv3d(2, 4, 2),
    "transposed over 1 axis": lambda: nn.ConvTranspose1d(3, 5, 4),
    "transposed over 2 axes": lambda: nn.ConvTranspose2d(3, 5, 3, 2),
    "transposed over 3 axes": lambda: nn.ConvTranspose3d(2, 4, 2),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def layer_of(name: str) -> nn.Module:
    """Always of the same weights, float64."""
    torch.manual_seed(3)
    return LAYERS[name]().double()


def rows(layer: nn.Module, weight: Tensor) -> Tensor:
    """One row an output; layers that are transposed have their outputs on the second axis."""
    return torch.stack([part.flatten() for part in weight.unbind(1 if getattr(layer, "transposed", False) else 0)])


def largest(layer: nn.Module) -> float:
    assert isinstance(layer.weight, Tensor)
    return torch.linalg.matrix_norm(rows(layer, layer.weight.detach()), ord=2).item()


def advanced(network: nn.Module, rounds: int) -> nn.Module:
    for _ in range(rounds):
        advance(network)
    return network


@every_layer
def test_the_largest_singular_value_becomes_one(name: str) -> None:
    layer = layer_of(name)
    with torch.no_grad():
        layer.weight.mul_(7)
    before = layer.weight.detach().clone()
    assert largest(layer) > 2
    normalise_spectrally(layer)
    assert largest(layer) == pytest.approx(1, abs=0.1)  # already, by the rounds before training
    advanced(layer, 500)
    assert largest(layer) == pytest.approx(1, abs=1e-10)
    torch.testing.assert_close(layer.weight * torch.linalg.matrix_norm(rows(layer, before), ord=2), before)


@every_layer
def test_in_the_limit_it_is_what_torch_has(name: str) -> None:
    layer = layer_of(name)
    theirs = parametrizations.spectral_norm(copy.deepcopy(layer), n_power_iterations=500)
    normalise_spectrally(layer)
    torch.testing.assert_close(advanced(layer, 500).weight, theirs.weight, rtol=1e-9, atol=1e-9)


def test_of_a_transposed_layer_the_other_axis_would_be_another_number() -> None:
    layer = layer_of("transposed over 2 axes")
    normalise_spectrally(layer)
    advanced(layer, 500)
    wrong = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2).item()
    assert abs(wrong - 1) > 0.01


def test_a_round_is_a_step_of_power_iteration() -> None:
    # Algorithm 1 on diag(3, 1) from v = (3, 4) / 5: u ~ (9, 4), then v ~ (27, 4)
    weight = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    spectral = Spectral(weight, 0)
    spectral.right.copy_(torch.tensor([0.6, 0.8]))
    spectral.advance(weight)
    for found, expected in ((spectral.left, (9, 4)), (spectral.right, (27, 4))):
        direction = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(found, direction / direction.norm(), rtol=1e-6, atol=1e-6)
    # sigma = u' W v = (9 * 3 * 27 + 4 * 4) / (|(9, 4)| |(27, 4)|)
    sigma = 745 / (97 * 745) ** 0.5
    torch.testing.assert_close(spectral(weight), weight / sigma, rtol=1e-6, atol=1e-6)


def test_rounds_follow_a_weight_that_moves() -> None:
    layer = layer_of("dense")
    normalise_spectrally(layer)
    moved = torch.zeros(5, 7, dtype=torch.float64)
    moved[1, 2], moved[3, 4] = -8, 2  # largest singular value 8
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(moved)
    torch.testing.assert_close(advanced(layer, 30).weight, moved / 8)


@pytest.mark.parametrize("training", [True, False])
def test_use_changes_nothing_and_does_not_depend_on_how_often(training: bool) -> None:
    settings = NetworkSettings.read({"kind": "conv", "conv": {"width": 3}, "spectral": True}, "model.discriminator")
    network = build_encoder(settings, (1, 8, 8), 5, 0).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert any(name.endswith("left") for name in before)
    x = torch.randn(4, 1, 8, 8)
    first = network(x)
    assert all(torch.equal(network(x), first) for _ in range(3))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(network.train(not training)(x), first)
    assert not torch.equal(advanced(network, 1)(x), first)


def test_weights_have_gradients_as_on_paper() -> None:
    # Eq. 12, for a cost sum(C * W / sigma) with sigma = u' W v: (C - <C, W / sigma> u v') / sigma
    torch.manual_seed(1)
    weight, cost = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    spectral = Spectral(weight, 0)
    for _ in range(500):
        spectral.advance(weight)
    left, sigmas, right = torch.linalg.svd(weight)
    expected = (cost - (cost * weight).sum() / sigmas[0] * torch.outer(left[:, 0], right[0])) / sigmas[0]
    weight.requires_grad_()
    (found,) = torch.autograd.grad((cost * spectral(weight)).sum(), weight)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    # nothing is gained by a longer weight
    assert (found * weight).sum().item() == pytest.approx(0, abs=1e-9)


def test_gradients_of_a_penalty_pass_as_well() -> None:
    weight = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    for outputs in (0, 1):
        spectral = Spectral(weight.detach(), outputs)
        assert torch.autograd.gradcheck(spectral, weight)
        assert torch.autograd.gradgradcheck(spectral, weight)


@pytest.mark.parametrize("kind", ["mlp", "conv", "resnet"])
def test_every_layer_of_a_network_is_normalised(kind: str) -> None:
    small = {"mlp": {"hidden": (9, 7)}, "conv": {"width": 3, "hidden": (6,)}, "resnet": {"width": 3}}
    settings = NetworkSettings.read({"kind": kind, **small, "spectral": True}, "model.discriminator")
    shape = (2, 9, 7)
    built = (build_encoder, (shape, 5, 3)), (build_decoder, (5, shape, 3)), (build_discriminator, (shape, 4, 6))
    for build, arguments in built:
        network = advanced(build(settings, *arguments), 500)  # type: ignore[operator]
        layers = [
            layer
            for layer in network.modules()
            if isinstance(getattr(layer, "weight", None), Tensor) and layer.weight.ndim > 1
        ]
        assert len(layers) >= 3
        for layer in layers:
            assert largest(layer) == pytest.approx(1, abs=1e-3), layer
        plain = build(NetworkSettings.read({"kind": kind, **small}, "model.discriminator"), *arguments)  # type: ignore[operator]
        assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in plain.parameters())


def test_a_network_that_is_not_to_be_normalised_is_not() -> None:
    network = build_encoder(NetworkSettings.read({"kind": "mlp"}, "model.discriminator"), (6,), 5, 0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    advance(network)
    assert not any(isinstance(module, Spectral) for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_state_goes_round() -> None:
    settings = NetworkSettings.read({"kind": "conv", "conv": {"width": 3}, "spectral": True}, "model.discriminator")
    x = torch.randn(4, 1, 8, 8)
    one, other = (build_encoder(settings, (1, 8, 8), 5, 0) for _ in range(2))
    advanced(one, 3)
    assert not torch.allclose(one(x), other(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))
    assert torch.equal(advanced(one, 2)(x), advanced(other, 2)(x))  # the iteration goes on from where it was


def test_a_copy_has_a_life_of_its_own() -> None:
    settings = NetworkSettings.read({"kind": "mlp", "mlp": {"hidden": (9,)}, "spectral": True}, "model.discriminator")
    x = torch.randn(4, 6)
    network = build_encoder(settings, (6,), 5, 0)
    copied = copy.deepcopy(network)
    before = network(x)
    assert torch.equal(copied(x), before)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1)
    advanced(copied, 5)
    assert torch.equal(network(x), before)
    assert not torch.allclose(copied(x), before)


def test_singular_values_are_taken_in_full_precision_where_layers_are_not() -> None:
    layer = layer_of("over 2 axes").float()
    normalise_spectrally(layer)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.weight
        assert layer(torch.zeros(1, 3, 8, 8)).dtype == torch.bfloat16
    assert torch.equal(found, layer.weight)
