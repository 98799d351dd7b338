"""What a report measures. Nothing here changes the run: averaged weights, eval mode, numbers drawn apart."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor

from ficta.base.seeds import mix
from ficta.compute.noise import Noise
from ficta.data.codec import Codec
from ficta.data.dataset import Store
from ficta.metrics.copying import closer_share, preference_chance
from ficta.metrics.distance import kernel_distance
from ficta.metrics.neighbours import fellows, nearest, overlap
from ficta.metrics.spaces import BUILTIN
from ficta.metrics.spread import pairwise_spread
from ficta.models.family import Batch, Bounds, Discriminates, Family, SampleSettings, device_of
from ficta.train.stepper import Stepper

CHUNK = 256
SIGN_ITEMS = 256  # samples and held-out items that the cheap measures look at
KNOWN_ITEMS = 2000  # training items that samples might be copies of
LEAST_UNSEEN = 16  # held-out items whose logits have a mean
LEAST_HELDOUT = 64  # with fewer held-out items, training items and their fellows take their place
TOLD = 4.0  # standard errors that mean logits of learnt and made items must lie apart, so that their quotients hold
QUARTER = 0.25  # of the samples: so many copies are enough
REACH = 5  # which nearest neighbour bounds an item's reach
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
        stored, labels = store.gather(indices)
        noise = Noise.whole(mix(seed, "heldout", start), device, len(indices))
        data = codec.encode(stored, noise.fork("data"))
        given = codec.condition(family.spec, data, labels, None)
        losses = family.bound(Batch(data, given, torch.zeros((), dtype=torch.int64, device=device), noise))
        for name, values in {"negative_elbo_nats": losses.value, **losses.terms}.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
    return {f"heldout_{name}": total / count for name, total in sums.items()}


@torch.no_grad()
def fixed_samples(family: Family, codec: Codec, n: int, seed: int) -> np.ndarray | None:
    """The samples that every sheet of a run shows: the same latents, asked for a bit of everything.

    Returns:
        Compact array (n, *stored shape); None if the model no longer makes numbers.
    """
    made = family.sample(n, everything(codec, n, device_of(family)), options=SampleSettings(), seed=seed)
    return codec.decode(made) if bool(made.isfinite().all()) else None


def everything(codec: Codec, n: int, device: torch.device) -> Tensor | None:
    """The condition of ``n`` samples that are asked for a bit of everything; None for an unconditional family."""
    condition = codec.ask().condition(0, n)
    return None if condition is None else condition.to(device)


class Signs:
    """Cheap measures of what a run makes, beside some items that it learns from and some that it does not."""

    def __init__(self, codec: Codec, train: Store, validation: Store, seed: int) -> None:
        """Look at the real items once.

        Args:
            codec: of the data.
            train: the training split, of which up to 2,000 random items are remembered.
            validation: held-out items, of which the first 256 are.
            seed: of the choice.
        """
        chosen = torch.from_numpy(np.random.default_rng(mix(seed, "signs")).permutation(len(train))[:KNOWN_ITEMS])
        self._codec = codec
        self._learnt = train.gather(chosen[:SIGN_ITEMS])
        self._unseen = validation.gather(torch.arange(min(SIGN_ITEMS, len(validation))))
        known, held = train.gather(chosen)[0].cpu().numpy(), self._unseen[0].cpu().numpy()
        spaces = (BUILTIN[name](codec.spec, lambda: known) for name in codec.spaces if name in BUILTIN)
        self._space = next(spaces, None)
        self._spread = self._spread_of(held) if len(held) > 1 else 0.0
        if self._space is None:
            return
        self._known = self._space.features(known).astype(np.float64)
        if len(self._known) < 2:
            self._space = None
            return
        self._fellows = np.maximum(fellows(self._known), 1e-9)
        enough = len(held) >= LEAST_HELDOUT
        self._heldout = self._space.features(held).astype(np.float64) if enough else self._known[:SIGN_ITEMS]
        self._novel = self._novelty(self._heldout) if enough else np.ones(1)
        self._compared = self._space.features(held).astype(np.float64) if len(held) >= LEAST_UNSEEN else None

    def _novelty(self, features: np.ndarray) -> np.ndarray:
        """Distance of each item to its nearest training item, in units of that one's distance to its own nearest.

        What is plain, such as a stroke, lies close to everything: the unit makes up for that.
        """
        near = nearest(features, self._known)
        return np.asarray(near.distance / self._fellows[near.which])

    def of(self, items: np.ndarray, family: Family) -> dict[str, float]:
        """Measures of samples in compact form (n, *stored shape); those that are not defined are left out.

        Args:
            items: made by ``fixed_samples``.
            family: that made them, in eval mode.
        """
        found: dict[str, float] = {}
        if isinstance(family, Discriminates) and len(self._unseen[0]) >= LEAST_UNSEEN:
            found |= self._overfit(items, family)
        if self._spread:
            found["spread_ratio"] = self._spread_of(items) / self._spread
        if self._space is None or len(self._heldout) <= REACH:
            return found
        features = self._space.features(items).astype(np.float64)
        found["kernel_distance"] = kernel_distance(features, self._heldout)
        count = min(len(features), len(self._heldout))
        found["coverage_ratio"] = overlap(features[:count], self._heldout[:count], REACH).coverage
        novelty = self._novelty(features)
        found["closer_to_training_ratio"] = float(closer_share(novelty, self._novel).mean())
        found["nearness_ratio"] = float(np.quantile(novelty, QUARTER))
        if self._compared is not None:
            which = nearest(features, np.concatenate([self._known, self._compared])).which
            found["preference_chance"] = preference_chance(which, len(self._known), len(self._compared))
        return found

    def _spread_of(self, items: np.ndarray) -> float:
        """How far the first items lie from each other in model space."""
        return pairwise_spread(self._codec.encode(torch.from_numpy(items[:SPREAD_ITEMS])).numpy())

    @torch.no_grad()
    def _overfit(self, items: np.ndarray, family: Family) -> dict[str, float]:
        """How far the discriminator takes held-out items for samples (Karras et al. 2020, arXiv:2006.06676, Eq. 1).

        (learnt - unseen) / (learnt - made) of the mean logits: 0 without overfitting, 1 if unseen items count as made.
        Nothing if learnt and made lie hardly further apart than chance moves the means: the quotient would be noise.
        """
        assert isinstance(family, Discriminates)
        device = device_of(family)
        made = self._codec.encode(torch.from_numpy(items).to(device))
        logits = [family.logits(made, everything(self._codec, len(items), device)).double()]
        for stored, labels in (self._learnt, self._unseen):
            data = self._codec.encode(stored)
            logits.append(family.logits(data, self._codec.condition(family.spec, data, labels, None)).double())
        fake, learnt, unseen = (float(values.mean()) for values in logits)
        error = math.sqrt(sum(float(values.var()) / len(values) for values in logits))
        told = learnt - fake
        return {"overfit_ratio": (learnt - unseen) / told} if told > TOLD * error else {}


def report_seconds(scratch: Stepper[Family], validation: Store, signs: Signs) -> float:
    """About how long a report takes: its samples and sheet, and one chunk of its held-out data made up to all of them.

    Args:
        scratch: computes the way the run will; of no use afterwards.
        validation: the held-out data.
        signs: the cheap measures.
    """
    family, codec, settings = scratch.average, scratch.codec, scratch.settings
    family.eval()
    with scratch.as_written():
        begun = time.perf_counter()
        items = fixed_samples(family, codec, max(settings.sheet_size, SIGN_ITEMS), scratch.seed)
        if items is not None:
            codec.overview(items[: settings.sheet_size])
            signs.of(items[:SIGN_ITEMS], family)
        made = time.perf_counter()
        heldout(family, codec, validation, CHUNK, scratch.seed)
        measured = time.perf_counter()
    items_measured = min(settings.heldout_samples, len(validation))
    return made - begun + (measured - made) * max(1.0, items_measured / CHUNK)
