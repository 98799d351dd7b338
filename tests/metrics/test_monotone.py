"""Measures move the right way as samples get worse; real digits take their place and are spoilt."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from ficta.metrics.copying import closer_share
from ficta.metrics.distance import frechet_distance, kernel_distance, moments
from ficta.metrics.extractors import RandomConv
from ficta.metrics.neighbours import authentic, nearest, overlap

FEATURES = RandomConv(1).features


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (1797, 1, 16, 16) in a random order, and their labels."""
    values, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(values))
    pictures = (values.reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    return pictures.repeat(2, 2).repeat(2, 3)[order], labels[order]


def blurred(pictures: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(pictures, (0, 0, sigma, sigma)) if sigma else pictures


def noisy(pictures: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, deviation, pictures.shape)
    return (pictures + noise).round().clip(0, 255).astype(np.uint8)


def rises(values: Sequence[float]) -> bool:
    return bool((np.diff(values) > 0).all())


@pytest.mark.parametrize(("spoil", "strengths"), [(blurred, (0, 0.5, 0.75, 1, 1.5)), (noisy, (0, 16, 32, 64, 128))])
def test_worse_pictures_lie_further_away(
    spoil: Callable[[np.ndarray, float], np.ndarray], strengths: Sequence[float], digits: tuple[np.ndarray, np.ndarray]
) -> None:
    pictures, _ = digits
    real = FEATURES(pictures[900:])
    found = [FEATURES(spoil(pictures[:900], strength)) for strength in strengths]
    overlaps = [overlap(features, real) for features in found]
    assert rises([frechet_distance(moments(features), moments(real)) for features in found])
    assert rises([kernel_distance(features, real) for features in found])
    assert rises([-each.precision for each in overlaps])
    assert rises([-each.density for each in overlaps])


def test_fewer_kinds_cover_less(digits: tuple[np.ndarray, np.ndarray]) -> None:
    pictures, labels = digits
    features = FEATURES(pictures)
    found = []
    for kinds in (10, 7, 4, 2, 1):  # as many samples each time: recall and coverage depend on their number
        rows = np.concatenate([np.flatnonzero(labels == kind)[: 100 // kinds] for kind in range(kinds)])
        found.append(overlap(features[rows], features[900:]))
    assert rises([-each.recall for each in found])
    assert rises([-each.coverage for each in found])


def test_copies_stand_closer_and_are_not_authentic(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features = FEATURES(digits[0])
    train, heldout, fresh = features[:600], features[600:1200], features[1200:]
    usual = nearest(heldout, train).distance
    closer, authenticity = [], []
    for copies in (0, 60, 180, 400, 597):
        samples = np.concatenate([train[:copies], fresh[copies:]])
        near = nearest(samples, train)
        closer.append(float(closer_share(near.distance, usual).mean()))
        authenticity.append(float(authentic(samples, train, near).mean()))
    assert rises(closer)
    assert rises([-each for each in authenticity])
    assert (closer[0], closer[-1], authenticity[-1]) == (pytest.approx(0.5, abs=0.05), 1, 0)
