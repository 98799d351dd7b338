"""The two-way door of a modality: files <-> compact array <-> model tensor."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image
from torch import Tensor

from ficta.base.settings import Settings
from ficta.base.spec import Spec
from ficta.compute.noise import Noise
from ficta.data.asked import Asked


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
    item: str
    """What a sample is called: picture, row."""
    spaces: tuple[str, ...]
    """Feature spaces in which this modality is judged by default; the first is where novelty is."""
    measures: tuple[str, ...]
    """Measures of the items themselves."""
    repeats: bool
    """Whether items are alike by nature, as short rows are, so that a fair split need not keep duplicates together."""
    by_label: bool
    """Whether it is a label that a conditional model is asked for."""
    pictures: tuple[str, ...]
    """What is worth drawing of a trained model (``ficta.explore``)."""
    sheet_items: int
    """Samples that an overview shows well."""
    endings: tuple[str, ...]
    """Of files that many items are written to; without any, each is written to a file of its own, in a folder."""
    schema: dict[str, Any]
    """What ``scan`` learnt of the source as a whole, JSON types; kept with the compact items. If it is set before, a
    source is read by that of another."""

    @abc.abstractmethod
    def __init__(self, settings: Any) -> None:
        """Take the part of ``DataSettings`` that bears this codec's name."""

    @abc.abstractmethod
    def as_they_come(self) -> Settings:
        """The settings by which anybody's items are read to be judged: like these, but nothing is left out."""

    @abc.abstractmethod
    def stored_key(self) -> dict[str, Any]:
        """What of the settings decides the compact form, as JSON types: keys the cache."""

    @abc.abstractmethod
    def scan(self, source: Any) -> Iterator[Chunk]:
        """Read every item of ``source``, in bounded memory."""

    @abc.abstractmethod
    def remarks(self, facts: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[list[str], list[str]]:
        """Notes and warnings of this modality about items of this shape, given what was met when they were read."""

    @abc.abstractmethod
    def fit(self, train: Iterable[np.ndarray], conditional: bool, labels: tuple[str, ...]) -> None:
        """Learn from the training split what encoding needs, and set ``spec``.

        Args:
            train: its items in compact form, some at a time.
            conditional: whether the model is to be one that can be asked for something.
            labels: that there are, in the order of their indices.

        Raises:
            DataError: too few items.
        """

    @abc.abstractmethod
    def weights(self, train: Iterable[np.ndarray]) -> np.ndarray | None:
        """How often training items are to be seen so that rare kinds are learnt, too: float64 (n,), or None."""

    @abc.abstractmethod
    def encode(self, stored: Tensor, noise: Noise | None = None) -> Tensor:
        """Compact batch (B, *stored shape) to model tensor float32 (B, *spec.shape), on its device.

        ``noise`` feeds codecs that draw (dynamic binarisation); without it they take the likelier value.
        """

    @abc.abstractmethod
    def condition(
        self,
        spec: Spec,
        data: Tensor,
        labels: Tensor | None,
        noise: Noise | None = None,
        weighted: Tensor | None = None,
    ) -> Tensor | None:
        """What a batch is taken to be asked for, encoded for ``spec.condition``; None if that is.

        Args:
            spec: of the model that is trained or judged.
            data: float32 (B, *spec.shape).
            labels: of each item, int64 (B,), if there are any.
            noise: feeds codecs that draw; without it they ask for as little as they can.
            weighted: which items were drawn by ``weights``, bool (B,), and may be learnt from only given what these
                depend on.
        """

    @abc.abstractmethod
    def ask(self, label: str | None = None, where: Mapping[str, Any] | None = None) -> Asked:
        """What a user asks for: a label, or values of columns; neither: what a fair sample of everything is asked for.

        Raises:
            UsageError: an unknown one, or a model that was not trained to be asked.
        """

    @abc.abstractmethod
    def unstructured(self, items: np.ndarray, seed: int, first: int) -> np.ndarray:
        """Items in compact form that consist of the same as these, numbers ``first`` on, without their structure."""

    @abc.abstractmethod
    def decode(self, tensor: Tensor) -> np.ndarray:
        """Model tensor (B, *spec.shape) to compact array (B, *stored shape)."""

    @abc.abstractmethod
    def write(self, chunks: Iterable[np.ndarray], place: Path) -> None:
        """Write items as they come: to a folder, or to a file with one of the ``endings``."""

    @abc.abstractmethod
    def preview(
        self, stored: np.ndarray, columns: int | None = None, captions: Sequence[str] | None = None
    ) -> Image.Image:
        """Items one by one, side by side, large enough to be seen.

        ``captions``: a line with each, such as the label that it was asked for.
        """

    @abc.abstractmethod
    def overview(self, stored: np.ndarray, captions: Sequence[str] | None = None) -> Image.Image:
        """The sheet that a person judges samples by: items one by one, or what they have in common."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """All that was learnt or set, as JSON types: ``from_facts`` makes the same codec of it."""

    @classmethod
    @abc.abstractmethod
    def from_facts(cls, facts: dict[str, Any]) -> Codec:
        """Make the codec that ``facts`` describes."""


@runtime_checkable
class Tabulates(Protocol):
    """A codec of rows that stand in tables, and whose missing values can be sampled."""

    def frame(self, stored: np.ndarray) -> Any:
        """Items in compact form as a data frame of pandas."""

    def violated(self, stored: np.ndarray) -> np.ndarray:
        """Which items break something that must hold, bool (n,); (0,) if nothing must."""

    def complete(self, place: Any) -> Asked:
        """Rows of a file or a data frame, what they lack to be sampled; what they have is kept.

        Raises:
            UsageError: unknown columns or values, or a model that was not trained to be asked.
            DataError: the file cannot be read.
        """
