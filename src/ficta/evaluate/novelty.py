"""How close samples lie to training items: as close as new real items do, or closer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ficta.evaluate.bank import Bank, features
from ficta.evaluate.compared import MEAN, PARTS
from ficta.evaluate.ground import Ground
from ficta.evaluate.result import Result
from ficta.evaluate.sources import described
from ficta.metrics.copying import Cells, Placed, closer_share, preference
from ficta.metrics.intervals import Estimate, bootstrap_mean, exact_share, repeats
from ficta.metrics.neighbours import Nearest, authentic, nearest

SHOWN = 10  # samples beside their nearest training items
EXACT = "over different real items, Clopper & Pearson"
NAMES = ("closer-to-training", "authenticity", "held-out-share")
OTHER_DATA = "the run learnt from other data than it is judged by; leave --data out"


class Novelty(NamedTuple):
    """What was found.

    Attributes:
        results: the measures.
        closest: the samples that lie closest to training items, and those below them. Under each sample stands its
            distance, in units of the median distance of held-out items. None if novelty was not judged.
    """

    results: list[Result]
    closest: Image.Image | None


def novelty(ground: Ground, banks: Mapping[str, Bank]) -> Novelty:
    """Measures of novelty in the first feature space.

    Args:
        ground: what the evaluation stands on.
        banks: ``samples`` and ``shuffled`` items.
    """
    space, seed = ground.spaces[0], ground.asked.seed
    if ground.run is not None and ground.run.data.get("content_hash") != ground.dataset.report["content_hash"]:
        names = [f"{name}({space.name})" for name in NAMES]
        protocol = ground.protocol(space)
        return Novelty([Result(name, None, "", "", 0, MEAN, 0.0, protocol, reason=OTHER_DATA) for name in names], None)
    train, heldout = (
        features(source, len(source), [space], ground.progress)[space.name].astype(np.float64)
        for source in (ground.train, ground.heldout)
    )
    begun = time.perf_counter()
    ground.progress("novelty", 0, 4)
    near_heldout = nearest(heldout, train)
    half = len(heldout) // 2
    closer = {"real": closer_share(near_heldout.distance[:half], near_heldout.distance[half:])}
    new = {"real": authentic(heldout, train, near_heldout)}
    near = {}
    for done, which in enumerate(("samples", "shuffled"), 1):
        ground.progress("novelty", done, 4)
        near[which] = nearest(banks[which].features[space.name], train)
        closer[which] = closer_share(near[which].distance, near_heldout.distance)
        new[which] = authentic(banks[which].features[space.name], train, near[which])
    protocol = ground.protocol(
        space, train=described(ground.dataset.splits["train"], "train", str(ground.dataset.report["content_hash"]))
    )
    seconds = (time.perf_counter() - begun) / 2
    results = []
    for name, better, values in (("closer-to-training", "near 0.5", closer), ("authenticity", "", new)):
        estimates = {which: bootstrap_mean(found, seed) for which, found in values.items()}
        count = len(values["samples"])
        results.append(
            Result(
                f"{name}({space.name})",
                estimates["samples"],
                "",
                better,
                count,
                MEAN,
                seconds,
                protocol,
                estimates["real"],
                estimates["shuffled"],
            )
        )
    results.append(_preference(ground, banks, near, heldout, near_heldout, protocol))
    if ground.asked.full:
        judged = {which: banks[which].features[space.name] for which in ("samples", "shuffled")}
        results.append(_copying(ground, judged, heldout, train, protocol))
    ground.progress("novelty", 4, 4)
    found = near["samples"]
    order = np.argsort(found.distance, kind="stable")[:SHOWN]
    samples = [ground.samples.read(int(row), int(row) + 1) for row in order]
    copied = [ground.train.read(int(row), int(row) + 1) for row in found.which[order]]
    usual = float(np.median(near_heldout.distance)) or 1.0
    captions = [*(f"{found.distance[row] / usual:.2f}" for row in order), *["training"] * len(order)]
    sheet = ground.dataset.codec.preview(np.concatenate(samples + copied), len(order), captions)
    return Novelty(results, sheet)


def _preference(
    ground: Ground,
    banks: Mapping[str, Bank],
    near: Mapping[str, Nearest],
    heldout: np.ndarray,
    near_heldout: Nearest,
    protocol: Mapping[str, Any],
) -> Result:
    """Share of held-out items among the real items nearest to samples; real ones are half of the held-out items."""
    begun = time.perf_counter()
    space, train, half = ground.spaces[0].name, len(ground.train), len(heldout) // 2
    found = {}
    cases = {which: (near[which], banks[which].features[space], heldout) for which in ("samples", "shuffled")}
    first = Nearest(near_heldout.distance[:half], near_heldout.which[:half])
    for which, (near_train, items, others) in {**cases, "real": (first, heldout[:half], heldout[half:])}.items():
        near_others = nearest(items, others)
        closer = near_others.distance < near_train.distance
        met = preference(np.where(closer, train + near_others.which, near_train.which), train, len(others))
        found[which] = exact_share(met.met_heldout, met.met).scaled((train + len(others)) / len(others)), met.met
    (estimate, n), (real, _), (shuffled, _) = (found[which] for which in ("samples", "real", "shuffled"))
    seconds = time.perf_counter() - begun
    return Result(f"held-out-share({space})", estimate, "", "near 1", n, EXACT, seconds, protocol, real, shuffled)


def _copying(
    ground: Ground, items: Mapping[str, np.ndarray], heldout: np.ndarray, train: np.ndarray, protocol: Mapping[str, Any]
) -> Result:
    """The test for each part of the items; of real ones, for one half of the held-out items against the other."""
    begun = time.perf_counter()
    n, found, reason = ground.n, dict[str, Estimate](), ""
    cells = Cells(train, seed=ground.asked.seed)
    baseline, half = cells.place(heldout), len(heldout) // 2
    try:
        halves = (Placed(*(values[part] for values in baseline)) for part in (slice(half), slice(half, None)))
        found["real"] = repeats([cells.z_score(*halves)])
        for which, features in items.items():
            parts = [features[start : start + n] for start in range(0, len(features) - n + 1, n)]
            found[which] = repeats([cells.z_score(cells.place(part), baseline) for part in parts])
    except ValueError as error:
        reason = str(error)
    full = {**protocol, "n": n, "parts": ground.asked.parts, "seed": ground.asked.seed}
    estimate, real, shuffled = (found.get(which) for which in ("samples", "real", "shuffled"))
    seconds = time.perf_counter() - begun
    name = f"copying-test({ground.spaces[0].name})"
    return Result(name, estimate, "sd", "near 0", n, PARTS, seconds, full, real, shuffled, reason)
