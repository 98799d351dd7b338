"""Readings of a row, taken in turns, and what they come to."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

from yardstick import data, operations, summary
from yardstick.processes import Worker, WorkerError

CHUNK = 256
MADE = 10_000
LATENCY_REPEATS = 50
BUSY = 0.1  # a share of the cores in foreign hands beyond which a row is marked


class Row:
    """Readings of one row, as they come in."""

    def __init__(
        self, what: str, name: str, network: str, batch: int, kind: str, workers: Mapping[str, Worker]
    ) -> None:
        self.what, self.name = what, name
        self.network, self.batch, self.kind = network, batch, kind
        self.workers = dict(workers)
        self.readings: dict[str, list[float]] = {peer: [] for peer in workers}
        self.memory: dict[str, int] = {}
        self.losses: dict[str, float] = {}
        self.lost: dict[str, str] = {}
        self.rooflines: list[dict[str, float]] = []
        self.turn_samples: dict[str, int] = {}

    def take(self, rounds: int, seconds: float, pause: float, roofline: Worker | None) -> None:
        """A warm-up turn each, then the counted ones."""
        for counted in range(rounds + 1):
            for peer in list(self.workers):
                time.sleep(pause)
                try:
                    reading = self._turn(peer, seconds, warm_up=counted == 0)
                except WorkerError as error:
                    self.lost[peer] = str(error)
                    self.workers.pop(peer)
                else:
                    if counted:
                        self.readings[peer].append(reading)
            if counted and roofline and self.what != "latency":
                time.sleep(pause)
                self.rooflines.append(roofline.tell(do="matmul"))

    def _turn(self, peer: str, seconds: float, warm_up: bool) -> float:
        """One reading: samples a second, or milliseconds."""
        worker = self.workers[peer]
        if self.what == "latency":
            return float(worker.tell(do="latency", repeats=LATENCY_REPEATS)["milliseconds"])
        if self.what != "train":
            answer = worker.tell(do=self.what, n=MADE, batch=CHUNK)
            return float(answer["samples"] / answer["seconds"])
        if warm_up:
            self.turn_samples[peer] = turn_samples(worker, self.batch, seconds)
        with worker.watched() as peak:
            answer = worker.tell(do="train", samples=self.turn_samples[peer])
        self.memory[peer] = max(self.memory.get(peer, 0), peak[0])
        self.losses[peer] = answer["loss"]
        return float(answer["samples"] / answer["seconds"])

    def result(self, absent: Mapping[str, str], load: float) -> dict[str, Any]:
        """All there is to say about the row."""
        best = (
            {name: max(reading[name] for reading in self.rooflines) for name in ("float32", "bf16")}
            if self.rooflines
            else {}
        )
        needed = operations.operations(self.network, self.what)
        found: dict[str, Any] = {}
        for peer, worker in self.workers.items():
            told = {
                key: value for key, value in worker.ready.items() if key in ("precision", "jit", "threads", "compile")
            }
            found[peer] = {"reading": summary.spread(self.readings[peer]), **told}
            if best:
                limit = max(best.values()) if told.get("precision") == "bf16" else best["float32"]
                found[peer]["share_of_roofline"] = statistics.median(self.readings[peer]) * needed / 1e9 / limit
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
            "foreign_load": round(load, 3),
            "busy": load > BUSY,
            "peers": found,
            "not_available": {**absent, **self.lost},
            "ratios": ratios(found, larger_is_better=self.what != "latency"),
            "void": f"{', '.join(over)} over 100 % of the measured roofline" if over else None,
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
    """How many samples, in whole batches, take about so long; an uncounted turn of that length comes with it."""
    samples = 2 * batch
    for share in (0.25, 1.0):
        answer = worker.tell(do="train", samples=samples)
        rate = answer["samples"] / answer["seconds"]
        samples = min(max(2, round(rate * seconds * share / batch)), data.COUNT // batch) * batch
    return samples
