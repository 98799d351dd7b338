"""Spans: where columns stand in a row, and that modes are chosen with the probability that their logits say."""

import math

import pytest
import torch
from torch import Tensor

from ficta.base.spec import Span, columns_spec
from ficta.nets.spans import HARDNESS, LEAST, Spans

COLUMNS = (Span("age", 3, (0, 2), ordered=True), Span("sex", 2), Span("one", 1), Span("pay", 4, (3,), ordered=True))
MODES, WIDTH = [3, 2, 1, 4], 10
N = 20_000
LOGITS = torch.tensor([0.0, 1.0, -1.0, 2.0, -0.5, 7.0, -30.0, 0.3, 0.2, 1.5])
LN2, LN3 = math.log(2), math.log(3)


def spans() -> Spans:
    return Spans(columns_spec(COLUMNS))


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def check_frequencies(hot: Tensor, logits: Tensor) -> None:
    """Each mode comes as often as its softmax says, within four standard errors."""
    expected = torch.cat([part.double().softmax(0) for part in logits.split(MODES)])
    error = (expected * (1 - expected) / len(hot)).sqrt()
    assert ((hot.double().mean(0) - expected).abs() <= 4 * error + 1e-9).all()


def test_columns_stand_in_order() -> None:
    known = spans()
    assert (known.modes, known.places) == (MODES, 2)
    assert known.ranges.T.tolist() == [[1, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]
    assert known.ranges.dtype == torch.float32


def test_without_ranges_there_are_no_places() -> None:
    known = Spans(columns_spec((Span("a", 2), Span("b", 3))))
    assert (known.places, known.ranges.shape) == (0, (5, 0))
    assert known.row(torch.eye(5), torch.empty(5, 0)).tolist() == torch.eye(5).tolist()


def test_nothing_of_them_is_learnt_or_stored() -> None:
    assert list(spans().parameters()) == []
    assert spans().state_dict() == {}


def test_a_place_counts_only_where_the_mode_is_a_range() -> None:
    hot = torch.tensor([[0, 0, 1, 1, 0, 1, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1, 0, 0, 0, 1]]).float()
    row = spans().row(hot, torch.tensor([[0.5, -0.25], [0.75, -1.0]]))
    assert torch.equal(row[:, :WIDTH], hot)
    assert row[:, WIDTH:].tolist() == [[0.5, 0], [0, -1]]
    half = hot.mean(0, keepdim=True)  # between the two, a place counts for its share: 1/2 and 1/2
    assert spans().row(half, torch.tensor([[0.5, -0.25]]))[:, WIDTH:].tolist() == [[0.25, -0.125]]


def test_the_likeliest_mode_of_each_column() -> None:
    assert spans().likeliest(LOGITS[None]).tolist() == [[0, 1, 0, 1, 0, 1, 0, 0, 0, 1]]
    assert spans().likeliest(-LOGITS[None]).tolist() == [[0, 0, 1, 0, 1, 1, 1, 0, 0, 0]]


def test_choices_worked_by_hand() -> None:
    # modes with 1/6, 1/3 and 1/2: a number below 1/6 chooses the first, one below 1/2 the second
    known = Spans(columns_spec((Span("a", 3), Span("b", 1))))
    logits = torch.tensor([[0, LN2, LN3, 5]]).expand(6, 4)
    numbers = torch.tensor([0, 0.16, 0.17, 0.49, 0.51, 1 - 2**-24])
    hot = known.choose(logits, torch.stack([numbers, numbers.flip(0)], 1))
    assert hot[:, :3].argmax(1).tolist() == [0, 0, 1, 1, 2, 2]
    assert hot.sum(1).tolist() == [2] * 6
    assert hot[:, 3].tolist() == [1] * 6


def test_each_column_reads_its_own_number() -> None:
    known = Spans(columns_spec((Span("a", 2), Span("b", 2))))
    hot = known.choose(torch.zeros(2, 4), torch.tensor([[0.1, 0.9], [0.9, 0.1]]))
    assert hot.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]


def test_what_has_no_probability_is_never_chosen() -> None:
    known = Spans(columns_spec((Span("a", 4),)))
    logits = torch.tensor([[-500.0, 0, 0, -500]]).expand(2, 4)
    assert known.choose(logits, torch.tensor([[0.0], [1 - 2**-24]])).tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]
    # nor where the sum of many probabilities is a little less than 1
    many = Spans(columns_spec((Span("a", 1000),)))
    logits = torch.cat([uniform(6, 20, 999), torch.full((20, 1), -500.0)], 1)
    assert many.choose(logits, torch.full((20, 1), 1 - 2**-24))[:, -1].tolist() == [0] * 20


def test_only_differences_of_logits_count() -> None:
    known, numbers = spans(), uniform(7, 50, len(MODES))
    chosen = known.choose(LOGITS.expand(50, WIDTH), numbers)
    for shift in (-1000, 1000):
        assert torch.equal(known.choose((LOGITS + shift).expand(50, WIDTH), numbers), chosen)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_modes_are_chosen_with_their_probability(scale: float) -> None:
    known, logits = spans(), LOGITS * scale
    many = logits.expand(N, WIDTH)
    chosen = known.choose(many, uniform(1, N, len(MODES)))
    check_frequencies(chosen, logits)
    check_frequencies(known.likeliest(known.relax(many, uniform(2, N, WIDTH))), logits)


def test_columns_are_chosen_independently() -> None:
    chosen = spans().choose(torch.zeros(N, WIDTH), uniform(3, N, len(MODES)))
    assert torch.corrcoef(chosen[:, [0, 3, 6]].T).sub(torch.eye(3)).abs().max() < 4 / N**0.5


def test_shares_worked_by_hand() -> None:
    # all numbers 1/2 shift all logits alike: shares are the softmax of logits over the hardness, 32 to 1 for ln 2 / 0.2
    known = Spans(columns_spec((Span("a", 2), Span("b", 1))))
    assert HARDNESS == 0.2
    shares = known.relax(torch.tensor([[LN2, 0, -3]]), torch.full((1, 3), 0.5))
    assert shares[0].tolist() == pytest.approx([32 / 33, 1 / 33, 1], rel=1e-5)
    # numbers 1/e and e^-e are the Gumbel numbers 0 and -1: shares 1 and e^-5, over their sum
    shares = known.relax(torch.zeros(1, 3), torch.tensor([[math.exp(-1), math.exp(-math.e), 0.5]]))
    assert shares[0].tolist() == pytest.approx([1 / (1 + math.exp(-5)), 1 / (1 + math.exp(5)), 1], rel=1e-5)


def test_shares_are_nearly_one_hot_and_sum_to_one() -> None:
    shares = spans().relax(LOGITS.expand(N, WIDTH), uniform(4, N, WIDTH))
    for part in shares.split(MODES, 1):
        torch.testing.assert_close(part.sum(1), torch.ones(N), rtol=0, atol=1e-5)
        assert (part.max(1).values > 0.9).double().mean() > 0.6
        assert part.max(1).values.median() > 0.95


def test_shares_pass_a_gradient() -> None:
    numbers = uniform(5, 4, WIDTH).double()
    logits = LOGITS.double().expand(4, WIDTH).clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: spans().double().relax(logits, numbers), logits)
    (gradient,) = torch.autograd.grad(spans().relax(logits, numbers).square().sum(), logits)
    assert (gradient[:, 5] == 0).all()  # of one mode nothing can be chosen
    assert (gradient[:, [0, 1, 2, 3, 4, 7, 8, 9]] != 0).all()


def test_numbers_at_the_ends_are_held_off_them() -> None:
    numbers = torch.tensor([[0.0, 1.0, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
    logits = LOGITS[None].clone().requires_grad_()
    shares = spans().relax(logits, numbers)
    (gradient,) = torch.autograd.grad(shares.square().sum(), logits)
    assert shares.isfinite().all()
    assert gradient.isfinite().all()
    assert torch.equal(shares, spans().relax(logits, numbers.clamp(LEAST, 1 - LEAST)))
