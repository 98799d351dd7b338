"""How close samples lie to training items: as close as new real items do, or closer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ficta.evaluate.bank import Bank, features
from ficta.evaluate.classifier import Reader
from ficta.evaluate.compared import MEAN, PARTS
from ficta.evaluate.ground import Ground
from ficta.evaluate.result import Result
from ficta.evaluate.sources import described
from ficta.metrics.copying import Cells, closer_share, heldout_share
from ficta.metrics.intervals import Estimate, bootstrap_mean, repeats
from ficta.metrics.neighbours import Nearest, authentic, nearest

SHOWN = 10  # samples beside their nearest training items
OVER_ITEMS = "bootstrap over the real items nearest to samples"
OTHER_DATA = "the run learnt from other data than it is judged by; leave --data out"
TAUGHT = "the classifier has learnt from the training items, and its features with it; add another feature space"


class Novelty(NamedTuple):
    """What was found.

    Attributes:
        results: the measures.
        closest: the samples that lie closest to training items, and those below them. Under each sample stands its
            distance, in units of the median distance of held-out items. None if novelty was not judged.
    """

    results: list[Result]
    closest: Image.Image | None


class Case(NamedTuple):
    """Some items, and the held-out ones that they are compared with.

    Attributes:
        items: features, float64 (n, d).
        near: their nearest training items.
        others: features of the held-out items, float64 (m, d).
        near_others: their nearest training items.
    """

    items: np.ndarray
    near: Nearest
    others: np.ndarray
    near_others: Nearest


class Measure(NamedTuple):
    """One number of a case.

    Attributes:
        name: of the number.
        better: which way it is.
        unit: empty for a pure number.
        n: samples in each estimate.
        method: how its interval comes about.
        protocol: what belongs to it beside the space and the real items.
        of: the number; a ``ValueError`` says why it is not defined.
    """

    name: str
    better: str
    unit: str
    n: int
    method: str
    protocol: Mapping[str, Any]
    of: Callable[[Case], Estimate]


def novelty(ground: Ground, banks: Mapping[str, Bank]) -> Novelty:
    """Measures of novelty in the first feature space.

    Args:
        ground: what the evaluation stands on.
        banks: ``samples`` and ``shuffled`` items.
    """
    space = ground.spaces[0]
    if ground.learnt_elsewhere:
        unasked = _measures(ground, np.empty((0, space.size)), len(banks["samples"]))
        protocol = ground.protocol(space)
        return Novelty([_result(ground, measure, {}, 0.0, protocol, OTHER_DATA) for measure in unasked], None)
    train, heldout = (
        features(source, len(source), [space], ground.progress)[space.name].astype(np.float64)
        for source in (ground.train, ground.heldout)
    )
    content = str(ground.dataset.report["content_hash"])
    protocol = ground.protocol(space, train=described(ground.dataset.splits["train"], "train", content))
    cases = _cases(ground, banks, train, heldout)
    measures, results = list(_measures(ground, train, len(banks["samples"]))), []
    for done, measure in enumerate(measures):
        ground.progress("novelty", done, len(measures))
        begun, found, reason = time.perf_counter(), dict[str, Estimate](), ""
        for which, case in cases.items():
            try:
                found[which] = measure.of(case)
            except ValueError as error:
                reason = str(error) if which == "samples" else reason
        results.append(_result(ground, measure, found, time.perf_counter() - begun, protocol, reason))
    ground.progress("novelty", len(measures), len(measures))
    return Novelty(results, _closest(ground, cases["samples"]))


def _cases(ground: Ground, banks: Mapping[str, Bank], train: np.ndarray, heldout: np.ndarray) -> dict[str, Case]:
    """Samples and shuffled items beside all held-out ones; as real items, one half of those beside the other."""
    name, half = ground.spaces[0].name, len(heldout) // 2
    near_heldout = nearest(heldout, train)
    found = {}
    for which in ("samples", "shuffled"):
        items = banks[which].features[name].astype(np.float64)
        found[which] = Case(items, nearest(items, train), heldout, near_heldout)
    first, second = (Nearest(*(values[part] for values in near_heldout)) for part in (slice(half), slice(half, None)))
    return {**found, "real": Case(heldout[:half], first, heldout[half:], second)}


def _measures(ground: Ground, train: np.ndarray, count: int) -> Iterator[Measure]:
    """Those that are asked for, of so many samples."""
    seed, n = ground.asked.seed, ground.n

    def closer(case: Case) -> Estimate:
        return bootstrap_mean(closer_share(case.near.distance, case.near_others.distance), seed)

    def share(case: Case) -> Estimate:
        if isinstance(ground.spaces[0], Reader):
            raise ValueError(TAUGHT)
        of_others = nearest(case.items, case.others)
        is_closer = of_others.distance < case.near.distance
        which = np.where(is_closer, len(train) + of_others.which, case.near.which)
        return heldout_share(which, len(train), len(case.others), seed)

    def copying(case: Case) -> Estimate:
        cells = Cells(train, seed=seed)
        baseline = cells.place(case.others, case.near_others.distance)
        placed = cells.place(case.items, case.near.distance)
        starts = range(0, max(1, len(case.items) - n + 1), n)
        return repeats([cells.z_score(placed.part(start, start + n), baseline) for start in starts])

    yield Measure("closer-to-training", "near 0.5", "", count, MEAN, {}, closer)
    yield Measure(
        "authenticity",
        "",
        "",
        count,
        MEAN,
        {},
        lambda case: bootstrap_mean(authentic(case.items, train, case.near), seed),
    )
    yield Measure("held-out-share", "near 1", "", count, OVER_ITEMS, {"seed": seed}, share)
    if ground.asked.full:
        settings = {"n": n, "parts": ground.asked.parts, "seed": seed}
        yield Measure("copying-test", "near 0", "sd", n, PARTS, settings, copying)


def _result(
    ground: Ground,
    measure: Measure,
    found: Mapping[str, Estimate],
    seconds: float,
    protocol: Mapping[str, Any],
    reason: str,
) -> Result:
    """A measure of samples beside that of real and shuffled items, as far as it is defined for each."""
    estimate, real, shuffled = (found.get(which) for which in ("samples", "real", "shuffled"))
    return Result(
        f"{measure.name}({ground.spaces[0].name})",
        estimate,
        measure.unit,
        measure.better,
        measure.n,
        measure.method,
        seconds,
        {**protocol, **measure.protocol},
        real,
        shuffled,
        reason,
    )


def _closest(ground: Ground, case: Case) -> Image.Image:
    """The samples that lie closest to training items above those."""
    order = np.argsort(case.near.distance, kind="stable")[:SHOWN]
    samples = [ground.samples.read(int(row), int(row) + 1) for row in order]
    copied = [ground.train.read(int(row), int(row) + 1) for row in case.near.which[order]]
    usual = float(np.median(case.near_others.distance)) or 1.0
    captions = [*(f"{case.near.distance[row] / usual:.2f}" for row in order), *["training"] * len(order)]
    return ground.dataset.codec.preview(np.concatenate(samples + copied), len(order), captions)
