"""What a report measures. Nothing here changes the run: averaged weights, eval mode, numbers drawn apart."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from ficta.base.seeds import mix
from ficta.compute.noise import Noise
from ficta.data.codec import Codec
from ficta.data.dataset import Store
from ficta.metrics.spread import pairwise_spread
from ficta.models.family import Batch, Bounds, Family, SampleSettings, device_of
from ficta.train.stepper import Stepper

CHUNK = 256
SPREAD_ITEMS = 128  # enough for a mean over 8,128 pairs


@torch.no_grad()
def heldout(family: Family, codec: Codec, store: Store, most: int, seed: int) -> dict[str, float]:
    """Mean bound and its terms on held-out samples, for a family that has one; else nothing.

    Args:
        family: in eval mode.
        codec: of its data.
        store: the validation or test split.
        most: only the first so many samples.
        seed: of the posterior draws; the same ones at each report.

    Returns:
        ``heldout_negative_elbo_nats`` and one ``heldout_…`` a term; empty for a family without a bound.
    """
    if not isinstance(family, Bounds) or len(store) == 0:
        return {}
    device = device_of(family)
    sums: dict[str, float] = {}
    count = min(most, len(store))
    for start in range(0, count, CHUNK):
        indices = torch.arange(start, min(start + CHUNK, count))
        stored, condition = store.gather(indices)
        noise = Noise.whole(mix(seed, "heldout", start), device, len(indices))
        data = codec.encode(stored, noise.fork("data"))
        given = condition if family.spec.condition else None
        losses = family.bound(Batch(data, given, torch.zeros((), dtype=torch.int64, device=device), noise))
        for name, values in {"negative_elbo_nats": losses.value, **losses.terms}.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
    return {f"heldout_{name}": total / count for name, total in sums.items()}


@torch.no_grad()
def fixed_samples(family: Family, codec: Codec, n: int, seed: int) -> np.ndarray | None:
    """The samples that every sheet of a run shows: the same latents, labels in turn.

    Returns:
        Compact array (n, *stored shape); None if the model no longer makes numbers.
    """
    made = family.sample(n, labels_in_turn(family, n), options=SampleSettings(), seed=seed)
    return codec.decode(made) if bool(made.isfinite().all()) else None


def labels_in_turn(family: Family, n: int) -> Tensor | None:
    """Labels 0, 1, 2, … again and again, int64 (n,), or None for an unconditional family."""
    condition = family.spec.condition
    return torch.arange(n, device=device_of(family)) % len(condition.categories) if condition else None


def spread_of_data(store: Store) -> float | None:
    """Mean distance between held-out items; None for fewer than two, or if they are all the same."""
    count = min(SPREAD_ITEMS, len(store))
    if count < 2:
        return None
    items, _ = store.gather(torch.arange(count))
    return pairwise_spread(items.cpu().numpy()) or None


def report_seconds(scratch: Stepper[Family], validation: Store) -> float:
    """About how long a report takes: its samples and sheet, and one chunk of its held-out data made up to all of them.

    Args:
        scratch: computes the way the run will; of no use afterwards.
        validation: the held-out data.
    """
    family, codec, settings = scratch.average, scratch.codec, scratch.settings
    family.eval()
    with scratch.as_written():
        begun = time.perf_counter()
        items = fixed_samples(family, codec, max(settings.sheet_size, SPREAD_ITEMS), scratch.seed)
        if items is not None:
            codec.preview(items[: settings.sheet_size])
            pairwise_spread(items[:SPREAD_ITEMS])
        made = time.perf_counter()
        heldout(family, codec, validation, CHUNK, scratch.seed)
        measured = time.perf_counter()
    items_measured = min(settings.heldout_samples, len(validation))
    return made - begun + (measured - made) * max(1.0, items_measured / CHUNK)
