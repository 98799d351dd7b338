"""Networks of StyleGAN2: the maps of its paper, however they are computed."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ficta.nets.fir import Blur, Double
from ficta.nets.parts import couples
from ficta.nets.stylegan2 import (
    EqualConv,
    EqualLinear,
    Judge,
    JudgeSettings,
    MappingNetwork,
    MappingSettings,
    ModulatedConv,
    Synthesis,
    SynthesisSettings,
    halved_sizes,
    normalised,
)

TAPS = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
SHAPES = [(1, 8, 8), (3, 28, 28), (1, 7, 10), (3, 33, 18), (2, 3, 5), (1, 9, 64), (1, 1, 1)]


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filtered(x: Tensor) -> Tensor:
    """Each channel by itself along both sides, with zeros around: one pixel more on each side."""
    kernel = TAPS[:, None] * TAPS[None]
    planes = F.conv2d(x.flatten(0, 1)[:, None], kernel[None, None], padding=2)
    return planes.view(*x.shape[:2], *planes.shape[2:])


def spread_out(x: Tensor) -> Tensor:
    """Zeros between the pixels: (…, 2 H - 1, 2 W - 1)."""
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
    out[:, :, ::2, ::2] = x
    return out


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 4), (7, 9)])
def test_filter_before_halving(height: int, width: int) -> None:
    x = numbers(2, 3, height, width)
    found = Blur(step=2).double()(x)
    assert found.shape == (2, 3, math.ceil(height / 2), math.ceil(width / 2))
    # the filter's middle lies between pixels 2 i and 2 i + 1
    torch.testing.assert_close(found, filtered(x)[:, :, 1::2, 1::2][:, :, : found.shape[2], : found.shape[3]])


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 12), (7, 11)])
def test_filter_after_doubling(height: int, width: int) -> None:
    x = numbers(2, 3, 4, 6)
    found = Double((height, width)).double()(x)
    assert found.shape == (2, 3, height, width)
    torch.testing.assert_close(found, 4 * filtered(spread_out(x))[:, :, :height, :width])
    flat = Double((height, width)).double()(torch.ones_like(x))[:, :, 1:-1, 1:-1]  # away from the zeros around
    torch.testing.assert_close(flat, torch.ones_like(flat))


@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 5)])
def test_a_halving_convolution_is_one_of_what_is_filtered(height: int, width: int) -> None:
    torch.manual_seed(0)
    layer, x = EqualConv(3, 4, halves=True).double(), numbers(2, 3, height, width)
    found = layer(x)
    assert found.shape == (2, 4, math.ceil(height / 2), math.ceil(width / 2))
    wide = F.pad(x, (2, 3, 2, 3))  # all that the filter and the convolution reach
    planes = F.conv2d(wide.flatten(0, 1)[:, None], (TAPS[:, None] * TAPS)[None, None])
    expected = F.conv2d(planes.view(2, 3, *planes.shape[2:]), layer.weight * math.sqrt(2 / 27), stride=2)
    torch.testing.assert_close(found, expected[:, :, : found.shape[2], : found.shape[3]])


@pytest.mark.parametrize("doubles", [False, True])
def test_modulation_is_that_of_weights(doubles: bool) -> None:
    torch.manual_seed(0)
    layer, x, style = ModulatedConv(5, 6, 4, doubles=doubles), numbers(3, 6, 7, 5).float(), numbers(3, 5).float()
    scales = layer.style(style)
    weight = layer.weight * scales[:, None, :, None, None]  # (B, outputs, inputs, 3, 3), Eq. 1
    weight = weight / weight.square().sum((2, 3, 4), keepdim=True).sqrt()  # Eq. 3
    grouped = x.reshape(1, 18, 7, 5)
    if doubles:
        turned = weight.transpose(1, 2).reshape(18, 4, 3, 3)
        expected = F.conv_transpose2d(grouped, turned, stride=2, groups=3).view(3, 4, 15, 11)
    else:
        expected = F.conv2d(grouped, weight.reshape(12, 6, 3, 3), padding=1, groups=3).view(3, 4, 7, 5)
    torch.testing.assert_close(layer(x, style), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(x, style, 3.0), 3 * expected, rtol=1e-5, atol=1e-5)


def test_demodulated_outputs_have_a_variance_of_one_whatever_the_style() -> None:
    torch.manual_seed(0)
    layer, x = ModulatedConv(5, 64, 32, doubles=False), torch.randn(64, 64, 6, 6)
    for loudness in (1.0, 100.0):
        inner = layer(x, loudness * torch.randn(64, 5))[:, :, 1:-1, 1:-1]  # away from the zeros around
        assert inner.var().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_learning_rates_are_equal(rate: float) -> None:
    torch.manual_seed(0)
    layer, x = EqualLinear(400, 300, rate=rate, gain=1.0, bias=0.5), torch.randn(100, 400)
    assert layer.weight.std().item() * rate == pytest.approx(1, abs=0.01)
    before = layer(x)
    assert (before - 0.5).std().item() == pytest.approx(1, abs=0.05)
    with torch.no_grad():  # a step of Adam moves every weight and bias by the same
        layer.weight += 0.001
        layer.bias += 0.001
    moved = rate * (0.001 * x.sum(1, keepdim=True) / math.sqrt(400) + 0.001)
    torch.testing.assert_close(layer(x) - before, moved.expand(-1, 300), rtol=0, atol=1e-5)


def test_convolutions_keep_the_variance() -> None:
    torch.manual_seed(0)
    layer, x = EqualConv(64, 64), torch.randn(32, 64, 8, 8)
    inner = F.leaky_relu(layer(x), 0.2)[:, :, 1:-1, 1:-1]
    assert inner.square().mean().item() == pytest.approx(1.04, abs=0.1)  # of sqrt(2) N(0, 1): 1/2 (2 + 2 * 0.2^2)


@pytest.mark.parametrize(
    ("size", "grids"),
    [
        ((28, 28), [(28, 28), (14, 14), (7, 7), (4, 4)]),
        ((33, 18), [(33, 18), (17, 9), (9, 5)]),
        ((8, 8), [(8, 8), (4, 4)]),
        ((7, 100), [(7, 100), (4, 50)]),
        ((6, 6), [(6, 6)]),
    ],
)
def test_grids(size: tuple[int, int], grids: list[tuple[int, int]]) -> None:
    assert halved_sizes(size) == grids


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sizes_are_exact(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    synthesis = Synthesis(SynthesisSettings(width=3, widest=6), 5, shape)
    judge = Judge(JudgeSettings(width=3, widest=6), shape, 2)
    styles = torch.randn(8, synthesis.layers, 5)
    made = synthesis(styles, torch.randn(8, synthesis.numbers))
    assert made.shape == (8, *shape)
    assert judge(made).shape == (8, 2)


def test_widths_double_until_they_are_widest() -> None:
    synthesis = Synthesis(SynthesisSettings(width=16, widest=48), 5, (1, 28, 28))
    assert [conv.conv.weight.shape[0] for conv in synthesis.convs] == [48, 48, 32, 16]


def test_noise_is_heard_as_loud_as_its_strength() -> None:
    torch.manual_seed(0)
    synthesis = Synthesis(SynthesisSettings(width=3), 5, (1, 8, 8)).eval()
    styles = torch.randn(2, synthesis.layers, 5)
    one, other = (torch.randn(2, synthesis.numbers) for _ in range(2))
    assert synthesis.numbers == 16 + 2 * 64
    assert torch.equal(synthesis(styles, one), synthesis(styles, other))
    with torch.no_grad():
        synthesis.convs[1].strength.fill_(0.5)  # which writes the last 64
    torch.testing.assert_close(synthesis(styles, one), synthesis(styles, torch.cat([other[:, :-64], one[:, -64:]], 1)))
    assert not torch.allclose(synthesis(styles, one), synthesis(styles, other))


def test_memory_order_changes_nothing() -> None:
    torch.manual_seed(0)
    judge, x = Judge(JudgeSettings(width=3), (3, 9, 8), 1), torch.randn(4, 3, 9, 8)
    torch.testing.assert_close(judge(x), judge(x.contiguous(memory_format=torch.channels_last)))


def test_a_condition_is_as_loud_as_a_latent() -> None:
    torch.manual_seed(0)
    mapping, z = MappingNetwork(MappingSettings(width=7), 4, 3), normalised(torch.randn(3, 4))
    torch.testing.assert_close(mapping(z, torch.eye(3)), mapping(z, 10 * torch.eye(3)), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mapping(z, torch.eye(3)), mapping(z, torch.eye(3).roll(1, 0)))


def test_normalised() -> None:
    found = normalised(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / math.sqrt(12.5))


@pytest.mark.parametrize("deviation", [True, False])
def test_only_a_deviation_couples_samples(deviation: bool) -> None:
    torch.manual_seed(0)
    judge = Judge(JudgeSettings(width=3, deviation=deviation), (1, 8, 8), 1)
    assert couples(judge) is deviation
    x = torch.randn(4, 1, 8, 8)
    changed = torch.cat([x[:3], x[3:] + 1])
    assert torch.allclose(judge(x)[:3], judge(changed)[:3]) is not deviation


def test_gradients_of_gradients() -> None:
    torch.manual_seed(0)
    judge = Judge(JudgeSettings(width=2, widest=2), (1, 8, 7), 1).double()
    assert torch.autograd.gradgradcheck(lambda x: judge(x)[:, 0], numbers(2, 1, 8, 7).requires_grad_(), atol=1e-4)
    synthesis = Synthesis(SynthesisSettings(width=2, widest=2), 3, (1, 8, 7)).double()
    styles, noise = numbers(1, synthesis.layers, 3).requires_grad_(), numbers(1, synthesis.numbers)
    assert torch.autograd.gradgradcheck(lambda w: synthesis(w, noise)[:, :, ::3, ::3], styles, atol=1e-4)
