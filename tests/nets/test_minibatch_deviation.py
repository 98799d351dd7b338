"""How much features vary in a group of samples, on paper, and the discriminator that looks at it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ficta.nets.build import NetworkSettings, build_discriminator
from ficta.nets.conv import ConvEncoder
from ficta.nets.parts import MinibatchDeviation, couples

SPECTRAL = NetworkSettings.read({"kind": "conv", "conv": {"width": 2}, "spectral": True}, "model.discriminator")
PLAIN = SPECTRAL.model_copy(update={"spectral": False})
SHAPE = (1, 8, 8)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        # two features of four samples, whose standard deviations are 1 and 2: 1.5 on average
        ([[0, 5], [0, 1], [2, 5], [2, 1]], [1.5] * 4),
        # two groups; in the second the deviations are 10 and 0
        ([[0, 5], [0, 1], [2, 5], [2, 1], [0, 7], [20, 7], [0, 7], [20, 7]], [1.5] * 4 + [5] * 4),
        # a batch of six, which is no multiple of four, is one group: 2 on either side of 3
        ([[1], [1], [1], [5], [5], [5]], [2] * 6),
        ([[0], [0], [3]], [math.sqrt(2)] * 3),
        ([[-1, 4]], [0]),  # a sample by itself
    ],
)
def test_one_more_feature_on_paper(features: list[list[float]], expected: list[float]) -> None:
    given = torch.tensor(features, dtype=torch.float32)
    found = MinibatchDeviation()(given)
    assert torch.equal(found[:, :-1], given)
    assert found[:, -1].tolist() == pytest.approx(expected, abs=2e-4)  # 1e-4 is the least, so that it has a gradient


def test_samples_that_are_all_the_same_have_a_gradient() -> None:
    features = torch.ones(4, 3, requires_grad=True)
    MinibatchDeviation()(features).sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_in_use_the_spread_is_what_it_usually_was() -> None:
    layer = MinibatchDeviation()
    for features in ([[0, 5], [0, 1], [2, 5], [2, 1]], [[0], [0], [3]]):  # 1.5 and the root of 2
        layer(torch.tensor(features, dtype=torch.float32))
    usual = 0.9 * 0.1 * 1.5 + 0.1 * math.sqrt(2)
    found = layer.eval()(torch.tensor([[[1.0, 2]], [[7, 8]], [[9, 0]]]))
    assert found[:, 0].tolist() == [[1, 2], [7, 8], [9, 0]]
    assert found[:, 1].flatten().tolist() == pytest.approx([usual] * 6, abs=2e-4)
    assert layer.usual.item() == pytest.approx(usual, abs=2e-4)  # and stays


def test_without_features_a_discriminator_is_an_encoder() -> None:
    built = build_discriminator(PLAIN, SHAPE, 3, 0)
    assert isinstance(built, ConvEncoder)
    assert built(torch.zeros(5, *SHAPE)).shape == (5, 3)
    assert not couples(built)


@pytest.mark.parametrize("settings", [PLAIN, SPECTRAL], ids=["plain", "spectral"])
def test_a_discriminator_looks_at_features_and_at_how_much_they_vary(settings: NetworkSettings) -> None:
    built = build_discriminator(settings, SHAPE, 3, 6)
    assert isinstance(built, nn.Sequential)
    trunk, top = built[0], built[-1]
    assert (top.in_features, top.out_features) == (7, 3)
    x = torch.randn(4, *SHAPE)
    features = torch.nn.functional.leaky_relu(trunk(x), 0.2)
    assert features.shape == (4, 6)
    varying = features.std(0, correction=0).mean()
    expected = features @ top.weight[:, :-1].T + varying * top.weight[:, -1] + top.bias
    torch.testing.assert_close(built(x), expected, rtol=1e-4, atol=1e-4)
    assert couples(built)


def test_samples_that_are_alike_are_told_from_the_same_among_others() -> None:
    torch.manual_seed(1)
    built = build_discriminator(PLAIN, SHAPE, 1, 6)
    x = torch.randn(4, *SHAPE)
    among_others, alike = built(x)[0], built(x[:1].expand(4, -1, -1, -1))[0]
    torch.testing.assert_close(alike, built(x[:1])[0])  # none varies
    assert (among_others - alike).abs() > 1e-3
