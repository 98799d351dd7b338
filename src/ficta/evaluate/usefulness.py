"""Whether samples are of use: classifiers learn from samples, real items or both, and are asked of other real items.

Learning from samples alone and being asked of real items is the test "train on synthetic, test on real" of Esteban et
al. 2017 (arXiv:1706.02633).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

from ficta.base.errors import UsageError
from ficta.base.seeds import mix
from ficta.base.spec import Spec
from ficta.compute import device as machine
from ficta.data.dataset import Split
from ficta.evaluate.classifier import Reader, accuracy, labelled, labelled_spec, learn
from ficta.evaluate.ground import Ground
from ficta.evaluate.result import Result
from ficta.evaluate.sources import described
from ficta.metrics.extractors import FEATURES
from ficta.metrics.intervals import Estimate, repeats
from ficta.models.classifier import Classifier

BUDGET = 20_000  # samples that each classifier sees, whatever it learns from
BATCH = 32  # small: with so few samples, more steps bring it closer to what it can learn
MOST_REAL = 2_000  # with many more, nothing is left to be gained
SEEDS = 3
SHIFT = 8  # pictures are shifted by up to this part of a side
CHUNK = 256
PICTURES = ("channel", "height", "width")
METHOD = "seeds, Student's t"
REAL, SAMPLES, BOTH, AUGMENTED = (
    f"accuracy-{regime}" for regime in ("real-only", "samples-only", "real-and-samples", "real-augmented")
)
REGIMES = (REAL, SAMPLES, BOTH, AUGMENTED)
KINDS = ("samples", "real", "shuffled")  # what takes part as samples
GAIN = "usefulness(samples beside real items)"
GAINS = {GAIN: BOTH, "usefulness(augmentation)": AUGMENTED}  # over real items alone


class Items(NamedTuple):
    """Items to learn from.

    Attributes:
        stored: in compact form, (n, *stored shape).
        labels: of each, int64 (n,).
    """

    stored: np.ndarray
    labels: np.ndarray


def usefulness(ground: Ground) -> Iterator[Result]:
    """Accuracy on held-out items after learning in four ways, and what samples and plain augmentation add.

    Each classifier takes equally many steps (``BUDGET`` samples): with at most ``MOST_REAL`` real items of the
    training split, since generated data can hardly help where real ones abound; with the samples and the labels that
    they were asked for; with both; and with the same real items and, in place of the samples, as many shifted copies
    of them. Each is done for several seeds, of the real items taken, the weights and the order; within a seed the ways
    share all three, so that gains are paired. Intervals speak of these seeds: samples and held-out items stay fixed.

    In place of the samples, training items take part, as many as there are samples or fewer in a small split, those
    first that are not among the real items already; and the same without structure, from which nothing can be learnt.

    A gain whose interval holds 0 is not shown to be one. A run that has seen more real items than the classifier may
    hand on what it learnt of them, so samples that help here need not help beside all that the run was trained on.

    Args:
        ground: what the evaluation stands on.

    Yields:
        Accuracies in [0, 1] and their differences in [-1, 1]; without labels one result that says why there is none.
    """
    begun = time.perf_counter()
    try:
        spec, made, heldout = labelled_spec(ground.dataset), _samples(ground), _heldout(ground)
        found = _accuracies(ground, spec, made, heldout)
    except (ValueError, UsageError) as error:
        yield Result(GAIN, None, "", "higher", 0, METHOD, 0.0, ground.protocol(None), reason=str(error))
        return
    train = labelled(ground.dataset.splits["train"])
    protocol = ground.protocol(
        None,
        train=described(train, "train", str(ground.dataset.report["content_hash"])),
        budget=BUDGET,
        batch=BATCH,
        real_items=min(MOST_REAL, len(train)),
        samples=len(made.labels),
        seeds=SEEDS,
        seed=ground.asked.seed,
    )
    seconds = (time.perf_counter() - begun) / (len(REGIMES) + len(GAINS))
    for name in (*REGIMES, *GAINS):
        estimates = [_estimate(found, name, kind) for kind in KINDS]
        reason = (
            "" if estimates[0] else f"plain augmentation shifts pictures, and the axes of these data are {spec.axes}"
        )
        samples, real, shuffled = estimates
        yield Result(
            name, samples, "", "higher", len(heldout), METHOD, seconds, protocol, real, shuffled, reason=reason
        )


def _estimate(found: Mapping[tuple[str, str], list[float]], name: str, kind: str) -> Estimate | None:
    """An accuracy, or the gain over real items alone, paired by seed; None where that was not measured."""
    values = found.get((GAINS.get(name, name), kind))
    if values is None:
        return None
    if name not in GAINS:
        return repeats(values).within(0.0, 1.0)
    before = found[REAL, KINDS[0]]
    return repeats([after - alone for after, alone in zip(values, before, strict=True)]).within(-1.0, 1.0)


def shifted(pictures: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Each picture moved by up to an eighth of its sides, its edge repeated where nothing is left.

    Args:
        pictures: any dtype (n, C, H, W).
        draws: where the shifts come from, each whole number of pixels equally likely.

    Returns:
        The same dtype and shape.
    """
    height, width = pictures.shape[2:]
    down, across = height // SHIFT, width // SHIFT
    padded = np.pad(pictures, ((0, 0), (0, 0), (down, down), (across, across)), mode="edge")
    tops = draws.integers(2 * down + 1, size=len(pictures))
    lefts = draws.integers(2 * across + 1, size=len(pictures))
    moved = np.empty_like(pictures)
    for place, (picture, top, left) in enumerate(zip(padded, tops, lefts, strict=True)):
        moved[place] = picture[:, top : top + height, left : left + width]
    return moved


def _samples(ground: Ground) -> Items:
    """The samples that were asked for a label."""
    labels = ground.samples.labels(0, ground.count)
    if labels is None:
        raise UsageError("needs a conditional run: train with --conditional")
    condition = ground.run.codec.spec.condition if ground.run else None
    if condition and condition.categories != tuple(ground.dataset.report["categories"]):
        raise UsageError("the real items have other labels than the run was trained with: judge it by its own data")
    parts = []
    for start in range(0, ground.count, CHUNK):
        parts.append(ground.samples.read(start, min(start + CHUNK, ground.count)))
        ground.progress("samples to learn from", start + len(parts[-1]), ground.count)
    known = labels >= 0
    if not known.any():
        raise UsageError("no sample has a label")
    return Items(np.concatenate(parts)[known], labels[known])


def _heldout(ground: Ground) -> Split:
    """The held-out items that have a label."""
    heldout = labelled(ground.dataset.splits[ground.reference["split"]])
    if not len(heldout):
        raise UsageError("no held-out item has a label; give labels to the test split, too")
    return heldout


def _accuracies(ground: Ground, spec: Spec, made: Items, heldout: Split) -> dict[tuple[str, str], list[float]]:
    """Accuracy on held-out items by way to learn and kind of what takes part as samples, for each seed."""
    found: dict[tuple[str, str], list[float]] = {}
    alone = [(regime, KINDS[0]) for regime in (REAL, AUGMENTED) if regime != AUGMENTED or spec.axes == PICTURES]
    ways = [*alone, *itertools.product((SAMPLES, BOTH), KINDS)]
    for number in range(SEEDS):
        seed = mix(ground.asked.seed, "usefulness", number)
        real, further = _real(labelled(ground.dataset.splits["train"]), len(made.labels), seed)
        others = dict(zip(KINDS, (made, further, _shuffled(further, seed)), strict=True))
        for place, (regime, kind) in enumerate(ways):
            before = (number * len(ways) + place) * BUDGET
            items = _items(regime, real, others[kind], seed)
            accuracy = _learnt(ground, spec, items, heldout, seed, before, len(ways))
            found.setdefault((regime, kind), []).append(accuracy)
    return found


def _real(train: Split, others: int, seed: int) -> tuple[Items, Items]:
    """Some of the real items, drawn by the seed, and so many to take part as samples: others as far as they go."""
    rows = np.random.default_rng(mix(seed, "real items")).permutation(train.rows)
    return _taken(train, rows[:MOST_REAL]), _taken(train, rows[::-1][:others])


def _taken(split: Split, rows: np.ndarray) -> Items:
    """Items of a split by row."""
    assert split.labels is not None
    ordered = np.sort(rows)
    return Items(np.asarray(split.stored[ordered]), split.labels[ordered])


def _shuffled(items: Items, seed: int) -> Items:
    """The same, their values changed places within each."""
    flat = items.stored.reshape(len(items.stored), -1)
    mixed = np.random.default_rng(mix(seed, "without structure")).permuted(flat, axis=1)
    return Items(mixed.reshape(items.stored.shape), items.labels)


def _items(regime: str, real: Items, made: Items, seed: int) -> Items:
    """What is learnt from in one way."""
    if regime == REAL:
        return real
    if regime == SAMPLES:
        return made
    if regime == AUGMENTED:
        draws = np.random.default_rng(mix(seed, "shifts"))
        again = np.arange(len(made.labels)) % len(real.labels)
        made = Items(shifted(real.stored[again], draws), real.labels[again])
    return Items(np.concatenate([real.stored, made.stored]), np.concatenate([real.labels, made.labels]))


def _learnt(ground: Ground, spec: Spec, items: Items, heldout: Split, seed: int, before: int, regimes: int) -> float:
    """Accuracy on held-out items after learning from these; ``before`` samples were seen by other classifiers."""
    codec, total = ground.dataset.codec, SEEDS * regimes * BUDGET

    def tell(seen: int) -> None:
        ground.progress("usefulness", before + seen, total)

    split = Split(items.stored, np.arange(len(items.labels)), items.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, "classifier"))
        classifier = Classifier(spec, FEATURES)
        learn(classifier, codec, split, BATCH, BUDGET, seed, tell)
    return accuracy(Reader(machine.lay_out(classifier.eval().requires_grad_(False)), codec), heldout)
