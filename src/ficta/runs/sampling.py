"""Samples of a trained run, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ficta.base.errors import UsageError
from ficta.data.asked import Asked
from ficta.models.family import SampleSettings, Styled, device_of
from ficta.runs.rejection import Acceptance, accepted
from ficta.runs.run import Run

CHUNK = 256


def sample(
    run: Run,
    n: int,
    *,
    asked: Asked | None = None,
    seed: int = 0,
    options: SampleSettings | None = None,
    chunk: int = CHUNK,
    start: int = 0,
    acceptance: Acceptance | None = None,
) -> Iterator[np.ndarray]:
    """Make ``n`` samples, some at a time; sample i depends on (seed, i) and what it is asked for, but for rounding.

    Args:
        run: a trained run.
        n: how many.
        asked: what for (``run.codec.ask``); without, what a fair sample of everything is.
        seed: of the latents.
        options: how.
        chunk: samples at a time.
        start: number of the first sample.
        acceptance: with what probability samples are kept; without, all are.

    Yields:
        Compact arrays (up to chunk, *stored shape).

    Raises:
        UsageError: fewer than one sample, or a truncation of what has no styles.
    """
    if n < 1:
        raise UsageError(f"{n} samples: ask for at least 1")
    family, codec, options = run.family, run.codec, options or SampleSettings()
    if options.truncation != 1 and not isinstance(family, Styled):
        raise UsageError(
            f"a {run.recipe['family']} has no styles to truncate; leave truncation out, and lower the temperature "
            "instead (--temperature)"
        )
    asked = codec.ask() if asked is None else asked
    for first in range(start, start + n, chunk):
        count = min(chunk, start + n - first)
        condition = asked.condition(first, count)
        given = None if condition is None else condition.to(device_of(family))
        with run.inference():
            how: dict[str, Any] = {"options": options, "seed": seed, "first": first}
            made = (
                family.sample(count, given, **how)
                if acceptance is None
                else accepted(family, acceptance, count, given, **how)
            )
        yield asked.keep(codec.decode(made), first)
