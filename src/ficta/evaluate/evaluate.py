"""How good, how varied, how new, and how sure: all measures of one set of samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from PIL import Image

from ficta.base.progress import Progress, silent
from ficta.data.dataset import Dataset
from ficta.evaluate.bank import look
from ficta.evaluate.codes import codes_named
from ficta.evaluate.compared import compared, obeyed, taken
from ficta.evaluate.ground import EvaluateSettings, Ground, lay_ground
from ficta.evaluate.likelihood import likelihood
from ficta.evaluate.novelty import novelty
from ficta.evaluate.priors import of_priors
from ficta.evaluate.result import Result
from ficta.evaluate.rows import new_rows, target_learnt, violations
from ficta.evaluate.sources import Source
from ficta.evaluate.usefulness import usefulness
from ficta.runs.run import Run

# measures that a codec names and that draw samples of their own, or look at whole splits; with --full alone, or always
FURTHER: Mapping[str, tuple[Callable[[Ground], Iterator[Result]], bool]] = {
    "usefulness": (usefulness, True),
    "new-rows": (new_rows, False),
    "violations": (violations, False),
    "target": (target_learnt, False),
}


class Evaluation(NamedTuple):
    """What was found.

    Attributes:
        results: every measure, those that could not be taken included.
        closest: the samples that lie closest to training items in the upper row, those items in the lower one; None if
            novelty was not judged.
        accuracy: of the classifier on held-out real items, [0, 1]; None without one.
    """

    results: list[Result]
    closest: Image.Image | None
    accuracy: float | None


def evaluate(
    samples: Run | Source, dataset: Dataset, asked: EvaluateSettings, progress: Progress = silent
) -> Evaluation:
    """Judge samples against real items that were not trained on.

    The samples are cut into disjoint parts of size n, each of which is compared with n held-out items; a measure is
    the mean over the parts. The same is done with training items in place of samples, which is as good as samples
    can be expected to be, and with held-out items whose values have changed places, which have no structure.

    Args:
        samples: a trained run, or somebody's samples in the compact form of ``dataset``.
        dataset: the real items.
        asked: how.
        progress: who is told.

    Raises:
        UsageError: an unknown feature space, or a classifier without labels.
        DataError: too few samples or real items.
    """
    ground = lay_ground(samples, dataset, asked, progress)
    heldout = min(ground.count, len(ground.heldout))
    shown = max((measure.most for measure in taken(ground) if measure.looks_at == "items"), default=0)
    real = look(ground.heldout, heldout, ground, shown)
    banks = {
        "samples": look(ground.samples, ground.count, ground, shown),
        "real": look(ground.train, min(ground.count, len(ground.train)), ground, shown),
        "shuffled": look(ground.shuffled, heldout, ground, shown),
    }
    results = [*compared(ground, banks, real), *obeyed(ground, banks["samples"], real, banks["shuffled"])]
    novel = novelty(ground, banks)
    own = (FURTHER[name] for name in dataset.codec.measures if name in FURTHER)
    further = [measure(ground) for measure, full in own if asked.full or not full]
    results += [
        *novel.results,
        *likelihood(ground),
        *codes_named(ground),
        *of_priors(ground, banks, real),
        *itertools.chain.from_iterable(further),
    ]
    return Evaluation(results, novel.closest, ground.reads.accuracy if ground.reads else None)
