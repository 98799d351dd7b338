"""How good, how varied, how new, and how sure: all measures of one set of samples."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from ficta.base.progress import Progress, silent
from ficta.data.dataset import Dataset
from ficta.evaluate.bank import look
from ficta.evaluate.compared import compared, obeyed
from ficta.evaluate.ground import EvaluateSettings, lay_ground
from ficta.evaluate.likelihood import likelihood
from ficta.evaluate.novelty import novelty
from ficta.evaluate.result import Result
from ficta.evaluate.sources import Source
from ficta.evaluate.usefulness import usefulness
from ficta.runs.run import Run


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
    real = look(ground.heldout, heldout, ground)
    banks = {
        "samples": look(ground.samples, ground.count, ground),
        "real": look(ground.train, min(ground.count, len(ground.train)), ground),
        "shuffled": look(ground.shuffled, heldout, ground),
    }
    results = [*compared(ground, banks, real), *obeyed(ground, banks["samples"], real, banks["shuffled"])]
    novel = novelty(ground, banks)
    results += [*novel.results, *likelihood(ground), *(usefulness(ground) if asked.full else ())]
    return Evaluation(results, novel.closest, ground.reads.accuracy if ground.reads else None)
