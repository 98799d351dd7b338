"""Measures from nearest neighbours: how much of each set lies within the other, and how close to what was trained on.

Distances are Euclidean, computed in blocks: memory grows with the number of items, not with that of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ficta.metrics.arrays import checked, pair

BLOCK_BYTES = 64_000_000  # of the distances held at once


class Overlap(NamedTuple):
    """How two sets overlap; each a share, but for ``density``.

    Attributes:
        precision: of samples within reach of a real item, [0, 1].
        recall: of real items within reach of a sample, [0, 1].
        density: real items that reach a sample, over k: above 1 where samples crowd where the data are dense.
        coverage: of real items that reach a sample, [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


class Nearest(NamedTuple):
    """The nearest item of another set.

    Attributes:
        distance: float64 (n,).
        index: which item, int64 (n,).
    """

    distance: np.ndarray
    index: np.ndarray


def overlap(samples: np.ndarray, real: np.ndarray, k: int = 5) -> Overlap:
    """Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
    arXiv:2002.09797, Eq. 1 to 4).

    An item reaches as far as its k-th nearest neighbour in its own set.

    Args:
        samples: features float (n, d), n > k.
        real: features float (m, d), m > k; take as many as there are samples, as coverage depends on both.
        k: which neighbour bounds the reach.

    Raises:
        ValueError: no more than k items in one of the sets, unlike numbers of features, or NaN.
    """
    samples, real = pair(samples, real)
    reach_real = torch.from_numpy(reach(real, k))
    reach_samples = torch.from_numpy(reach(samples, k))
    within, counted = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool)
    closest = torch.full((len(real),), torch.inf, dtype=torch.float64)
    for start, distances in _blocks(samples, real):  # rows: samples, columns: real
        reached = distances < reach_real
        within += int(reached.any(1).sum())
        counted += int(reached.sum())
        recalled |= (distances < reach_samples[start : start + len(distances), None]).any(0)
        closest = torch.minimum(closest, distances.amin(0))
    return Overlap(
        precision=within / len(samples),
        recall=float(recalled.double().mean()),
        density=counted / (k * len(samples)),
        coverage=float((closest < reach_real).double().mean()),
    )


def reach(features: np.ndarray, k: int) -> np.ndarray:
    """Distance from each item to its k-th nearest other one, float64 (n,).

    Raises:
        ValueError: no more than k items.
    """
    features = checked(features)
    if len(features) <= k:
        raise ValueError(f"{len(features)} items; the {k}-th neighbour needs more than {k}")
    found = []
    for start, distances in _blocks(features, features):
        rows = torch.arange(len(distances))
        distances[rows, start + rows] = torch.inf  # itself
        found.append(distances.kthvalue(k, dim=1).values)
    return np.asarray(torch.cat(found).numpy())


def nearest(items: np.ndarray, among: np.ndarray) -> Nearest:
    """The nearest of ``among``, float (m, d), to each of ``items``, float (n, d).

    Raises:
        ValueError: nothing to be near to, unlike numbers of features, or NaN.
    """
    items, among = pair(items, among)
    if not len(among):
        raise ValueError("no items to be near to")
    found = [distances.min(1) for _, distances in _blocks(items, among)]
    index = torch.cat([indices for _, indices in found]).numpy() if found else np.empty(0, np.int64)
    exact = np.linalg.norm(items - among[index], axis=1)  # that of equal items is 0, which the product above misses
    return Nearest(exact, index)


def authentic(samples: np.ndarray, train: np.ndarray, found: Nearest | None = None) -> np.ndarray:
    """Which samples are no closer to a training item than that is to its nearest fellow (Alaa et al. 2022,
    arXiv:2102.08921, Sec. 3.3).

    Args:
        samples: features float (n, d).
        train: features float (m, d), m >= 2.
        found: nearest training item of each sample, if known.

    Returns:
        bool (n,); its mean is the authenticity. Real items that were not trained on reach about a half.

    Raises:
        ValueError: fewer than two training items, unlike numbers of features, or NaN.
    """
    samples, train = pair(samples, train)
    if len(train) < 2:
        raise ValueError(f"{len(train)} training items; authenticity needs two")
    found = found or nearest(samples, train)
    asked, where = np.unique(found.index, return_inverse=True)
    fellow = np.empty(len(asked))
    for start, distances in _blocks(train[asked], train):
        rows = torch.arange(len(distances))
        distances[rows, torch.from_numpy(asked[start : start + len(distances)])] = torch.inf
        near = distances.argmin(1).numpy()
        block = slice(start, start + len(distances))
        fellow[block] = np.linalg.norm(train[asked[block]] - train[near], axis=1)
    return np.asarray(found.distance >= fellow[where])


def _blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, Tensor]]:
    """Distances float64 (rows, m) of some rows of ``a`` to all of ``b``, with the number of the first row."""
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    rows = max(1, BLOCK_BYTES // (8 * max(1, len(b))))
    for start in range(0, len(a), rows):
        yield start, torch.cdist(left[start : start + rows], right, compute_mode="use_mm_for_euclid_dist")
