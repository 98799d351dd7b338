"""Whether samples stand closer to the training items than new real items do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ficta.metrics.arrays import checked, pair
from ficta.metrics.neighbours import nearest

LEAST = 5  # items of each kind in a cell that counts


def closer_share(samples: np.ndarray, heldout: np.ndarray) -> np.ndarray:
    """How often each sample lies closer to its nearest training item than new real items do.

    Args:
        samples: distance of each sample to its nearest training item, float (n,).
        heldout: the same of real items that were not trained on, float (m,).

    Returns:
        Share of ``heldout`` that lies further, with ties for a half, float64 (n,) in [0, 1]. Its mean is the
        Mann-Whitney U over n m: a half for samples as new as real items, 1 for copies.

    Raises:
        ValueError: no held-out item.
    """
    if not len(heldout):
        raise ValueError("no held-out items to compare with")
    ordered = np.sort(heldout)
    below, up_to = (np.searchsorted(ordered, samples, side) for side in ("left", "right"))
    return np.asarray(1 - (below + up_to) / (2 * len(heldout)))


def copying_test(samples: np.ndarray, heldout: np.ndarray, train: np.ndarray, cells: int = 10, seed: int = 0) -> float:
    """The three-sample test C_T of Meehan et al. 2020 (arXiv:2004.05675, Sec. 4): is the model data-copying?

    The space is divided into cells by k-means of the training items. In each, the Mann-Whitney test says whether
    samples lie closer to the training items than held-out ones do; the z-scores are averaged, weighted by the share
    of held-out items in the cell.

    Args:
        samples: features float (n, d).
        heldout: features float (m, d) of real items that were not trained on.
        train: features float (l, d).
        cells: number of cells, at most.
        seed: of k-means.

    Returns:
        z-score: far below 0 where samples are copied, about 0 where they are as new as real items, far above 0 where
        they are worse than real ones.

    Raises:
        ValueError: no cell holds at least 5 samples and 5 held-out items; unlike numbers of features; NaN.
    """
    divided = Cells(train, cells, seed)
    return divided.z_score(divided.place(samples), divided.place(heldout))


class Placed(NamedTuple):
    """Where some items lie.

    Attributes:
        cell: of each, int64 (n,).
        distance: to the nearest training item, float (n,).
    """

    cell: np.ndarray
    distance: np.ndarray


class Cells:
    """The space divided for ``copying_test``, once for any number of tests."""

    def __init__(self, train: np.ndarray, cells: int = 10, seed: int = 0) -> None:
        """By k-means of training items, features float (l, d)."""
        from sklearn.cluster import KMeans  # slow to import

        self._train = checked(train)
        self._clusters = KMeans(min(cells, len(train)), n_init=1, random_state=seed).fit(self._train)

    def place(self, items: np.ndarray) -> Placed:
        """Find the cell and the nearest training item of features float (n, d)."""
        items, train = pair(items, self._train)
        return Placed(self._clusters.predict(items), nearest(items, train).distance)

    def z_score(self, samples: Placed, heldout: Placed) -> float:
        """See ``copying_test``."""
        scores, weights = [], []
        for cell in range(self._clusters.n_clusters):
            mine, theirs = samples.distance[samples.cell == cell], heldout.distance[heldout.cell == cell]
            if min(len(mine), len(theirs)) >= LEAST:
                scores.append(_z_score(mine, theirs))
                weights.append(len(theirs))
        if not scores:
            raise ValueError(
                f"no cell holds {LEAST} samples and {LEAST} held-out items; take more of both, or fewer cells"
            )
        return float(np.average(scores, weights=weights))


def _z_score(samples: np.ndarray, heldout: np.ndarray) -> float:
    """Mann-Whitney's U of the samples as a z-score with the variance for ties: below 0 if they lie closer."""
    from scipy import stats  # slow to import, and training takes closer_share from here

    n, m = len(samples), len(heldout)
    ranks = stats.rankdata(np.concatenate([samples, heldout]))
    u = ranks[:n].sum() - n * (n + 1) / 2
    _, ties = np.unique(ranks, return_counts=True)
    total = n + m
    variance = n * m / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0
