"""What measures ask of the arrays that they get."""

import numpy as np


def checked(features: np.ndarray) -> np.ndarray:
    """Features float (n, d) as float64.

    Raises:
        ValueError: another number of axes, or values that are NaN or infinite.
    """
    if features.ndim != 2:
        raise ValueError(f"features are an array (n, d), not {features.shape}")
    found = features.astype(np.float64, copy=False)
    wrong = int((~np.isfinite(found).all(1)).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(found)} items have features that are NaN or infinite")
    return found


def pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features float (n, d) and (m, d), as float64.

    Raises:
        ValueError: unlike numbers of features, another number of axes, or values that are not finite.
    """
    a, b = checked(a), checked(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} features against {b.shape[1]}; take one extractor for both")
    return a, b
