"""Whether samples stand closer to the training items than new real items do."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ficta.metrics.arrays import checked, pair
from ficta.metrics.intervals import Estimate, bootstrap_ratio
from ficta.metrics.neighbours import nearest

LEAST = 5  # items of each kind in a cell that counts
EXPECTED = 3  # held-out items that must be expected among those nearest to samples, if their share is to mean anything


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


def preference_chance(nearest_items: np.ndarray, train: int, heldout: int) -> float:
    """Chance that samples lie nearest to so few held-out items, if they know nothing of which items were trained on.

    Distances alone mislead where samples are plain: blurred ones lie close to everything, training items and held-out
    ones alike. If it makes no difference to the samples what was trained on, the different real items that are nearest
    to some sample are a random choice of all, and the held-out ones among them follow the hypergeometric distribution.
    Exact in a feature space that knows nothing of it either; blind to copies of a few items, since each counts once.

    Args:
        nearest_items: of each sample the number of its nearest real item, int (n,): training items come first.
        train: number of training items.
        heldout: number of held-out items.

    Returns:
        Probability of as few held-out items or fewer, [0, 1].

    Raises:
        ValueError: no sample, or no held-out item.
    """
    _check_preference(nearest_items, heldout)
    met = np.unique(nearest_items)
    found, every = int((met >= train).sum()), _log_choices(train + heldout, len(met))
    ways = (
        _log_choices(heldout, few) + _log_choices(train, len(met) - few) - every
        for few in range(max(0, len(met) - train), found + 1)
    )
    return min(1.0, math.fsum(math.exp(log) for log in ways))  # scipy.stats takes a second to import


def heldout_share(nearest_items: np.ndarray, train: int, heldout: int, seed: int = 0) -> Estimate:
    """Share of samples that lie nearest to a held-out item, over the share that held-out items are of all.

    1 if it makes no difference to the samples what was trained on, 0 if each lies nearest to a training item. Counting
    which of both is nearest is the holdout comparison of Platzer & Reutterer 2021 (arXiv:2104.00635). Samples that
    share their nearest item stand or fall together, so that the interval is that of a bootstrap over the items.

    Args:
        nearest_items: of each sample the number of its nearest real item, int (n,): training items come first.
        train: number of training items.
        heldout: number of held-out items.
        seed: of the resampling.

    Raises:
        ValueError: no sample or held-out item, or nearest to so few different items that fewer than 3 held-out ones
            are expected among them.
    """
    _check_preference(nearest_items, heldout)
    met, counts = np.unique(nearest_items, return_counts=True)
    expected = len(met) * heldout / (train + heldout)
    if expected < EXPECTED:
        raise ValueError(
            f"the samples lie nearest to {len(met)} different real items, {expected:.1f} of which would be held-out "
            f"ones by chance, and {EXPECTED} are needed: take more samples"
        )
    return bootstrap_ratio(counts * (met >= train), counts, seed).scaled((train + heldout) / heldout)


def _check_preference(nearest_items: np.ndarray, heldout: int) -> None:
    if not len(nearest_items) or not heldout:
        raise ValueError(f"{len(nearest_items)} samples and {heldout} held-out items; give some of both")


def _log_choices(n: int, k: int) -> float:
    """Logarithm of n choose k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


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
    placed = (divided.place(items, nearest(items, train).distance) for items in (samples, heldout))
    return divided.z_score(*placed)


class Placed(NamedTuple):
    """Where some items lie.

    Attributes:
        cell: of each, int64 (n,).
        distance: to the nearest training item, float (n,).
    """

    cell: np.ndarray
    distance: np.ndarray

    def part(self, start: int, stop: int) -> Placed:
        """Some of them."""
        return Placed(self.cell[start:stop], self.distance[start:stop])


class Cells:
    """The space divided for ``copying_test``, once for any number of tests."""

    def __init__(self, train: np.ndarray, cells: int = 10, seed: int = 0) -> None:
        """By k-means of training items, features float (l, d)."""
        from sklearn.cluster import KMeans  # slow to import

        self._train = checked(train)
        self._clusters = KMeans(min(cells, len(train)), n_init=1, random_state=seed).fit(self._train)

    def place(self, items: np.ndarray, distance: np.ndarray) -> Placed:
        """Find the cells of features float (n, d), whose distances to their nearest training items are known."""
        items, _ = pair(items, self._train)
        return Placed(self._clusters.predict(items), distance)

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
