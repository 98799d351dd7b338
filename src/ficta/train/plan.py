"""A plan before the run: how fast, how long, how much memory."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import Any

from ficta.compute import device as machine
from ficta.train.probe import Found
from ficta.train.stepper import Stepper


def make_plan(stepper: Stepper, found: Found, target: int) -> dict[str, Any]:
    """What ``plan.json`` holds.

    Args:
        stepper: about to take its first step.
        found: by the probe.
        target: samples to see.

    Returns:
        Parameters of each network, samples to see, rate, seconds, way of computing and what else was tried, memory in
        bytes, machine.
    """
    parameters = {
        name: sum(p.numel() for p in child.parameters())
        for name, child in stepper.family.named_children()
        if any(True for _ in child.parameters())
    }
    return {
        "parameters": parameters,
        "target_samples": target,
        "samples_per_second": found.rate,
        "seconds": target / found.rate,
        "way": dataclasses.asdict(found.way),
        "tried": found.tried,
        "remembered": found.remembered,
        "memory_bytes": machine.peak_memory_bytes(stepper.device),
        "machine": {
            **machine.describe(),
            "ficta": version("ficta"),
            "device": str(stepper.device),
            "processes": stepper.collectives.ranks,
        },
    }
