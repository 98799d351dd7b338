"""Measures of samples against as many real items, over disjoint parts."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ficta.evaluate.bank import Bank
from ficta.evaluate.classifier import Reader
from ficta.evaluate.ground import OTHER_LABELS, Ground
from ficta.evaluate.result import Result
from ficta.metrics import classified, distance, neighbours, tables, variety
from ficta.metrics.extractors import Extractor
from ficta.metrics.intervals import Estimate, bootstrap_mean, repeats
from ficta.metrics.tables_learnt import detection_auc

FRECHET = "frechet-distance"  # called FID with the features of the literature, and with no others
PARTS, MEAN = "disjoint parts, Student's t", "bootstrap over samples"


class Seen(NamedTuple):
    """What a measure looks at of one set of items.

    Attributes:
        features: in one space, float32 (n, d).
        probabilities: of each label as the classifier reads it, float32 (n, c); empty without one.
        items: some of them in compact form.
    """

    features: np.ndarray
    probabilities: np.ndarray
    items: np.ndarray


class Given(NamedTuple):
    """What measures share beside the items.

    Attributes:
        k: which neighbour bounds an item's reach.
        seed: of what is drawn.
        shares: of each label in the training split, float (c,); None without labels.
        categorical: of tables, which columns are categories, bool (C,).
    """

    k: int
    seed: int
    shares: np.ndarray | None
    categorical: np.ndarray


class Output(NamedTuple):
    """One number of a measure.

    Attributes:
        name: of the number.
        better: which way it is: ``lower``, ``higher``, ``near 0.5``.
        least: that it can be.
        most: that it can be.
        unit: empty for a pure number.
    """

    name: str
    better: str
    least: float = 0.0
    most: float = math.inf
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Measure:
    """Numbers from samples and as many real items.

    Attributes:
        outputs: the numbers.
        looks_at: ``features`` are taken in every space, ``labels`` where there is a classifier, ``items`` where the
            codec names the measure.
        of: from samples and real items to the numbers; a ``ValueError`` says why they are not defined.
        settings: which of ``Given`` belong to the protocol.
        full: whether they are taken only if everything is asked for.
        most: items that it looks at, of all parts together.
    """

    outputs: tuple[Output, ...]
    looks_at: Literal["features", "labels", "items"]
    of: Callable[[Seen, Seen, Given], Sequence[float]]
    settings: tuple[Literal["k", "seed"], ...] = ()
    full: bool = False
    most: int = 1_000_000

    @property
    def name(self) -> str:
        """By which a codec names it."""
        return self.outputs[0].name


def _frechet(samples: Seen, real: Seen, given: Given) -> Sequence[float]:
    return [distance.frechet_distance(distance.moments(samples.features), distance.moments(real.features))]


def _balance(samples: Seen, real: Seen, given: Given) -> Sequence[float]:
    assert given.shares is not None
    return [variety.label_divergence_nats(samples.probabilities.argmax(1), given.shares)]


def _similarity(samples: Seen, real: Seen, given: Given) -> Sequence[float]:
    half = len(samples.items) // 2
    if not half:
        raise ValueError(f"{len(samples.items)} items make no pair")
    return [float(variety.ms_ssim(samples.items[:half], samples.items[half : 2 * half]).mean())]


def _pair_trends(samples: Seen, real: Seen, given: Given) -> Sequence[float]:
    found = tables.pair_trends(samples.items, real.items, given.categorical)
    if len(found) < 2:
        raise ValueError("one column makes no pair")
    return [found[np.triu_indices(len(found), 1)].mean()]


MEASURES = (
    Measure((Output(FRECHET, "lower"),), "features", _frechet),
    Measure(
        (Output("kernel-distance", "lower", least=-math.inf),),  # unbiased, so that it may fall below 0
        "features",
        lambda samples, real, given: [distance.kernel_distance(samples.features, real.features)],
    ),
    Measure(
        (
            Output("precision", "higher", most=1.0),
            Output("recall", "higher", most=1.0),
            Output("density", "higher"),
            Output("coverage", "higher", most=1.0),
        ),
        "features",
        lambda samples, real, given: neighbours.overlap(samples.features, real.features, given.k),
        settings=("k",),
    ),
    Measure((Output("class-balance", "lower", unit="nats"),), "labels", _balance),
    Measure(
        (Output("frechet-distance-infinite", "lower", least=-math.inf),),
        "features",
        lambda samples, real, given: [distance.frechet_infinity(samples.features, real.features, given.seed)],
        settings=("seed",),
        full=True,
    ),
    Measure(
        (Output("two-sample-accuracy", "near 0.5", most=1.0),),
        "features",
        lambda samples, real, given: [classified.two_sample_accuracy(samples.features, real.features, given.seed)],
        settings=("seed",),
        full=True,
    ),
    Measure(
        (Output("vendi-score", "higher", least=1.0),),
        "features",
        lambda samples, real, given: [variety.vendi_score(samples.features - real.features.mean(0))],
        full=True,
    ),
    Measure(
        (Output("classifier-score", "higher", least=1.0),),
        "labels",
        lambda samples, real, given: [classified.classifier_score(samples.probabilities)],
        full=True,
    ),
    Measure(
        (Output("modes-found", "higher"),),
        "labels",
        lambda samples, real, given: [variety.modes_found(samples.probabilities.argmax(1))],
        full=True,
    ),
    Measure((Output("ms-ssim", "lower", most=1.0),), "items", _similarity, full=True, most=1000),
    Measure(
        (Output("column-shapes", "higher", most=1.0),),
        "items",
        lambda samples, real, given: [tables.column_shapes(samples.items, real.items, given.categorical).mean()],
    ),
    Measure((Output("pair-trends", "higher", most=1.0),), "items", _pair_trends),
    Measure(
        (Output("missing-pattern", "higher", most=1.0),),
        "items",
        lambda samples, real, given: [tables.missing_pattern(samples.items, real.items)],
    ),
    Measure(
        (Output("detection", "near 0.5", most=1.0),),
        "items",
        lambda samples, real, given: [detection_auc(samples.items, real.items, given.categorical, given.seed)],
        settings=("seed",),
    ),
)


def taken(ground: Ground) -> list[Measure]:
    """The measures that are asked for and fit these items."""
    own = ground.dataset.codec.measures
    asked = (measure for measure in MEASURES if ground.asked.full or not measure.full)
    fitting = {"features": True, "labels": ground.dataset.codec.by_label}
    return [measure for measure in asked if fitting.get(measure.looks_at, measure.name in own)]


def compared(ground: Ground, banks: Mapping[str, Bank], real: Bank) -> Iterator[Result]:
    """Every measure in every space that it looks at.

    Args:
        ground: what the evaluation stands on.
        banks: ``samples``, and in their place ``real`` and ``shuffled`` items.
        real: held-out items, which all of these are compared with.
    """
    chosen = taken(ground)
    spaces: dict[str, Sequence[Extractor | None]] = {
        "features": ground.spaces,
        "labels": [ground.reads] if ground.reads else [],
        "items": [None],
    }
    tasks = [(measure, space) for measure in chosen for space in spaces[measure.looks_at]]
    categorical = np.array(ground.dataset.codec.spec.categorical, bool)
    given = Given(ground.asked.k, ground.asked.seed, ground.label_shares, categorical)
    for done, (measure, space) in enumerate(tasks):
        ground.progress("measures", done, len(tasks))
        yield from _repeated(ground, measure, space, banks, real, given)
    ground.progress("measures", len(tasks), len(tasks))
    for measure in chosen:
        for space_name, reason in _lacking(ground, measure).items():
            for output in measure.outputs:
                yield _unmeasured(ground, output, space_name, reason)


def _lacking(ground: Ground, measure: Measure) -> dict[str, str]:
    """Feature spaces that a measure cannot be taken in, and why."""
    if measure.looks_at == "labels" and ground.reads is None and Reader.name not in ground.missing:
        return {Reader.name: "it reads labels: add --features classifier, for labelled data"}
    return {} if measure.looks_at == "items" else ground.missing


def _unmeasured(ground: Ground, output: Output, space: str, reason: str) -> Result:
    name = f"{output.name}({space})"
    return Result(name, None, output.unit, output.better, ground.n, PARTS, 0.0, ground.protocol(None), reason=reason)


def obeyed(ground: Ground, samples: Bank, real: Bank, shuffled: Bank) -> Iterator[Result]:
    """Share of samples that the classifier reads as they were asked for; nothing if they were not asked for a label."""
    begun = time.perf_counter()
    if ground.reads is None or ground.run is None or samples.asked is None:
        return
    if ground.has_other_labels:
        yield _unmeasured(ground, Output("condition-obeyed", "higher"), ground.reads.name, OTHER_LABELS)
        return
    right = [_read_as_asked(bank) for bank in (samples, real, shuffled)]
    share, of_real, of_shuffled = (bootstrap_mean(one, ground.asked.seed) if len(one) else None for one in right)
    yield Result(
        f"condition-obeyed({ground.reads.name})",
        share,
        "",
        "higher",
        len(right[0]),
        MEAN,
        time.perf_counter() - begun,
        ground.protocol(ground.reads),
        of_real,
        of_shuffled,
    )


def _read_as_asked(bank: Bank) -> np.ndarray:
    """Which items with a label the classifier reads as that, bool."""
    assert bank.asked is not None
    right: np.ndarray = (bank.probabilities.argmax(1) == bank.asked)[bank.asked >= 0]
    return right


def _repeated(
    ground: Ground, measure: Measure, space: Extractor | None, banks: Mapping[str, Bank], real: Bank, given: Given
) -> Iterator[Result]:
    """One measure over all parts, of samples and of what takes their place."""
    begun = time.perf_counter()
    found: dict[str, list[Estimate]] = {}
    reasons: dict[str, str] = {}
    for which, bank in banks.items():
        try:
            pairs = [
                (_part(ground, bank, measure, space, part), _part(ground, real, measure, space, part))
                for part in _parts(ground)
            ]
            outputs = [measure.of(mine, theirs, given) for mine, theirs in pairs]
            found[which] = [
                _cautious(repeats(values), len(bank) < ground.count).within(output.least, output.most)
                for output, values in zip(measure.outputs, zip(*outputs, strict=True), strict=True)
            ]
        except ValueError as error:
            reasons[which] = str(error)
    settings = {name: getattr(given, name) for name in measure.settings}
    protocol = ground.protocol(space, n=ground.n, parts=ground.asked.parts, **settings)
    seconds = (time.perf_counter() - begun) / len(measure.outputs)
    for place, output in enumerate(measure.outputs):
        estimate, of_real, of_shuffled = (
            found[which][place] if which in found else None for which in ("samples", "real", "shuffled")
        )
        yield Result(
            _named(output, space),
            estimate,
            output.unit,
            output.better,
            ground.n,
            PARTS,
            seconds,
            protocol,
            of_real,
            of_shuffled,
            reasons.get("samples", ""),
        )


def _cautious(estimate: Estimate, overlapping: bool) -> Estimate:
    """The estimate without its interval if it comes from parts that share items, which vary too little for one."""
    return Estimate(estimate.value, None, None) if overlapping else estimate


def _named(output: Output, space: Extractor | None) -> str:
    name = "FID" if output.name == FRECHET and space and space.is_inception else output.name
    return f"{name}({space.name})" if space else name


def _parts(ground: Ground) -> range:
    return range(ground.asked.parts)


def _part(ground: Ground, bank: Bank, measure: Measure, space: Extractor | None, part: int) -> Seen:
    """Items of one part; they begin from the front again where there are too few for disjoint parts."""
    rows = np.arange(part * ground.n, (part + 1) * ground.n) % len(bank)
    count, parts = min(len(bank.items), measure.most), ground.asked.parts
    shown = rows if count == len(bank) else np.arange(part * count // parts, (part + 1) * count // parts)
    return Seen(
        bank.features[space.name][rows] if space else np.empty((len(rows), 0), np.float32),
        bank.probabilities[rows],
        bank.items[shown],
    )
