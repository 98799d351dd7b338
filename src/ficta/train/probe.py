"""Before a run: which way of computing is fastest here, and how fast that is."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ficta.base.files import write_json
from ficta.compute import device as machine
from ficta.compute.collectives import local_processes
from ficta.compute.device import Way
from ficta.data.cache import cache_folder
from ficta.train.recipe import TrainSettings
from ficta.train.stepper import Stepper

SHARE = 0.03  # of the planned time, about, with what warming up takes
CHOICE, RATE = 2 / 3, 1 / 4  # of that share: for choosing, and for the rate of what was chosen
RATE_SECONDS = 1.0  # at most
COMPILE_SECONDS = 120.0  # what compiling is reckoned to take, to be safe
TURNS = 3  # for each of two ways, one after the other, so that what else the machine does meets both
TURN_SECONDS = 0.08
WORTH = 1.03  # how many times as fast another way must be to be chosen
HOPELESS = 2 / 3  # so slow after any turn, it is given up
LEAST_STEPS = 3
LASTING = {"precision", "layout", "compile"}  # while the threads that are free differ from one day to the next


@dataclasses.dataclass(frozen=True)
class Found:
    """What the probe found.

    Attributes:
        way: the fastest of those that were tried.
        rate: samples a second over all processes.
        tried: what else was tried, and how many times as fast it was as the best one then: ``{"threads": 1,
            "ratio": 0.6}``.
        remembered: whether all but the threads was chosen before, on this machine for these networks.
    """

    way: Way
    rate: float
    tried: list[dict[str, Any]]
    remembered: bool


def find_way(
    settings: TrainSettings,
    stepper_for: Callable[[Way], Stepper[Any]],
    planned_seconds: Callable[[float], float],
    content: Any,
) -> Found:
    """Settle what the settings leave open, and measure the rate. Costs about ``SHARE`` of the planned time.

    A way that the settings name is taken as it is. Several processes take the first way, as they have to agree.

    Args:
        settings: as asked for.
        stepper_for: makes a stepper whose steps come to nothing.
        planned_seconds: how long the run would take at a rate in samples a second.
        content: JSON types: all that the choice depends on beside the machine.
    """
    way = _first_way(settings)
    best = stepper_for(way)
    rate = measure_rate(best, 0.0)
    if best.collectives.ranks > 1:
        return Found(way, measure_rate(best, RATE_SECONDS), [], False)
    planned = planned_seconds(rate)
    key = _key([machine.describe(), str(best.device), content, settings.model_dump(mode="json", include=LASTING)])
    remembered = _remembered().get(key)
    if remembered:
        best = stepper_for(dataclasses.replace(way, **remembered))
    share = planned * SHARE * CHOICE
    ends = time.perf_counter() + share
    tried: list[dict[str, Any]] = []
    for change in _changes(settings, way, best.device):
        race = 2 * TURNS * max(TURN_SECONDS, LEAST_STEPS * best.samples_a_step / rate)
        costly = share < COMPILE_SECONDS if "compile" in change else time.perf_counter() + race > ends
        if costly or (remembered and "threads" not in change):
            continue
        rival = stepper_for(dataclasses.replace(best.way, **change))
        ratio = _race(best, rival)
        tried.append({**change, "ratio": ratio})
        best = rival if ratio > WORTH else best
    if any("threads" not in each for each in tried):
        _remember(key, {name: getattr(best.way, name) for name in LASTING})
    rate = measure_rate(best, min(RATE_SECONDS, planned * SHARE * RATE))
    return Found(best.way, rate, tried, remembered is not None)


def _first_way(settings: TrainSettings) -> Way:
    return Way(
        threads=settings.threads or max(1, torch.get_num_threads() // local_processes()),
        precision="float32" if settings.precision == "auto" else settings.precision,
        layout="channels_last" if settings.layout == "auto" else settings.layout,
        compile=bool(settings.compile),
    )


def _changes(settings: TrainSettings, way: Way, device: torch.device) -> list[dict[str, Any]]:
    """What the settings leave open and this device could do otherwise, one thing at a time."""
    found: list[dict[str, Any]] = []
    if settings.threads is None and device.type == "cpu":  # first: where cores are busy, nothing else matters as much
        found += [{"threads": fewer} for fewer in sorted({way.threads // 2, 1} - {0, way.threads}, reverse=True)]
    if settings.precision == "auto" and machine.multiplies_in_bf16(device):
        found.append({"precision": "bf16"})
    if settings.layout == "auto":
        found.append({"layout": "contiguous"})
    if settings.compile is None and machine.compiles(device):
        found.append({"compile": True})
    return found


def _race(best: Stepper[Any], rival: Stepper[Any]) -> float:
    """How many times as fast the rival is, over turns of both; a hopeless one gets fewer."""
    rates = {best: 0.0, rival: 0.0}
    measure_rate(rival, 0.0)  # warm-up
    for _ in range(TURNS):
        for stepper in rates:
            rates[stepper] += measure_rate(stepper, TURN_SECONDS)
        if rates[rival] < HOPELESS * rates[best]:
            break
    return rates[rival] / rates[best]


def measure_rate(scratch: Stepper[Any], seconds: float) -> float:
    """Samples a second.

    Args:
        scratch: takes the steps, and is of no use afterwards. Its first step is a warm-up, and also the most
            expensive one, as every lazy phase runs at step 0.
        seconds: time to spend; at least ``LEAST_STEPS`` steps are taken.

    Returns:
        Samples a second over all processes, by the mean over the measured steps.
    """
    machine.use(scratch.way)
    if scratch.step == 0:
        scratch.advance()
    machine.wait(scratch.device)
    start, steps = time.perf_counter(), 0
    several = scratch.collectives.ranks > 1  # every process must take the same number of steps
    while steps < LEAST_STEPS or (not several and time.perf_counter() - start < seconds):
        scratch.advance()
        steps += 1
    machine.wait(scratch.device)
    return scratch.samples_a_step * steps / (time.perf_counter() - start)


def _key(content: Any) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _remembered() -> dict[str, Mapping[str, Any]]:
    try:
        known = json.loads((cache_folder() / "probe.json").read_text())
    except (OSError, ValueError):  # none yet, or damaged: the probe makes it anew
        return {}
    return known if isinstance(known, dict) else {}


def _remember(key: str, choice: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # without a cache the next run probes again
        write_json(cache_folder() / "probe.json", {**_remembered(), key: choice})
