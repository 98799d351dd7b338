"""What only rows of tables can be asked: whether they are copies, and whether a column can be learnt from them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from ficta.base.seeds import mix
from ficta.data.codec import Tabulates
from ficta.evaluate.ground import Ground
from ficta.evaluate.novelty import OTHER_DATA
from ficta.evaluate.result import Result
from ficta.evaluate.sources import RunSource, Source, described
from ficta.metrics import tables
from ficta.metrics.intervals import Estimate, bootstrap_mean, repeats
from ficta.metrics.tables_learnt import Learner, learnt_score

MOST_LEARNT = 30_000  # rows that a model learns from
SETS = 3  # of samples
METHOD = "sets of samples, Student's t"
CHUNK = 4096
LEARNERS: tuple[Learner, ...] = ("boosting", "linear")


def new_rows(ground: Ground) -> Iterator[Result]:
    """Share of samples that are no exact copy of a training row; of held-out rows in their place, too."""
    begun = time.perf_counter()
    content = str(ground.dataset.report["content_hash"])
    protocol = ground.protocol(None, train=described(ground.dataset.splits["train"], "train", content))
    shares: list[Estimate | None] = [None, None, None]
    if not ground.learnt_elsewhere:
        train = _rows(ground.train, len(ground.train))
        shares = [bootstrap_mean(tables.new_rows(rows, train), ground.asked.seed) for rows in _three(ground)]
    samples, real, shuffled = shares
    yield Result(
        "new-rows",
        samples,
        "",
        "higher",
        ground.count,
        "bootstrap over samples",
        time.perf_counter() - begun,
        protocol,
        real,
        shuffled,
        reason="" if samples else OTHER_DATA,
    )


def violations(ground: Ground) -> Iterator[Result]:
    """Share of samples that break a constraint of the data; nothing where there is none."""
    codec, begun = ground.dataset.codec, time.perf_counter()
    if not isinstance(codec, Tabulates):
        return
    broken = [codec.violated(rows) for rows in _three(ground)]
    if not len(broken[0]):
        return
    samples, real, shuffled = (bootstrap_mean(which, ground.asked.seed) for which in broken)
    yield Result(
        "constraint-violations",
        samples,
        "",
        "lower",
        ground.count,
        "bootstrap over samples",
        time.perf_counter() - begun,
        ground.protocol(None),
        real,
        shuffled,
    )


def target_learnt(ground: Ground) -> Iterator[Result]:
    """How well models that learn the target column from samples predict it in held-out rows, and from training rows.

    Boosted trees and a linear model, each from several sets of samples that are as large as the training split, 30,000
    rows at most; somebody else's samples make one set.
    """
    names = [column.name for column in ground.dataset.codec.spec.columns]
    target = ground.asked.target
    if target is None:
        return
    categorical = np.array(ground.dataset.codec.spec.categorical, bool)
    count = min(MOST_LEARNT, len(ground.train))
    learnt = {
        "samples": _sets(ground, count),
        "real": [_rows(ground.train, count)],
        "shuffled": [_rows(ground.shuffled, min(count, len(ground.heldout)))],
    }
    heldout = _rows(ground.heldout, len(ground.heldout))
    what = "macro-F1" if categorical[names.index(target)] else "R²"
    protocol = ground.protocol(None, target=target, rows=count, sets=SETS, seed=ground.asked.seed)
    for done, learner in enumerate(LEARNERS):
        ground.progress("learning the target", done, len(LEARNERS))
        begun, found, reason = time.perf_counter(), dict[str, Estimate](), ""
        for which, sets in learnt.items():
            try:
                scores = [learnt_score(rows, heldout, names.index(target), categorical, 0, learner) for rows in sets]
                found[which] = repeats(scores) if len(scores) > 1 else Estimate(scores[0], None, None)
            except ValueError as error:
                reason = reason or str(error)
        samples, real, shuffled = (found.get(which) for which in ("samples", "real", "shuffled"))
        yield Result(
            f"learnt-from-samples({target}, {learner})",
            samples,
            what,
            "higher",
            count,
            METHOD,
            time.perf_counter() - begun,
            protocol,
            real,
            shuffled,
            reason="" if samples else reason,
        )
    ground.progress("learning the target", len(LEARNERS), len(LEARNERS))


def _sets(ground: Ground, count: int) -> list[np.ndarray]:
    """Sets of samples to learn from, each float64 (count, C)."""
    if ground.run is None:
        return [_rows(ground.samples, len(ground.samples))]
    made = []
    for number in range(SETS):
        ground.progress("samples to learn from", number, SETS)
        made.append(_rows(RunSource(ground.run, count, mix(ground.asked.seed, "target", number), None), count))
    return made


def _three(ground: Ground) -> Iterator[np.ndarray]:
    """Samples, held-out rows and shuffled ones, each float64 (n, C)."""
    yield _rows(ground.samples, ground.count)
    yield _rows(ground.heldout, len(ground.heldout))
    yield _rows(ground.shuffled, ground.n)


def _rows(source: Source, count: int) -> np.ndarray:
    """The first rows of a source, float64 (count, C)."""
    return np.concatenate([source.read(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)])
