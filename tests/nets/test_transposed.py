"""Transposed convolutions give what torch's give, forward, backward and twice backward."""

import pytest
import torch
from torch import Tensor, nn

from ficta.compute import device as machine
from ficta.nets.transposed import Transposed1d, Transposed2d, Transposed3d

TYPES = {
    1: (Transposed1d, nn.ConvTranspose1d),
    2: (Transposed2d, nn.ConvTranspose2d),
    3: (Transposed3d, nn.ConvTranspose3d),
}
KEEPING = {"kernel_size": 3, "stride": 1, "padding": 1}
DOUBLING = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}


def pair(axes: int, outputs: int, shape: dict[str, int]) -> tuple[nn.Module, nn.Module]:
    """One of ours and torch's own, with the same weights."""
    torch.manual_seed(0)
    ours, theirs = (kind(5, outputs, **shape) for kind in TYPES[axes])  # type: ignore[arg-type]
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def gradients(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, its gradients, and the gradients of a penalty on the input's gradient."""
    x = x.clone().requires_grad_()
    out = layer(x)
    towards = torch.linspace(-1, 1, out.numel()).view_as(out)
    first = torch.autograd.grad((out * towards).square().sum(), [x, *layer.parameters()], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum(), [x, *layer.parameters()])
    return [out, *first, *second]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("shape", [KEEPING, DOUBLING])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("outputs", [1, 3, 4, 5])
def test_it_is_torchs_map(axes: int, outputs: int, shape: dict[str, int], layout: machine.Layout) -> None:
    ours, theirs = pair(axes, outputs, shape)
    x = machine.lay_out_batch(torch.randn(2, 5, *[8] * axes), layout)
    machine.lay_out(ours, layout)
    for mine, expected in zip(gradients(ours, x), gradients(theirs, x), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("lengths", "side"), [((8, 12), 4), ((6, 8), 2), ((7, 8), 1), ((2, 2), 2)])
def test_blocks_fit_the_picture(lengths: tuple[int, int], side: int) -> None:
    ours, theirs = pair(2, 1, KEEPING)
    x = torch.randn(2, 5, *lengths)
    assert isinstance(ours, Transposed2d)
    assert ours._side(x) == side
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize(("outputs", "side"), [(1, 4), (2, 2), (4, 2), (5, 1)])
def test_blocks_fit_a_register(outputs: int, side: int) -> None:
    assert Transposed2d(5, outputs, 3, 1, 1)._side(torch.zeros(1, 5, 8, 8)) == side


@pytest.mark.parametrize(
    "other",
    [
        {"kernel_size": 5, "padding": 2},
        {"kernel_size": 3, "padding": 0},
        {**KEEPING, "dilation": 2},
        {**KEEPING, "groups": 5, "outputs": 5},
        {**KEEPING, "bias": False, "dilation": 2},
        DOUBLING,
    ],
)
def test_other_maps_go_the_plain_way(other: dict[str, int]) -> None:
    ours, theirs = pair(2, other.get("outputs", 1), {name: value for name, value in other.items() if name != "outputs"})
    x = torch.randn(2, 5, 8, 8)
    assert isinstance(ours, Transposed2d)
    assert ours._side(x) == 1
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("outputs", [1, 5])
def test_in_bf16_gradients_keep_the_format_of_their_weights(outputs: int) -> None:
    ours, theirs = pair(2, outputs, KEEPING)
    x = torch.randn(2, 5, 8, 8, requires_grad=True)
    found = []
    for layer in (ours, theirs):
        nn.init.constant_(layer.bias, 3.0)  # outputs have one sign, so that a sum of them keeps its digits
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        assert out.dtype == torch.bfloat16
        found.append(torch.autograd.grad(out.float().square().sum(), [x, *layer.parameters()]))
    for mine, expected in zip(*found, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, expected, rtol=0.03, atol=0.03 * float(expected.abs().max()))


def test_without_a_bias() -> None:
    ours, theirs = pair(2, 1, {**KEEPING, "bias": False})
    x = torch.randn(2, 5, 8, 8)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_compiler_is_given_the_plain_map(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair(2, 1, KEEPING)
    x = torch.randn(2, 5, 8, 8)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert type(ours(x).grad_fn.next_functions[0][0]) is type(theirs(x).grad_fn)


def test_a_size_of_another_kind_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="output_padding alone"):
        Transposed2d(5, 5, 3, 2, 1)(torch.zeros(1, 5, 4, 4), output_size=[8, 8])
