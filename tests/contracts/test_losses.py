"""One law set for every loss in the registries: one number a sample, of that sample alone, differentiable."""

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ficta.losses.adversarial import ADVERSARIAL
from ficta.losses.likelihoods import LIKELIHOODS

B, SHAPE = 6, (2, 3)
LEVELS = torch.tensor(256, dtype=torch.float64)
MODES = [3, 2, 4]  # of three columns; two modes of the first are ranges, and one of the last
RANGES = torch.tensor([[0, 0], [1, 0], [1, 0], [0, 0], [0, 0], [0, 1], [0, 0], [0, 0], [0, 0]], dtype=torch.float64)
CELLS = 8


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def binary(seed: int) -> Tensor:
    return (numbers(seed, B, *SHAPE) > 0).double()


def levels(seed: int) -> Tensor:
    """Data on the 256 levels, both outermost ones among them."""
    x = (numbers(seed, B, *SHAPE).tanh() * 127.5 + 127.5).round() / 127.5 - 1
    x[0, 0, 0], x[1, 0, 0] = -1, 1
    return x


def rows() -> Tensor:
    """One-hot modes of three columns, each of them somewhere, then the places of the first and the last."""
    chosen = [[0, 1, 2, 1, 2, 0], [0, 1, 0, 1, 1, 0], [0, 3, 0, 1, 2, 0]]
    hot = torch.cat([torch.eye(count).double()[which] for count, which in zip(MODES, chosen, strict=True)], 1)
    places = torch.tensor([[0.3, -1, 1, 0.25, -0.7, 0.1], [-0.9, 0.4, 1, 0.2, 0.6, -1]]).double().T
    return torch.cat([hot, places * (hot @ RANGES)], 1)


def valued(make: Callable[[int], Tensor], count: int) -> Callable[[], list[Tensor]]:
    """Data, and so many parameters of each value."""
    return lambda: [make(1), *(numbers(seed, B, *SHAPE) for seed in range(2, 2 + count))]


def in_columns() -> list[Tensor]:
    """Rows, logits of modes, means and log-scales of places."""
    return [rows(), numbers(3, B, sum(MODES)), numbers(4, B, 2), numbers(5, B, 2)]


# name => what each sample has: data, then parameters as a decoder gives them; and what is fixed; a new row in the
# registry needs one here
DATA: dict[str, tuple[Callable[[], list[Tensor]], tuple[Any, ...]]] = {
    "bernoulli": (valued(binary, 1), ()),
    "grey-bce": (valued(levels, 1), ()),
    "gaussian": (valued(levels, 2), ()),
    "discretised-logistic": (valued(levels, 2), (LEVELS,)),
    "mixed": (in_columns, (MODES, RANGES, CELLS)),
}
# An arXiv number, or one or two names, or "et al.", with a year.
SOURCE = r"arXiv:\d{4}\.\d{4,5}|[A-Z][\w-]+( et al\.| (and|&) [A-Z][\w-]+)?,? \(?(19|20)\d\d\b"
TEXTBOOK = ("bernoulli", "gaussian")  # densities that nobody is cited for
Loss = Callable[..., Tensor]
Case = tuple[Loss, list[Tensor], tuple[Any, ...]]


def likelihood(name: str) -> Case:
    make, fixed = DATA[name]
    return LIKELIHOODS[name], make(), fixed


def side(name: str, which: str) -> Case:
    return (
        getattr(ADVERSARIAL[name], which),
        [numbers(seed, B).tanh() for seed in (1, 2)],
        (),
    )  # within the margin of a hinge


CASES = {
    **{name: lambda name=name: likelihood(name) for name in LIKELIHOODS},
    **{
        f"{name} {which}": lambda name=name, which=which: side(name, which)
        for name in ADVERSARIAL
        for which in ("discriminator", "generator")
    },
}
each = pytest.mark.parametrize("case", CASES)


def test_every_likelihood_is_under_the_law() -> None:
    assert DATA.keys() == LIKELIHOODS.keys()


def single(value: Any) -> Any:
    """What is fixed, in the precision of training: numbers of something as integers, tables as float32."""
    if not isinstance(value, Tensor):
        return value
    return value.float() if value.ndim else value.int()


@each
def test_one_number_a_sample(case: str) -> None:
    loss, per_sample, fixed = CASES[case]()
    value = loss(*per_sample, *fixed)
    assert value.shape == (B,)
    assert value.dtype == torch.float64
    assert value.isfinite().all()
    assert len(value.unique()) == B  # no average in disguise


@each
def test_float32_stays_float32(case: str) -> None:
    loss, per_sample, fixed = CASES[case]()
    found = loss(*(tensor.float() for tensor in per_sample), *(single(value) for value in fixed))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss(*per_sample, *fixed), rtol=1e-5, atol=1e-5)


@each
def test_the_order_of_samples_does_not_matter(case: str) -> None:
    loss, per_sample, fixed = CASES[case]()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    shuffled = loss(*(tensor[order] for tensor in per_sample), *fixed)
    torch.testing.assert_close(shuffled, loss(*per_sample, *fixed)[order], rtol=1e-14, atol=0)


@each
def test_the_size_of_the_batch_does_not_matter(case: str) -> None:
    loss, per_sample, fixed = CASES[case]()
    twice = loss(*(torch.cat([tensor, tensor]) for tensor in per_sample), *fixed)
    torch.testing.assert_close(twice, loss(*per_sample, *fixed).repeat(2), rtol=1e-14, atol=0)


@each
def test_gradients_are_those_of_the_equation(case: str) -> None:
    loss, per_sample, fixed = CASES[case]()
    data = [] if case not in LIKELIHOODS else [per_sample.pop(0)]
    inputs = [tensor.requires_grad_() for tensor in per_sample]
    used = torch.autograd.grad(loss(*data, *inputs, *fixed).sum(), inputs, allow_unused=True)
    assert any(gradient is not None and gradient.abs().min() > 0 for gradient in used)
    assert torch.autograd.gradcheck(lambda *inputs: loss(*data, *inputs, *fixed), inputs, fast_mode=True)


@each
def test_nothing_given_is_changed(case: str) -> None:
    loss, per_sample, fixed = CASES[case]()
    given = [*per_sample, *fixed]
    before = copy.deepcopy(given)
    loss(*per_sample, *fixed)
    for one, other in zip(given, before, strict=True):
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other


def by_value(per_sample: list[Tensor], fixed: tuple[Any, ...]) -> list[list[Any]]:
    """What a likelihood takes of each value alone."""
    return [[*(t[:, i, j, None] for t in per_sample), *fixed] for i in range(2) for j in range(3)]


def by_column(per_sample: list[Tensor], fixed: tuple[Any, ...]) -> list[list[Any]]:
    """What it takes of each column alone: its modes, and its place if it has one."""
    x, logits, mean, log_scale = per_sample
    modes, ranges, cells = fixed
    hot, places = x.split([sum(modes), ranges.shape[1]], 1)
    alone, first = [], 0
    for count in modes:
        own = slice(first, first + count)
        place = ranges[own].any(0)
        row = torch.cat([hot[:, own], places[:, place]], 1)
        alone.append([row, logits[:, own], mean[:, place], log_scale[:, place], [count], ranges[own][:, place], cells])
        first += count
    return alone


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_sum_over_values_or_columns(name: str) -> None:
    loss, per_sample, fixed = likelihood(name)
    parts = (by_column if name == "mixed" else by_value)(per_sample, fixed)
    summed = torch.stack([loss(*part) for part in parts]).sum(0)
    torch.testing.assert_close(loss(*per_sample, *fixed), summed, rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_what_it_gives_is_said(case: str) -> None:
    doc = inspect.getdoc(CASES[case]()[0])
    assert doc is not None
    assert "(B,)" in doc
    assert ("in nats" in doc) != ("without a unit" in doc)


def cites(text: str) -> bool:
    return re.search(SOURCE, text) is not None


def source_is_named(loss: Loss) -> bool:
    """In its docstring; or in the module's; or, by "ibid.", in a docstring further up."""
    doc, module = inspect.getdoc(loss) or "", inspect.getmodule(loss)
    above = inspect.getsource(module).partition(f"def {loss.__name__}(")[0] if module else ""
    return cites(doc) or cites(getattr(module, "__doc__", None) or "") or ("ibid." in doc and cites(above))


@pytest.mark.parametrize("case", CASES)
def test_its_source_is_cited(case: str) -> None:
    assert source_is_named(CASES[case]()[0]) != (case in TEXTBOOK)


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Bernoulli, in nats (Kingma & Welling 2014).", True),
        ("Squared gradient (Mescheder et al., 2018).", True),
        ("As in Bishop (2006), Eq. 2.4.", True),
        ("The game as written, arXiv:1406.2661, Eq. 1.", True),
        ("Cost in nats, float (B,). Eq. 1 at 2014 samples.", False),
        ("The game as written (ibid., Eq. 1).", False),
    ],
)
def test_what_counts_as_a_source(text: str, cited: bool) -> None:
    assert cites(text) is cited
