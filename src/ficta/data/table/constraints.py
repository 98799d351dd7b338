"""What must hold in every row of a table: orders and sums of columns, by construction rather than by rejection.

A column that may not lie below others is modelled as its distance from the largest of them; a sum is not modelled, but
added up.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np

from ficta.base.errors import UsageError
from ficta.base.words import nearest
from ficta.data.table.values import LARGEST_WHOLE

FORM = "write 'a <= b', 'a < b', 'total = a + b' or 'unique key', with spaces around the signs"
ROUNDING = 1e-9  # of the sizes of its parts, by which a sum may differ


@dataclasses.dataclass(frozen=True)
class Order:
    """A column that lies nowhere below (``strict``: nowhere at) another, both by their number."""

    low: int
    high: int
    strict: bool


@dataclasses.dataclass(frozen=True)
class Sum:
    """A column that is the sum of others, by their number."""

    total: int
    parts: tuple[int, ...]


class Constraints:
    """All that must hold in rows float64 (n, C). Where a value is missing nothing is asked of it."""

    def __init__(self, texts: Sequence[str], index: Mapping[str, int]) -> None:
        """Read constraints on columns of numbers or times, whose places in a row ``index`` has by their names.

        Raises:
            UsageError: another form, an unknown column, or constraints that contradict each other.
        """
        names = {place: name for name, place in index.items()}
        parsed = {text: _parse(text, index) for text in texts if not unique_key(text)}
        self.orders = [each for each in parsed.values() if isinstance(each, Order)]
        self.sums = [each for each in parsed.values() if isinstance(each, Sum)]
        self.texts = sorted(parsed, key=lambda text: isinstance(parsed[text], Sum))  # in the order of ``violated``
        self._sequence = _sequence(self.orders, names)
        self._check_sums(names)

    def apart(self, rows: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Rows with distances in place of columns that are held to others, and zeros in place of sums.

        Args:
            rows: float64 (n, C).
            least: smallest value of each column in the data, float64 (C,): it stands in for a missing one that others
                are held to.
        """
        found = rows.copy()
        for high in self._sequence:
            found[:, high] -= self._floor(rows, high, least)
        for each in self.sums:
            found[:, each.total] = 0
        return found

    def together(self, rows: np.ndarray, least: np.ndarray, most: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Rows as they were before ``apart``, and the constraints kept whatever the values.

        Args:
            rows: float64 (n, C), rounded but for distances.
            least: as ``apart`` got it.
            most: largest value of each column in the data, float64 (C,).
            step: of each column the distance of two values, float64 (C,); 0 where any may occur.
        """
        found = rows.copy()
        for high in self._sequence:
            values = np.minimum(found[:, high] + self._floor(found, high, least), most[high])
            found[:, high] = on_grid(values, step[high])
        return self.kept(found, np.zeros(found.shape, bool), step)

    def kept(self, rows: np.ndarray, given: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Rows float64 (n, C) moved as little as the constraints ask for; values that are ``given`` stay.

        A column that lies too low is lifted to its next value; where it was given, those that it is held to are
        lowered. What is given can ask for too much: see ``impossible``.
        """
        found = rows.copy()
        for high in self._sequence:
            for order in (order for order in self.orders if order.high == high):
                least = _next(found[:, order.low], step[high], order.strict)
                wrong = (found[:, high] < least) & ~given[:, high]
                found[wrong, high] = least[wrong]
        for high in reversed(self._sequence):
            for order in (order for order in self.orders if order.high == high):
                most = -_next(-found[:, high], step[order.low], order.strict)
                wrong = (found[:, order.low] > most) & ~given[:, order.low]
                found[wrong, order.low] = most[wrong]
        for each in self.sums:
            free = ~given[:, each.total]
            found[free, each.total] = found[free][:, each.parts].sum(1)
        return found

    def violated(self, rows: np.ndarray) -> np.ndarray:
        """Whether each row breaks each constraint, bool (n, constraints), in the order of ``texts``."""
        broken = []
        for order in self.orders:
            low, high = rows[:, order.low], rows[:, order.high]
            broken.append(low >= high if order.strict else low > high)
        for each in self.sums:
            parts, total = rows[:, each.parts], rows[:, each.total]
            size = np.abs(parts).sum(1) + np.abs(total)
            broken.append(np.abs(parts.sum(1) - total) > ROUNDING * np.maximum(size, 1))
        return np.stack(broken, 1) if broken else np.zeros((len(rows), 0), bool)

    def impossible(self, rows: np.ndarray, given: np.ndarray, least: np.ndarray, step: np.ndarray) -> np.ndarray:
        """What no values of the others can keep if these are ``given``, bool as ``violated``: sums without parts, too.

        All arguments are those of ``kept`` and ``together``.
        """
        return self.violated(self.kept(np.where(given, rows, least), given, step))

    def told(self, given: np.ndarray) -> np.ndarray:
        """Which of the values that are ``given`` are known in a row ``apart``, too: distances, if both ends are."""
        found = given.copy()
        for order in self.orders:
            found[:, order.high] &= given[:, order.low]
        return found

    @property
    def held(self) -> list[int]:
        """Columns that are modelled as a distance from others."""
        return self._sequence

    def _floor(self, rows: np.ndarray, high: int, least: np.ndarray) -> np.ndarray:
        """What a column is held to, float64 (n,)."""
        lows = [order.low for order in self.orders if order.high == high]
        held = np.where(np.isnan(rows[:, lows]), least[lows], rows[:, lows])
        return np.asarray(held.max(1))

    def _check_sums(self, names: Mapping[int, str]) -> None:
        ordered = {place for order in self.orders for place in (order.low, order.high)}
        totals = [each.total for each in self.sums]
        for each in self.sums:
            if totals.count(each.total) > 1 or each.total in ordered or set(totals) & set(each.parts):
                raise UsageError(
                    f"data.table.constraints: column {names[each.total]!r} is a sum and takes part in another "
                    "constraint; leave one of them out"
                )


def on_grid(values: np.ndarray, step: np.ndarray | float) -> np.ndarray:
    """Numbers rounded to multiples of a step, written as they are read; those too large to have any stay.

    Args:
        values: float64 (n,) or (n, C).
        step: () or (C,): one, whole, or a whole part of one; 0 where any value may occur.
    """
    parts = np.where((step > 0) & (step < 1), np.rint(1 / np.maximum(step, 1e-300)), 1.0)  # of one
    steps = np.maximum(step, 1.0)
    with np.errstate(over="ignore"):
        scaled = values * parts / steps
    fits = (step > 0) & (np.abs(scaled) < LARGEST_WHOLE)
    return np.asarray(np.where(fits, np.rint(np.where(fits, scaled, 0.0)) * steps / parts, values) + 0.0)


def _next(values: np.ndarray, step: float, strict: bool) -> np.ndarray:
    """The least multiple of a step that is not below (``strict``: that is above) these values, float64 (n,)."""
    near = on_grid(values, step)
    least = np.where(near > values if strict else near >= values, near, on_grid(near + step, step))
    return np.where(least > values, least, np.nextafter(values, np.inf)) if strict else least


def unique_key(text: str) -> str | None:
    """The column of ``unique column``; None for another constraint."""
    found = re.fullmatch(r"\s*unique\s+(.+?)\s*", text)
    return found[1] if found else None


def _parse(text: str, index: Mapping[str, int]) -> Order | Sum:
    for sign in (" <= ", " < "):
        low, found, high = text.partition(sign)
        if found:
            return Order(_place(low, index, text), _place(high, index, text), sign == " < ")
    total, found, parts = text.partition(" = ")
    if not found:
        raise UsageError(f"data.table.constraints: {text!r}: {FORM}")
    return Sum(_place(total, index, text), tuple(_place(part, index, text) for part in parts.split(" + ")))


def _place(name: str, index: Mapping[str, int], text: str) -> int:
    if name.strip() not in index:
        raise UsageError(
            f"data.table.constraints: {text!r}: no column {name.strip()!r} of numbers or times; "
            f"{nearest(name.strip(), index)}"
        )
    return index[name.strip()]


def _sequence(orders: Sequence[Order], names: Mapping[int, str]) -> list[int]:
    """Columns that are held to others, each after those that it is held to."""
    waiting = {order.high: {other.low for other in orders if other.high == order.high} for order in orders}
    found: list[int] = []
    while waiting:
        ready = [high for high, lows in waiting.items() if not lows & waiting.keys()]
        if not ready:
            circle = " and ".join(sorted(names[high] for high in waiting))
            raise UsageError(f"data.table.constraints contradict each other: {circle} would each lie above the other")
        found += ready
        waiting = {high: lows for high, lows in waiting.items() if high not in ready}
    return found
