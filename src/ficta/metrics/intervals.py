"""How sure a measured number is: 95 % intervals for means, and for measures that no bootstrap serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

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


def exact_share(found: int, of: int) -> Estimate:
    """Share ``found / of`` of independent draws, with the interval of Clopper & Pearson (1934), never too short.

    The standard error is that of a normal distribution with such an interval, which is never 0.

    Raises:
        ValueError: no draw.
    """
    if of < 1:
        raise ValueError("a share of no draws")
    tail = (1 - LEVEL) / 2
    share = found / of
    low = float(stats.beta.ppf(tail, found, of - found + 1)) if found else 0.0
    high = float(stats.beta.isf(tail, found + 1, of - found)) if found < of else 1.0
    return Estimate(share, low, high, (high - low) / (2 * float(stats.norm.isf(tail))))


def repeats(values: Sequence[float]) -> Estimate:
    """Mean of the same measure over disjoint samples, with Student's interval for its expectation.

    A bootstrap is biased for Fréchet distances and neighbours, since it repeats samples; estimates over disjoint
    samples of size n are independent, and their mean estimates what the measure gives at n.

    Args:
        values: estimates over disjoint samples of one size, at least 1.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    found = np.asarray(values, np.float64)
    if not len(found) or not np.isfinite(found).all():
        raise ValueError(f"estimates that are not finite: {found.tolist()}")
    mean = float(found.mean())
    if len(found) < 2:
        return Estimate(mean, None, None)
    error = float(found.std(ddof=1) / np.sqrt(len(found)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(found) - 1)) * error
    return Estimate(mean, mean - half, mean + half, error)
