"""Values of a column in model space: which mode they lie in, and where within it.

A mode is a single value that is frequent, or one of few; a range of values between these that holds about as many; or
the missing value. A place within a range is a rank: ranges are quantiles, whatever the unit or skew of the column.
Categories are treated alike: their natural order puts rare ones that are called alike into one range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ficta.base.spec import Span

RANGE_KNOTS = 33  # values at most that a range is described by


@dataclasses.dataclass(frozen=True)
class Knots:
    """Values of one column whose mode and place are known; between two of the same mode both are interpolated.

    Attributes:
        values: ascending, float64 (L,).
        modes: of each, from 0 without gaps, ascending, int64 (L,).
        places: of each, ascending within a mode, in [-1, 1] and 0 in modes of one value, float64 (L,).
        missing: whether there is one more mode, for missing values.
    """

    values: np.ndarray
    modes: np.ndarray
    places: np.ndarray
    missing: bool

    def span(self, name: str, ordered: bool) -> Span:
        """The column in a Spec."""
        sizes = np.bincount(self.modes)
        ranges = tuple(int(mode) for mode in np.flatnonzero(sizes > 1))
        return Span(name, len(sizes) + self.missing, ranges, ordered)

    def to_json(self) -> dict[str, Any]:
        """As JSON types; ``from_json`` reads it back without loss."""
        arrays = {name: getattr(self, name).tolist() for name in ("values", "modes", "places")}
        return arrays | {"missing": self.missing}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Knots:
        """Read what ``to_json`` wrote."""
        values, places = (np.array(content[name], np.float64) for name in ("values", "places"))
        return cls(values, np.array(content["modes"], np.int64), places, bool(content["missing"]))


def find_knots(values: np.ndarray, counts: np.ndarray, most: int, missing: bool) -> Knots:
    """Divide the values of a column into modes.

    Args:
        values: that it has, ascending and without repetition, float64 (n,).
        counts: how often, (n,).
        most: modes, about; with no more values than that, each is a mode of its own.
        missing: whether values may be missing.
    """
    if not len(values):  # all missing: one mode that nothing lies in
        return Knots(np.zeros(1), np.zeros(1, np.int64), np.zeros(1), missing)
    if len(values) <= most:
        return Knots(values, np.arange(len(values)), np.zeros(len(values)), missing)
    share = counts.sum() / most
    single = counts >= share
    gap = np.cumsum(single) * 2 - single  # odd at single values, even between them
    within = _before(np.where(single, 0, counts), gap) + counts / 2
    cut = np.where(single, 0, within // share)
    modes = np.cumsum(np.diff(gap, prepend=gap[0]).astype(bool) | np.diff(cut, prepend=cut[0]).astype(bool))
    sizes = np.bincount(modes, weights=counts)
    places = (_before(counts, modes) + counts / 2) / sizes[modes] * 2 - 1
    places[np.bincount(modes)[modes] == 1] = 0
    kept = _thinned(modes, places)
    return Knots(values[kept], modes[kept], places[kept], missing)


class Modes:
    """The columns of a table between compact form and model space.

    ``decode(encode(x)) == x`` for values that are knots, missing ones included; for others within the distance of two
    knots, which for a value between the ranges is the nearer one.
    """

    def __init__(self, columns: Sequence[Knots]) -> None:
        self.missing = torch.tensor([column.modes.max() + 1 if column.missing else -1 for column in columns])
        sizes = [int(column.modes.max()) + 1 + column.missing for column in columns]
        self.sizes = sizes
        self.first = torch.tensor(np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64))
        self.placed = torch.tensor([i for i, column in enumerate(columns) if column.places.any()], dtype=torch.int64)
        longest = max(len(column.values) for column in columns)
        self.last = torch.tensor([len(column.values) - 1 for column in columns])[:, None]
        self.values = _padded([column.values for column in columns], longest)
        self.modes = _padded([column.modes for column in columns], longest)
        self.places = _padded([column.places for column in columns], longest)
        self.along = _padded([4.0 * column.modes + column.places for column in columns], longest)

    def encode(self, stored: Tensor) -> Tensor:
        """Compact rows float64 (B, C) => float32 (B, M + P): one-hot modes, then places.

        A value that is missing in a column that knows no such mode lies in none.
        """
        self._move(stored.device)
        x = stored.T.contiguous()
        absent = x.isnan()
        x = torch.where(absent, self.values[:, :1], x)
        left, right = self._around(self.values, x)
        low, high = self.values.gather(1, left), self.values.gather(1, right)
        share = ((x - low) / (high - low).clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1)
        mode, other = self.modes.gather(1, left), self.modes.gather(1, right)
        near, far = self.places.gather(1, left), self.places.gather(1, right)
        inside = mode == other
        place = torch.where(inside, near + share * (far - near), torch.where(share < 0.5, near, far))
        mode = torch.where(inside | (share < 0.5), mode, other)
        mode = torch.where(absent, self.missing[:, None], mode)
        place = torch.where(absent, 0.0, place)
        hot = torch.zeros(len(stored), sum(self.sizes), device=stored.device)
        index = mode.long().clamp(min=0) + self.first[:, None]
        hot.scatter_(1, index.T, (mode >= 0).T.to(torch.float32))
        return torch.cat([hot, place[self.placed].T.to(torch.float32)], 1)

    def decode(self, rows: Tensor) -> Tensor:
        """Float (B, M + P) => compact rows float64 (B, C): of each column the largest mode counts."""
        self._move(rows.device)
        hot, placed = torch.split(rows.to(torch.float64), [sum(self.sizes), len(self.placed)], 1)
        mode = torch.stack([part.argmax(1) for part in torch.split(hot, self.sizes, 1)]).to(torch.float64)
        place = torch.zeros_like(mode)
        place[self.placed] = placed.T.clamp(-1, 1)
        place = 4 * mode + place
        left, right = self._around(self.along, place)
        low, high = self.along.gather(1, left), self.along.gather(1, right)
        share = ((place - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        own, next_own = self.modes.gather(1, left) == mode, self.modes.gather(1, right) == mode
        share = torch.where(own & next_own, share, torch.where(own, 0.0, 1.0))
        x = torch.lerp(self.values.gather(1, left), self.values.gather(1, right), share)
        return torch.where(mode == self.missing[:, None], torch.nan, x).T.contiguous()

    def _around(self, knots: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the last knot of each column that is not above x (C, B), and of the next one."""
        left = (torch.searchsorted(knots, x, right=True) - 1).clamp(min=0)
        left = torch.minimum(left, self.last)
        return left, torch.minimum(left + 1, self.last)

    def _move(self, device: torch.device) -> None:
        if self.values.device != device:
            for name in ("missing", "first", "placed", "last", "values", "modes", "places", "along"):
                setattr(self, name, getattr(self, name).to(device))


def _before(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """How many there are before each within its group; groups are runs."""
    total = np.cumsum(counts) - counts
    starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    return np.asarray(total - np.repeat(total[starts], np.diff(np.append(starts, len(group)))))


def _thinned(modes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which values to keep: of each mode the first, the last, and the nearest above even ranks between."""
    kept = np.zeros(len(modes), bool)
    starts = np.flatnonzero(np.diff(modes, prepend=-1))
    for start, stop in zip(starts, np.append(starts[1:], len(modes)), strict=True):
        if stop - start <= RANGE_KNOTS:
            kept[start:stop] = True
        else:
            inner = start + np.searchsorted(places[start:stop], np.linspace(-1, 1, RANGE_KNOTS)[1:-1])
            kept[[start, stop - 1]] = True
            kept[np.minimum(inner, stop - 1)] = True
    return np.flatnonzero(kept)


def _padded(rows: Sequence[np.ndarray], length: int) -> Tensor:
    """One row each, filled up with infinity, which no value reaches."""
    found = np.full((len(rows), length), np.inf)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return torch.from_numpy(found)
