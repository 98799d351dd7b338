"""Measures of latents: numbers worked out by hand, codes clean by construction, rotated and independent ones."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.metrics import latents
from ficta.metrics.latents import disentanglement, matching_accuracy
from ficta.metrics.latents import mutual_information_gap as mig
from ficta.metrics.latents import separated_attribute_predictability as sap

FACTORS = np.array([*itertools.product(range(4), range(5))] * 40)  # all pairs equally often: independent to the letter
FIRST, SECOND = FACTORS.T
QUARTER_BITS = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))  # entropy of 1/4 and 3/4


def column(*values: float) -> np.ndarray:
    """A latent that varies beside one that never does."""
    return np.stack([np.array(values, np.float64), np.zeros(len(values))], 1)


def test_units_are_active_above_a_hundredth() -> None:
    # +-d around the mean of two items have the unbiased variance 2 d^2: 0.0098 and 0.0128
    assert latents.active_units(np.array([[0.07, 0.08, 5.0], [-0.07, -0.08, 5.0]])) == 1
    with pytest.raises(ValueError, match="1 items"):
        latents.active_units(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("codes", "factor", "bins", "expected"),
    [
        ([[0, 0], [1, 0], [2, 1], [3, 1]], [0, 1, 2, 3], 20, 1 / 2),  # one latent knows ln 4, the other ln 2
        (column(0, 0, 0, 1, 1, 1, 1, 0), [0, 0, 0, 0, 1, 1, 1, 1], 20, 1 - QUARTER_BITS),  # right 3 times of 4
        (column(0, 60, 80, 100), [0, 1, 2, 3], 2, QUARTER_BITS / 2),  # bins of equal width hold 1 item and 3
        (column(0, 60, 80, 100), [0, 1, 2, 3], 100, 1.0),
    ],
)
def test_gap_worked_by_hand(codes: list[list[float]], factor: list[int], bins: int, expected: float) -> None:
    assert mig(np.array(codes), np.array(factor)[:, None], bins) == pytest.approx(expected, rel=1e-12)


def test_predictability_worked_by_hand() -> None:
    # one latent tells all three values, however rare; one takes two for the same: 2 of 3; one knows nothing: 1 of 3
    factor = np.repeat([0, 1, 2], [10, 4, 2])
    assert sap(np.stack([factor, factor.clip(max=1)], 1), factor[:, None]) == pytest.approx(1 / 3, rel=1e-12)
    assert sap(column(*factor), factor[:, None]) == pytest.approx(2 / 3, rel=1e-12)


def test_clean_codes_reach_the_top_in_any_order_and_scale() -> None:
    codes = FACTORS[:, ::-1] * [-3.0, 0.01] + 7
    assert mig(codes, FACTORS) == pytest.approx(1.0, abs=1e-12)
    assert sap(codes, FACTORS) == pytest.approx((3 / 4 + 4 / 5) / 2, abs=0.06)  # chance is 1/4 and 1/5
    assert disentanglement(codes, FACTORS) == (1.0, 1.0, 1.0)


def test_independent_codes_say_nothing() -> None:
    codes = np.random.default_rng(1).normal(size=(len(FACTORS), 2))
    assert 0 <= mig(codes, FACTORS, bins=5) < 0.01
    assert 0 <= sap(codes, FACTORS) < 0.06
    assert disentanglement(codes, FACTORS) == pytest.approx((0, 0, (1 / 4 + 1 / 5) / 2), abs=0.05)


def test_rotation_costs() -> None:
    def measured(degrees: float) -> np.ndarray:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        codes = (FACTORS - FACTORS.mean(0)) / FACTORS.std(0) @ np.array([[c, -s], [s, c]])
        return np.array([mig(codes, FACTORS), sap(codes, FACTORS), *disentanglement(codes, FACTORS)[:2]])

    straight, bent, mixed = (measured(degrees) for degrees in (0, 20, 45))
    assert (straight > bent + 0.1).all()
    assert (bent > mixed + 0.05).all()


@pytest.mark.parametrize(
    ("codes", "factors", "expected"),
    [
        (column(*(5 * FIRST + SECOND)), FACTORS, (0, 1, 1)),  # one latent of both factors
        # of three factors, one latent has two and 2/3 of the weight: 2/3 (1 - ln 2 / ln 3) + 1/3
        (FACTORS, np.stack([FIRST // 2, FIRST % 2, SECOND], 1), (1 - 2 / 3 * math.log(2, 3), 1, 1)),
        # two bits count alike for four values: completeness 1 - ln 2 / ln 3, and 1 for the other factor
        (np.stack([FIRST // 2, FIRST % 2, SECOND], 1), FACTORS, (1, 1 - math.log(2, 3) / 2, 1)),
    ],
)
def test_disentangled_and_complete_are_two_things(
    codes: np.ndarray, factors: np.ndarray, expected: tuple[float, float, float]
) -> None:
    assert disentanglement(codes, factors) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("codes", "labels", "expected"),
    [
        ([0, 0, 0, 0, 0, 1, 1], [7, 7, 7, 3, 3, 7, 7], 4 / 7),  # with the largest pair, 3 times, the rest is wrong
        ([0, 1, 2, 3], [0, 0, 1, 1], 2 / 4),  # two values are left without a name
    ],
)
def test_matching_worked_by_hand(codes: list[int], labels: list[int], expected: float) -> None:
    assert matching_accuracy(np.array(codes), np.array(labels)) == pytest.approx(expected, rel=1e-14)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1), st.permutations(range(4)))
def test_matching_is_the_best_of_all(pairs: list[tuple[int, int]], names: list[int]) -> None:
    codes, labels = np.array(pairs).T
    best = max(float((np.array(order)[codes] == labels).mean()) for order in itertools.permutations(range(4)))
    assert matching_accuracy(codes, labels) == pytest.approx(best, rel=1e-14)
    assert matching_accuracy(np.array(names)[labels], labels) == 1.0


@pytest.mark.parametrize("measure", [mig, sap, disentanglement])
@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.zeros((80, 2)), FACTORS[:79], r"factors \(79, 2\) for codes \(80, 2\)"),
        (np.zeros((80, 1)), FACTORS[:80], "80 items of 1 latents"),
        (np.zeros((1, 2)), FACTORS[:1], "1 items of 2 latents"),
        (np.zeros((80, 2)), FACTORS[:80] * [1, 0], "factor 1 has one value"),
        (np.zeros((80, 2)), FACTORS[:80] * 0.5, "not float64"),
        (np.full((80, 2), np.nan), FACTORS[:80], "80 of 80 items"),
    ],
)
def test_undefined(measure: Callable[..., object], codes: np.ndarray, factors: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(codes, factors)


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (mig, (FACTORS, FACTORS, 1), "1 bins"),
        (sap, (FACTORS[:6], FACTORS[:6]), "occurs once"),
        (disentanglement, (FACTORS[:6], FACTORS[:6]), "occurs once"),
        (disentanglement, (FACTORS, FACTORS[:, :1]), "1 factor;"),
        (disentanglement, (np.zeros(FACTORS.shape), FACTORS), "no latent tells anything of factor 0"),
        (matching_accuracy, (np.array([0, 1]), np.array([0])), "arrays"),
        (matching_accuracy, (np.array([], np.int64), np.array([], np.int64)), "one item"),
        (matching_accuracy, (np.array([0.5]), np.array([1])), "not float64"),
    ],
)
def test_undefined_for_one(measure: Callable[..., object], arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(*arguments)


def test_units_cost_something_above_a_hundredth_of_a_nat() -> None:
    # means of 0.005, 0.015 and -0.3: an estimate of what costs nothing may fall below nothing
    assert latents.costly_units(np.array([[0.0, 0.0, -1.0], [0.01, 0.03, 0.4]])) == 1
    with pytest.raises(ValueError, match="no items"):
        latents.costly_units(np.zeros((0, 3)))
