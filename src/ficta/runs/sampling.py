"""Samples of a trained run, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ficta.base.errors import UsageError
from ficta.base.words import nearest
from ficta.models.family import SampleSettings, device_of
from ficta.runs.run import Run

CHUNK = 256


def label_index(run: Run, label: str | None) -> int | None:
    """Index of a label's name, for a conditional run.

    Raises:
        UsageError: the run is unconditional, or has no such label.
    """
    condition = run.codec.spec.condition
    if label is None:
        return None
    if condition is None:
        raise UsageError(f"{run.path} was trained without labels; train with --conditional to ask for one")
    if label not in condition.categories:
        raise UsageError(f"no label {label!r}: {nearest(label, condition.categories)}")
    return condition.categories.index(label)


def labels_of(run: Run, n: int, label: str | None = None) -> Sequence[str] | None:
    """The label that each of ``n`` samples is asked for: ``label``, or all in turn; None for an unconditional run."""
    condition = run.codec.spec.condition
    if condition is None:
        return None
    return [label or condition.categories[index % len(condition.categories)] for index in range(n)]


def sample(
    run: Run,
    n: int,
    *,
    label: str | None = None,
    seed: int = 0,
    options: SampleSettings | None = None,
    chunk: int = CHUNK,
    start: int = 0,
    labels: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Make ``n`` samples, some at a time; sample i depends on (seed, i) and its label alone, but for rounding.

    Args:
        run: a trained run.
        n: how many.
        label: of every sample; without, a conditional run takes its labels in turn.
        seed: of the latents.
        options: how.
        chunk: samples at a time.
        start: number of the first sample.
        labels: index of each sample's label, int64 (n,), in place of ``label``; for a conditional run.

    Yields:
        Compact arrays (up to chunk, *stored shape).

    Raises:
        UsageError: fewer than one sample, or a label that the run lacks.
    """
    if n < 1:
        raise UsageError(f"{n} samples: ask for at least 1")
    family, codec = run.family, run.codec
    index, device = label_index(run, label), device_of(family)
    for first in range(start, start + n, chunk):
        count = min(chunk, start + n - first)
        condition = None
        if codec.spec.condition is not None:
            turns = torch.arange(first, first + count, device=device) % len(codec.spec.condition.categories)
            condition = turns if index is None else torch.full_like(turns, index)
            if labels is not None:
                condition = torch.from_numpy(labels[first - start :][:count]).to(device)
        with run.inference():
            made = family.sample(count, condition, options=options or SampleSettings(), seed=seed, first=first)
        yield codec.decode(made)
