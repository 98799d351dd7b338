"""Which differences hold, and which numbers may not stand side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from ficta.evaluate.compare import compare, differs
from ficta.evaluate.result import Result
from ficta.metrics.intervals import Estimate, bootstrap_mean, repeats


def line(values: list[float], name: str = "frechet", better: str = "lower", **protocol: Any) -> dict[str, Any]:
    estimate = repeats(values)
    return Result(name, estimate, "", better, 10, "", 0.0, {"parts": len(values), **protocol}).to_json()


def test_a_clear_difference_holds_and_a_small_one_does_not() -> None:
    low, high, close = [1.0, 1.1, 0.9], [2.0, 2.1, 1.9], [1.05, 1.2, 0.85]
    (row,) = compare([[line(high)], [line(low)]])
    assert row.best == (1,)
    assert row.holds
    (row,) = compare([[line(close)], [line(low)], [line(high)]])
    assert row.best == (0, 1)
    assert not row.holds


@pytest.mark.parametrize(("better", "best"), [("lower", 0), ("higher", 2), ("near 0.5", 1), ("near 0", 0)])
def test_which_way_is_better_is_heeded(better: str, best: int) -> None:
    values = ([0.1, 0.11], [0.5, 0.51], [0.9, 0.91])
    (row,) = compare([[line(list(found), better=better)] for found in values])
    assert row.best == (best,)


def test_it_is_welchs_test() -> None:
    random = np.random.default_rng(0)
    decided = set()
    for shift in np.linspace(0, 1.5, 30):
        a, b = random.normal(0, 1, 6), random.normal(shift, 0.3, 4)
        by_scipy = stats.ttest_ind(a, b, equal_var=False).pvalue < 0.05
        assert differs(line(list(a)), line(list(b))) == by_scipy
        decided.add(bool(by_scipy))
    assert decided == {True, False}


def test_repeats_over_seeds_are_counted_by_the_seeds_and_not_by_the_items() -> None:
    def mean(*values: float) -> dict[str, Any]:
        return Result("accuracy", repeats(values), "", "higher", 10_000, "", 0.0, {"seeds": len(values)}).to_json()

    first, second = (0.90, 0.91, 0.92), (0.925, 0.93, 0.945)
    assert stats.ttest_ind(first, second, equal_var=False).pvalue < 0.05
    assert differs(mean(*first), mean(*second))
    assert not differs(mean(*first), mean(0.915, 0.92, 0.935))


def test_means_over_items_are_compared_by_their_bootstrap() -> None:
    costs = np.random.default_rng(0).normal(0, 1, 1000)

    def mean(shift: float) -> dict[str, Any]:
        estimate = bootstrap_mean(costs + shift)
        return Result("nll", estimate, "nats", "lower", 1000, "", 0.0, {}).to_json()

    assert differs(mean(0), mean(0.3))
    assert not differs(mean(0), mean(0.05))  # the standard error of the difference is 0.045


def test_of_a_mean_of_one_item_nothing_is_known() -> None:
    one, many = (
        Result("nll", Estimate(value, None, None, 0.0), "", "lower", n, "", 0.0, {}).to_json()
        for value, n in ((1, 1), (2, 9))
    )
    assert not differs(one, many)


def test_values_on_both_sides_of_the_best_one_differ_by_their_distance_from_it() -> None:
    below, above, far = [0.4, 0.41, 0.39], [0.6, 0.61, 0.6], [0.9, 0.91, 0.89]
    (row,) = compare([[line(values, better="near 0.5")] for values in (below, above)])
    assert row.best == (0, 1)
    (row,) = compare([[line(values, better="near 0.5")] for values in (below, far)])
    assert row.best == (0,)


def test_an_interval_that_was_cut_is_no_surer() -> None:
    values = ([1.0, 0.7], [0.4, 0.1])
    whole, cut = [
        [
            Result("precision", found, "", "higher", 10, "", 0.0, {"parts": 2}).to_json()
            for found in (repeats(list(one)).within(low, high) for one in values)
        ]
        for low, high in ((-100.0, 100.0), (0.0, 1.0))
    ]
    assert [one["interval"] for one in cut] == [[0, 1], [0, 1]]
    assert not differs(*whole)
    assert not differs(*cut)
    assert [one["error"] for one in whole] == [one["error"] for one in cut]


def test_unlike_protocols_are_refused_with_what_differs() -> None:
    one = line([1.0, 2.0], k=5, reference={"split": "test", "content": "aa"})
    other = line([1.0, 2.0], k=3, reference={"split": "test", "content": "bb"})
    (row,) = compare([[one], [other]])
    assert row.best == ()
    assert row.refused == "unlike protocols, k: 5 / 3; reference.content: aa / bb"
    assert row.unlike == {"k": ("5", "3"), "reference.content": ("aa", "bb")}
    (row,) = compare([[one], [], [other]])
    assert row.unlike == {"k": ("5", None, "3"), "reference.content": ("aa", None, "bb")}


def test_what_one_of_them_lacks_is_shown_but_not_judged() -> None:
    missing = Result("nll", None, "nats", "lower", 0, "", 0.0, {}, reason="no likelihood").to_json()
    rows = compare([[line([1.0, 1.1]), missing], [line([1.0, 1.1], name="other")]])
    assert [row.name for row in rows] == ["frechet", "other"]
    assert [row.best for row in rows] == [(), ()]
    assert rows[0].results[1] is None
