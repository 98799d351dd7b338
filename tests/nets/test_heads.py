"""Heads: which fit which data, and what their parameters may be."""

import math

import pytest
import torch

from ficta.base.errors import UsageError
from ficta.base.spec import Spec, ValueKind
from ficta.losses.likelihoods import LIKELIHOODS
from ficta.nets.heads import HEADS, KINDS, HeadName, build_head

SHAPES = [(6,), (1, 8, 8), (3, 7, 10), (2, 9)]


def spec(shape: tuple[int, ...], kind: ValueKind, levels: int | None = 256) -> Spec:
    return Spec(tuple("abcd"[: len(shape)]), shape, kind, levels)


def pairs() -> list[tuple[HeadName, tuple[int, ...]]]:
    return [(name, shape) for name in HEADS for shape in SHAPES]


def spec_for(name: HeadName, shape: tuple[int, ...]) -> Spec:
    return spec(shape, KINDS[name])  # type: ignore[arg-type]


def test_tables_speak_of_the_same_heads() -> None:
    assert HEADS.keys() == KINDS.keys() == LIKELIHOODS.keys()
    assert all(head.name == name for name, head in HEADS.items())


@pytest.mark.parametrize(("name", "shape"), pairs(), ids=str)
def test_parameters_are_what_the_likelihood_takes(name: HeadName, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    head = build_head(name, spec_for(name, shape), None, 1e-4)
    raw = torch.randn(5, *head.shape, requires_grad=True)
    x = torch.randint(2, (5, *shape)).float()  # in the domain of every head
    cost = LIKELIHOODS[name](x, *head(raw))
    assert cost.shape == (5,)
    (gradient,) = torch.autograd.grad(cost.sum(), raw)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize(("name", "shape"), pairs(), ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_means_are_in_range(name: HeadName, shape: tuple[int, ...], scale: float) -> None:
    torch.manual_seed(2)
    head = build_head(name, spec_for(name, shape), None, 1e-4)
    mean = head.mean(torch.randn(8, *head.shape) * scale)
    assert mean.shape == (8, *shape)
    assert mean.max() <= 1
    assert mean.min() >= (0 if KINDS[name] == "binary" else -1)
    assert mean.std() > 0.1


@pytest.mark.parametrize("name", list(HEADS))
def test_half_precision_ends_at_the_head(name: HeadName) -> None:
    head = build_head(name, spec_for(name, (1, 8, 8)), None, 1e-4)
    raw = torch.zeros(2, *head.shape, dtype=torch.bfloat16)
    assert head.mean(raw).dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in head(raw) if value.is_floating_point())


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
    ],
)
def test_an_unfit_head_is_named_with_what_fits(name: HeadName, kind: ValueKind, fitting: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_head(name, spec((1, 8, 8), kind), None, 1e-4)
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
    ],
)
def test_bits_per_dimension_exist_for_discrete_heads_alone(name: HeadName, discrete: bool) -> None:
    assert HEADS[name].discrete is discrete
