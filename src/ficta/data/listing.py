"""What a source lists: its items with their labels and splits, before any of them is decoded."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from ficta.base.progress import Progress

Manifest = list[tuple[str, int, int]]
"""Name, size in bytes and time of last change in ns of every file: changes if and only if the source may have."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One item of a source.

    Attributes:
        name: where it is, from the top of the source.
        label: its label; None if it has none.
        split: ``train``, ``validation`` or ``test`` where the source says so, else None.
    """

    name: str
    label: str | None
    split: str | None


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a source holds.

    Attributes:
        count: number of items.
        entries: the items in order, where they are files; those of arrays have no names of their own.
        ignored: files that are no items, counted by reason.
        notes: what a person should know about how the source was read.
    """

    count: int
    entries: list[Entry]
    ignored: dict[str, int]
    notes: list[str]


class Source(abc.ABC):
    """Where data come from. Opening one is cheap; the items are listed on demand.

    Attributes:
        kind: ``folder``, ``zip``, ``idx``, ``numpy`` or ``built-in``.
        place: path or name that was opened.
        codec: name of the codec that reads it.
        manifest: what the cache is keyed by.
        progress: told how far listing and reading have come.
    """

    codec = "image"

    def __init__(self, kind: str, place: str, manifest: Manifest, progress: Progress) -> None:
        self.kind = kind
        self.place = place
        self.manifest = manifest
        self.progress = progress
        self._listing: Listing | None = None

    def listing(self) -> Listing:
        """List the items (once; the list is kept).

        Raises:
            DataError: the source is damaged or contradicts itself.
        """
        if self._listing is None:
            self._listing = self._list()
        return self._listing

    @abc.abstractmethod
    def _list(self) -> Listing: ...


class FileSource(Source):
    """A source with one file an item."""

    @abc.abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open an item's file for reading; safe to call from several threads."""


@dataclasses.dataclass(frozen=True)
class ArrayPart:
    """Pictures in one array.

    Attributes:
        name: what the array is called.
        shape: (n, C, H, W) with C of 1, 3 or 4.
        split: split that the source gives them, or None.
        labels: n labels, or None.
        blocks: reads the pictures in order, at most so many at a time: uint8 (<= count, C, H, W).
        notes: what was converted, and how.
    """

    name: str
    shape: tuple[int, int, int, int]
    split: str | None
    labels: list[str] | None
    blocks: Callable[[int], Iterator[np.ndarray]]
    notes: tuple[str, ...] = ()


class ArraySource(Source):
    """A source whose pictures stand in arrays."""

    def __init__(
        self, kind: str, place: str, manifest: Manifest, progress: Progress, read: Callable[[], list[ArrayPart]]
    ) -> None:
        super().__init__(kind, place, manifest, progress)
        self._read = read
        self._parts: list[ArrayPart] | None = None

    def parts(self) -> list[ArrayPart]:
        """The arrays; read (headers, labels, range of values) at the first call.

        Raises:
            DataError: an array that cannot be pictures, or labels that do not match.
        """
        if self._parts is None:
            self._parts = self._read()
        return self._parts

    def _list(self) -> Listing:
        notes = [f"{part.name}: {note}" for part in self.parts() for note in part.notes]
        return Listing(sum(part.shape[0] for part in self.parts()), [], {}, notes)
