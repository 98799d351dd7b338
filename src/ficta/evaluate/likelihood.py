"""What a family that has a likelihood says of held-out items, and beside them of training items and shuffled ones."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from ficta.base.progress import Progress
from ficta.base.seeds import mix
from ficta.compute.noise import Noise
from ficta.evaluate.ground import OTHER_LABELS, Ground
from ficta.evaluate.result import Result
from ficta.evaluate.sources import Source
from ficta.metrics.intervals import Estimate, bootstrap_mean
from ficta.metrics.latents import active_units, costly_units
from ficta.models.family import Batch, Bounds, Layered, Weighs
from ficta.runs.run import Run

CHUNK = 256
DRAWS_AT_ONCE = 1024  # latents decoded at once
WEIGHTED = ((64, 1000),)  # draws of the importance-weighted bound, and items that it is taken of
WEIGHTED_FULL = ((1, 1000), (64, 1000), (5000, 100))
BITS = "bits_per_dimension"
NAMES = {"negative_elbo_nats": "negative-elbo", "kl_nats": "rate", "prior_nats": "rate", BITS: "bits-per-dimension"}
MEAN = "bootstrap over items"


def likelihood(ground: Ground) -> Iterator[Result]:
    """The bound and its parts, the importance-weighted bound, active units; nothing for a family without a bound."""
    run, seed = ground.run, ground.asked.seed
    if run is None or not isinstance(run.family, Bounds):
        return
    count = len(ground.heldout)
    if ground.has_other_labels:
        called, protocol = f"negative-elbo({_values(run)})", ground.protocol(None)
        yield Result(called, None, "nats", "lower", count, MEAN, 0.0, protocol, reason=OTHER_LABELS)
        return
    begun = time.perf_counter()
    found = {which: bounds(run, source, count, seed, ground.progress) for which, source in _sources(ground).items()}
    values = _values(run)
    protocol = ground.protocol(None, values=values, seed=seed)
    names = list(found["samples"])
    seconds = (time.perf_counter() - begun) / len(names)
    for name in names:
        unit = "bits" if name == BITS else "nats"
        called = f"{NAMES.get(name, 'distortion')}({values})"
        better = "" if called.startswith("rate") else "lower"
        costs = {which: of_items[name] for which, of_items in found.items()}
        yield _result(called, costs, unit, better, seed, seconds, protocol)
    yield from weighted(ground, BITS in names)
    if ground.asked.full and isinstance(run.family, Layered):
        yield from _active(ground, run, run.family, protocol)


def weighted(ground: Ground, in_bits: bool) -> Iterator[Result]:
    """The importance-weighted bound of a run's family, which has a bound; in bits a value, too, if asked for."""
    run, seed = ground.run, ground.asked.seed
    assert run is not None
    values = _values(run)
    reason = _why_not_weighted(run, values)
    protocol = ground.protocol(None, values=values, seed=seed)
    for k, items in WEIGHTED_FULL if ground.asked.full else WEIGHTED:
        begun = time.perf_counter()
        called, count = f"importance-weighted-bound({values}, k={k})", min(items, len(ground.heldout))
        if reason:
            yield Result(called, None, "nats", "lower", count, MEAN, 0.0, protocol, reason=reason)
            continue
        costs = {
            which: importance_weighted(run, source, count, k, seed, ground.progress)
            for which, source in _sources(ground).items()
        }
        seconds = time.perf_counter() - begun
        described = {**protocol, "k": k, "items": count}
        scales = {"nats": 1.0, "bits": 1 / (run.codec.spec.size * math.log(2))}
        for unit in ("nats", "bits") if in_bits else ("nats",):
            name = called if unit == "nats" else f"bits-per-dimension({values}, k={k})"
            scaled = {which: of_items * scales[unit] for which, of_items in costs.items()}
            yield _result(name, scaled, unit, "lower", seed, seconds, described)


def _sources(ground: Ground) -> dict[str, Source]:
    """Held-out items, those that the run has learnt from if they are at hand, and held-out ones without structure."""
    learnt = {} if ground.learnt_elsewhere else {"real": ground.train}
    return {"samples": ground.heldout, **learnt, "shuffled": ground.shuffled}


def _result(
    name: str,
    costs: Mapping[str, np.ndarray],
    unit: str,
    better: str,
    seed: int,
    seconds: float,
    protocol: Mapping[str, object],
) -> Result:
    """Means of the costs of the items of each of ``_sources``."""
    found = {which: bootstrap_mean(values, seed) for which, values in costs.items()}
    estimate, real, shuffled = (found.get(which) for which in ("samples", "real", "shuffled"))
    return Result(name, estimate, unit, better, len(costs["samples"]), MEAN, seconds, protocol, real, shuffled)


def _active(ground: Ground, run: Run, family: Layered, protocol: Mapping[str, object]) -> Iterator[Result]:
    """Latents that say anything; where they form layers, of each layer."""
    begun, count, kept = time.perf_counter(), len(ground.heldout), []
    layered = False
    with run.inference():
        for each in _batches(run, ground.heldout, count, CHUNK, ground.asked.seed):
            layers = family.layer_nats(each)
            layered = bool(layers)
            kept.append(layers if layered else [family.encode(each.data, each.condition)])
    found = [torch.cat(parts).double().cpu().numpy() for parts in zip(*kept, strict=True)]
    seconds = (time.perf_counter() - begun) / len(found)
    for number, values in enumerate(found, 1):
        called = f"active-units(layer {number})" if layered else "active-units"
        active = costly_units(values) if layered else active_units(values)
        yield Result(called, Estimate(active, None, None), "", "", count, "none", seconds, protocol)


def _why_not_weighted(run: Run, values: str) -> str:
    """Why a family with a bound has no importance-weighted one; empty if it has."""
    family: object = run.family
    if not isinstance(family, Weighs):
        return f"a {run.recipe['family']} has no distribution of latents to draw from; its bound is all there is"
    if not family.is_likelihood:
        return f"{values} is a cost and no likelihood: train with a likelihood, e.g. --set model.head=gaussian"
    return ""


def _values(run: Run) -> str:
    """What the cost is a cost of: the head's distribution, and how binary values were drawn."""
    family, drawn = run.family, run.recipe["data"].get("image", {}).get("binarise", "none")
    assert isinstance(family, Bounds)
    return family.observation if drawn == "none" else f"{family.observation}, {drawn} binarisation"


def bounds(run: Run, source: Source, count: int, seed: int, progress: Progress) -> dict[str, np.ndarray]:
    """Negative ELBO in nats with one draw, and its terms, of the first items of a source: float64 (count,) each.

    Of a source of fewer items, all.
    """
    family, count = run.family, min(count, len(source))
    assert isinstance(family, Bounds)
    parts: dict[str, list[np.ndarray]] = {}
    with run.inference():
        for batch in _batches(run, source, count, CHUNK, seed):
            losses = family.bound(batch)
            for name, values in {"negative_elbo_nats": losses.value, **losses.terms}.items():
                parts.setdefault(name, []).append(values.double().cpu().numpy())
            progress("likelihood", len(np.concatenate(parts["negative_elbo_nats"])), count)
    return {name: np.concatenate(values) for name, values in parts.items()}


def importance_weighted(run: Run, source: Source, count: int, k: int, seed: int, progress: Progress) -> np.ndarray:
    """Importance-weighted bound on -log p(x) (Burda et al. 2016, arXiv:1509.00519, Eq. 8), in nats, float64 (count,).

    -log (1/k) sum_i p(x, z_i) / q(z_i | x), of the first items of a source, of all if there are fewer. It falls towards
    -log p(x) as k grows.
    """
    family, count = run.family, min(count, len(source))
    assert isinstance(family, Weighs)
    found = []
    with run.inference():
        for whole in _batches(run, source, count, CHUNK, seed):  # the same items and draws of data for every k
            for batch, noise in _pieces(whole, max(1, DRAWS_AT_ONCE // k)):
                logs = []
                for first in range(0, k, DRAWS_AT_ONCE):
                    drawn = dataclasses.replace(batch, noise=noise.fork(f"draws {first}"))
                    logs.append(family.log_weights(drawn, min(DRAWS_AT_ONCE, k - first)).double())
                found.append((math.log(k) - torch.cat(logs, 1).logsumexp(1)).cpu().numpy())
                progress(f"likelihood with k = {k}", sum(map(len, found)), count)
    return np.concatenate(found)


def _pieces(batch: Batch, size: int) -> Iterator[tuple[Batch, Noise]]:
    """Parts of a batch, each with noise of its own."""
    for start in range(0, len(batch.data), size):
        data = batch.data[start : start + size]
        condition = None if batch.condition is None else batch.condition[start : start + size]
        noise = Noise.whole(mix(batch.noise.key, "piece", start), "cpu", len(data))
        yield Batch(data, condition, batch.seen, noise), noise


def _batches(run: Run, source: Source, count: int, size: int, seed: int) -> Iterator[Batch]:
    """Batches as training makes them: what a codec draws is drawn anew, by the seed."""
    for start in range(0, count, size):
        stop = min(start + size, count)
        noise = Noise.whole(mix(seed, "likelihood", start), "cpu", stop - start)
        stored = torch.from_numpy(np.ascontiguousarray(source.read(start, stop)))
        found = source.labels(start, stop)
        data = run.codec.encode(stored, noise.fork("data"))
        labels = None if found is None else torch.from_numpy(found)
        condition = run.codec.condition(run.codec.spec, data, labels, None)
        yield Batch(data, condition, torch.zeros((), dtype=torch.int64), noise)
