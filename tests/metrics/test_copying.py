"""Copying tests against scipy's Mann-Whitney U, and on samples whose origin is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, mannwhitneyu, norm
from sklearn.cluster import KMeans

from ficta.metrics.copying import closer_share, copying_test, heldout_share, preference_chance
from ficta.metrics.neighbours import nearest

DISTANCES = st.lists(st.integers(0, 6), min_size=1, max_size=12)  # few values: ties are common


def normal(seed: int, n: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4)) * scale


@settings(deadline=None, derandomize=True)
@given(DISTANCES, DISTANCES)
def test_closer_share_is_mann_whitneys_u(samples: list[int], heldout: list[int]) -> None:
    found = closer_share(np.array(samples, float), np.array(heldout, float))
    pairs = np.array(heldout)[None] - np.array(samples)[:, None]
    assert found == pytest.approx((np.sign(pairs).mean(1) + 1) / 2)
    u = mannwhitneyu(heldout, samples, method="exact").statistic
    assert found.mean() == pytest.approx(u / (len(samples) * len(heldout)))


def test_closer_share_of_equals_and_of_copies() -> None:
    distances = np.random.default_rng(1).uniform(1, 2, 50)
    assert closer_share(distances, distances).mean() == pytest.approx(0.5)
    assert closer_share(np.zeros(7), distances).tolist() == [1] * 7
    with pytest.raises(ValueError, match="no held-out items"):
        closer_share(distances, distances[:0])


@pytest.mark.parametrize(("train", "heldout"), [(2000, 256), (64, 81), (5, 40)])
def test_the_chance_of_a_preference_is_hypergeometric(train: int, heldout: int) -> None:
    for seed in range(20):
        nearest_items = np.random.default_rng(seed).integers(train + heldout, size=60)
        met = np.unique(nearest_items)
        of_heldout = int((met >= train).sum())
        expected = hypergeom.cdf(of_heldout, train + heldout, heldout, len(met))
        assert preference_chance(nearest_items, train, heldout) == pytest.approx(expected, rel=1e-9)


def test_blurred_items_lie_close_but_prefer_nothing_and_copies_prefer_training_items() -> None:
    train, heldout = normal(1, 500), normal(2, 200)
    real = np.concatenate([train, heldout])
    blurred = normal(3, 300, 0.3)
    assert closer_share(nearest(blurred, train).distance, nearest(heldout, train).distance).mean() > 0.6
    assert preference_chance(nearest(blurred, real).which, 500, 200) > 0.05
    assert preference_chance(nearest(train[:100] + 0.01, real).which, 500, 200) < 1e-9


def test_the_share_of_held_out_items_does_not_depend_on_how_many_samples_there_are() -> None:
    draws = np.random.default_rng(8)
    copied = draws.integers(100, size=20_000)  # of a hundred training items
    free = draws.integers(3000, size=20_000)
    mixed = np.where(draws.random(20_000) < 0.7, copied, free)
    few, many = (heldout_share(mixed[:n], 2000, 1000) for n in (1000, 20_000))
    for found in (few, many):
        assert found.value == pytest.approx(0.3, abs=0.06)
        assert found.low is not None
        assert found.high is not None
        assert found.low < 0.3 < found.high
    assert heldout_share(copied, 2000, 1000).value == 0
    free_share = heldout_share(free, 2000, 1000)
    assert free_share.value == pytest.approx(1, abs=0.05)


def test_too_few_items_say_nothing_of_what_is_preferred() -> None:
    with pytest.raises(ValueError, match=r"1 different real items, 0\.3 of which"):
        heldout_share(np.zeros(500, int), 2000, 1000)
    for check in (preference_chance, heldout_share):
        with pytest.raises(ValueError, match="0 held-out items"):
            check(np.zeros(3, int), 5, 0)


def u_score(samples: np.ndarray, heldout: np.ndarray) -> float:
    found = mannwhitneyu(samples, heldout, use_continuity=False, method="asymptotic", alternative="less")
    return float(norm.ppf(found.pvalue))


@pytest.mark.parametrize("decimals", [12, 0])  # 0: most distances are tied
def test_one_cell_is_scipys_z_score(decimals: int) -> None:
    train, heldout, samples = (items.round(decimals) for items in (normal(1, 100), normal(2, 80), normal(3, 60, 0.9)))
    expected = u_score(nearest(samples, train).distance, nearest(heldout, train).distance)
    assert abs(expected) > 0.5
    assert copying_test(samples, heldout, train, cells=1) == pytest.approx(expected, rel=1e-6)


def test_cells_are_averaged_by_their_held_out_items() -> None:
    train, heldout, samples = normal(4, 200), normal(5, 90), normal(6, 120, 0.8)
    clusters = KMeans(12, n_init=1, random_state=3).fit(train)
    near = [(clusters.predict(items), nearest(items, train).distance) for items in (samples, heldout)]
    cells = [[distances[where == cell] for where, distances in near] for cell in range(12)]
    counted = [(mine, theirs) for mine, theirs in cells if min(len(mine), len(theirs)) >= 5]
    assert 3 < len(counted) < 12
    weights = [len(theirs) for _, theirs in counted]
    expected = np.average([u_score(mine, theirs) for mine, theirs in counted], weights=weights)
    assert copying_test(samples, heldout, train, cells=12, seed=3) == pytest.approx(expected, rel=1e-6)


def test_copies_fresh_samples_and_bad_ones() -> None:
    train, heldout = normal(7, 600), normal(8, 400)
    copies = train[:400] + normal(9, 400, 0.01)
    assert copying_test(copies, heldout, train) < -5
    assert copying_test(normal(10, 400), heldout, train) == pytest.approx(0, abs=3)
    assert copying_test(normal(11, 400, 3.0), heldout, train) > 5


def test_equal_distances_everywhere_say_nothing() -> None:
    train = normal(12, 40)
    assert copying_test(train, train, train, cells=2) == 0


def test_what_cannot_be_tested_is_refused() -> None:
    train = normal(13, 40)
    with pytest.raises(ValueError, match="no cell holds 5 samples and 5 held-out items"):
        copying_test(train[:4], train, train)
    for other in (train[:, :3], np.full_like(train, np.nan)):
        for samples, heldout in ((other, train), (train, other)):
            with pytest.raises(ValueError, match="features"):
                copying_test(samples, heldout, train)
