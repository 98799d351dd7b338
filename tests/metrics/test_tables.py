"""Tables against counting by hand, against scipy, and against each pair on its own."""

import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ficta.metrics.tables import (
    column_shapes,
    correlations,
    missing_pattern,
    new_rows,
    pair_trends,
)

NAN = np.nan
NUMBER, KIND = np.array([False]), np.array([True])
MIXED = np.array([False, True, False, True, True])


def columns(*values: list[float]) -> np.ndarray:
    return np.array(values, float).T


def mixed(seed: int, n: int, missing: float = 0.1) -> np.ndarray:
    """Rows of columns that depend on each other: numbers, few categories, rounded numbers, many categories, two."""
    draws = np.random.default_rng(seed)
    hidden = draws.normal(size=n)
    kinds = np.digitize(hidden + draws.normal(size=n) / 2, [-1, 0, 1])
    parts = [
        hidden,
        kinds,
        np.round(3 * hidden + draws.normal(size=n)),
        draws.integers(0, 40, n),
        hidden > draws.random(n),
    ]
    table = np.stack([np.asarray(part, float) for part in parts], axis=1)
    table[draws.random(table.shape) < missing] = NAN
    return table


def shuffled(table: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permuted(table, axis=0)


def slow_pair(samples: np.ndarray, real: np.ndarray, kinds: list[bool]) -> float:
    """One pair (n, 2), by SDMetrics' definitions and with other means."""
    if not any(kinds):
        r, s = (stats.pearsonr(*table[~np.isnan(table).any(1)].T).statistic for table in (samples, real))
        return float(1 - abs(r - s) / 2)
    shares = []
    for table in (samples, real):
        parts = []
        for c in range(2):
            edges = np.histogram_bin_edges(real[~np.isnan(real[:, c]), c], bins=10)
            edges[0], edges[-1] = -np.inf, np.inf
            parts.append(table[:, c] if kinds[c] else np.digitize(table[:, c], edges))
        shares.append(Counter((str(a), str(b)) for a, b in zip(*parts, strict=True)))
    cells = set(shares[0]) | set(shares[1])
    return 1 - sum(abs(shares[0][cell] / len(samples) - shares[1][cell] / len(real)) for cell in cells) / 2


@pytest.mark.parametrize(
    ("categorical", "samples", "real", "expected"),
    [
        (NUMBER, [1, 2, 3, 4], [3, 4, 5, 6], 0.5),
        (NUMBER, [1, 2, NAN, 3, 4], [3, NAN, NAN, 4, 5, 6], 0.5),  # missing: not counted
        (NUMBER, [1, 1, 2], [1, 2], 5 / 6),
        (NUMBER, [0, 1], [2, 3, 4], 0.0),
        (KIND, [0, 0, 1, 2], [0, 1, 1, 1], 0.5),  # (1/4 + 1/2 + 1/4) / 2 apart
        (KIND, [0, 0, NAN, 1, 2], [0, 1, 1, 1, NAN, NAN], 0.5),
        (KIND, [0, 1, 0, 1, 0, 1], [1, 0], 1.0),
        (KIND, [7], [8], 0.0),
        (NUMBER, [NAN, NAN], [1, 2], 0.0),
        (KIND, [0, 1], [NAN], 0.0),
        (KIND, [NAN, NAN], [NAN], 1.0),
    ],
)
def test_shapes(categorical: np.ndarray, samples: list[float], real: list[float], expected: float) -> None:
    a, b = columns(samples), columns(real)
    assert column_shapes(a, b, categorical).tolist() == pytest.approx([expected], rel=1e-12)
    assert column_shapes(b, a, categorical).tolist() == pytest.approx([expected], rel=1e-12)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 60))
def test_shapes_of_numbers_are_scipys(seed: int, n: int, m: int) -> None:
    draws = np.random.default_rng(seed)
    a, b = draws.normal(size=(n, 1)).round(1), draws.normal(0.3, 1, (m, 1)).round(1)  # with ties
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of its p-value
        expected = 1 - stats.ks_2samp(a[:, 0], b[:, 0]).statistic
    assert column_shapes(a, b, NUMBER)[0] == pytest.approx(expected, abs=1e-12)


def test_trends_by_hand() -> None:
    up, down = columns([1, 2, 3], [1, 2, 3]), columns([1, 2, 3], [3, 2, 1])
    numbers, kinds = np.array([False, False]), np.array([True, True])
    assert pair_trends(up, down, numbers).tolist() == [[1, 0], [0, 1]]
    assert pair_trends(up, columns([1, 2, 3], [5, 5, 5]), numbers)[0, 1] == 0.5  # constant: r = 0
    assert pair_trends(columns([1, NAN, 3, 9], [1, 2, 3, NAN]), up, numbers)[0, 1] == 1.0
    apart = columns([1, NAN], [NAN, 2])  # no row has both
    assert [pair_trends(a, b, numbers)[0, 1] for a, b in ((apart, up), (up, apart), (apart, apart))] == [0, 0, 1]
    assert pair_trends(columns([0, 1], [0, 1]), columns([0, 0], [0, 1]), kinds)[0, 1] == 0.5
    assert pair_trends(columns([0, NAN], [0, 1]), columns([0, 0], [0, 1]), kinds)[0, 1] == 0.5  # missing: one more
    # bins of width 1, the outer ones open: -5 is where 0 is, 99 where 10 is, 5.5 where 5 is, but 4.5 is not
    real = columns([0, 5, 10], [0, 0, 1])
    for number, expected in ((5.5, 1.0), (4.5, 2 / 3)):
        for order in ([0, 1], [1, 0]):
            samples = columns([-5, number, 99], [0, 0, 1])
            found = pair_trends(samples[:, order], real[:, order], np.array([False, True])[order])
            assert found[0, 1] == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, derandomize=True, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.2]))
def test_trends_are_those_of_each_pair(seed: int, missing: float) -> None:
    samples, real = mixed(seed, 90, missing), shuffled(mixed(seed + 1, 120, missing))
    found = pair_trends(samples, real, MIXED)
    np.testing.assert_array_equal(found, found.T)
    for i in range(5):
        assert found[i, i] == 1
        for j in range(i):
            expected = slow_pair(samples[:, [i, j]], real[:, [i, j]], [bool(MIXED[i]), bool(MIXED[j])])
            assert found[i, j] == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 1000))
def test_a_table_is_like_itself_in_any_order(seed: int) -> None:
    table = mixed(seed, 50, 0.3)
    turned = np.random.default_rng(seed).permutation(table)
    assert column_shapes(turned, table, MIXED).tolist() == [1] * 5
    np.testing.assert_allclose(pair_trends(turned, table, MIXED), 1, atol=1e-12)
    assert missing_pattern(turned, table) == 1
    assert not new_rows(turned, table).any()


def test_shapes_fall_with_noise_and_with_lost_modes() -> None:
    real, samples = mixed(1, 4000), mixed(2, 4000)
    draws = np.random.default_rng(3)
    noise, chance = draws.normal(size=len(samples)), draws.random(len(samples))
    rows = []
    for much in (0, 0.5, 1, 2, 4):
        changed = samples.copy()
        changed[:, 0] += much * noise
        changed[chance < much / 5, 1] = 0
        changed = changed[~(samples[:, 3] < 9 * much)]  # its categories go one after the other
        rows.append(column_shapes(changed, real, MIXED)[[0, 1, 3]])
    assert (np.diff(np.array(rows), axis=0) < -0.02).all()
    assert rows[0].min() > 0.9


def test_trends_fall_when_columns_are_shuffled_and_shapes_stay() -> None:
    real, samples = mixed(1, 4000), mixed(2, 4000)
    broken = shuffled(samples)
    np.testing.assert_array_equal(column_shapes(broken, real, MIXED), column_shapes(samples, real, MIXED))
    before, after = (pair_trends(table, real, MIXED) for table in (samples, broken))
    dependent = np.array([0, 1, 2, 4])
    pairs = [(i, j) for i in dependent for j in dependent if i < j]
    assert all(before[pair] > 0.95 and after[pair] < before[pair] - 0.1 for pair in pairs)
    half = np.concatenate([samples[:2000], broken[2000:]])
    between = pair_trends(half, real, MIXED)
    assert all(after[pair] < between[pair] < before[pair] for pair in pairs)


def test_many_categories_need_little_memory() -> None:
    draws = np.random.default_rng(4)
    samples, real = (draws.permutation(np.stack([np.arange(10_000.0)] * 2, 1)) for _ in range(2))
    real[:2500, 1] = np.roll(real[:2500, 1], 1)  # cells that the samples lack
    kinds = np.array([True, True])
    tracemalloc.start()
    found, strength = pair_trends(samples, real, kinds), correlations(samples, kinds)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0, 1] == 0.75
    assert strength[0, 1] == pytest.approx(1, abs=1e-12)
    assert peak < 20_000_000  # the whole table of counts takes 800 MB


def test_correlations_are_scipys() -> None:
    table = mixed(5, 300)
    found = correlations(table, MIXED)
    np.testing.assert_array_equal(found, found.T)
    assert found.diagonal().tolist() == [1] * 5

    def both(i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        rows = table[~np.isnan(table[:, [i, j]]).any(1)]
        return rows[:, i], rows[:, j]

    assert found[0, 2] == pytest.approx(stats.pearsonr(*both(0, 2)).statistic, abs=1e-12)
    for i, j in ((1, 3), (1, 4), (3, 4)):
        counts = stats.contingency.crosstab(*both(i, j)).count
        assert found[i, j] == pytest.approx(stats.contingency.association(counts, "cramer"), abs=1e-12)
    for i, j in ((0, 1), (2, 1), (0, 3), (2, 4)):
        numbers, kinds = both(i, j)
        groups = [numbers[kinds == kind] for kind in np.unique(kinds)]
        f, above, below = stats.f_oneway(*groups).statistic, len(groups) - 1, len(numbers) - len(groups)
        assert found[i, j] ** 2 == pytest.approx(f * above / (f * above + below), abs=1e-12)


def test_correlations_by_hand() -> None:
    # V: chi squared is 4 of 4 rows for a one-to-one table; eta: 9/4 of a variance of 13/4 lie between the categories
    table = columns([0, 0, 1, 1], [1, 1, 0, 0], [0, 2, 3, 5], [4, 4, 4, 4], [NAN, NAN, 2, NAN])
    found = correlations(table, np.array([True, True, False, False, False]))
    assert found[0, 1] == pytest.approx(1, abs=1e-12)
    assert found[0, 2] == found[1, 2] == pytest.approx(np.sqrt(9 / 13), abs=1e-12)
    assert found[:, 3].tolist() == [0, 0, 0, 1, 0]
    assert found[:, 4].tolist() == [0, 0, 0, 0, 1]


def test_missing() -> None:
    samples = columns([1, NAN, NAN, 4], [1, NAN, NAN, 4], [NAN, 1, 1, 1])
    alone = columns([1, 2, NAN, NAN], [NAN, NAN, 2, 1], [NAN, 1, 1, 1])
    # of (whole, first two, third) a quarter, a half and a quarter, against none of them
    assert missing_pattern(samples, alone) == 0
    assert missing_pattern(samples, samples[:3]) == 0.75
    wide = np.ones((2, 40))
    wide[1, 39] = NAN
    assert missing_pattern(wide, wide[:1]) == 0.5


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 200), st.floats(0, 1))
def test_planted_copies_are_found(seed: int, n: int, share: float) -> None:
    draws = np.random.default_rng(seed)
    train, samples = mixed(seed, 300, 0.3), draws.normal(size=(n, 5))
    samples[draws.random(samples.shape) < 0.3] = NAN
    samples[:, 3] = -1.0  # which no training row has
    planted = draws.random(n) < share
    samples[planted] = train[draws.integers(0, 300, planted.sum())]
    assert new_rows(samples, train).tolist() == (~planted).tolist()


def test_rows_are_equal_as_numbers_are() -> None:
    other = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]  # a NaN of other bits
    train = np.array([[0.0, NAN], [1.0, 2.0]])
    samples = np.array([[-0.0, other], [0.0, 0.0], [2.0, 1.0], [1.0, 2.0], [1.0, np.nextafter(2, 3)]])
    assert new_rows(samples, train).tolist() == [False, True, True, False, True]
    assert new_rows(samples[:, ::-1], train[:, ::-1]).tolist() == [False, True, True, False, True]
    assert new_rows(samples.astype(np.float32), train).tolist() == [False, True, True, False, False]


def test_the_largest_numbers_do_not_overflow() -> None:
    wild = columns([-1.7e308, 1.7e308, 1e308, 5e-324], [1e-320, -1e-320, 0, 1e-320], [0, 1, 1, 0])
    kinds = np.array([False, False, True])
    assert column_shapes(wild, wild, kinds).tolist() == [1, 1, 1]
    np.testing.assert_allclose(pair_trends(wild, wild, kinds), 1, atol=1e-12)
    assert (np.abs(correlations(wild, kinds)) <= 1).all()


TWO, BOTH = np.zeros((3, 2)), np.array([True, True])


@pytest.mark.parametrize(
    ("measure", "arguments", "message"),
    [
        (column_shapes, [TWO, np.zeros((3, 3)), BOTH], "2 columns against 3"),
        (pair_trends, [TWO, np.zeros((3, 3)), BOTH], "2 columns against 3"),
        (missing_pattern, [TWO, np.zeros((3, 3))], "2 columns against 3"),
        (new_rows, [TWO, np.zeros((3, 3))], "2 columns against 3"),
        (column_shapes, [TWO, TWO[:0], BOTH], r"at least one row and one column, not \(0, 2\)"),
        (pair_trends, [TWO[:0], TWO, BOTH], r"not \(0, 2\)"),
        (new_rows, [TWO[:, :0], TWO[:, :0]], r"not \(3, 0\)"),
        (missing_pattern, [TWO, np.zeros(3)], r"not \(3,\)"),
        (column_shapes, [TWO, columns([0, -np.inf, 1], [0, np.inf, 0]), ~BOTH], "1 of 3 rows have infinite"),
        (correlations, [columns([np.inf], [0]), ~BOTH], "1 of 1 rows have infinite"),
        (new_rows, [TWO + np.inf, TWO], "3 of 3 rows have infinite"),
        (column_shapes, [TWO, TWO, BOTH[:1]], r"bool \(2,\), not bool \(1,\)"),
        (pair_trends, [TWO, TWO, np.array([0, 1])], r"bool \(2,\), not int64 \(2,\)"),
        (correlations, [columns([0, 0.5, NAN], [0, -1, 1]), BOTH], "1 of 3 rows have categories that are no index"),
    ],
)
def test_undefined(measure: Callable[..., object], arguments: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(*arguments)
