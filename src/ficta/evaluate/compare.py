"""Which differences between evaluated samples hold, and which numbers may not be compared at all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import stats

from ficta.metrics.intervals import LEVEL


@dataclasses.dataclass(frozen=True)
class Row:
    """One measure of several sets of samples.

    Attributes:
        name: of the measure.
        better: which way is.
        unit: of the values.
        results: of each set, as in ``results.jsonl``; None where it was not measured.
        refused: why the values may not stand side by side; empty if they may.
        unlike: what of their protocols differs then: by path, the value of each set; None for a set without a result.
        best: sets that none is better than by more than chance, by number; empty if nothing can be said.
    """

    name: str
    better: str
    unit: str
    results: tuple[Mapping[str, Any] | None, ...]
    refused: str
    unlike: Mapping[str, tuple[str | None, ...]]
    best: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether one set is better than each other by more than chance."""
        return len(self.best) == 1


def compare(sets: Sequence[Sequence[Mapping[str, Any]]]) -> list[Row]:
    """Put the results of several sets of samples side by side.

    Args:
        sets: results of each set, as in ``results.jsonl``.

    Returns:
        A row for each measure that was taken of at least one set, in the order in which they are met.
    """
    tables = [{str(one["name"]): one for one in results if one["value"] is not None} for results in sets]
    names = dict.fromkeys(name for table in tables for name in table)
    return [_row(name, tuple(table.get(name) for table in tables)) for name in names]


def _row(name: str, results: tuple[Mapping[str, Any] | None, ...]) -> Row:
    there = [result for result in results if result is not None]
    better, unit = str(there[0].get("better", "")), str(there[0].get("unit", ""))
    is_alike = len({result["fingerprint"] for result in there}) == 1
    unlike = {} if is_alike else _unlike(results)
    refused = "" if is_alike else _reason(unlike)
    best = () if refused or not better or len(there) < 2 else _best(better, results)
    return Row(name, better, unit, results, refused, unlike, best)


def _unlike(results: Sequence[Mapping[str, Any] | None]) -> dict[str, tuple[str | None, ...]]:
    """What of their protocols differs."""
    flat = [None if result is None else _flat(result.get("protocol", {})) for result in results]
    keys = sorted({key for protocol in flat if protocol is not None for key in protocol})
    table = {
        key: tuple(None if protocol is None else str(protocol.get(key, "none")) for protocol in flat) for key in keys
    }
    return {key: values for key, values in table.items() if len(set(values) - {None}) > 1}


def _reason(unlike: Mapping[str, tuple[str | None, ...]]) -> str:
    """The same in one line."""
    if not unlike:
        return "other versions of this measure"
    shown = (f"{key}: {' / '.join(value for value in values if value is not None)}" for key, values in unlike.items())
    return f"unlike protocols, {'; '.join(shown)}"


def _flat(protocol: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in protocol.items():
        found |= _flat(value, f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return found


def _best(better: str, results: tuple[Mapping[str, Any] | None, ...]) -> tuple[int, ...]:
    """The best one, and those that it does not differ from by more than chance."""
    there = {number: result for number, result in enumerate(results) if result is not None}
    first = min(there, key=lambda number: _cost(better, there[number]["value"]))
    return tuple(number for number in there if number == first or not differs(there[first], there[number]))


def _cost(better: str, value: float) -> float:
    if better.startswith("near "):
        return abs(value - float(better.removeprefix("near ")))
    return value if better == "lower" else -value


def differs(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two results of one protocol differ by more than chance, by Welch's test at 5 %.

    Where a value is best near another one, it is their distances from it that differ: 0.4 and 0.6 are as near 0.5. Of
    results without a standard error nothing is known.
    """
    first, second = _error(a), _error(b)
    if first is None or second is None:
        return False
    (error_a, freedom_a), (error_b, freedom_b) = first, second
    cost_a, cost_b = (_cost(str(one.get("better", "")), float(one["value"])) for one in (a, b))
    squares = error_a**2, error_b**2
    total = sum(squares)
    if total == 0:
        return bool(cost_a != cost_b)
    freedom = total**2 / (squares[0] ** 2 / freedom_a + squares[1] ** 2 / freedom_b)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(total)
    return abs(cost_a - cost_b) > reach


def _error(result: Mapping[str, Any]) -> tuple[float, float] | None:
    """Standard error of a result and its degrees of freedom."""
    if result.get("error") is None:
        return None
    protocol = result.get("protocol", {})
    repeated = protocol.get("parts") or protocol.get("seeds")
    freedom = (repeated or result["n"]) - 1
    return (float(result["error"]), freedom) if freedom > 0 else None
