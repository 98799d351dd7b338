"""From readings to medians, spreads and intervals of paired ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

CONFIDENCE = 0.95


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, extremes, and the readings themselves in the order in which they were taken."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "all": list(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float], larger_is_better: bool = True) -> dict[str, Any]:
    """How many times better ours is, reading i against reading i of the same round.

    The interval is that of the sign test: between two order statistics, whatever the distribution, it holds the
    median ratio with the probability stated as ``confidence`` (0.95 or just above; with five rounds 0.94).
    """
    pairs = zip(ours, theirs, strict=True)
    ratios = sorted(mine / other if larger_is_better else other / mine for mine, other in pairs)
    depth = _depth(len(ratios))
    return {
        "median": statistics.median(ratios),
        "low": ratios[depth],
        "high": ratios[-1 - depth],
        "confidence": 1 - 2 * _tail(len(ratios), depth),
    }


def _depth(count: int) -> int:
    """How many readings at each end may be left out of the interval."""
    depth = 0
    while depth + 1 < count / 2 and 1 - 2 * _tail(count, depth + 1) >= CONFIDENCE:
        depth += 1
    return depth


def _tail(count: int, depth: int) -> float:
    """Chance that at most ``depth`` of ``count`` readings lie below the true median."""
    return sum(math.comb(count, below) for below in range(depth + 1)) / 2**count
