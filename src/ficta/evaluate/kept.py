"""Arrays that are expensive to compute and a function of their key: kept in the cache for the next time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from torch import Tensor

from ficta.base.errors import FictaError
from ficta.compute import tensors
from ficta.data import cache


def kept(what: str, key: str, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Named tensors of this key, made if they are not there or damaged.

    Args:
        what: kind of content, a word for the file's name.
        key: digest of all that the content depends on.
        make: computes them.

    Raises:
        FictaError: the cache cannot be written.
    """
    path = cache.derived_folder() / f"{what.replace(':', '-')}-{key}.safetensors"
    with contextlib.suppress(FictaError):  # missing or damaged
        found, _ = tensors.load(path)
        path.touch()
        return found
    made = dict(make())
    with cache.writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors.save(path, made)
    cache.evict(path.name)
    return made
