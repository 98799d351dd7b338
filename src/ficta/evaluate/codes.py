"""Whether codes that a family reads off items without ever having seen a label agree with their labels."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from ficta.evaluate.ground import Ground
from ficta.evaluate.result import Result
from ficta.evaluate.sources import Source
from ficta.metrics.clusters import matched
from ficta.metrics.intervals import bootstrap_mean
from ficta.models.family import Coded
from ficta.runs.run import Run

CHUNK = 256


def codes_named(ground: Ground) -> Iterator[Result]:
    """Share of held-out items whose code is the one that stands for their label; nothing without codes or labels."""
    run = ground.run
    if run is None or not isinstance(run.family, Coded) or ground.label_shares is None or ground.learnt_elsewhere:
        return
    begun, protocol = time.perf_counter(), ground.protocol(None)
    sources = {"samples": ground.heldout, "real": ground.train, "shuffled": ground.shuffled}
    count = min(len(ground.heldout), len(ground.train))
    right = {which: _right(run, source, count) for which, source in sources.items()}
    seconds = (time.perf_counter() - begun) / max(1, len(right["samples"]))
    for code, shares in enumerate(right["samples"], 1):
        found, real, shuffled = (bootstrap_mean(right[which][code - 1], ground.asked.seed) for which in sources)
        yield Result(
            f"code-accuracy(code {code})",
            found,
            "",
            "higher",
            len(shares),
            "bootstrap over items",
            seconds,
            protocol,
            real,
            shuffled,
        )


def _right(run: Run, source: Source, count: int) -> list[np.ndarray]:
    """For each categorical code, which items with a label it names rightly, bool."""
    family, codec = run.family, run.codec
    assert isinstance(family, Coded)
    codes, labels = [], []
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        items = codec.encode(torch.from_numpy(np.ascontiguousarray(source.read(start, stop))))
        with run.inference():
            codes.append(family.codes(items).numpy())
        read = source.labels(start, stop)
        assert read is not None
        labels.append(read)
    of_all, known = np.concatenate(labels), np.concatenate(labels) >= 0
    return [matched(code[known], of_all[known]) for code in np.concatenate(codes).T]
