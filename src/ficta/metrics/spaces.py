"""The feature spaces that need no file and no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ficta.base.spec import Spec
from ficta.metrics.columns import Columns
from ficta.metrics.extractors import Extractor, Pixels, RandomConv

# From what the items are in model space, and what gives items in compact form to learn from, (n, *stored shape).
BUILTIN: Mapping[str, Callable[[Spec, Callable[[], np.ndarray]], Extractor]] = {
    RandomConv.name: lambda spec, items: RandomConv(spec.shape[0]),
    Pixels.name: lambda spec, items: Pixels(items()),
    Columns.name: lambda spec, items: Columns(spec.columns, items()),
}
