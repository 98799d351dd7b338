"""Intervals against scipy and the normal approximation, and how often they cover the truth."""

import numpy as np
import pytest
from scipy import stats

from ficta.metrics.intervals import Estimate, bootstrap_mean, bootstrap_ratio, repeats


def test_repeats_give_students_interval() -> None:
    values = [0.31, 0.35, 0.28, 0.40, 0.33]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert repeats(values) == pytest.approx((np.mean(values), low, high, stats.sem(values)), rel=1e-12)


def test_bootstrap_of_many_values_is_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(3, 2, 2000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(2000)
    value, low, high, error = bootstrap_mean(values)
    assert error == pytest.approx(stats.sem(values), rel=1e-12)
    assert value == pytest.approx(values.mean(), rel=1e-12)
    assert (value - low, high - value) == pytest.approx((half, half), rel=0.1)
    assert bootstrap_mean(values) == bootstrap_mean(values, seed=0) != bootstrap_mean(values, seed=1)


@pytest.mark.parametrize(("interval", "n"), [(bootstrap_mean, 60), (repeats, 5)])
def test_the_truth_is_covered(interval: object, n: int) -> None:
    draws = np.random.default_rng(2)
    found = [interval(draws.normal(3.0, 2.0, n)) for _ in range(200)]  # type: ignore[operator]
    assert 0.90 <= np.mean([low <= 3.0 <= high for _, low, high, _ in found]) <= 0.99


def test_the_bootstrap_of_a_ratio_of_many_pairs_is_that_of_the_delta_method() -> None:
    draws = np.random.default_rng(3)
    wholes = draws.integers(1, 5, 2000).astype(float)
    parts = wholes * (draws.random(2000) < 0.3)
    found = bootstrap_ratio(parts, wholes)
    ratio = parts.sum() / wholes.sum()
    error = (parts - ratio * wholes).std(ddof=1) / wholes.mean() / np.sqrt(2000)
    assert found.value == pytest.approx(ratio)
    assert found.error == pytest.approx(error, rel=0.1)
    assert found[1:3] == pytest.approx((ratio - 1.96 * error, ratio + 1.96 * error), abs=0.2 * error)
    assert bootstrap_ratio(parts[:1], wholes[:1])[1:] == (None, None, None)


def test_an_estimate_in_another_unit() -> None:
    assert Estimate(1.0, 0.5, 2.0, 0.25).scaled(2) == (2, 1, 4, 0.5)
    assert Estimate(1.0, None, None).scaled(2) == (2, None, None, None)


def test_one_value_has_no_interval() -> None:
    assert bootstrap_mean(np.array([2.5])) == repeats([2.5]) == (2.5, None, None, None)


def test_what_has_no_mean_is_refused() -> None:
    for values in (np.empty(0), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="at least one value"):
            bootstrap_mean(values)
    with pytest.raises(ValueError, match="2 of 3 values are NaN or infinite"):
        bootstrap_mean(np.array([np.nan, 1.0, np.inf]))
    for few in ([], [1.0, np.nan]):
        with pytest.raises(ValueError, match="estimates"):
            repeats(few)
