"""The classifier score against its formula, and two-sample accuracy against that of the best possible classifier."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ficta.metrics.classified import classifier_score, two_sample_accuracy


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        # mean (3/4, 1/4): ln 4/3 and 1/2 ln 2/3 + 1/2 ln 2 = 1/2 ln 4/3, on average 3/4 ln 4/3
        ([[1.0, 0.0], [0.5, 0.5]], (4 / 3) ** 0.75),
        ([[0.2, 0.3, 0.5]] * 7, 1.0),
        (np.tile(np.eye(6), (3, 1)), 6.0),
    ],
)
def test_score_worked_by_hand(probabilities: list[list[float]], expected: float) -> None:
    assert classifier_score(np.array(probabilities)) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9), st.floats(0.1, 10))
def test_score_is_the_formula_within_bounds(seed: int, n: int, c: int, width: float) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(c, width), n)
    found = classifier_score(p)
    assert found == pytest.approx(math.exp(stats.entropy(p, p.mean(0), axis=1).mean()), rel=1e-9)
    assert 1 - 1e-9 <= found <= c + 1e-9


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.ones(3), np.ones((2, 2)), [[1.5, -0.5]], [[np.nan]]])
def test_score_undefined(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        classifier_score(np.array(wrong))


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0, 20.0])
def test_gaussians_are_told_apart_as_often_as_can_be(shift: float) -> None:
    # the best classifier of N(0, 1) and N(shift, 1) is right with probability Phi(shift / 2)
    items = np.random.default_rng(1).normal(size=(4000, 3))
    items[2000:, 0] += shift
    best = stats.norm.cdf(shift / 2)
    assert two_sample_accuracy(*np.split(items, 2)) == pytest.approx(best, abs=4 * math.sqrt(best * (1 - best) / 2000))


def test_the_larger_set_has_no_advantage() -> None:
    few, many = np.split(np.random.default_rng(2).normal(size=(2100, 2)), [100])
    for seed in range(3):
        assert two_sample_accuracy(few, many, seed) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 100))


def test_four_of_each_suffice() -> None:
    far = np.arange(8.0).reshape(4, 2)
    assert two_sample_accuracy(far, far + 1000) == 1.0
    with pytest.raises(ValueError, match="3 items"):
        two_sample_accuracy(far[:3], far)
    with pytest.raises(ValueError, match="2 features against 1"):
        two_sample_accuracy(far, far[:, :1])
