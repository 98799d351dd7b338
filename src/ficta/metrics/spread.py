"""How far samples lie from each other."""

import numpy as np
from scipy.spatial.distance import pdist


def pairwise_spread(items: np.ndarray) -> float:
    """Mean Euclidean distance between two different items.

    Args:
        items: any real dtype, (n, ...), n >= 2; features are flattened.

    Returns:
        The mean over all n (n - 1) / 2 pairs, in the items' unit; 0 if all are the same.

    Raises:
        ValueError: fewer than two items.
    """
    if len(items) < 2:
        raise ValueError(f"spread needs two items, got {len(items)}")
    return float(pdist(items.reshape(len(items), -1).astype(np.float64)).mean())
