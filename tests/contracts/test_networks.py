"""One law set for every kind of network in the registry, over samples of one to three axes and none."""

import pytest
import torch
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.nets.build import NETWORKS, NetworkSettings, build_decoder, build_encoder
from ficta.nets.parts import couples

B, FEATURES, LABELS = 6, 5, 3
# kind => settings that make it small, and others that its laws hold for, too; a new kind needs a row here
SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "mlp": {
        "plain": {"hidden": (9, 7)},
        "bare": {"hidden": ()},
        "silu": {"hidden": (9,), "activation": "silu", "initial": "glorot"},
        "spectral": {"hidden": (9,)},
    },
    "conv": {
        "plain": {"width": 3, "widest": 6},
        "group": {"width": 32, "widest": 32, "norm": "group", "hidden": (7,), "activation": "silu"},
        "doubling": {"width": 3, "last": "doubling", "kernel": 3, "initial": "glorot"},
        "batch": {"width": 3, "norm": "batch", "hidden": (7,)},
        "spectral": {"width": 3},
    },
    "resnet": {
        "plain": {"width": 3, "widest": 6},
        "summed": {"width": 3, "flat": False, "activation": "leaky_relu", "norm": "group"},
        "batch": {"width": 3, "norm": "batch", "initial": "glorot"},
        "spectral": {"width": 3, "activation": "leaky_relu"},
    },
}
SHAPES = [
    *[(6,), (1, 9), (2, 31), (3, 1)],  # no axis but the channel; one
    *[(1, 8, 8), (3, 7, 10), (2, 13, 3), (1, 28, 28), (2, 1, 9), (1, 1, 1)],
    *[(1, 4, 5, 6), (2, 9, 3, 7), (1, 5, 1, 4)],
]
# What makes no sense, and what its refusal names instead; everything else must work.
REFUSED = {(kind, shape): "use 'mlp'" for kind in ("conv", "resnet") for shape in ((6,), (1, 2, 3, 4, 5))}
SERVED = [
    (kind, how, shape)
    for kind, ways in SETTINGS.items()
    for how in ways
    for shape in SHAPES
    if (kind, shape) not in REFUSED
]
each = pytest.mark.parametrize(("kind", "how", "shape"), SERVED, ids=str)


def networks(kind: str, how: str, shape: tuple[int, ...], condition: int = 0) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder, always with the same weights, as they are when used."""
    torch.manual_seed(1)
    chosen = NetworkSettings.read(
        {"kind": kind, kind: SETTINGS[kind][how], "spectral": how == "spectral"}, "model.encoder"
    )
    encoder, decoder = (
        build_encoder(chosen, shape, FEATURES, condition),
        build_decoder(chosen, FEATURES, shape, condition),
    )
    return encoder.eval(), decoder.eval()


def inputs(shape: tuple[int, ...], count: int = B) -> tuple[Tensor, Tensor]:
    """What an encoder and what a decoder read."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, *shape, generator=generator), torch.randn(count, FEATURES, generator=generator)


def labels(count: int = B) -> Tensor:
    return torch.eye(LABELS)[torch.arange(count) % LABELS]


def test_every_kind_is_under_the_law() -> None:
    assert SETTINGS.keys() == NETWORKS.keys()


@each
@pytest.mark.parametrize("condition", [None, labels()], ids=["free", "by label"])
def test_networks_give_their_shapes(kind: str, how: str, shape: tuple[int, ...], condition: Tensor | None) -> None:
    encoder, decoder = networks(kind, how, shape, LABELS if condition is not None else 0)
    x, z = inputs(shape)
    for found, expected in ((encoder(x, condition), (B, FEATURES)), (decoder(z, condition), (B, *shape))):
        assert (found.shape, found.dtype) == (expected, torch.float32)
        assert found.isfinite().all()


@each
def test_every_parameter_gets_a_gradient(kind: str, how: str, shape: tuple[int, ...]) -> None:
    for network, x in zip(networks(kind, how, shape, LABELS), inputs(shape, 32), strict=True):
        out = network(x, labels(32))
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@each
def test_a_sample_does_not_depend_on_the_others(kind: str, how: str, shape: tuple[int, ...]) -> None:
    for network, x in zip(networks(kind, how, shape, LABELS), inputs(shape), strict=True):
        whole = network(x, labels())
        alone = torch.cat([network(x[i : i + 1], labels()[i : i + 1]) for i in range(B)])
        torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)
        changed = x.clone()
        changed[2] += 1
        moved = (network(changed, labels()) - whole).flatten(1).abs().amax(1) > 1e-5
        assert moved.tolist() == [False, False, True, False, False, False]


@each
def test_the_condition_is_heard(kind: str, how: str, shape: tuple[int, ...]) -> None:
    for network, x in zip(networks(kind, how, shape, LABELS), inputs(shape), strict=True):
        one, other = (network(x, condition.expand(B, -1)) for condition in torch.eye(LABELS)[:2])
        assert ((one - other).flatten(1).abs().amax(1) > 1e-5).all()


@each
def test_networks_are_functions_of_their_input(kind: str, how: str, shape: tuple[int, ...]) -> None:
    for network, x in zip(networks(kind, how, shape), inputs(shape), strict=True):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        given, state = x.clone(), torch.get_rng_state()
        assert torch.equal(network(x), network(x))
        assert torch.equal(x, given)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@each
def test_what_couples_samples_in_training_says_so(kind: str, how: str, shape: tuple[int, ...]) -> None:
    for network, x in zip(networks(kind, how, shape, LABELS), inputs(shape), strict=True):
        network.train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        whole = network(x, labels())
        network.load_state_dict(before)
        changed = x.clone()
        changed[2] += 1
        moved = (network(changed, labels()) - whole).flatten(1).abs().amax(1) > 1e-5
        assert moved[2]
        assert moved[torch.arange(B) != 2].any().item() == couples(network)


@pytest.mark.parametrize(("kind", "shape"), list(REFUSED), ids=str)
def test_what_cannot_be_served_is_refused_with_the_way_out(kind: str, shape: tuple[int, ...]) -> None:
    chosen = NetworkSettings.read({"kind": kind}, "model.encoder")
    for build in (lambda: build_encoder(chosen, shape, FEATURES, 0), lambda: build_decoder(chosen, FEATURES, shape, 0)):
        with pytest.raises(UsageError, match=REFUSED[kind, shape]) as caught:
            build()
        assert str(shape) in str(caught.value)


@pytest.mark.parametrize("shape", [*SHAPES, *(shape for _, shape in REFUSED)], ids=str)
def test_auto_picks_what_can_be_served(shape: tuple[int, ...]) -> None:
    assert NetworkSettings().chosen(shape) == ("mlp" if ("conv", shape) in REFUSED else "conv")
