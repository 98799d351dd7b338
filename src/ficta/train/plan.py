"""A plan before the run: how fast, how long, how much memory."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from ficta.compute import device as machine
from ficta.train.stepper import Stepper

LEAST_STEPS = 3
STEPS_TOGETHER = 16


def measure_rate(scratch: Stepper, seconds: float) -> float:
    """Samples a second.

    Args:
        scratch: takes the steps, and is of no use afterwards.
        seconds: time to spend, after a warm-up step.

    Returns:
        Samples a second over all processes, by the mean over the measured steps.
    """
    scratch.advance()  # warm-up; also the most expensive step, as every lazy phase runs at step 0
    machine.wait(scratch.device)
    start, steps = time.perf_counter(), 0
    several = scratch.collectives.ranks > 1  # every process must take the same number of steps
    while steps < STEPS_TOGETHER if several else steps < LEAST_STEPS or time.perf_counter() - start < seconds:
        scratch.advance()
        steps += 1
    machine.wait(scratch.device)
    return scratch.samples_a_step * steps / (time.perf_counter() - start)


def make_plan(stepper: Stepper, rate: float, target: int) -> dict[str, Any]:
    """What ``plan.json`` holds.

    Args:
        stepper: about to take its first step.
        rate: samples a second.
        target: samples to see.

    Returns:
        Parameters of each network, samples to see, rate, seconds, memory in bytes, machine.
    """
    parameters = {
        name: sum(p.numel() for p in child.parameters())
        for name, child in stepper.family.named_children()
        if any(True for _ in child.parameters())
    }
    return {
        "parameters": parameters,
        "target_samples": target,
        "samples_per_second": rate,
        "seconds": target / rate,
        "memory_bytes": machine.peak_memory_bytes(stepper.device),
        "machine": {
            **machine.describe(),
            "ficta": version("ficta"),
            "device": str(stepper.device),
            "processes": stepper.collectives.ranks,
            "precision": stepper.settings.precision,
        },
    }
