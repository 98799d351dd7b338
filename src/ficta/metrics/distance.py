"""How far a set of samples lies from a set of real items, in a space of features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ficta.metrics.arrays import checked, pair

LEAST_SHARE, LEAST_PER_FEATURE, SIZES = 0.2, 2, 15  # samples in the smallest set of an extrapolation; how many sets
SPREAD = 2  # times so many samples as in the smallest set: a shorter line says nothing of its end
KERNEL_ROWS = 1024


class Moments(NamedTuple):
    """Mean and covariance of features.

    Attributes:
        mean: float64 (d,).
        covariance: float64 (d, d), unbiased.
        n: number of items.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n: int


def moments(features: np.ndarray) -> Moments:
    """Mean and unbiased covariance of features float (n, d), n > d.

    Raises:
        ValueError: no more items than features, which leaves the covariance without full rank; or NaN.
    """
    features = checked(features)
    n, d = features.shape
    if n <= d:
        raise ValueError(f"{n} items for {d} features; a covariance needs more items than features")
    mean = features.mean(0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (n - 1), n)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance of two Gaussians (Dowson & Landau 1982, Eq. 4; Heusel et al. 2017, arXiv:1706.08500).

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), in squared units of the features; 0 if both moments are equal.
    It is biased upwards by finite samples: compare at equal n alone.

    Raises:
        ValueError: unlike numbers of features.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"{len(a.mean)} features against {len(b.mean)}")
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ b.covariance @ root)  # those of A B, which is similar to it
    shift = a.mean - b.mean
    return float(shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(mixed.clip(min=0)).sum())


def frechet_infinity(samples: np.ndarray, reference: np.ndarray, seed: int = 0) -> float:
    """Fréchet distance extrapolated to infinitely many samples (Chong & Forsyth 2020, arXiv:1911.07023, Sec. 3.2).

    A line through the distances of 15 random subsets over 1 / n, and its value at 1 / n = 0. The subsets grow from a
    fifth of the samples, or twice as many as there are features, to all. The reference stays whole.

    Args:
        samples: features float (n, d), n >= 4 d.
        reference: features float (m, d), m > d.
        seed: of the subsets.

    Returns:
        Squared units of the features; may be slightly negative.

    Raises:
        ValueError: too few items, unlike numbers of features, or NaN.
    """
    samples, reference = pair(samples, reference)
    n, d = samples.shape
    least = max(int(LEAST_SHARE * n), LEAST_PER_FEATURE * d)
    if n < SPREAD * least:
        raise ValueError(f"{n} items for {d} features; an extrapolation needs {SPREAD * LEAST_PER_FEATURE * d}")
    target, draws = moments(reference), np.random.default_rng(seed)
    sizes = np.linspace(least, n, SIZES).astype(int)
    found = [frechet_distance(moments(samples[draws.permutation(n)[:size]]), target) for size in sizes]
    return float(np.polynomial.Polynomial.fit(1 / sizes, found, 1)(0.0))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3.

    The kernel distance (KID) of Bińkowski et al. 2018, arXiv:1801.01401, Sec. 4; the estimator is Eq. 3 of Gretton et
    al. 2012. On all items at once rather than on subsets.

    Args:
        a: features float (n, d), n >= 2.
        b: features float (m, d), m >= 2.

    Returns:
        No unit; 0 in expectation for equal distributions, so that single values may be negative.

    Raises:
        ValueError: fewer than two items, unlike numbers of features, or NaN.
    """
    a, b = pair(a, b)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{min(len(a), len(b))} items; a kernel distance needs two")
    return _within(a) + _within(b) - 2 * _kernel_sum(a, b) / (len(a) * len(b))


def _within(x: np.ndarray) -> float:
    """Mean of the kernel over pairs of different items."""
    itself = ((x * x).sum(1) / x.shape[1] + 1) ** 3
    return (_kernel_sum(x, x) - float(itself.sum())) / (len(x) * (len(x) - 1))


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    d = a.shape[1]
    rows = range(0, len(a), KERNEL_ROWS)
    return float(sum(((a[row : row + KERNEL_ROWS] @ b.T / d + 1) ** 3).sum() for row in rows))
