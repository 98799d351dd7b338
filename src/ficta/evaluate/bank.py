"""Features of the items of a source, computed once for all measures, in bounded memory."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from ficta.base.progress import Progress
from ficta.evaluate.ground import Ground
from ficta.evaluate.kept import kept
from ficta.evaluate.sources import Source
from ficta.metrics.extractors import Extractor

CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Bank:
    """What measures see of some items.

    Attributes:
        features: by extractor, float32 (n, d).
        probabilities: of each label as the classifier reads it, float32 (n, c); c is 0 without a classifier.
        asked: label that each has or was asked for, int64 (n,), -1 for none; None without labels.
        items: as many of the first as any measure looks at, in compact form; at least one.
    """

    features: dict[str, np.ndarray]
    probabilities: np.ndarray
    asked: np.ndarray | None
    items: np.ndarray

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))


def look(source: Source, count: int, ground: Ground, shown: int) -> Bank:
    """What measures see of the first ``count`` items of a source, of which ``shown`` are kept as they are."""
    found = features(source, count, ground.spaces, ground.progress)
    reads = ground.reads
    probabilities = reads.probabilities(found[reads.name]) if reads else np.empty((count, 0), np.float32)
    items = source.read(0, max(1, min(count, shown)))
    return Bank(found, probabilities, source.labels(0, count), items)


def features(source: Source, count: int, extractors: Sequence[Extractor], progress: Progress) -> dict[str, np.ndarray]:
    """Features by extractor of the first ``count`` items, float32 (count, d); those of real items are kept."""

    def compute(wanted: Sequence[Extractor]) -> dict[str, torch.Tensor]:
        rows = {extractor.name: np.empty((count, extractor.size), np.float32) for extractor in wanted}
        for first in range(0, count, CHUNK):
            items = source.read(first, min(first + CHUNK, count))
            for extractor in wanted:
                rows[extractor.name][first : first + len(items)] = extractor.features(items)
            progress(f"features of {source.name}", first + len(items), count)
        return {name: torch.from_numpy(values) for name, values in rows.items()}

    if not source.identity:
        found = compute(extractors)
    else:
        found = {}
        for extractor in extractors:
            facts = repr((source.identity, count, extractor.fingerprint))
            key = hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
            found |= kept(f"features-{extractor.name}", key, lambda wanted=extractor: compute([wanted]))  # type: ignore[misc]
    return {name: np.asarray(values.numpy()) for name, values in found.items()}
