"""Pairwise spread against worked numbers and brute force."""

import itertools

import numpy as np
import pytest

from ficta.metrics.spread import pairwise_spread


def test_worked_by_hand() -> None:
    # (0, 0), (3, 4), (0, 4): distances 5, 4, 3
    assert pairwise_spread(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 4.0]])) == pytest.approx(4.0, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16])
def test_brute_force(dtype: type[np.generic]) -> None:
    items = np.random.default_rng(1).uniform(0, 255, (9, 2, 3, 4)).astype(dtype)
    wide = items.astype(np.float64)  # bytes must not wrap when subtracted
    pairs = [np.sqrt(((a - b) ** 2).sum()) for a, b in itertools.combinations(wide, 2)]
    assert len(pairs) == 36
    assert pairwise_spread(items) == pytest.approx(float(np.mean(pairs)), rel=1e-12)


def test_unit_and_place() -> None:
    items = np.random.default_rng(2).normal(size=(6, 5))
    assert pairwise_spread(3 * items + 7) == pytest.approx(3 * pairwise_spread(items), rel=1e-12)


def test_copies_have_none() -> None:
    assert pairwise_spread(np.full((5, 4), 0.3)) == 0.0


@pytest.mark.parametrize("count", [0, 1])
def test_needs_two(count: int) -> None:
    with pytest.raises(ValueError, match=f"two items, got {count}"):
        pairwise_spread(np.zeros((count, 3)))
