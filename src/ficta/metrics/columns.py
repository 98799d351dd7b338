"""The feature space of tables: ranks of numbers, and the categories themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ficta.base.spec import Span
from ficta.metrics.extractors import WHITENED_FROM, Extractor

CATEGORIES = 20  # the most frequent ones of a column, which have a feature each
KNOTS = 201  # quantiles that a rank is found among


class Columns(Extractor):
    """Numbers as ranks among the training data's, with variance 1; categories one-hot; missing values apart.

    So no unit, skew or outlier decides which rows are near, and two rows that differ in a category lie about as far
    apart as two random ones do in a number.
    """

    name = "columns"

    def __init__(self, columns: Sequence[Span], items: np.ndarray) -> None:
        """Learn from rows float64 (n, C); the first 5,000 of them count.

        Raises:
            ValueError: no rows, or another number of columns.
        """
        if items.ndim != 2 or items.shape[1] != len(columns) or not len(items):
            raise ValueError(f"rows of {len(columns)} columns are wanted, one at least, not {items.shape}")
        self._shape = items.shape[1:]
        learnt = items[:WHITENED_FROM]
        self._ordered = [column.ordered for column in columns]
        self._known = [
            _quantiles(values) if column.ordered else _frequent(values)
            for column, values in zip(columns, learnt.T, strict=True)
        ]
        self._gaps = np.isnan(learnt).any(axis=0)
        self.size = self.chunk(learnt[:1]).shape[1]
        content = hashlib.blake2b(self.name.encode(), digest_size=8)
        for known in (*self._known, self._gaps):
            content.update(np.ascontiguousarray(known).tobytes())
        self.fingerprint = content.hexdigest()

    def chunk(self, items: np.ndarray) -> np.ndarray:
        """Rows float64 (n, C) => float32 (n, size)."""
        if items.shape[1:] != self._shape:
            raise ValueError(f"rows of shape {items.shape[1:]}, but the others have {self._shape}")
        parts = []
        for values, ordered, known, gaps in zip(items.T, self._ordered, self._known, self._gaps, strict=True):
            absent = np.isnan(values)
            if ordered:
                parts.append(np.where(absent, 0.0, _ranks(values, known))[:, None])
            else:
                parts.append(values[:, None] == known)
            if gaps and ordered:
                parts.append(absent[:, None])
        return np.concatenate(parts, 1).astype(np.float32)


def _quantiles(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    return np.quantile(known, np.linspace(0, 1, KNOTS)) if len(known) else np.zeros(1)


def _frequent(values: np.ndarray) -> np.ndarray:
    codes, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return np.asarray(codes[np.argsort(-counts, kind="stable")[:CATEGORIES]])


def _ranks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean rank among known quantiles, uniform numbers of variance 1; the same for all values that are the same."""
    low, high = (np.searchsorted(known, values, side=side) for side in ("left", "right"))
    between = np.interp(values, known, np.arange(len(known)))
    rank = np.where(high > low, (low + high - 1) / 2, between) / max(1, len(known) - 1)
    return np.asarray((2 * rank - 1) * np.sqrt(3))
