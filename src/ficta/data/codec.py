"""The two-way door of a modality: files <-> compact array <-> model tensor."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.noise import Noise


@dataclasses.dataclass(frozen=True)
class Skipped:
    """An item that was not read, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some items of a source in compact form; a source is read as a row of these, in bounded memory.

    Attributes:
        stored: (n, *stored shape), the compact array.
        names: where each item came from, n strings.
        labels: label of each item (None: it has none), n entries.
        splits: split that the source gives each item (None: it gives none), n entries.
        skipped: what could not be read between the last chunk and this one.
        tallies: what was met in these items, counted, for the report: ``{"modes": {"RGB": 20}, "notes": {...}}``.
        afresh: the reading starts over with this chunk; those before it are void.
    """

    stored: np.ndarray
    names: list[str]
    labels: list[str | None]
    splits: list[str | None]
    skipped: list[Skipped]
    tallies: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)
    afresh: bool = False


class Codec(abc.ABC):
    """One modality; leaf classes are final.

    ``decode(encode(x)) == x`` within the loss that the class states.
    """

    spec: Spec
    """Known after ``fit`` or ``from_facts``."""
    settings: Settings
    """As given, and after ``fit`` with what the data decided filled in."""
    measures: tuple[str, ...]
    """Feature spaces in which this modality is judged by default; the first is where novelty is."""

    @abc.abstractmethod
    def __init__(self, settings: Any) -> None:
        """Take the part of ``DataSettings`` that bears this codec's name."""

    @abc.abstractmethod
    def stored_key(self) -> dict[str, Any]:
        """What of the settings decides the compact form, as JSON types: keys the cache."""

    @abc.abstractmethod
    def scan(self, source: Any) -> Iterator[Chunk]:
        """Read every item of ``source``, in bounded memory."""

    @abc.abstractmethod
    def fit(self, train: Iterable[np.ndarray], condition: Spec | None) -> None:
        """Learn from the training split what encoding needs, and set ``spec`` with this ``condition``."""

    @abc.abstractmethod
    def encode(self, stored: Tensor, noise: Noise | None = None) -> Tensor:
        """Compact batch (B, *stored shape) to model tensor float32 (B, *spec.shape), on its device.

        ``noise`` feeds codecs that draw (dynamic binarisation); without it they take the likelier value.
        """

    @abc.abstractmethod
    def decode(self, tensor: Tensor) -> np.ndarray:
        """Model tensor (B, *spec.shape) to compact array (B, *stored shape)."""

    @abc.abstractmethod
    def write(self, stored: np.ndarray, folder: Path, first: int = 0) -> list[Path]:
        """Write one file an item, named by its index from ``first`` on."""

    @abc.abstractmethod
    def preview(
        self, stored: np.ndarray, columns: int | None = None, captions: Sequence[str] | None = None
    ) -> Image.Image:
        """The sheet that a person looks at: items side by side, enlarged so that small ones can be seen.

        ``captions``: a line under each, such as the label that it was asked for.
        """

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """All that was learnt or set, as JSON types: ``from_facts`` makes the same codec of it."""

    @classmethod
    @abc.abstractmethod
    def from_facts(cls, facts: dict[str, Any]) -> Codec:
        """Make the codec that ``facts`` describes."""
