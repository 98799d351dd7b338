"""The best weights of a run so far, by a measure that its reports take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from ficta.base.errors import UsageError

Measure = Literal["auto", "heldout_negative_elbo_nats", "kernel_distance", "coverage_ratio"]
SIGNS: dict[Measure, int] = {"heldout_negative_elbo_nats": 1, "kernel_distance": 1, "coverage_ratio": -1}  # 1: lower
PREFIX = "best/"


class Best:
    """Averaged weights of the report that was best.

    Attributes:
        measure: by which; ``auto`` is the first of those that the reports take.
        seen: samples seen by these weights; 0 before any report was taken.
        weights: named tensors; empty before any report was taken.
    """

    def __init__(self, measure: Measure) -> None:
        self.measure: Measure = measure
        self.seen = 0
        self.weights: dict[str, Tensor] = {}
        self._cost = 0.0

    def consider(self, line: Mapping[str, Any], weights: Mapping[str, Tensor]) -> bool:
        """Take the weights of a report if it is better than all before; whether it is.

        Raises:
            UsageError: reports of this run do not take the measure.
        """
        if self.measure == "auto":
            self.measure = next((name for name in SIGNS if name in line), "auto")
        if self.measure not in line:
            taken = [name for name in SIGNS if name in line]
            raise UsageError(
                f"train.keep_by = {self.measure!r}: reports of this run do not take it; "
                + (f"there is {', '.join(taken)}" if taken else "they take none to go by: set train.keep=last")
            )
        cost = SIGNS[self.measure] * float(line[self.measure])
        if self.weights and cost >= self._cost:
            return False
        self._cost, self.seen = cost, line["seen"]
        self.weights = {name: value.detach().clone() for name, value in weights.items()}
        return True

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """All that going on needs: named tensors, and facts as strings."""
        tensors = {PREFIX + name: value for name, value in self.weights.items()}
        return tensors, {"best": json.dumps({"measure": self.measure, "seen": self.seen, "cost": self._cost})}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Become what ``state`` described."""
        known = json.loads(facts["best"])
        self.measure, self.seen, self._cost = known["measure"], known["seen"], known["cost"]
        self.weights = {name.removeprefix(PREFIX): v for name, v in tensors.items() if name.startswith(PREFIX)}


def to_keep(best: Best | None, seen: int, weights: Mapping[str, Tensor]) -> tuple[int, Mapping[str, Tensor]]:
    """Which weights samples are made from, and how many samples those have seen: the best, else the given ones."""
    return (best.seen, best.weights) if best is not None and best.weights else (seen, weights)
