"""Networks: any shape on 1, 2 or 3 axes, every weight in use, signal of the same size from end to end."""

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, class_condition, columns_spec
from ficta.nets.build import NetworkSettings
from ficta.nets.conv import SMALLEST, ConvDecoder, ConvEncoder, ConvSettings
from ficta.nets.mlp import MlpDecoder, MlpEncoder, MlpSettings
from ficta.nets.parts import Act, blank_condition, condition_size, condition_vector, conditioning

LAW = settings(deadline=None, derandomize=True, max_examples=40)
CONV = st.fixed_dictionaries(
    {
        "kernel": st.integers(3, 7),
        "last": st.sampled_from(["plain", "doubling"]),
        "norm": st.sampled_from(["none", "group"]),
        "activation": st.sampled_from(["relu", "leaky_relu", "silu"]),
        "hidden": st.sampled_from([(), (3,), (4, 3)]),
    }
)


def axes(shortest: int = 2) -> st.SearchStrategy[tuple[int, ...]]:
    """Lengths of one to three axes, up to 40 for one and two."""
    short, long = st.integers(shortest, 11), st.integers(shortest, 40)
    return st.tuples(long) | st.tuples(long, long) | st.tuples(short, short, short)


def check_shapes(conv: dict[str, Any], shape: tuple[int, ...], condition: int) -> None:
    """Encode and decode a batch of two."""
    read = ConvSettings(width=2, widest=4, **conv)
    given_condition = torch.ones(2, condition) if condition else None
    features = ConvEncoder(read, shape, 5, condition)(torch.zeros(2, *shape), given_condition)
    assert features.shape == (2, 5)
    assert ConvDecoder(read, 5, shape, condition)(features, given_condition).shape == (2, *shape)


@LAW
@given(CONV, axes(), st.integers(1, 3), st.sampled_from([0, 4]))
def test_decoder_gives_exactly_the_shape(
    conv: dict[str, Any], lengths: tuple[int, ...], channels: int, condition: int
) -> None:
    check_shapes(conv, (channels, *lengths), condition)


@LAW
@given(CONV, axes(shortest=1).filter(lambda lengths: 1 in lengths))
def test_axes_of_one_element(conv: dict[str, Any], lengths: tuple[int, ...]) -> None:
    check_shapes(conv, (1, *lengths), 0)


@pytest.mark.parametrize(
    ("lengths", "grid"),
    [
        ((9,), (2,)),  # a kernel of 4 halves and rounds down: 9, 4, 2
        ((28, 28), (3, 3)),
        ((17, 40), (2, 5)),  # the shortest axis says how often
        ((33, 20, 18), (4, 2, 2)),
        ((8, 8), (2, 2)),  # twice even where once would do
        ((4, 4), (1, 1)),
        ((3, 8), (1, 4)),  # three can be halved only once
        ((2, 9), (1, 4)),
    ],
)
@pytest.mark.parametrize("last", ["plain", "doubling"])
def test_stages_halve_until_the_shortest_axis_is_small(
    lengths: tuple[int, ...], grid: tuple[int, ...], last: Literal["plain", "doubling"]
) -> None:
    assert ConvDecoder(ConvSettings(width=2, last=last), 5, (3, *lengths), 0).grid[:-1] == grid
    assert min(grid) <= SMALLEST


def test_named_channels_are_the_flow() -> None:
    encoder = ConvEncoder(ConvSettings(channels=(32, 64), kernel=3, hidden=(16,)), (1, 28, 28), 4, 0)
    shapes = [tuple(weight.shape) for weight in encoder.parameters() if weight.ndim > 1]
    assert shapes == [(32, 1, 3, 3), (64, 32, 3, 3), (16, 64 * 7 * 7), (4, 16)]
    decoder = ConvDecoder(ConvSettings(channels=(64, 64, 32), kernel=3), 2, (1, 28, 28), 0)
    assert decoder.grid == (7, 7, 64)
    shapes = [tuple(weight.shape) for weight in decoder.parameters() if weight.ndim > 1]
    assert shapes == [(64 * 7 * 7, 2), (64, 64, 3, 3), (64, 32, 3, 3), (32, 1, 3, 3)]
    doubling = ConvDecoder(ConvSettings(channels=(128, 64), kernel=5, last="doubling"), 100, (1, 28, 28), 0)
    assert doubling.grid == (7, 7, 128)
    assert [tuple(weight.shape) for weight in doubling.stages.parameters() if weight.ndim > 1] == [
        (128, 64, 5, 5),
        (64, 1, 5, 5),
    ]


@pytest.mark.parametrize("build", [ConvEncoder, ConvDecoder])
def test_too_many_stages_are_refused(build: type[ConvEncoder] | type[ConvDecoder]) -> None:
    arguments = ((1, 8, 8), 5, 0) if build is ConvEncoder else (5, (1, 8, 8), 0)
    with pytest.raises(UsageError, match=r"stages halve \(8, 8\) away; name fewer channels"):
        build(ConvSettings(channels=(4,) * 6), *arguments)  # type: ignore[arg-type]


def variance(network: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return network(x).var().item() / x.var().item()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("build", [MlpEncoder, MlpDecoder])
def test_he_keeps_variance_through_many_layers(activation: str, build: type[MlpEncoder] | type[MlpDecoder]) -> None:
    torch.manual_seed(4)
    shapes: Any = ((200,), 200, 0) if build is MlpEncoder else (200, (200,), 0)
    he = build(MlpSettings(hidden=(400,) * 8, activation=activation), *shapes)  # type: ignore[arg-type]
    glorot = build(MlpSettings(hidden=(400,) * 8, activation=activation, initial="glorot"), *shapes)  # type: ignore[arg-type]
    x = torch.randn(256, 200)
    assert 0.5 < variance(he, x) < 2
    assert variance(glorot, x) < 0.1  # halves with each layer, so that the band above says something


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize("shape", [(4, 64), (4, 32, 32), (4, 16, 16, 16)], ids=str)
def test_he_keeps_variance_through_convolutions(shape: tuple[int, ...], kernel: int) -> None:
    torch.manual_seed(5)
    settings = ConvSettings(width=16, kernel=kernel)
    assert 0.4 < variance(ConvEncoder(settings, shape, 64, 0), torch.randn(16, *shape)) < 2
    assert 0.4 < variance(ConvDecoder(settings, 64, shape, 0), torch.randn(16, 64)) < 2


@pytest.mark.parametrize("initial", ["he", "glorot"])
def test_biases_start_at_zero(initial: str) -> None:
    network = ConvDecoder(ConvSettings(width=4, initial=initial), 5, (1, 9, 9), 0)  # type: ignore[arg-type]
    biases = [parameter for name, parameter in network.named_parameters() if name.endswith("bias")]
    assert len(biases) >= 3
    assert all(bias.abs().max() == 0 for bias in biases)


def test_glorot_bound() -> None:
    # one layer, 30 to 20: uniform within sqrt(6 / 50) = 0.34641, variance a third of its square
    torch.manual_seed(6)
    weights = MlpEncoder(MlpSettings(hidden=(), initial="glorot"), (30,), 20, 0).layers[0].weight
    assert 0.34 < weights.abs().max() <= 0.34642
    assert weights.var().item() == pytest.approx(0.04, rel=0.12)


def test_activations_worked_by_hand() -> None:
    x = torch.tensor([-2.0, 0.0, 3.0])
    assert Act("relu")(x.clone()).tolist() == [0, 0, 3]
    assert Act("leaky_relu")(x.clone()).tolist() == pytest.approx([-0.4, 0, 3])
    # x sigmoid(x): -2 * 0.1192029, 3 * 0.9525741
    assert Act("silu")(x.clone()).tolist() == pytest.approx([-0.2384058, 0, 2.8577224])


def test_condition_vector() -> None:
    assert condition_vector(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 10], [10, 0, 0]]
    assert condition_vector(None, 3) is None
    row = torch.tensor([[0, 1, 0.25], [0, 0, 0]])  # a column given, and nothing
    assert condition_vector(row, 3) is row
    assert conditioning(None, 3) == ()
    (vector,) = conditioning(row, 3)
    assert vector is row


@pytest.mark.parametrize(
    ("condition", "size", "blank"),
    [
        (None, 0, None),
        (class_condition(("a", "b", "c")), 3, torch.tensor([0, 0])),
        (columns_spec((Span("age", 2, (1,)), Span("sex", 3))), 6, torch.zeros(2, 6)),
    ],
)
def test_conditions_as_long_as_their_labels_or_rows(condition: Spec | None, size: int, blank: Tensor | None) -> None:
    spec = Spec(("column",), (4,), "continuous", condition=condition)
    assert condition_size(spec) == size
    found = blank_condition(spec, 2)
    if blank is None:
        assert found is None
        return
    torch.testing.assert_close(found, blank, rtol=0, atol=0)
    vector = condition_vector(found, size)
    assert vector is not None
    assert vector.shape == (2, size)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"conv": {"channels": [8, 0]}}, "model.encoder.conv.channels"),
        ({"conv": {"hidden": [-1]}}, "model.encoder.conv.hidden"),
        ({"mlp": {"hidden": [0]}}, "model.encoder.mlp.hidden"),
        ({"conv": {"kernel": 2}}, "model.encoder.conv.kernel"),
        ({"conv": {"width": 0}}, "model.encoder.conv.width"),
        ({"conv": {"norm": "layer"}}, "model.encoder.conv.norm"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=f"setting {named}"):
        NetworkSettings.read(values, "model.encoder")
