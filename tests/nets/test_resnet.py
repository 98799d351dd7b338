"""Residual networks: a block is its formula, sizes come out exactly, signal keeps its size."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ficta.nets.resnet import Block, ResnetDecoder, ResnetEncoder, ResnetSettings

LAW = settings(deadline=None, derandomize=True, max_examples=30)
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
RESNET = st.fixed_dictionaries(
    {
        "channels": st.sampled_from([None, (3,), (3, 2, 4)]),
        "norm": st.sampled_from(["none", "group"]),
        "activation": st.sampled_from(["relu", "leaky_relu", "silu", "tanh"]),
        "flat": st.booleans(),
    }
)


def axes() -> st.SearchStrategy[tuple[int, ...]]:
    long, short = st.integers(1, 33), st.integers(1, 9)
    return st.tuples(long) | st.tuples(long, long) | st.tuples(short, short, short)


@LAW
@given(RESNET, axes(), st.integers(1, 3), st.sampled_from([0, 4]))
def test_sizes_of_all_shapes(resnet: dict[str, Any], lengths: tuple[int, ...], channels: int, condition: int) -> None:
    read = ResnetSettings(width=2, widest=4, **resnet)
    shape, asked = (channels, *lengths), torch.ones(2, condition) if condition else None
    features = ResnetEncoder(read, shape, 5, condition)(torch.zeros(2, *shape), asked)
    assert features.shape == (2, 5)
    assert ResnetDecoder(read, 5, shape, condition)(features, asked).shape == (2, *shape)


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ((28, 28), [(4, 4), (7, 7), (14, 14), (28, 28)]),
        ((13, 3), [(2, 1), (4, 1), (7, 2), (13, 3)]),
        ((9,), [(2,), (3,), (5,), (9,)]),
        ((5, 8, 1), [(1, 1, 1), (2, 2, 1), (3, 4, 1), (5, 8, 1)]),
    ],
    ids=str,
)
def test_halves_are_rounded_up_both_ways(lengths: tuple[int, ...], sizes: list[tuple[int, ...]]) -> None:
    passed: list[tuple[int, ...]] = []
    encoder = ResnetEncoder(ResnetSettings(channels=(2, 3, 4)), (1, *lengths), 5, 0)
    decoder = ResnetDecoder(ResnetSettings(channels=(4, 4, 3, 2)), 5, (1, *lengths), 0)
    for block in [
        module for network in (encoder, decoder) for module in network.modules() if isinstance(module, Block)
    ]:
        block.register_forward_hook(lambda _block, _given, out: passed.append(tuple(out.shape[1:])))
    encoder(torch.zeros(2, 1, *lengths))
    decoder(torch.zeros(2, 5))
    assert decoder.grid == (*sizes[0], 4)
    down = [(width, *size) for width, size in zip((2, 3, 4), sizes[-2::-1], strict=True)]
    up = [(width, *size) for width, size in zip((4, 3, 2), sizes[1:], strict=True)]
    assert passed == down + up


def test_weights_of_a_network_of_named_channels() -> None:
    flow = ResnetEncoder(ResnetSettings(channels=(8, 8, 16)), (3, 8, 8), 5, 2)
    assert {name: tuple(weight.shape) for name, weight in flow.named_parameters() if weight.ndim > 1} == {
        "blocks.0.one.weight": (8, 3, 3, 3),
        "blocks.0.two.weight": (8, 8, 3, 3),
        "blocks.0.shortcut.weight": (8, 3, 1, 1),
        "blocks.1.one.weight": (8, 8, 3, 3),
        "blocks.1.two.weight": (8, 8, 3, 3),
        "blocks.2.one.weight": (16, 8, 3, 3),
        "blocks.2.two.weight": (16, 16, 3, 3),
        "blocks.2.shortcut.weight": (16, 8, 1, 1),
        "dense.weight": (5, 16 + 2),
    }


# a block is its formula


def halved(x: Tensor) -> Tensor:
    """Means of two neighbours along each axis in turn; the last of an odd number is its own mean."""
    for axis in range(2, x.ndim):
        pairs = [part.mean(axis, keepdim=True) for part in x.split(2, axis)]
        x = torch.cat(pairs, axis)
    return x


def doubled(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Every element twice along each axis, cut to the size."""
    for axis, length in enumerate(size, 2):
        x = x.repeat_interleave(2, axis).narrow(axis, 0, length)
    return x


def block_of(before: int, after: int, lengths: tuple[int, ...], resize: Any, first: bool = False) -> Block:
    torch.manual_seed(1)
    read = ResnetSettings(activation="tanh")
    block = Block(read, before, after, len(lengths), resize=resize, first=first).double()
    for parameter in block.parameters():  # biases, too
        nn.init.normal_(parameter, 0, 0.3)
    return block


def convolved(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return CONV[x.ndim - 2](x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


BLOCKS = [(2, 3, (7,)), (3, 3, (8,)), (2, 3, (5, 8)), (3, 3, (7, 1)), (2, 4, (3, 4, 5)), (2, 2, (1, 2, 3))]


@pytest.mark.parametrize(("before", "after", "lengths"), BLOCKS, ids=str)
@pytest.mark.parametrize("first", [False, True])
def test_a_block_that_halves_is_its_formula(before: int, after: int, lengths: tuple[int, ...], first: bool) -> None:
    block = block_of(before, after, lengths, "halve", first)
    x = torch.randn(2, before, *lengths, dtype=torch.float64)
    given = x.clone()
    residual = convolved(block.two, torch.tanh(convolved(block.one, x if first else torch.tanh(x))))
    past = halved(x) if before == after else convolved(block.shortcut, halved(x))
    torch.testing.assert_close(block(x), (halved(residual) + past) / math.sqrt(2))
    assert torch.equal(x, given)


@pytest.mark.parametrize(("before", "after", "lengths"), BLOCKS, ids=str)
def test_a_block_that_grows_is_its_formula(before: int, after: int, lengths: tuple[int, ...]) -> None:
    block = block_of(before, after, lengths, lengths)
    x = torch.randn(2, before, *[math.ceil(length / 2) for length in lengths], dtype=torch.float64)
    given = x.clone()
    residual = convolved(block.two, torch.tanh(convolved(block.one, doubled(torch.tanh(x), lengths))))
    past = x if before == after else convolved(block.shortcut, x)
    torch.testing.assert_close(block(x), (residual + doubled(past, lengths)) / math.sqrt(2))
    assert torch.equal(x, given)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("first", [False, True])
def test_what_goes_past_is_not_activated(activation: Literal["relu", "leaky_relu"], first: bool) -> None:
    # an activation in place would reach the shortcut, too
    block = Block(ResnetSettings(activation=activation), 3, 3, 2, resize="halve", first=first)
    for parameter in block.two.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(block(x.clone()), halved(x) / math.sqrt(2))


@pytest.mark.parametrize("resize", ["halve", (8, 8)])
def test_where_channels_agree_the_shortcut_has_no_weights(resize: Any) -> None:
    assert isinstance(Block(ResnetSettings(), 3, 3, 2, resize=resize).shortcut, nn.Identity)
    other = Block(ResnetSettings(), 3, 4, 2, resize=resize).shortcut
    assert isinstance(other, nn.Conv2d)
    assert other.kernel_size == (1, 1)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_normalisation_comes_before_each_activation_but_the_encoders_first(norm: Literal["group", "batch"]) -> None:
    read = ResnetSettings(channels=(3, 5), norm=norm)
    kinds = nn.GroupNorm if norm == "group" else nn.BatchNorm2d
    encoder, decoder = ResnetEncoder(read, (2, 8, 8), 4, 0), ResnetDecoder(read, 4, (2, 8, 8), 0)
    for network, expected in ((encoder, [3, 3, 5, 5]), (decoder, [3, 5, 5])):
        found = [module.weight.numel() for module in network.modules() if isinstance(module, kinds)]
        assert found == expected
    names = [type(module).__name__ for module in encoder.modules() if not list(module.children())]
    names = [name for name in names if name not in ("Sequential", "Identity")]  # with nothing in it
    normed = [kinds.__name__, "Act"]
    first = ["Conv2d", *normed, "Conv2d", "Conv2d"]  # the last beside the others, as a shortcut
    assert names == [*first, *normed, *first, *normed, "Linear"]


# features


def test_features_are_places_by_themselves_or_their_sum() -> None:
    shape = (1, 12, 8)
    grids: list[Tensor] = []
    flat, summed = (ResnetEncoder(ResnetSettings(channels=(3, 4), flat=flat), shape, 5, 2) for flat in (True, False))
    assert (flat.dense.in_features, summed.dense.in_features) == (4 * 3 * 2 + 2, 4 + 2)
    x, condition = torch.randn(2, *shape), torch.randn(2, 2)
    for network in (flat, summed):
        nn.init.normal_(network.dense.weight)
        network.blocks.register_forward_hook(lambda _blocks, _given, out: grids.append(out))
        network.dense.bias.data.fill_(0.5)
    outputs = flat(x, condition), summed(x, condition)
    assert all((grid >= 0).all() and (grid > 0).any() for grid in grids)  # activated
    places = flat.dense.weight[:, :-2].view(5, 3, 2, 4)
    expected = torch.einsum("ohwc,bchw->bo", places, grids[0]) + condition @ flat.dense.weight[:, -2:].T + 0.5
    torch.testing.assert_close(outputs[0], expected)
    expected = torch.einsum("oc,bchw->bo", summed.dense.weight[:, :-2], grids[1])
    torch.testing.assert_close(outputs[1], expected + condition @ summed.dense.weight[:, -2:].T + 0.5)


# initial weights


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize(("before", "after"), [(96, 96), (96, 64)])
@pytest.mark.parametrize("resize", ["halve", (24, 24)])
def test_he_keeps_variance_through_a_block(
    activation: Literal["relu", "leaky_relu"], before: int, after: int, resize: Any
) -> None:
    # of what varies with the sample and the channel, but not in space: pooling and doubling keep that as it is
    torch.manual_seed(2)
    read = ResnetSettings(channels=(before, after), activation=activation)
    x = torch.randn(64, before, 1, 1).expand(-1, -1, 12, 12)
    if resize == "halve":
        block = ResnetEncoder(read, (1, 12, 12), 4, 0).blocks[1]
    else:
        block = ResnetDecoder(read, 4, (1, 24, 24), 0).blocks[0]
    with torch.no_grad():
        middle = block(x)[:, :, 2:-2, 2:-2]  # far from the zeros beyond the edges
        shortcut = block.shortcut(x)
    assert 0.8 < middle.var().item() < 1.25
    assert 0.85 < shortcut.var().item() < 1.15


@pytest.mark.parametrize("lengths", [(64,), (32, 32), (12, 12, 12)], ids=str)
def test_he_roughly_keeps_variance_through_a_decoder(lengths: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    z = torch.randn(32, 64)
    found = {}
    for initial in ("he", "narrow"):
        read = ResnetSettings(channels=(32,) * 4, initial=initial)  # type: ignore[arg-type]
        with torch.no_grad():
            found[initial] = ResnetDecoder(read, 64, (3, *lengths), 0)(z).var().item()
    assert 0.3 < found["he"] < 2
    assert found["narrow"] < 0.1  # so that the band above says something


def test_glorot_reaches_shortcuts_as_well() -> None:
    # uniform within sqrt(6 / (48 + 80)) and within sqrt(6 / (9 * 48 + 9 * 80))
    torch.manual_seed(4)
    block = ResnetEncoder(ResnetSettings(channels=(48, 80), initial="glorot"), (1, 8, 8), 4, 0).blocks[1]
    for layer, fans in ((block.shortcut, 128), (block.one, 9 * 128)):
        bound = math.sqrt(6 / fans)
        assert 0.98 * bound < layer.weight.abs().max().item() <= bound
