"""Modes: how values of a column are divided, and what comes back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.data.table.modes import Knots, Modes, find_knots


def knots_of(values: np.ndarray, most: int, missing: bool = False) -> Knots:
    known = values[~np.isnan(values)]
    return find_knots(*np.unique(known, return_counts=True), most, missing)


def there_and_back(columns: list[Knots], rows: np.ndarray) -> np.ndarray:
    modes = Modes(columns)
    return modes.decode(modes.encode(torch.from_numpy(rows))).numpy()


def test_few_values_are_modes_of_their_own() -> None:
    knots = knots_of(np.array([3.0, 1.0, 1.0, 7.0]), most=3)
    assert knots.span("a", ordered=True).modes == 3
    assert knots.span("a", ordered=True).placed == ()
    rows = np.array([[1.0], [3.0], [7.0]])
    encoded = Modes([knots]).encode(torch.from_numpy(rows))
    torch.testing.assert_close(encoded, torch.eye(3))


def test_a_frequent_value_stands_alone_among_ranges() -> None:
    values = np.concatenate([np.zeros(900), np.linspace(-50, -1, 50), np.linspace(1, 50, 50)])
    knots = knots_of(values, most=10)
    zero = knots.modes[knots.values == 0]
    assert (knots.modes == zero).sum() == 1  # no other value shares its mode
    assert knots.places[knots.values == 0] == 0
    assert knots.span("a", ordered=True).modes >= 3


def test_ranges_hold_about_as_many() -> None:
    values = np.random.default_rng(0).lognormal(0, 3, 10_000)
    modes = Modes([knots_of(values, most=20)])
    hot = modes.encode(torch.from_numpy(values[:, None]))[:, : modes.sizes[0]]
    counts = hot.sum(0)
    assert len(counts) == 20
    assert counts.min() > 400
    assert counts.max() < 600


def test_places_are_uniform_whatever_the_skew() -> None:
    values = np.random.default_rng(1).lognormal(0, 3, 20_000)
    place = Modes([knots_of(values, most=4)]).encode(torch.from_numpy(values[:, None]))[:, -1]
    assert abs(float(place.mean())) < 0.02
    assert float(place.std()) == pytest.approx(1 / np.sqrt(3), abs=0.02)


def test_a_missing_value_is_a_mode() -> None:
    values = np.array([1.0, 2.0, np.nan, 2.0])
    knots = knots_of(values, most=5, missing=True)
    assert knots.span("a", ordered=True).modes == 3
    back = there_and_back([knots], values[:, None])
    np.testing.assert_array_equal(back[:, 0], values)


def test_a_column_without_any_value_is_one() -> None:
    knots = find_knots(np.empty(0), np.empty(0), 5, missing=True)
    assert np.isnan(there_and_back([knots], np.array([[np.nan]])))


def test_columns_do_not_meddle_with_each_other() -> None:
    draws = np.random.default_rng(2)
    rows = np.stack([draws.integers(0, 5, 500), draws.normal(size=500), draws.integers(0, 90, 500)], 1).astype(float)
    rows[draws.random(rows.shape) < 0.1] = np.nan
    columns = [knots_of(column, most, missing=True) for column, most in zip(rows.T, (8, 16, 32), strict=True)]
    together = there_and_back(columns, rows)
    for place, knots in enumerate(columns):
        np.testing.assert_array_equal(together[:, place], there_and_back([knots], rows[:, [place]])[:, 0])


def test_values_that_were_never_seen_go_to_the_nearest() -> None:
    knots = knots_of(np.array([0.0, 10.0]), most=2)
    back = there_and_back([knots], np.array([[-5.0], [4.0], [6.0], [99.0]]))
    assert back[:, 0].tolist() == [0, 0, 10, 10]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=300),
    st.integers(1, 40),
)
def test_values_come_back(values: list[float], most: int) -> None:
    found = np.array(values) + 0.0
    back = there_and_back([knots_of(found, most)], found[:, None])[:, 0]
    distinct = np.unique(found)
    kept = knots_of(found, most).values
    near = 1e-6 * (distinct.max() - distinct.min())  # places are of single precision
    np.testing.assert_allclose(back[np.isin(found, kept)], found[np.isin(found, kept)], rtol=0, atol=near)
    if len(distinct) <= 33:  # no value is thinned out
        np.testing.assert_allclose(back, found, rtol=0, atol=near)
    assert back.min() >= distinct.min() - 1e-9
    assert back.max() <= distinct.max() + 1e-9


def test_what_json_keeps_is_the_same() -> None:
    knots = knots_of(np.random.default_rng(3).normal(size=1000), most=12, missing=True)
    again = Knots.from_json(knots.to_json())
    for name in ("values", "modes", "places"):
        np.testing.assert_array_equal(getattr(again, name), getattr(knots, name))
    assert again.missing
