"""What is remembered of the columns of the training rows, in bounded memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ficta.data.table.columns import Column
from ficta.draw.marginals import Column as Panel
from ficta.draw.style import compact

MOST_ROWS = 200_000  # remembered, drawn at random
BINS = 24
SHOWN = 10  # categories with a bar of their own
OUTLYING = 0.005  # at each end of a histogram


class Thinned:
    """A random sample of rows that come chunk by chunk, and the least and largest value of each column."""

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._draws = np.random.default_rng(0)
        self._rows: list[np.ndarray] = []
        self._ranks: list[np.ndarray] = []
        self._held = self._came = 0
        self._ends: np.ndarray | None = None

    def add(self, rows: np.ndarray) -> None:
        """Add rows float64 (n, C)."""
        self._rows.append(np.array(rows))
        self._ranks.append(self._draws.random(len(rows)))
        self._held += len(rows)
        self._came += len(rows)
        padded = np.concatenate([rows, np.full((1, rows.shape[1]), np.nan)])  # for columns that are all missing
        ends = np.stack([np.fmin.reduce(padded), np.fmax.reduce(padded)])
        if self._ends is not None:
            ends = np.stack([np.fmin(self._ends[0], ends[0]), np.fmax(self._ends[1], ends[1])])
        self._ends = ends
        if self._held > 2 * self._most:
            self._thin()

    def sample(self) -> np.ndarray:
        """Rows float64 (n, C), in the order they came; if some were left out, with both ends of each column added."""
        self._thin()
        rows = np.concatenate(self._rows)
        assert self._ends is not None
        return rows if len(rows) == self._came else np.concatenate([rows, self._ends])

    def _thin(self) -> None:
        rows, ranks = np.concatenate(self._rows), np.concatenate(self._ranks)
        if len(rows) > self._most:
            kept = np.sort(np.argpartition(ranks, self._most)[: self._most])
            rows, ranks = rows[kept], ranks[kept]
        self._rows, self._ranks, self._held = [rows], [ranks], len(rows)


@dataclasses.dataclass(frozen=True)
class Seen:
    """The distribution of a column in the training data, coarse, for pictures.

    Attributes:
        edges: of bins of numbers, the outermost ones reaching further; empty for categories.
        codes: of the most frequent categories; empty for numbers.
        shares: of rows in each bin or category; then in all other categories, then missing.
    """

    edges: list[float]
    codes: list[int]
    shares: list[float]

    @classmethod
    def of(cls, values: np.ndarray, ordered: bool) -> Seen:
        """Of a column float64 (n,), NaN where it is missing."""
        known = values[~np.isnan(values)]
        if ordered:
            low, high = np.quantile(known / 2, [OUTLYING, 1 - OUTLYING]) if len(known) else (0.0, 0.5)
            high = high if high > low else low + max(0.5, abs(low) / 1e3)  # halves, so that nothing overflows
            found = cls((np.linspace(low, high, BINS + 1) * 2).tolist(), [], [])
        else:
            codes, counts = np.unique(known, return_counts=True)
            order = np.argsort(-counts, kind="stable")[:SHOWN]
            found = cls([], [int(code) for code in codes[order]], [])
        return dataclasses.replace(found, shares=found._shares(values).tolist())

    def panel(self, column: Column, values: np.ndarray) -> Panel:
        """Other rows' column float64 (n,) beside this one, for a picture; what is missing of numbers is not drawn."""
        made, real = self._shares(values), np.array(self.shares)
        if self.edges:
            ends = [_word(column, edge) for edge in (self.edges[0], self.edges[-1])]
            return Panel(column.name, made[:-1], real[:-1], (), (ends[0], ends[1]))
        names = [*(column.categories[code] for code in self.codes), "other", "missing"]
        kept = [place for place in range(len(names)) if place < len(self.codes) or made[place] + real[place] > 0]
        return Panel(column.name, made[kept], real[kept], [names[place] for place in kept], ("", ""))

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Seen:
        """Read what ``to_json`` wrote."""
        return cls(**content)

    def _shares(self, values: np.ndarray) -> np.ndarray:
        known = values[~np.isnan(values)]
        if self.edges:
            counts = np.histogram(np.clip(known, self.edges[0], self.edges[-1]), self.edges)[0]
        else:
            own = np.array([(known == code).sum() for code in self.codes])
            counts = np.append(own, len(known) - own.sum())
        return np.asarray(np.append(counts, len(values) - len(known)) / max(1, len(values)))


def _word(column: Column, value: float) -> str:
    """A number or a time as it stands at the end of an axis."""
    return str(np.datetime64(round(value), "s"))[:10] if column.kind == "datetime" else compact(value)
