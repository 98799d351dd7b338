"""All pictures of a source, in bounded memory: what size they get, decoding in threads, what was skipped."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from ficta.base.errors import DataError
from ficta.base.seeds import mix
from ficta.data.codec import Chunk, Skipped
from ficta.data.listing import ArrayPart, ArraySource, Entry, FileSource, Source
from ficta.data.pictures import (
    MODES,
    NotAPicture,
    Picture,
    Target,
    decode,
    fit,
    load_formats,
    look,
    reason,
)

DEFAULT_SIDE = 64
KEPT_SIDE = 128  # pictures that share a size keep it up to here
BLOCK_BYTES = 16_000_000  # of an array at a time
BATCH_SECONDS = 0.4  # how long a batch of files should take, so that progress is told often enough
LARGEST_BATCH = 1024
FEW = 16  # files in the first batch, and headers that are looked at before decoding begins
SLOW_SECONDS = 0.001  # pictures that take longer than this are worth a thread; small ones are faster without

Sides = tuple[int, int]
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the settings ask for; None where the pictures decide.

    Attributes:
        sides: width and height.
        channels: 1, 3 or 4.
        fit: what to do with another aspect ratio.
    """

    sides: Sides | None
    channels: int | None
    fit: Literal["crop", "pad"]


def scan_pictures(source: Source, wish: Wish, drawn: bool) -> Iterator[Chunk]:
    """Read every picture of ``source``.

    Args:
        source: a FileSource or an ArraySource.
        wish: size and channels.
        drawn: make pixels black or white, with their brightness as the probability of white.

    Yields:
        Chunks of uint8 (n, C, H, W).

    Raises:
        DataError: the source itself cannot be read.
        TypeError: another kind of source.
    """
    chunks: Iterator[Chunk]
    if isinstance(source, FileSource):
        chunks = _scan_files(source, wish)
    elif isinstance(source, ArraySource):
        chunks = _scan_arrays(source, wish)
    else:
        raise TypeError(f"pictures cannot be read from a {type(source).__name__}")
    for chunk in chunks:
        yield dataclasses.replace(chunk, stored=_draw(chunk)) if drawn else chunk


def _scan_files(source: FileSource, wish: Wish) -> Iterator[Chunk]:
    """Believe the first few pictures; at the first that gives them the lie, look at all and start over."""
    entries = source.listing().entries
    with ThreadPoolExecutor(_threads()) as pool:
        met, certain = _survey(source, entries[:FEW], _Met(wish), pool), _Met(wish)
        target = met.target()
        unread: set[str] = set()  # has no say in size and channels, whatever its header tells

        def decided() -> Target:
            return _survey(source, [entry for entry in entries if entry.name not in unread], certain, pool).target()

        for batch, results, said in _decoded(source, entries, target, pool):
            unread |= _unread(batch, results)
            pictures = [result for result in results if isinstance(result, Picture)]
            if not all(map(met.foretells, pictures)):
                certain = _Met(wish, all_grey=not any(picture.faded for picture in pictures))
                break
            yield _chunk(batch, results, said, target)
        else:
            if not unread or decided() == target:
                return
        known = -1
        while known != len(unread) and (known < 0 or decided() != target):
            target, known = decided(), len(unread)
            for number, (batch, results, said) in enumerate(_decoded(source, entries, target, pool)):
                unread |= _unread(batch, results)
                yield dataclasses.replace(_chunk(batch, results, said, target), afresh=number == 0)


def _unread(batch: Sequence[Entry], results: Sequence[Picture | str]) -> set[str]:
    return {entry.name for entry, result in zip(batch, results, strict=True) if isinstance(result, str)}


@dataclasses.dataclass(frozen=True)
class _Met:
    """What some pictures say of size and channels, before they are decoded for good.

    Attributes:
        wish: what the settings ask for.
        sizes: upright sizes that were met.
        all_grey: whether all pictures were grey.
    """

    wish: Wish
    sizes: frozenset[Sides] = frozenset()
    all_grey: bool = True

    def joined(self, other: _Met) -> _Met:
        return _Met(self.wish, self.sizes | other.sizes, self.all_grey and other.all_grey)

    @property
    def size_is_settled(self) -> bool:
        """Whether no further header can change the size."""
        return self.wish.sides is not None or len(self.sizes) > 1 or any(max(size) > KEPT_SIDE for size in self.sizes)

    @property
    def channels_are_settled(self) -> bool:
        """Whether no further header can change the channels."""
        return self.wish.channels is not None or not self.all_grey

    def target(self) -> Target:
        return _settle(self.wish, self.sizes, 1 if self.all_grey else 3)

    def foretells(self, picture: Picture) -> bool:
        """Whether a picture decoded for ``target()`` surely leaves it as it is."""
        return (self.size_is_settled or picture.kept) and (self.channels_are_settled or not picture.faded)


def _survey(source: FileSource, entries: Sequence[Entry], met: _Met, pool: ThreadPoolExecutor) -> _Met:
    """Look at headers, and at pixels that may be coloured, as far as ``met`` leaves size and channels unsettled."""
    wish, open_channels = met.wish, not met.channels_are_settled

    def read(entry: Entry) -> _Met:
        nonlocal open_channels
        try:
            with source.open(entry.name) as file:
                size, coloured = look(file, open_channels)
                open_channels = open_channels and not coloured  # one settles them: no need to decode the others
                return _Met(wish, frozenset([size]), not coloured)
        except (NotAPicture, OSError):
            return _Met(wish)  # decoding meets it again, and says why

    done = 0
    for batch, results, _ in _batches(pool, read, entries):
        met = functools.reduce(_Met.joined, results, met)
        done += len(batch)
        source.progress("looking at pictures", done, len(entries))
        if met.size_is_settled and met.channels_are_settled:
            break
    return met


def _settle(wish: Wish, sizes: Collection[Sides], channels: int) -> Target:
    sides = wish.sides
    if sides is None:
        (sides,) = sizes if len(sizes) == 1 else {(DEFAULT_SIDE, DEFAULT_SIDE)}
        if max(sides) > KEPT_SIDE:
            sides = (DEFAULT_SIDE, DEFAULT_SIDE)
    return Target(sides[0], sides[1], wish.channels or channels, wish.fit)


def _decoded(
    source: FileSource, entries: Sequence[Entry], target: Target, pool: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[Entry], list[Picture | str], Counter[str]]]:
    """Batches of entries, each with its picture or the reason why it has none, and what Pillow had to say."""

    def read(entry: Entry) -> Picture | str:
        try:
            with source.open(entry.name) as file:
                return decode(file, target)
        except NotAPicture as error:
            return str(error)
        except OSError as error:  # the file cannot be opened
            return reason(error)

    return _batches(pool, read, entries)


def _batches(
    pool: ThreadPoolExecutor, read: Callable[[Entry], Result], entries: Sequence[Entry]
) -> Iterator[tuple[Sequence[Entry], list[Result], Counter[str]]]:
    """Read entries in batches of about ``BATCH_SECONDS``, with what Pillow had to say about them.

    Small pictures are read one after the other: threads would spend more on taking turns than they save.
    """
    load_formats()  # or the first batch would seem slow
    start, size, workers = 0, FEW, 1
    while start < len(entries):
        batch = entries[start : start + size]
        began = time.monotonic()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            results = list(map(read, batch) if workers == 1 else pool.map(read, batch))
        seconds = max(time.monotonic() - began, 1e-6)
        yield batch, results, Counter(f"Pillow: {str(warning.message).splitlines()[0]}" for warning in said)
        start += len(batch)
        workers = _threads() if workers * seconds / len(batch) > SLOW_SECONDS else 1
        size = min(LARGEST_BATCH, max(_threads(), int(size * min(2.0, BATCH_SECONDS / seconds))))


def _chunk(batch: Sequence[Entry], results: Sequence[Picture | str], said: Counter[str], target: Target) -> Chunk:
    pairs = list(zip(batch, results, strict=True))
    good = [(entry, result) for entry, result in pairs if isinstance(result, Picture)]
    stored = np.empty((len(good), target.channels, target.height, target.width), np.uint8)
    for row, (_, picture) in enumerate(good):
        stored[row] = picture.pixels
    return Chunk(
        stored=stored,
        names=[entry.name for entry, _ in good],
        labels=[entry.label for entry, _ in good],
        splits=[entry.split for entry, _ in good],
        skipped=[Skipped(entry.name, result) for entry, result in pairs if isinstance(result, str)],
        tallies={
            "sizes": Counter(picture.size for _, picture in good),
            "modes": Counter(picture.mode for _, picture in good),
            "notes": Counter(itertools.chain.from_iterable(picture.notes for _, picture in good)) + said,
        },
    )


def _scan_arrays(source: ArraySource, wish: Wish) -> Iterator[Chunk]:
    parts = source.parts()
    sizes = {(part.shape[3], part.shape[2]) for part in parts}
    target = _settle(wish, sizes, 1 if all(part.shape[1] == 1 for part in parts) else 3)
    for part in parts:
        yield from _scan_part(part, target)


def _scan_part(part: ArrayPart, target: Target) -> Iterator[Chunk]:
    _, channels, height, width = part.shape
    same = (width, height, channels) == (target.width, target.height, target.channels)
    start = 0
    largest = max(channels * height * width, target.channels * target.height * target.width)
    for block in part.blocks(max(1, BLOCK_BYTES // largest)):
        stop = start + len(block)
        yield Chunk(
            stored=block if same else np.stack([_refit(picture, target) for picture in block]),
            names=[f"{part.name}[{index}]" for index in range(start, stop)],
            labels=list(part.labels[start:stop]) if part.labels else [None] * len(block),
            splits=[part.split] * len(block),
            skipped=[],
            tallies={"sizes": {f"{width}x{height}": len(block)}, "modes": {MODES[channels]: len(block)}},
        )
        start = stop
    if start != part.shape[0]:
        raise DataError(f"{part.name}: {start} pictures, but its header says {part.shape[0]}; fetch the file again")


def _refit(picture: np.ndarray, target: Target) -> np.ndarray:
    flat = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)  # CHW => HWC
    return fit(Image.fromarray(np.ascontiguousarray(flat)), target)


def _draw(chunk: Chunk) -> np.ndarray:
    """Black or white for each pixel, drawn by a seed of the item's name: 0 or 255, uint8 as ``chunk.stored``."""
    drawn = np.empty_like(chunk.stored)
    for row, name in enumerate(chunk.names):
        draws = np.random.default_rng(mix("binarise", name)).integers(0, 255, chunk.stored.shape[1:])
        drawn[row] = np.where(draws < chunk.stored[row], 255, 0)
    return drawn


def _threads() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(8, available or 1))
