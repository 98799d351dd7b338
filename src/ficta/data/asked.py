"""What samples are asked for: a condition for each, by its number."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor


class Asked(abc.ABC):
    """Conditions of numbered samples; leaf classes are final.

    Attributes:
        count: how many samples there are to be, if that is asked for, too.
    """

    count: int | None = None

    @abc.abstractmethod
    def condition(self, first: int, count: int) -> Tensor | None:
        """Of samples ``first`` to ``first + count``, encoded for ``spec.condition``; None if that is."""

    @abc.abstractmethod
    def keep(self, stored: np.ndarray, first: int) -> np.ndarray:
        """Samples in compact form from number ``first`` on, with what was given put in its place."""

    @abc.abstractmethod
    def names(self, first: int, count: int) -> list[str] | None:
        """What each is asked for, for captions; None where there is nothing to say."""


@final
class Nothing(Asked):
    """Nothing in particular: of a model that can be asked for values, a row of which none is given."""

    def __init__(self, shape: tuple[int, ...] | None = None) -> None:
        self._shape = shape

    def condition(self, first: int, count: int) -> Tensor | None:
        """Zeros, or None."""
        return None if self._shape is None else torch.zeros(count, *self._shape)

    def keep(self, stored: np.ndarray, first: int) -> np.ndarray:
        """As they are."""
        return stored

    def names(self, first: int, count: int) -> list[str] | None:
        """None."""
        return None


@final
class Labels(Asked):
    """A label each."""

    def __init__(self, categories: Sequence[str], indices: np.ndarray) -> None:
        """Of ``categories`` the ones with these indices, int64 (n,); after the last the first comes again."""
        self._categories, self._indices = categories, indices

    def indices(self, first: int, count: int) -> np.ndarray:
        """Index of the label of each sample, int64 (count,)."""
        return self._indices[np.arange(first, first + count) % len(self._indices)]

    def condition(self, first: int, count: int) -> Tensor | None:
        """Indices int64 (count,)."""
        return torch.from_numpy(self.indices(first, count))

    def keep(self, stored: np.ndarray, first: int) -> np.ndarray:
        """As they are: a label is no part of a sample."""
        return stored

    def names(self, first: int, count: int) -> list[str] | None:
        """The labels."""
        return [self._categories[index] for index in self.indices(first, count)]


@final
class Rows(Asked):
    """Rows of which some values are given; after the last the first comes again."""

    def __init__(
        self,
        rows: np.ndarray,
        given: np.ndarray,
        encoded: Tensor,
        settled: Callable[[np.ndarray, np.ndarray], np.ndarray],
        count: int | None = None,
    ) -> None:
        """Ask for these rows.

        Args:
            rows: float64 (n, C).
            given: which of their values are, bool (n, C).
            encoded: the conditions, float32 (n, D).
            settled: brings rows with given values to what must hold in every row.
            count: how many samples there are to be.
        """
        self._rows, self._given, self._encoded, self._settled = rows, given, encoded, settled
        self.count = count

    def condition(self, first: int, count: int) -> Tensor | None:
        """Float32 (count, D)."""
        return self._encoded[torch.arange(first, first + count) % len(self._rows)]

    def keep(self, stored: np.ndarray, first: int) -> np.ndarray:
        """Given values as they were given."""
        which = np.arange(first, first + len(stored)) % len(self._rows)
        given = self._given[which]
        return self._settled(np.where(given, self._rows[which], stored), given)

    def names(self, first: int, count: int) -> list[str] | None:
        """None: what is given stands in the rows."""
        return None
