"""Readings of a row, taken in turns, and what they come to."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from typing import Any

from yardstick import data, operations, processes, summary
from yardstick.processes import Worker, WorkerError

CHUNK = 256
MADE = 10_000
LATENCY_REPEATS = 50
TOLD = ("precision", "jit", "threads", "compile")  # by workers of themselves, and kept
LEAST_STEPS = 2  # of a turn
BUSY = 0.1  # a share of the cores in foreign hands beyond which a row is marked


class Row:
    """Readings of one row, as they come in."""

    def __init__(self, what: str, name: str, network: str, batch: int, kind: str) -> None:
        self.what, self.name, self.network, self.batch, self.kind = what, name, network, batch, kind
        self.readings: dict[str, list[float]] = {}
        self.told: dict[str, Mapping[str, Any]] = {}
        self.tried: dict[str, Mapping[str, float | str]] = {}
        self.memory: dict[str, int] = {}
        self.losses: dict[str, float] = {}
        self.absent: dict[str, str] = {}
        self.rooflines: list[dict[str, float]] = []
        self.load = 0.0

    def join(self, peer: str, ready: Mapping[str, Any], tried: Mapping[str, float | str]) -> None:
        """A peer that has started, what it says of itself, and what its variants reached; who once left stays away."""
        if peer in self.absent:
            return
        self.readings.setdefault(peer, [])
        self.told[peer] = ready
        self.tried |= {peer: tried} if tried else {}

    def leave(self, peer: str, why: str) -> None:
        """Somebody who cannot take part, or no longer: nothing is said of it but why."""
        self.absent[peer] = why
        self.readings.pop(peer, None)

    def take(
        self, workers: Mapping[str, Worker], rounds: int, seconds: float, pause: float, roofline: Worker | None
    ) -> None:
        """A warm-up turn each, then the counted ones."""
        self.load = max(self.load, processes.foreign_load())
        samples: dict[str, int] = {}
        for counted in range(rounds + 1):
            for peer in list(self.readings):
                time.sleep(pause)
                try:
                    if self.what == "train" and not counted:
                        samples[peer] = turn_samples(workers[peer], self.batch, seconds)
                    reading = self._turn(peer, workers[peer], samples.get(peer, 0))
                except WorkerError as error:
                    self.leave(peer, str(error))
                else:
                    if counted:
                        self.readings[peer].append(reading)
            if counted and roofline and self.what != "latency":
                time.sleep(pause)
                self.rooflines.append(roofline.tell(do="matmul"))

    def _turn(self, peer: str, worker: Worker, samples: int) -> float:
        """One reading: samples a second, or milliseconds."""
        if self.what == "latency":
            return float(worker.tell(do="latency", repeats=LATENCY_REPEATS)["milliseconds"])
        if self.what != "train":
            answer = worker.tell(do=self.what, n=MADE, batch=CHUNK)
            return float(answer["samples"] / answer["seconds"])
        with worker.watched() as peak:
            answer = worker.tell(do="train", samples=samples)
        self.memory[peer] = max(self.memory.get(peer, 0), peak[0])
        self.losses[peer] = answer["loss"]
        return float(answer["samples"] / answer["seconds"])

    def result(self) -> dict[str, Any]:
        """All there is to say about the row."""
        best = (
            {name: max(reading[name] for reading in self.rooflines) for name in ("float32", "bf16")}
            if self.rooflines
            else {}
        )
        needed = operations.operations(self.network, self.what)
        found: dict[str, Any] = {}
        for peer, readings in self.readings.items():
            told = {name: self.told[peer][name] for name in TOLD if name in self.told[peer]}
            found[peer] = {"reading": summary.spread(readings), **told}
            if best:
                limit = max(best.values()) if told.get("precision") == "bf16" else best["float32"]
                found[peer]["share_of_roofline"] = statistics.median(readings) * needed / 1e9 / limit
            if peer in self.memory:
                found[peer] |= {"peak_anonymous_bytes": self.memory[peer], "last_loss": self.losses[peer]}
        over = [peer for peer, figures in found.items() if figures.get("share_of_roofline", 0) > 1]
        return {
            "name": self.name,
            "what": self.what,
            "network": self.network,
            "batch": self.batch if self.what == "train" else 1 if self.what == "latency" else CHUNK,
            "kind": self.kind,
            "operations_per_sample": needed,
            "roofline_gflops": best,
            "foreign_load": round(self.load, 3),
            "busy": self.load > BUSY,
            "peers": found,
            "not_available": self.absent,
            "ratios": ratios(found, larger_is_better=self.what != "latency"),
            "void": f"{', '.join(over)} over 100 % of the measured roofline" if over else None,
            "versions": {peer: self.told[peer]["versions"] for peer in found},
            "variants_tried": self.tried,
        }


def ratios(found: Mapping[str, Any], larger_is_better: bool) -> dict[str, Any]:
    """How many times better each of ours is than each peer."""
    ours = [name for name in found if name.startswith("ficta")]
    return {
        mine: {
            other: summary.ratio(found[mine]["reading"]["all"], found[other]["reading"]["all"], larger_is_better)
            for other in found
            if other not in ours
        }
        for mine in ours
    }


def turn_samples(worker: Worker, batch: int, seconds: float) -> int:
    """How many samples, in whole batches, take about so long; an uncounted turn of that length comes with it.

    A worker some of whose steps do more, every so many, says after how many (``cycle``): a turn holds whole cycles, so
    that each holds its share of them.
    """
    cycle: int = worker.ready.get("cycle", 1)
    unit = cycle * batch
    least = math.ceil(LEAST_STEPS / cycle)
    samples = least * unit
    for share in (0.25, 1.0):
        answer = worker.tell(do="train", samples=samples)
        rate = answer["samples"] / answer["seconds"]
        samples = min(max(least, round(rate * seconds * share / unit)), data.COUNT // unit) * unit
    return samples
