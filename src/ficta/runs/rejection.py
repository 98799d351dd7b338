"""Rejection sampling: keep what the discriminator takes for real (Azadi et al. 2019, arXiv:1810.06758)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ficta.base.errors import UsageError
from ficta.base.seeds import mix
from ficta.compute.noise import choices
from ficta.data.dataset import Split
from ficta.models.family import Discriminates, Family, SampleSettings
from ficta.models.registry import FAMILIES
from ficta.runs.run import Run

BURN_IN = 2000  # samples, and at most as many real items, that the discriminator is calibrated by
CHUNK = 256  # items at a time
ATTEMPTS = 100  # candidates for a sample, of which the last is kept if none was before
STRICTNESS = 0.8  # share of samples that are kept with a probability below a half
MARGIN = 1e-6  # in nats, below the highest logit


class Acceptance(NamedTuple):
    """With what probability samples are kept.

    Attributes:
        scale: of logits, so that they are the log-odds that an item is real.
        shift: added to them then.
        highest: log-odds that any sample had that it was calibrated by.
        gamma: what is subtracted, so that not nearly all are rejected.
        rate: share of samples that are kept, from those that it was calibrated by.
    """

    scale: float
    shift: float
    highest: float
    gamma: float = 0.0
    rate: float = 1.0

    def score(self, logits: Tensor) -> Tensor:
        """F of Eq. 8 without its gamma, float64 (B,): the log-odds that a sample is kept."""
        below = (self.scale * logits.double() + self.shift - self.highest).clamp(max=0) - MARGIN
        return below - torch.log(-torch.expm1(below))

    def probability(self, logits: Tensor) -> Tensor:
        """That samples with these logits float (B,) are kept, float64 (B,) (Eq. 8)."""
        return torch.sigmoid(self.score(logits) - self.gamma)


def calibrate(run: Run, real: Split, options: SampleSettings) -> Acceptance:
    """How samples of a run are to be kept, from some of its own and from real items that it was not trained on.

    Whatever loss the discriminator was trained with, a logistic regression makes log-odds of its logits (Turner et al.
    2019, arXiv:1811.11357, Sec. 3.2).

    Args:
        run: a trained run.
        real: such items.
        options: how its samples will be made.

    Raises:
        UsageError: a family without a discriminator of items, or no real item.
    """
    family, codec = run.family, run.codec
    if not isinstance(family, Discriminates):
        those = ", ".join(name for name, entry in FAMILIES.items() if hasattr(entry.family, "logits"))
        own = run.recipe["family"]
        raise UsageError(f"a {own} has no discriminator that could reject samples; these have one: {those}")
    if not len(real):
        raise UsageError(
            "rejecting samples takes real items that were not trained on: train with data.validation above 0"
        )

    def of_samples(first: int, count: int) -> Tensor:
        asked = codec.ask().condition(first, count)
        made = family.sample(count, asked, options=options, seed=mix("burn-in"), first=first)
        return family.logits(made, asked)

    def of_items(first: int, count: int) -> Tensor:
        items = codec.encode(torch.from_numpy(np.ascontiguousarray(real.read(first, first + count))))
        labels = real.read_labels(first, first + count)
        given = codec.condition(codec.spec, items, None if labels is None else torch.from_numpy(labels), None)
        return family.logits(items, given)

    with run.inference():
        made, known = (
            torch.cat([of(first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]).double().cpu()
            for of, count in ((of_samples, BURN_IN), (of_items, min(BURN_IN, len(real))))
        )
    return acceptance_by(made, known)


def acceptance_by(made: Tensor, known: Tensor) -> Acceptance:
    """How samples are to be kept.

    Args:
        made: logits of samples, float64 (B,), in any unit.
        known: logits of real items, float64 (C,).
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    both, truth = torch.cat([made, known]), np.repeat([0, 1], [len(made), len(known)])
    mean, spread = float(both.mean()), float(both.std()) or 1.0  # the regression would hold back steep slopes
    fitted = LogisticRegression(class_weight="balanced").fit((both.numpy()[:, None] - mean) / spread, truth)
    scale = float(fitted.coef_[0, 0]) / spread
    shift = float(fitted.intercept_[0]) - scale * mean
    found = Acceptance(scale, shift, float((scale * made + shift).max()))
    found = found._replace(gamma=float(found.score(made).quantile(STRICTNESS)))
    return found._replace(rate=float(found.probability(made).mean()))


def accepted(
    family: Family,
    acceptance: Acceptance,
    count: int,
    condition: Tensor | None,
    *,
    options: SampleSettings,
    seed: int,
    first: int,
) -> Tensor:
    """Samples ``first`` to ``first + count``, each the first of its own candidates that is kept.

    So sample i depends on (seed, i) and its condition, as it does without rejection.

    Returns:
        Model space, float (count, *spec.shape).
    """
    assert isinstance(family, Discriminates)
    waiting = torch.arange(first, first + count)
    kept: Tensor | None = None
    for attempt in range(ATTEMPTS):
        given = None if condition is None else condition[waiting - first]
        made = family.sample(len(waiting), given, options=options, seed=mix(seed, "attempt", attempt), first=waiting)
        if kept is None:
            kept = made.clone()
        kept[waiting - first] = made
        chance = choices(mix(seed, "acceptance", attempt), waiting, len(waiting), 1)[:, 0]
        waiting = waiting[chance >= acceptance.probability(family.logits(made, given)).cpu()]
        if not len(waiting):
            break
    assert kept is not None
    return kept
