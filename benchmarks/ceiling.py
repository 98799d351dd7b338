"""How much of a training step is spent inside oneDNN's convolutions, which every peer on this machine calls, too.

    python benchmarks/ceiling.py

Were all the rest of Ficta's step free, it would be ``1 / share`` times as fast: no ratio to a peer that spends as long
in the same convolutions can grow by more. MNIST in $FICTA_TEST_DATA; the median of several fresh processes. Figures go
to benchmarks/results/ceiling.json.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from evidence import DATA, keep
from torch.profiler import ProfilerActivity, profile
from yardstick.peers import BATCHES

from ficta.api import recipe_for
from ficta.compute.collectives import Collectives
from ficta.data.ingest import ingest
from ficta.train import session

PROCESSES, WARM_UP, STEPS = 5, 30, 40
CONVOLUTIONS = {"aten::_convolution", "aten::mkldnn_convolution", "aten::convolution_backward"}


def reading(network: str, batch: int, precision: str) -> dict[str, float]:
    """Milliseconds of a step, and of its convolutions; the profiler slows all else, so the step is timed before it."""
    recipe = recipe_for(network, str(DATA / "mnist"), {"train": {"batch": batch, "precision": precision}})
    stepper = session.prepare(recipe, ingest(recipe.data), None, torch.device("cpu"), Collectives(), None).stepper
    for _ in range(WARM_UP):
        stepper.advance()
    begun = time.perf_counter()
    for _ in range(STEPS):
        stepper.advance()
    seconds = time.perf_counter() - begun
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(STEPS):
            stepper.advance()
    inside_us = sum(row.self_cpu_time_total for row in profiled.key_averages() if row.key in CONVOLUTIONS)
    return {"step_ms": seconds / STEPS * 1000, "convolutions_ms": inside_us / STEPS / 1000}


def main() -> None:
    """Every network, batch size and number format, in turns; with arguments, one reading as JSON."""
    if len(sys.argv) > 1:
        network, batch, precision = sys.argv[1:]
        print(json.dumps(reading(network, int(batch), precision)))
        return
    rows = list(itertools.product(("article-vae", "article-gan"), map(str, BATCHES), ("float32", "bf16")))
    found: dict[tuple[str, ...], list[dict[str, float]]] = {row: [] for row in rows}
    for _, row in itertools.product(range(PROCESSES), rows):
        done = subprocess.run([sys.executable, __file__, *row], stdout=subprocess.PIPE, text=True, check=True)
        found[row].append(json.loads(done.stdout.splitlines()[-1]))
    keep("ceiling", {" ".join(row): summary(readings) for row, readings in found.items()})


def summary(readings: list[dict[str, float]]) -> dict[str, Any]:
    """Medians, and what the step could gain at most."""
    shares = [reading["convolutions_ms"] / reading["step_ms"] for reading in readings]
    medians = {name: statistics.median(reading[name] for reading in readings) for name in readings[0]}
    return {**medians, "share": statistics.median(shares), "ceiling": 1 / statistics.median(shares)}


if __name__ == "__main__":
    main()
