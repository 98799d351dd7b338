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
ROUNDING = 1e-12  # of squared lengths: far more than a product of matrices errs by, far less than items differ by


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
        which: number of the item, int64 (n,).
    """

    distance: np.ndarray
    which: np.ndarray


def overlap(samples: np.ndarray, real: np.ndarray, k: int = 5) -> Overlap:
    """Precision and recall, density and coverage.

    Kynkäänniemi et al. 2019, arXiv:1904.06991, Eq. 1 and 2; Naeem et al. 2020, arXiv:2002.09797, Eq. 1 to 4.
    An item reaches as far as its k-th nearest neighbour in its own set; what stands just there is not within reach,
    as in the program of the latter.

    Args:
        samples: features float (n, d), n > k.
        real: features float (m, d), m > k; take as many as there are samples, as coverage depends on both.
        k: which neighbour bounds the reach.

    Raises:
        ValueError: no more than k items in one of the sets, unlike numbers of features, or NaN.
    """
    samples, real = pair(samples, real)
    reach_real, reach_samples = _squared_reach(real, k), _squared_reach(samples, k)
    within, counted = 0, 0
    recalled = torch.zeros(len(real), dtype=torch.bool)
    closest = torch.full((len(real),), torch.inf, dtype=torch.float64)
    for start, squares in _blocks(samples, real):  # rows: samples, columns: real
        reached = squares < reach_real
        within += int(reached.any(1).sum())
        counted += int(reached.sum())
        recalled |= (squares < reach_samples[start : start + len(squares), None]).any(0)
        closest = torch.minimum(closest, squares.amin(0))
    return Overlap(
        precision=within / len(samples),
        recall=float(recalled.double().mean()),
        density=counted / (k * len(samples)),
        coverage=float((closest < reach_real).double().mean()),
    )


def nearest(items: np.ndarray, among: np.ndarray) -> Nearest:
    """The nearest of ``among``, float (m, d), to each of ``items``, float (n, d).

    Raises:
        ValueError: nothing to be near to, unlike numbers of features, or NaN.
    """
    items, among = pair(items, among)
    if not len(among):
        raise ValueError("no items to be near to")
    index = np.empty(len(items), np.int64)
    for start, squares in _blocks(items, among):
        index[start : start + len(squares)] = squares.argmin(1).numpy()
    exact = np.linalg.norm(items - among[index], axis=1)  # that of equal items is 0, which the product above misses
    return Nearest(exact, index)


def fellows(items: np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
    """Distance of items to the nearest other one of their own set.

    Args:
        items: features float (n, d), n >= 2.
        which: numbers of the items that are asked about, int64 (m,); all without.

    Returns:
        float64 (m,); 0 for an item that is there twice.

    Raises:
        ValueError: fewer than two items, or NaN.
    """
    items = checked(items)
    if len(items) < 2:
        raise ValueError(f"{len(items)} items; a nearest fellow needs two")
    asked = np.arange(len(items)) if which is None else which
    found = np.empty(len(asked))
    for start, squares in _blocks(items[asked], items):
        block = slice(start, start + len(squares))
        squares[torch.arange(len(squares)), torch.from_numpy(asked[block])] = torch.inf  # itself
        near = squares.argmin(1).numpy()
        found[block] = np.linalg.norm(items[asked[block]] - items[near], axis=1)
    return found


def authentic(samples: np.ndarray, train: np.ndarray, found: Nearest | None = None) -> np.ndarray:
    """Which samples lie further from a training item than that does from its nearest fellow.

    Authentic ones by Alaa et al. 2022, arXiv:2102.08921, Sec. 3.3.

    Args:
        samples: features float (n, d).
        train: features float (m, d), m >= 2.
        found: nearest training item of each sample, if known.

    Returns:
        bool (n,); its mean is the authenticity. Real items that were not trained on reach about a half; copies are
        never authentic, even of items that are there twice.

    Raises:
        ValueError: fewer than two training items, unlike numbers of features, or NaN.
    """
    samples, train = pair(samples, train)
    found = found or nearest(samples, train)
    asked, where = np.unique(found.which, return_inverse=True)
    return np.asarray(found.distance > fellows(train, asked)[where])


def _squared_reach(features: np.ndarray, k: int) -> Tensor:
    """Squared distance from each item to its k-th nearest other one, float64 (n,), less what may be rounding.

    A copy of that neighbour stands at the same distance, which comes out of another product with other last bits:
    whether it counts as within reach must not hang on them.
    """
    if len(features) <= k:
        raise ValueError(f"{len(features)} items; the {k}-th neighbour needs more than {k}")
    found = torch.empty(len(features), dtype=torch.float64)
    for start, squares in _blocks(features, features):
        rows = torch.arange(len(squares))
        squares[rows, start + rows] = torch.inf  # itself
        nearest_k = squares.topk(k, dim=1, largest=False).values  # kthvalue would take eight times as long
        found[start : start + len(squares)] = nearest_k.amax(1)
    lengths = torch.from_numpy(np.einsum("nd,nd->n", features, features))
    return found - ROUNDING * (lengths + found)


def _blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, Tensor]]:
    """Squared distances float64 (rows, m) of some rows of ``a`` to all of ``b``, with the number of the first row.

    They lie in one place of memory, which the next ones take: to allocate them anew fragments the heap.
    """
    a, b = (np.require(items, requirements=["C", "W"]) for items in (a, b))  # torch warns of others, or refuses them
    left, right = torch.from_numpy(a), torch.from_numpy(b).T
    squares_left, squares_right = left.square().sum(1, keepdim=True), right.square().sum(0)
    rows = max(1, BLOCK_BYTES // (8 * max(1, len(b))))
    place = torch.empty(min(rows, len(a)), len(b), dtype=torch.float64)
    for start in range(0, len(a), rows):
        block = left[start : start + rows]
        found = torch.addmm(squares_right, block, right, alpha=-2, out=place[: len(block)])
        yield start, found.add_(squares_left[start : start + rows]).clamp_(min=0)
