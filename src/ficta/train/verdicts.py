"""A judgement of a run at each report: what is wrong, the figures that say so, what to try next."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Name = Literal["healthy", "diverged", "collapsed", "plateau"]

RUNAWAY = 100.0  # a loss so many times its usual size has run away
COLLAPSED = 0.25  # samples that lie closer together than this share of the data's spread, and come no further apart
SETTLED = 0.25  # share of the run after which a lack of spread counts; every generator starts without any
SETTLED_SAMPLES = 15_000  # and no earlier than after so many samples, or near the end of a run shorter than that
PLATEAU_WINDOW = 0.3  # share of the reports in which held-out cost must have improved
PLATEAU_GAIN = 0.001  # by at least this share of its value


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is judged, on what evidence, and the next thing to try."""

    name: Name
    evidence: Mapping[str, float] = dataclasses.field(default_factory=dict)
    advice: str = ""


HEALTHY = Verdict("healthy")


def judge(line: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], target: int) -> Verdict:
    """Judge a run by its newest report and those before.

    Args:
        line: newest report: ``seen``, ``losses``, and where measured ``spread_ratio`` and
            ``heldout_negative_elbo_nats``.
        earlier: reports before it, oldest first.
        target: samples that the run is to see.

    Returns:
        The worst that holds: diverged, collapsed, plateau, else healthy.
    """
    return _diverged(line, earlier) or _collapsed(line, earlier, target) or _plateau(line, earlier, target) or HEALTHY


def _diverged(line: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Verdict | None:
    advice = "lower the learning rate (--set model….rate=…), or clip gradients (--set train.clip_norm=1)"
    for name, value in line["losses"].items():
        if not math.isfinite(value):
            return Verdict("diverged", {}, f"{name} is {value}: {advice}, and look for extreme values in the data")
        before = [abs(old["losses"][name]) for old in earlier if isinstance(old["losses"].get(name), float | int)]
        if len(before) >= 3:
            usual = statistics.median(before)
            if abs(value) > RUNAWAY * max(usual, 1.0):
                return Verdict("diverged", {name: value, f"{name}_usual": usual}, f"{name} runs away: {advice}")
    return None


def _collapsed(line: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], target: int) -> Verdict | None:
    settled = max(SETTLED * target, min(SETTLED_SAMPLES, 0.9 * target))
    recent = [entry for entry in (*earlier[-1:], line) if entry["seen"] >= settled]
    ratios = [entry["spread_ratio"] for entry in recent if "spread_ratio" in entry]
    if len(ratios) < 2 or max(ratios) >= COLLAPSED or ratios[-1] > ratios[0]:  # one that rises is still learning
        return None
    return Verdict(
        "collapsed",
        {"spread_ratio": ratios[-1]},
        f"samples differ only {ratios[-1]:.0%} as much as the data do: for a gan raise model.r1_gamma or lower the "
        "generator's rate, for a vae lower model.beta",
    )


def _plateau(line: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], target: int) -> Verdict | None:
    name = "heldout_negative_elbo_nats"
    window = PLATEAU_WINDOW * target
    old = [entry[name] for entry in earlier if name in entry and entry["seen"] <= line["seen"] - window]
    new = [entry[name] for entry in (*earlier, line) if name in entry and entry["seen"] > line["seen"] - window]
    if len(old) < 3 or len(new) < 3:
        return None
    best_old, best_new = min(old), min(new)
    if best_old - best_new >= PLATEAU_GAIN * abs(best_old):
        return None
    return Verdict(
        "plateau",
        {"best_before": best_old, "best_lately": best_new},
        "held-out cost no longer falls: stop here, or try decay of the learning rate (--set train.decay=cosine), "
        "more data, or a larger latent (--set model.latent_dim=…)",
    )
