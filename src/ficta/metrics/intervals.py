"""How sure a measured number is: 95 % intervals for means, and for measures that no bootstrap serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000
BLOCK = 100  # resamples drawn at once, so that memory stays flat


class Estimate(NamedTuple):
    """A number and the interval that covers what it estimates 95 times of 100.

    Attributes:
        value: the estimate.
        low: lower end; None with ``high`` if nothing can be said.
        high: upper end.
        error: standard error of the value, in its unit; None if nothing can be said. Unlike half the interval, it does
            not shrink where that is cut to what the number can be.
    """

    value: float
    low: float | None
    high: float | None
    error: float | None = None

    def within(self, least: float, most: float) -> Estimate:
        """The interval cut to what the number can be."""
        if self.low is None or self.high is None:
            return self
        return self._replace(low=max(self.low, least), high=min(self.high, most))

    def scaled(self, factor: float) -> Estimate:
        """In another unit; ``factor`` is above 0."""
        low, high, error = (None if number is None else number * factor for number in self[1:])
        return Estimate(self.value * factor, low, high, error)


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of independent values with the percentile interval of its bootstrap (Efron & Tibshirani 1993, Sec. 13.3).

    Args:
        values: float (n,), one of each sample; its unit is the result's.
        seed: of the resampling.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"a mean needs at least one value, got an array of shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} of {len(values)} values are NaN or infinite")
    if len(values) == 1:
        return Estimate(float(values[0]), None, None)
    draws = np.random.default_rng(seed)
    means = [values[draws.integers(len(values), size=(BLOCK, len(values)))].mean(1) for _ in range(RESAMPLES // BLOCK)]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(float(values.mean()), float(low), float(high), error)


def bootstrap_ratio(parts: np.ndarray, wholes: np.ndarray, seed: int = 0) -> Estimate:
    """Sum of parts over sum of wholes with the percentile interval of a bootstrap over their pairs.

    Args:
        parts: float (n,), n >= 1.
        wholes: float (n,), above 0.
        seed: of the resampling.
    """
    ratio = float(parts.sum() / wholes.sum())
    if len(parts) == 1:
        return Estimate(ratio, None, None)
    draws, found = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // BLOCK):
        rows = draws.integers(len(parts), size=(BLOCK, len(parts)))
        found.append(parts[rows].sum(1) / wholes[rows].sum(1))
    ratios = np.concatenate(found)
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(ratio, float(low), float(high), float(ratios.std(ddof=1)))


def repeats(values: Sequence[float]) -> Estimate:
    """Mean of the same measure over disjoint samples, with Student's interval for its expectation.

    A bootstrap is biased for Fréchet distances and neighbours, since it repeats samples; estimates over disjoint
    samples of size n are independent, and their mean estimates what the measure gives at n.

    Args:
        values: estimates over disjoint samples of one size, at least 1.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    from scipy import stats  # slow to import, and training takes other measures that import this module

    found = np.asarray(values, np.float64)
    if not len(found) or not np.isfinite(found).all():
        raise ValueError(f"estimates that are not finite: {found.tolist()}")
    mean = float(found.mean())
    if len(found) < 2:
        return Estimate(mean, None, None)
    error = float(found.std(ddof=1) / np.sqrt(len(found)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(found) - 1)) * error
    return Estimate(mean, mean - half, mean + half, error)
