"""One law set for every loss in the registries: one number a sample, of that sample alone, differentiable."""

import inspect
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ficta.losses.adversarial import ADVERSARIAL
from ficta.losses.likelihoods import LIKELIHOODS

B, SHAPE = 6, (2, 3)
LEVELS = torch.tensor(256, dtype=torch.float64)


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def binary(seed: int) -> Tensor:
    return (numbers(seed, B, *SHAPE) > 0).double()


def levels(seed: int) -> Tensor:
    """Data on the 256 levels, both outermost ones among them."""
    x = (numbers(seed, B, *SHAPE).tanh() * 127.5 + 127.5).round() / 127.5 - 1
    x[0, 0, 0], x[1, 0, 0] = -1, 1
    return x


# name => data, and how many parameters of a value a decoder gives; a new row in the registry needs one here
DATA: dict[str, tuple[Callable[[int], Tensor], int, tuple[Tensor, ...]]] = {
    "bernoulli": (binary, 1, ()),
    "grey-bce": (levels, 1, ()),
    "gaussian": (levels, 2, ()),
    "discretised-logistic": (levels, 2, (LEVELS,)),
}
# An arXiv number, or one or two names, or "et al.", with a year.
SOURCE = r"arXiv:\d{4}\.\d{4,5}|[A-Z][\w-]+( et al\.| (and|&) [A-Z][\w-]+)?,? \(?(19|20)\d\d\b"
TEXTBOOK = ("bernoulli", "gaussian")  # densities that nobody is cited for
Loss = Callable[..., Tensor]
Case = tuple[Loss, list[Tensor], tuple[Tensor, ...]]


def likelihood(name: str) -> Case:
    make, count, fixed = DATA[name]
    per_sample = [make(1), *(numbers(seed, B, *SHAPE) for seed in range(2, 2 + count))]
    return LIKELIHOODS[name], per_sample, fixed


def side(name: str, which: str) -> Case:
    return getattr(ADVERSARIAL[name], which), [numbers(1, B) * 3, numbers(2, B) * 3], ()


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
    found = loss(*(tensor.float() for tensor in per_sample), *(tensor.int() for tensor in fixed))
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
    before = [tensor.clone() for tensor in per_sample]
    loss(*per_sample, *fixed)
    assert all(torch.equal(one, other) for one, other in zip(per_sample, before, strict=True))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_sum_over_values(name: str) -> None:
    loss, per_sample, fixed = likelihood(name)
    by_value = [loss(*(t[:, i, j, None] for t in per_sample), *fixed) for i in range(2) for j in range(3)]
    torch.testing.assert_close(loss(*per_sample, *fixed), torch.stack(by_value).sum(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_what_it_gives_is_said(case: str) -> None:
    doc = inspect.getdoc(CASES[case]()[0])
    assert doc is not None
    assert "(B,)" in doc
    assert "in nats" in doc


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
