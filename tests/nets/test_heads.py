"""Heads: which fit which data, and what their parameters may be."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, ValueKind, columns_spec
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.nets.heads import CELLS, HEADS, KINDS, HeadName, build_head

SHAPES = [(6,), (1, 8, 8), (3, 7, 10), (2, 9)]
ROWS = {
    "categories": (Span("a", 3), Span("b", 2)),
    "ranges": (Span("a", 1, (0,)), Span("b", 3, (0, 1, 2))),
    "both": (Span("a", 2, (1,), ordered=True), Span("b", 3), Span("c", 4, (0, 2))),
}
BOTH = columns_spec(ROWS["both"])


def spec(shape: tuple[int, ...], kind: ValueKind, levels: int | None = 256) -> Spec:
    return Spec(tuple("abcd"[: len(shape)]), shape, kind, levels)


def specs() -> dict[str, tuple[HeadName, Spec]]:
    """Every head with data of every shape that it serves."""
    by_shape = {
        f"{name} {shape}": (name, spec(shape, KINDS[name]))  # type: ignore[arg-type]
        for name in HEADS
        for shape in SHAPES
        if name != "mixed"
    }
    rows: dict[str, tuple[HeadName, Spec]] = {
        f"mixed {which}": ("mixed", columns_spec(columns)) for which, columns in ROWS.items()
    }
    return by_shape | rows


CASES = specs()
each = pytest.mark.parametrize(("name", "data"), CASES.values(), ids=CASES)
LN2, LN3 = math.log(2), math.log(3)


def items(data: Spec, n: int) -> Tensor:
    """In the domain of every head of this kind of value."""
    if data.kind != "mixed":
        return torch.randint(2, (n, *data.shape)).float()
    chosen = [torch.randint(column.modes, (n,)).tolist() for column in data.columns]
    hot = [torch.eye(column.modes)[modes] for column, modes in zip(data.columns, chosen, strict=True)]
    places = [
        torch.tensor([[torch.rand(()) * 2 - 1 if mode in column.placed else 0.0] for mode in modes])
        for column, modes in zip(data.columns, chosen, strict=True)
        if column.placed
    ]
    return torch.cat([*hot, *places], 1)


def check_row(x: Tensor, data: Spec) -> None:
    """One mode a column, and a place in [-1, 1] where it is a range, else 0."""
    hot = x[:, : sum(column.modes for column in data.columns)]
    assert x.shape == (len(x), *data.shape)
    assert set(hot.flatten().tolist()) == {0, 1}
    place = hot.shape[1]
    for column, part in zip(data.columns, hot.split([column.modes for column in data.columns], 1), strict=True):
        assert (part.sum(1) == 1).all()
        if column.placed:
            elsewhere = ~torch.isin(part.argmax(1), torch.tensor(column.placed))
            assert (x[elsewhere, place] == 0).all()
            assert (x[:, place].abs() <= 1).all()
            place += 1


def test_tables_speak_of_the_same_heads() -> None:
    assert HEADS.keys() == KINDS.keys() == LIKELIHOODS.keys()
    assert all(head.name == name for name, head in HEADS.items())


@each
def test_parameters_are_what_the_likelihood_takes(name: HeadName, data: Spec) -> None:
    torch.manual_seed(1)
    head = build_head(name, data, None, 1e-4)
    raw = torch.randn(5, *head.shape, requires_grad=True)
    cost = LIKELIHOODS[name](items(data, 5), *head(raw))
    assert cost.shape == (5,)
    (gradient,) = torch.autograd.grad(cost.sum(), raw)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().sum(1) > 0).all()


@each
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_means_are_in_range(name: HeadName, data: Spec, scale: float) -> None:
    torch.manual_seed(2)
    head = build_head(name, data, None, 1e-4)
    mean = head.mean(torch.randn(8, *head.shape) * scale)
    assert mean.shape == (8, *data.shape)
    assert mean.max() <= 1
    assert mean.min() >= (0 if KINDS[name] == "binary" else -1)
    assert mean.std() > 0.1


@each
def test_half_precision_ends_at_the_head(name: HeadName, data: Spec) -> None:
    head = build_head(name, data, None, 1e-4)
    raw = torch.zeros(2, *head.shape, dtype=torch.bfloat16)
    assert head.mean(raw).dtype == torch.float32
    assert head.draw(raw, torch.full((2, head.choices), 0.5)).dtype == torch.float32
    tensors = [value for value in head(raw) if isinstance(value, Tensor)]
    assert all(value.dtype == torch.float32 for value in tensors if value.is_floating_point())


@each
def test_pictures_are_drawn_without_noise_and_rows_by_choice(name: HeadName, data: Spec) -> None:
    torch.manual_seed(3)
    head = build_head(name, data, None, 1e-4)
    raw = torch.randn(8, *head.shape)
    drawn, other = (head.draw(raw, torch.rand(8, head.choices)) for _ in range(2))
    if data.kind != "mixed":
        assert head.choices == 0
        assert torch.equal(drawn, head.mean(raw))
        return
    assert head.choices == len(data.columns) + sum(bool(column.placed) for column in data.columns)
    assert not torch.equal(drawn, other)
    for x in (drawn, other, head.mean(raw)):
        check_row(x, data)


def test_means_worked_by_hand() -> None:
    raw = torch.tensor([[math.log(3), -0.5, 2.0, -7.0]])
    binary, grey = spec((4,), "binary"), spec((4,), "continuous")
    # sigmoid(ln 3) = 3/4, which is the grey value 1/2
    assert build_head("bernoulli", binary, None, 1e-4).mean(raw)[0, 0].item() == pytest.approx(0.75)
    assert build_head("grey-bce", grey, None, 1e-4).mean(raw)[0, 0].item() == pytest.approx(0.5)
    assert build_head("gaussian", grey, None, 1e-4).mean(raw)[0].tolist() == pytest.approx([1, -0.5, 1, -1])
    two = spec((2,), "continuous")  # the first half of the raw output is the mean, the second the scale
    logistic = build_head("discretised-logistic", two, None, 1e-4)
    assert logistic.mean(raw)[0].tolist() == pytest.approx([1, -0.5])
    mean, log_scale, levels = logistic(raw)
    assert mean[0].tolist() == pytest.approx([math.log(3), -0.5])
    assert log_scale[0].tolist() == [0, -7]  # 2 - 2, and -7 - 2 held at -7
    assert levels == 256


@pytest.mark.parametrize(
    ("name", "kind", "fitting"),
    [
        ("bernoulli", "continuous", "use grey-bce or gaussian or discretised-logistic"),
        ("gaussian", "binary", "use bernoulli"),
        ("grey-bce", "binary", "use bernoulli"),
        ("discretised-logistic", "binary", "use bernoulli"),
        ("mixed", "binary", "use bernoulli"),
        ("mixed", "continuous", "use grey-bce or gaussian or discretised-logistic"),
        ("bernoulli", "mixed", "use mixed"),
        ("gaussian", "mixed", "use mixed"),
    ],
)
def test_an_unfit_head_is_named_with_what_fits(name: HeadName, kind: ValueKind, fitting: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_head(name, BOTH if kind == "mixed" else spec((1, 8, 8), kind), None, 1e-4)
    assert str(caught.value) == f"model.head = {name!r} does not fit {kind} data; {fitting}"


@pytest.mark.parametrize("name", ["auto", *HEADS])
def test_no_head_fits_categories_yet(name: HeadName) -> None:
    with pytest.raises(UsageError, match=f"model.head = '{name}' does not fit categorical data; no head does yet"):
        build_head(name, Spec((), (), "categorical", categories=("a", "b")), None, 1e-4)


def test_discretised_needs_levels() -> None:
    with pytest.raises(UsageError, match="needs data with levels; choose 'gaussian'"):
        build_head("discretised-logistic", spec((1, 8, 8), "continuous", levels=None), None, 1e-4)


def test_auto_picks_by_kind_and_levels() -> None:
    assert build_head("auto", spec((6,), "binary", levels=None), None, 1e-4).name == "bernoulli"
    assert build_head("auto", spec((6,), "continuous", levels=256), None, 1e-4).name == "grey-bce"
    assert build_head("auto", spec((6,), "continuous", levels=None), None, 1e-4).name == "gaussian"
    assert build_head("auto", BOTH, None, 1e-4).name == "mixed"


def test_learned_variance_is_one_for_each_channel_and_keeps_its_floor() -> None:
    head = build_head("gaussian", spec((3, 7, 10), "continuous"), None, 0.01)
    ((name, log_variance),) = head.named_parameters()
    assert name == "log_variance"
    assert log_variance.shape == (3, 1, 1)
    assert log_variance.exp().flatten().tolist() == pytest.approx([0.25] * 3)
    with torch.no_grad():
        log_variance[:] = torch.tensor([-50.0, math.log(0.02), math.log(0.009)])[:, None, None]
    used = head(torch.zeros(1, 3, 7, 10))[1]
    assert used.exp().flatten().tolist() == pytest.approx([0.01, 0.03, 0.019])  # the floor is added


def test_fixed_variance_is_not_learned_and_keeps_its_floor() -> None:
    head = build_head("gaussian", spec((2, 9), "continuous"), 0.5, 1e-4)
    assert list(head.parameters()) == []
    assert head(torch.zeros(1, 2, 9))[1].exp().flatten().tolist() == pytest.approx([0.5, 0.5])
    with pytest.raises(UsageError, match="variance_floor"):
        build_head("gaussian", spec((2, 9), "continuous"), 1e-6, 1e-4)


@pytest.mark.parametrize(
    ("name", "discrete"),
    [
        ("bernoulli", True),
        ("grey-bce", False),
        ("gaussian", False),
        ("discretised-logistic", True),
        ("mixed", False),
    ],
)
def test_bits_per_dimension_exist_for_discrete_heads_alone(name: HeadName, discrete: bool) -> None:
    assert HEADS[name].discrete is discrete


# raw output for BOTH: logits of 2, 3 and 4 modes, two means, two log-scales
RAW = [0, 1, 2, -1, 0.5, 3, 0, 0, 0, 0.25, -4, -9, 2]


def test_a_mixed_head_worked_by_hand() -> None:
    head = build_head("mixed", BOTH, None, 1e-4)
    assert head.shape == (9 + 2 * 2,)
    assert head.choices == 3 + 2
    raw = torch.tensor([RAW])
    logits, mean, log_scale, modes, ranges, cells = head(raw)
    assert (logits.tolist(), mean.tolist(), log_scale.tolist()) == ([RAW[:9]], [RAW[9:11]], [[-5, 2]])  # -9 held at -5
    assert (modes, cells) == ([2, 3, 4], CELLS)
    assert ranges.T.tolist() == [[0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 1, 0]]
    # modes 1, 0 and 0 are likeliest; the first and the last of these are ranges; -4 is held at the end
    assert head.mean(raw).tolist() == [[0, 1, 1, 0, 0, 1, 0, 0, 0, 0.25, -1]]
    raw[0, 5] = -3  # now mode 1 of the last, which has no place
    assert head.mean(raw).tolist() == [[0, 1, 1, 0, 0, 0, 1, 0, 0, 0.25, 0]]


def test_draws_worked_by_hand() -> None:
    # one column, a value with 1/4 and a range with 3/4, its place logistic with mean 0 and scale 1 / ln 3: the ends
    # cut it at sigmoid(-ln 3) = 1/4 and 3/4, so that the quantile 1/2 is 0, and the quantile u is
    # logit(1/4 + u / 2) / ln 3
    head = build_head("mixed", columns_spec((Span("a", 2, (1,)),)), None, 1e-4)
    raw = torch.tensor([[0, LN3, 0, -math.log(LN3)]]).expand(4, -1)
    drawn = head.draw(raw, torch.tensor([[0.24, 0.9], [0.26, 0.5], [0.9, 0.0], [0.9, 1 / 6]]))
    expected = [[1, 0, 0], [0, 1, 0], [0, 1, -1], [0, 1, -LN2 / LN3]]  # 1/4 + 1/12 = 1/3, whose logit is -ln 2
    torch.testing.assert_close(drawn, torch.tensor(expected), rtol=0, atol=1e-6)


def share_below(places: Tensor, mean: float, scale: float) -> np.ndarray:
    """Share of a logistic distribution, cut off at -1 and 1, that lies below each place."""
    tail = stats.logistic.cdf if mean > 0 else stats.logistic.sf  # the one that keeps its digits
    low, at, high = (tail(x, mean, scale) for x in (-1, places.double().numpy(), 1))
    return (at - low) / (high - low)


@pytest.mark.parametrize("mean", [0.0, -0.4, 1.0, 1.5, -1.5, 3.0, -3.0])
@pytest.mark.parametrize("log_scale", [-3.0, -2.0, 0.0, 3.0])
def test_places_follow_the_truncated_logistic(mean: float, log_scale: float) -> None:
    head = build_head("mixed", columns_spec((Span("a", 2, (0,)), Span("b", 1, (0,)))), None, 1e-4)
    uniform = torch.rand(4000, head.choices, generator=torch.Generator().manual_seed(1))
    raw = torch.tensor([[0, 0, 0, -mean, mean, 1, log_scale]]).expand(4000, -1)
    places = head.draw(raw, uniform)[:, -1]
    assert places.abs().max() <= 1
    assert stats.kstest(share_below(places, mean, math.exp(log_scale)), "uniform").pvalue > 0.001
