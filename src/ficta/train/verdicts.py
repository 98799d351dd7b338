"""A judgement of a run at each report: what is wrong, the figures that say so, what to try next."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Name = Literal["healthy", "diverged", "collapsed", "copying", "discriminator overfits", "plateau"]

RUNAWAY = 100.0  # a loss so many times its usual size has run away
COLLAPSED = 0.25  # samples that lie closer together than this share of the data's spread, and come no further apart
UNCOVERED = 0.05  # samples that come near a smaller share of the held-out items than this …
LEARNING = 0.02  # … while the last five reports have not brought that share so far above all before,
SPREADING = 0.15  # nor the samples' spread by this share of itself
LOOKED_BACK = 5
COPYING = 0.6  # share of held-out items further from the training items than samples are; a half is as new as real
CHANCE = 0.01  # … if by chance they would prefer training items to held-out ones so much at most this often,
EXACT = 0.5  # or a quarter of them lies so near, in units of the training items' distances among themselves
OVERFIT = 0.6  # way that held-out items have gone from real to made in the discriminator's eyes
SETTLED = 0.25  # share of the run after which a lack of spread counts; every generator starts without any
UNBEGUN = 0.5  # the same share for a run whose samples never resembled the data: it may be slow
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
        line: newest report: ``seen``, ``losses``, and where measured ``spread_ratio``, ``coverage_ratio``,
            ``closer_to_training_ratio``, ``preference_chance``, ``nearness_ratio``, ``overfit_ratio`` and
            ``heldout_negative_elbo_nats``.
        earlier: reports before it, oldest first.
        target: samples that the run is to see.

    Returns:
        The worst that holds: diverged, collapsed, copying, discriminator overfits, plateau, else healthy.
    """
    reports = [*earlier, line]
    recent = _settled(reports, SETTLED * target, target)
    return (
        _diverged(line, earlier)
        or _collapsed(recent if _has_begun(reports) else _settled(reports, UNBEGUN * target, target), reports)
        or _copying(recent)
        or _overfitting(recent)
        or _plateau(line, earlier, target)
        or HEALTHY
    )


def _settled(reports: Sequence[Mapping[str, Any]], after: float, target: int) -> Sequence[Mapping[str, Any]]:
    """Those of the last two reports that count."""
    enough = max(after, min(SETTLED_SAMPLES, 0.9 * target))
    return [entry for entry in reports[-2:] if entry["seen"] >= enough]


def _has_begun(reports: Sequence[Mapping[str, Any]]) -> bool:
    """Whether samples were ever as varied, and came as near to the data, as a run that has not collapsed."""
    return any(
        entry.get("spread_ratio", 1.0) >= COLLAPSED and entry.get("coverage_ratio", 1.0) >= UNCOVERED
        for entry in reports
    )


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


def _collapsed(recent: Sequence[Mapping[str, Any]], reports: Sequence[Mapping[str, Any]]) -> Verdict | None:
    """Samples all alike, by their spread; or of few kinds, by what of the data they cover."""
    if _is_learning(reports):
        return None
    ratios, covered = _two(recent, "spread_ratio"), _two(recent, "coverage_ratio")
    evidence = {}
    if ratios and max(ratios) < COLLAPSED and ratios[-1] <= ratios[0]:
        evidence["spread_ratio"] = ratios[-1]
    if covered and max(covered) < UNCOVERED:
        evidence["coverage_ratio"] = covered[-1]
    if not evidence:
        return None
    said = {
        "spread_ratio": f"samples differ only {ratios[-1]:.0%} as much as the data do" if ratios else "",
        "coverage_ratio": f"samples come near only {covered[-1]:.0%} of the held-out data" if covered else "",
    }
    return Verdict(
        "collapsed",
        evidence,
        f"{' and '.join(said[name] for name in evidence)}: for a gan raise model.r1_gamma or lower the generator's "
        "rate, for a vae lower model.beta",
    )


def _is_learning(reports: Sequence[Mapping[str, Any]]) -> bool:
    """Whether samples have lately come to cover more of the data, or to differ more, than ever before."""
    covered, ratios = (
        [float(entry[name]) for entry in reports if name in entry] for name in ("coverage_ratio", "spread_ratio")
    )
    spread_before, spread = _before_and_now(ratios)
    covered_before, cover = _before_and_now(covered)
    return spread > (1 + SPREADING) * spread_before or cover - covered_before >= LEARNING


def _before_and_now(values: Sequence[float]) -> tuple[float, float]:
    """The most before the last reports, and in the newest two; of few values the first stands for those before."""
    start = max(1, len(values) - LOOKED_BACK)
    return max(values[:start], default=math.inf), max(values[start:][-2:], default=0.0)


def _copying(recent: Sequence[Mapping[str, Any]]) -> Verdict | None:
    shares = _two(recent, "closer_to_training_ratio")
    if not shares or min(shares) < COPYING:
        return None
    evidence = {"closer_to_training_ratio": shares[-1]}
    for name, most in (("preference_chance", CHANCE), ("nearness_ratio", EXACT)):
        values = _two(recent, name)
        if values and max(values) <= most:
            evidence[name] = values[-1]
    if len(evidence) == 1:
        return None  # blurred samples lie close to everything
    return Verdict(
        "copying",
        evidence,
        f"samples lie closer to training items than {shares[-1]:.0%} of held-out items do: stop earlier, take more "
        "data, or a smaller model (--set model.latent_dim=…, or narrower networks)",
    )


def _overfitting(recent: Sequence[Mapping[str, Any]]) -> Verdict | None:
    ratios = _two(recent, "overfit_ratio")
    if not ratios or min(ratios) < OVERFIT:
        return None
    return Verdict(
        "discriminator overfits",
        {"overfit_ratio": ratios[-1]},
        f"it takes held-out items {ratios[-1]:.0%} of the way from training items to samples, and so teaches the "
        "generator their look: raise model.r1_gamma, of pictures set model.augment.kind = 'diff', stop earlier, or "
        "take more data",
    )


def _two(recent: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """A measure in the last two reports; empty unless both have it."""
    values = [entry[name] for entry in recent if name in entry]
    return values if len(values) == 2 else []


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
