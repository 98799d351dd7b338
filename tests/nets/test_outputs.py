"""Outputs of a generator: what is continuous as it comes, rows of columns by relaxed choices."""

import math

import pytest
import torch

from ficta.base.errors import UsageError
from ficta.base.spec import Span, Spec, class_condition, columns_spec
from ficta.nets.outputs import OUTPUTS, OutputName, Rows, Values, build_output

ROW = Spec(("column",), (3,), "continuous")
COLUMNS = columns_spec((Span("age", 2, (0,), ordered=True), Span("sex", 3)))
N = 20_000


def uniform(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_each_kind_has_its_output() -> None:
    assert type(build_output("tanh", ROW)) is Values
    assert type(build_output("tanh", COLUMNS)) is Rows
    assert OUTPUTS.keys() == {"continuous", "mixed"}


@pytest.mark.parametrize(
    "spec", [Spec(("column",), (3,), "binary"), class_condition(("cat", "dog"))], ids=lambda spec: spec.kind
)
def test_through_other_kinds_no_gradient_passes(spec: Spec) -> None:
    with pytest.raises(UsageError, match=f"needs continuous or mixed data, these are {spec.kind}; .* use 'vae'"):
        build_output("tanh", spec)


@pytest.mark.parametrize(
    ("name", "seen", "drawn"),
    [
        # tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5
        ("tanh", [0.6, -0.6, math.tanh(3)], [0.6, -0.6, math.tanh(3)]),
        ("linear", [math.log(2), -math.log(2), 3], [math.log(2), -math.log(2), 1]),
    ],
)
def test_values_worked_by_hand(name: OutputName, seen: list[float], drawn: list[float]) -> None:
    output = build_output(name, ROW)
    assert (output.shape, output.choices) == ((3,), 0)
    raw, nothing = torch.tensor([[math.log(2), -math.log(2), 3]]), torch.empty(1, 0)
    assert output(raw, nothing)[0].tolist() == pytest.approx(seen)
    assert output.draw(raw, nothing)[0].tolist() == pytest.approx(drawn)


def test_a_row_worked_by_hand() -> None:
    # all numbers 1/2: the shares are those of logits over 0.2, 32 to 1 for ln 2; the place tanh(ln 2) = 3/5 counts for
    # the share of its mode
    output = build_output("tanh", COLUMNS)
    assert (output.shape, output.choices) == ((6,), 5)
    ln2, half = math.log(2), torch.full((1, 5), 0.5)
    raw = torch.tensor([[ln2, 0, 0, 0, 50, ln2]])
    assert output(raw, half)[0].tolist() == pytest.approx([32 / 33, 1 / 33, 0, 0, 1, 0.6 * 32 / 33], rel=1e-5)
    assert output.draw(raw, half)[0].tolist() == pytest.approx([1, 0, 0, 0, 1, 0.6])
    raw[0, 1] = 2 * ln2  # now the other mode, which is no range
    assert output(raw, half)[0].tolist() == pytest.approx([1 / 33, 32 / 33, 0, 0, 1, 0.6 / 33], rel=1e-5)
    assert output.draw(raw, half)[0].tolist() == pytest.approx([0, 1, 0, 0, 1, 0])


def test_modes_are_drawn_with_their_probability() -> None:
    output, logits = build_output("tanh", COLUMNS), torch.tensor([0.7, -0.4, 0.0, 2.0, -3.0])
    drawn = output.draw(torch.cat([logits, torch.ones(1)]).expand(N, 6), uniform(1, N, 5))
    expected = torch.cat([logits[:2].softmax(0), logits[2:].softmax(0)])
    error = (expected * (1 - expected) / N).sqrt()
    assert ((drawn[:, :5].mean(0) - expected).abs() < 4 * error).all()
    assert set(drawn[:, :5].flatten().tolist()) == {0, 1}
    assert torch.equal(drawn[:, 5], drawn[:, 0] * math.tanh(1))


def test_what_is_drawn_is_the_largest_share_of_what_the_discriminator_sees() -> None:
    output, raw, numbers = build_output("tanh", COLUMNS), uniform(2, N, 6) * 4 - 2, uniform(3, N, 5)
    seen, drawn = output(raw, numbers), output.draw(raw, numbers)
    for part in (slice(0, 2), slice(2, 5)):
        torch.testing.assert_close(seen[:, part].sum(1), torch.ones(N), rtol=0, atol=1e-5)
        assert torch.equal(seen[:, part].argmax(1), drawn[:, part].argmax(1))
    assert (seen - drawn).abs().median() < 0.01


def test_a_gradient_passes_through_modes_and_places() -> None:
    output, numbers = build_output("tanh", COLUMNS).double(), uniform(4, 5, 5).double()
    raw = (uniform(5, 5, 6).double() * 2 - 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda raw: output(raw, numbers), raw)
    (gradient,) = torch.autograd.grad(output(raw, numbers).square().sum(), raw)
    assert (gradient != 0).all()
