"""A plan before the run: how fast, how long, how much memory."""

from __future__ import annotations

import dataclasses
import math
from importlib.metadata import version
from typing import Any

from ficta.compute import device as machine
from ficta.models.family import Family
from ficta.train.loop import report_points
from ficta.train.probe import Found
from ficta.train.stepper import Stepper


def make_plan(stepper: Stepper[Family], found: Found, report_seconds: float, probe_seconds: float) -> dict[str, Any]:
    """What ``plan.json`` holds.

    Args:
        stepper: about to take its first step.
        found: by the probe.
        report_seconds: what one report takes.
        probe_seconds: what finding this out took.

    Returns:
        Parameters of each network, samples to see, rate, seconds of steps and reports, way of computing and what else
        was tried, memory in bytes, machine.
    """
    target = stepper.target
    reports = min(len(report_points(target, stepper.settings.reports)), math.ceil(target / stepper.samples_a_step))
    parameters = {
        name: sum(p.numel() for p in child.parameters())
        for name, child in stepper.family.named_children()
        if any(True for _ in child.parameters())
    }
    return {
        "parameters": parameters,
        "target_samples": target,
        "samples_per_second": found.rate,
        "seconds": target / found.rate + reports * report_seconds,
        "reports": reports,
        "report_seconds": report_seconds,
        "probe_seconds": probe_seconds,
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
