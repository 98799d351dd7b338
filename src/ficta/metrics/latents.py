"""What single latents stand for."""

from __future__ import annotations

import numpy as np

from ficta.metrics.arrays import checked

ACTIVE_VARIANCE = 0.01


def active_units(means: np.ndarray) -> int:
    """Number of latents that say anything of the data (Burda et al. 2016, arXiv:1509.00519, Sec. 5.2).

    Args:
        means: posterior means, float (n, D), n >= 2.

    Returns:
        How many of the D have a variance over the data above 0.01.

    Raises:
        ValueError: fewer than two items, or NaN.
    """
    means = checked(means)
    if len(means) < 2:
        raise ValueError(f"{len(means)} items; a variance needs two")
    return int((means.var(0, ddof=1) > ACTIVE_VARIANCE).sum())
