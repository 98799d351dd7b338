"""Data ready for training: a fitted codec, three splits, and the ingestion report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ficta.base.seeds import mix
from ficta.compute.noise import choices
from ficta.data.codec import Codec
from ficta.data.settings import DataSettings

READ_BYTES = 16_000_000  # at once, when reading ahead


@dataclasses.dataclass(frozen=True)
class Split:
    """Some rows of the cache.

    Attributes:
        stored: the whole cache, (N, *stored shape), memory-mapped.
        rows: rows of this split, int64 (n,).
        labels: index into the condition's categories for each row of the cache, int64 (N,); None without labels.
        weights: how often each row of this split is to be seen where rare kinds are to be seen more often than they
            occur, float64 (n,); None where they are not.
    """

    stored: np.ndarray
    rows: np.ndarray
    labels: np.ndarray | None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def item_bytes(self) -> int:
        """Bytes of an item in compact form."""
        return self.stored[:1].nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of all its items in compact form."""
        return self.item_bytes * len(self)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Items ``start`` to ``stop`` of this split in compact form."""
        return np.asarray(self.stored[self.rows[start:stop]])

    def read_ahead(self) -> None:
        """Read all items once, in order, so that the system has them in memory as far as there is room."""
        at_once = max(1, READ_BYTES // max(1, self.item_bytes))
        for start in range(0, len(self), at_once):
            self.read(start, start + at_once)

    def read_labels(self, start: int, stop: int) -> np.ndarray | None:
        """Labels of items ``start`` to ``stop``, int64, or None."""
        return None if self.labels is None else self.labels[self.rows[start:stop]]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What ``ingest`` gives.

    Attributes:
        codec: fitted on the training split.
        splits: by name.
        report: what was read, JSON types (see ``data.json``).
        settings: as asked for, with what the data decided filled in.
    """

    codec: Codec
    splits: Mapping[str, Split]
    report: dict[str, Any]
    settings: DataSettings


class Store:
    """A split on the device, or streamed to it when it is larger than ``resident_limit`` bytes."""

    def __init__(self, split: Split, device: torch.device, resident_limit: int) -> None:
        self._split = split
        self.weights = split.weights
        self._device = device
        self.resident = split.nbytes <= resident_limit
        self._labels = None if split.labels is None else torch.from_numpy(split.labels[split.rows]).to(device)
        self._data = torch.from_numpy(split.read(0, len(split))).to(device) if self.resident else None

    def __len__(self) -> int:
        return len(self._split)

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compact batch (B, *stored shape) and labels int64 (B,) of ``indices``, int64 (B,) on the CPU."""
        on_device = indices.to(self._device)
        labels = None if self._labels is None else self._labels[on_device]
        if self._data is not None:
            return self._data[on_device], labels
        streamed = torch.from_numpy(np.asarray(self._split.stored[self._split.rows[indices.numpy()]]))
        return streamed.to(self._device, non_blocking=True), labels


class Order:
    """The endless order in which a split is seen: one seeded permutation after the other, without gaps between.

    Position p of the order is a function of (seed, p), so that a run can go on from any number of samples seen. With
    weights, every other position is drawn by them instead.
    """

    def __init__(self, length: int, seed: int, weights: np.ndarray | None = None) -> None:
        self._length = length
        self._seed = seed
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)
        self._reached = None if weights is None else torch.from_numpy(np.cumsum(weights) / weights.sum())

    def indices(self, start: int, count: int) -> Tensor:
        """Which items stand at positions ``start`` to ``start + count``: int64 (count,) on the CPU."""
        weighted = self.weighted(start, count)
        if weighted is None or self._reached is None:
            return self._in_turn(start, count)
        found = torch.empty(count, dtype=torch.int64)
        found[~weighted] = self._in_turn((start + 1) // 2, int((~weighted).sum()))
        drawn = choices(mix(self._seed, "weighted order"), start, count, 1)[weighted, 0].double()
        found[weighted] = torch.searchsorted(self._reached, drawn, right=True).clamp(max=self._length - 1)
        return found

    def weighted(self, start: int, count: int) -> Tensor | None:
        """Which of these positions are drawn by weights, bool (count,); None without weights."""
        return None if self._reached is None else torch.arange(start, start + count) % 2 == 1

    def _in_turn(self, start: int, count: int) -> Tensor:
        parts = []
        while count > 0:
            epoch, offset = divmod(start, self._length)
            part = self._shuffled(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(parts or [torch.empty(0, dtype=torch.int64)])

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mix(self._seed, "order", epoch))
            self._permutation = torch.randperm(self._length, generator=generator)
            self._epoch = epoch
        return self._permutation
