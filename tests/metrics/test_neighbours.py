"""Measures of neighbours against prdc and brute force; ties and copies, which products of matrices get wrong."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ficta.metrics import neighbours
from ficta.metrics.neighbours import authentic, fellows, nearest, overlap


def normal(seed: int, n: int, d: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.fixture(params=[1, 7, 10_000], autouse=True)
def _blocks_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", request.param * 60 * 8)  # so many rows of 60


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("n", [45, 80])
def test_overlap_is_prdc(n: int, k: int) -> None:
    from prdc import compute_prdc

    samples, real = normal(1, n) * 0.9, normal(2, 60)
    real[5:10], samples[3:5] = real[0], samples[0]  # six and three of a kind
    found = overlap(samples, real, k)._asdict()
    assert 0 < found["recall"] < 1
    assert found == pytest.approx(compute_prdc(real, samples, k), abs=1e-6)


def test_copies_are_not_within_the_reach_that_ends_at_them() -> None:
    real = normal(3, 60, 64) + 10  # a copy stands just where the reach of others ends: no last bit may decide
    samples = real[np.random.default_rng(4).integers(0, 60, 90)]
    reach_samples, reach_real = (np.sort(cdist(items, items), 1)[:, 3] for items in (samples, real))
    distances = cdist(samples, real)
    recall, coverage = (distances < reach_samples[:, None]).any(0).mean(), (distances.min(0) < reach_real).mean()
    expected = (1.0, recall, (distances < reach_real).sum() / (3 * 90), coverage)
    assert overlap(samples, real, 3) == pytest.approx(expected, rel=1e-12)
    assert overlap(real, real, 3) == pytest.approx((1, 1, 1, 1), rel=1e-12)


def test_overlap_worked_by_hand() -> None:
    # real 0, 1, 3, 3 reach 1, 1, 0, 0; samples 0.5, 4, 9 reach 3.5, 3.5, 5
    samples, real = np.array([[0.5], [4.0], [9.0]]), np.array([[0.0], [1.0], [3.0], [3.0]])
    # 0.5 is within reach of 0 and of 1; all lie within reach of 0.5; 0 and 1 reach it
    assert overlap(samples, real, 1) == pytest.approx((1 / 3, 1.0, 2 / 3, 0.5))
    # a sample just at the reach of 0 and of 1 is within neither, nor are copies within reach of what is there twice
    assert overlap(np.array([[2.0], [3.0], [-1.0]]), real, 1)[0::2] == (0, 0)


def test_nearest_is_brute_force_and_zero_for_copies() -> None:
    among, items = normal(5, 60) + 100, normal(6, 40) + 100  # far from the origin, where products round the most
    items[[0, 11, 39]] = among[[7, 59, 0]]
    found, distances = nearest(items, among), cdist(items, among)
    assert found.which.tolist() == distances.argmin(1).tolist()
    assert found.distance == pytest.approx(distances.min(1), rel=1e-12)
    assert np.flatnonzero(found.distance == 0).tolist() == [0, 11, 39]
    assert len(nearest(items[:0], among).distance) == 0


def test_authentic_is_brute_force_and_copies_are_not() -> None:
    train, samples = normal(7, 60), normal(8, 50)
    train[1] = train[0]  # a copy of what is there twice is still a copy
    samples[[0, 20]] = train[[0, 9]]
    expected = []
    for sample in samples:
        distances = np.linalg.norm(sample - train, axis=1)
        owner = int(distances.argmin())
        others = np.delete(np.linalg.norm(train[owner] - train, axis=1), owner)
        expected.append(distances[owner] > others.min())
    assert authentic(samples, train).tolist() == authentic(samples, train, nearest(samples, train)).tolist() == expected
    assert not authentic(samples, train)[[0, 20]].any()
    assert any(expected)


def test_fellows_are_brute_force() -> None:
    items = normal(10, 60)
    items[1] = items[0]
    distances = cdist(items, items)
    np.fill_diagonal(distances, np.inf)
    assert fellows(items) == pytest.approx(distances.min(1), rel=1e-12)
    assert fellows(items, np.array([5, 0])) == pytest.approx(distances.min(1)[[5, 0]], rel=1e-12)
    assert fellows(items)[0] == 0


def test_arrays_that_torch_would_not_take_serve() -> None:
    items = normal(9, 20)
    backwards, fixed = items[::-1], items.copy()
    fixed.flags.writeable = False
    assert nearest(backwards, fixed).which.tolist() == list(range(19, -1, -1))


def test_what_cannot_be_measured_is_refused() -> None:
    good, broken = normal(10, 20, 3), normal(11, 20, 3)
    broken[4, 1] = np.inf
    for samples, real in ((good[:5], good), (good, good[:5])):
        with pytest.raises(ValueError, match="5 items; the 5-th neighbour needs more than 5"):
            overlap(samples, real, 5)
    for measure in (overlap, nearest, authentic):
        with pytest.raises(ValueError, match="1 of 20 items"):
            measure(broken, good)
        with pytest.raises(ValueError, match="2 features against 3"):
            measure(good[:, :2], good)
    with pytest.raises(ValueError, match="no items to be near to"):
        nearest(good, good[:0])
    with pytest.raises(ValueError, match="1 items; a nearest fellow needs two"):
        authentic(good, good[:1])
