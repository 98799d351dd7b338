"""What a run's samples gain when its latents are drawn from another prior than the one it was trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from ficta.base.words import WITH_PRIOR
from ficta.evaluate.bank import Bank, look
from ficta.evaluate.compared import compared, obeyed
from ficta.evaluate.ground import Ground
from ficta.evaluate.likelihood import weighted
from ficta.evaluate.result import Result
from ficta.models.family import Weighs
from ficta.train.prior import fit_prior

TAKEN = ("frechet-distance(", "FID(", "precision(", "recall(", "coverage(")


def of_priors(ground: Ground, banks: Mapping[str, Bank], real: Bank) -> Iterator[Result]:
    """Distance, precision, recall, coverage, obedience and bound with each prior asked for, each fitted if it must be.

    Args:
        ground: what the evaluation stands on.
        banks: of ``samples``, ``real`` and ``shuffled`` items; the last two stand beside the samples of every prior.
        real: held-out items, which all of these are compared with.

    Raises:
        UsageError: no such prior, or a family to which none can be fitted.
    """
    if ground.run is None:
        return
    for prior in ground.asked.priors:
        fit_prior(ground.run, ground.dataset, prior, ground.progress)
        there = ground.with_prior(prior)
        found = {**banks, "samples": look(there.samples, there.count, there, len(banks["samples"].items))}
        family = ground.run.family
        results = [
            *(result for result in compared(there, found, real) if result.name.startswith(TAKEN)),
            *obeyed(there, found["samples"], real, found["shuffled"]),
            *(weighted(there, in_bits=False) if isinstance(family, Weighs) and family.is_likelihood else ()),
        ]
        for result in results:
            yield dataclasses.replace(result, name=f"{result.name}{WITH_PRIOR}{prior}")
