"""A measured number, and all that it depends on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ficta.metrics.intervals import Estimate

PROTOCOL_VERSION = 2  # raise it when the same words come to mean another number


@dataclasses.dataclass(frozen=True)
class Result:
    """One measure of one set of samples.

    Attributes:
        name: of the measure, with its feature space: ``frechet-distance(random-conv)``.
        estimate: the number and its interval; None if it was not measured.
        unit: of the number; empty for a pure one.
        better: ``lower``, ``higher``, or the value that real items would have: ``near 0.5``; empty where neither is.
        n: samples in each estimate.
        method: how the interval came about.
        seconds: that it took, features aside.
        protocol: what must be equal for two numbers to be compared, JSON types.
        real: the same measure of real items in place of samples; None where that is not defined.
        shuffled: the same measure of items without structure.
        reason: why it was not measured; empty if it was.
    """

    name: str
    estimate: Estimate | None
    unit: str
    better: str
    n: int
    method: str
    seconds: float
    protocol: Mapping[str, Any]
    real: Estimate | None = None
    shuffled: Estimate | None = None
    reason: str = ""

    @property
    def fingerprint(self) -> str:
        """Digest of the protocol: numbers of unlike fingerprints are not comparable."""
        text = json.dumps([PROTOCOL_VERSION, self.name, self.protocol], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``results.jsonl``."""
        return {
            "name": self.name,
            **_parts(self.estimate),
            "unit": self.unit,
            "better": self.better,
            "n": self.n,
            "method": self.method,
            "seconds": round(self.seconds, 3),
            "fingerprint": self.fingerprint,
            "real": _parts(self.real),
            "shuffled": _parts(self.shuffled),
            "reason": self.reason,
            "protocol": dict(self.protocol),
        }


def _parts(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {"value": None, "interval": None, "error": None}
    known = estimate.low is not None
    interval = [estimate.low, estimate.high] if known else None
    return {"value": estimate.value, "interval": interval, "error": estimate.error}
