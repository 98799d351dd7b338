"""How well groups that nobody named agree with labels."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def matched(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which items are in the group that stands for their label, if each group stands for one (Kuhn 1955).

    The mean is the unsupervised accuracy of clusterings (Yang et al. 2010, Sec. 5.2). It is that of the best pairing
    of groups with labels, chosen by looking at the labels, so that chance alone reaches somewhat more than 1 / c.

    Args:
        groups: int64 (n,), at least 0.
        labels: int64 (n,), at least 0, n >= 1.

    Returns:
        bool (n,).

    Raises:
        ValueError: no item, or groups and labels of unlike numbers.
    """
    if groups.shape != labels.shape or groups.ndim != 1 or not len(groups):
        raise ValueError(f"groups and labels are one each of some items, not {groups.shape} and {labels.shape}")
    met = np.zeros((groups.max() + 1, labels.max() + 1), np.int64)
    np.add.at(met, (groups, labels), 1)
    label_of = dict(zip(*linear_sum_assignment(met, maximize=True), strict=True))
    named = np.array([label_of.get(group, -1) for group in groups])
    return np.asarray(named == labels)
