"""Arrays of pictures: IDX files, .npy, .npz and the built-in digits, as uint8 (n, C, H, W) in bounded memory."""

from __future__ import annotations

import dataclasses
import math
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from ficta.base.errors import DataError
from ficta.data.listing import ArrayPart

CHANNELS = (1, 3, 4)
BLOCK_BYTES = 16_000_000
WHOLE_ROWS = 1_000_000  # read at once: a header that lies about the length must not decide how much is allocated
LARGEST_PIXELS = 90_000_000  # of a picture, about Pillow's own limit
WAY_OUT = "save uint8 in 0..255, or floats in [0, 1] or [-1, 1]"


@dataclasses.dataclass(frozen=True)
class Stream:
    """An array that stands in a file and is read from front to back.

    Attributes:
        name: the file and, in an .npz, the array's name in it.
        dtype: its type.
        shape: its shape.
        open: opens it at its first element.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    open: Callable[[], BinaryIO]

    def blocks(self, count: int) -> Iterator[np.ndarray]:
        """Read at most ``count`` rows at a time.

        Raises:
            DataError: the file ends early, goes on after the last row, or is damaged.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            with self.open() as file:
                for start in range(0, self.shape[0], count):
                    rows = min(count, self.shape[0] - start)
                    content = file.read(rows * row_bytes)
                    if len(content) != rows * row_bytes:
                        raise DataError(f"{self.name} ends early: its header says {self.shape}; fetch it again")
                    yield np.frombuffer(content, self.dtype).reshape(rows, *self.shape[1:])
                if file.read(1):
                    raise DataError(f"{self.name} is longer than its header says, {self.shape}; fetch it again")
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.name} cannot be read: {error}; fetch it again") from None

    def whole(self) -> np.ndarray:
        """All rows."""
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.blocks(WHOLE_ROWS)])


def pictures(stream: Stream, split: str | None, labels: list[str] | None) -> ArrayPart:
    """Take an array as pictures.

    Args:
        stream: (N, H, W), (N, H, W, C) or (N, C, H, W); bool, uint8, other integers in 0..255, or floats in [0, 1]
            or [-1, 1], which are rounded to 256 levels.
        split: split of all of them.
        labels: their labels.

    Raises:
        DataError: another rank, an empty axis, another type, values out of range, NaN or infinity, or labels that
            are not one for each.
    """
    shape, last = _layout(stream)
    if labels is not None and len(labels) != shape[0]:
        raise DataError(f"{stream.name}: {shape[0]} pictures but {len(labels)} labels; they must match one to one")
    convert, note = _conversion(stream)
    notes = [note] if note else []
    if len(stream.shape) == 4 and stream.shape[1] in CHANNELS and stream.shape[3] in CHANNELS:
        notes.append(f"the shape {stream.shape} can be read in two ways; the last axis is taken as channels")

    def blocks(count: int) -> Iterator[np.ndarray]:
        for block in stream.blocks(count):
            levels = convert(block)
            if levels.ndim == 3:
                yield levels[:, None]
            else:
                yield levels.transpose(0, 3, 1, 2) if last else levels  # NHWC => NCHW

    return ArrayPart(stream.name, shape, split, labels, blocks, tuple(notes))


def label_names(stream: Stream) -> list[str]:
    """Take an array as labels.

    Args:
        stream: whole numbers or strings, (N,).

    Raises:
        DataError: another rank or type.
    """
    if len(stream.shape) != 1:
        raise DataError(
            f"{stream.name}: labels of shape {stream.shape}; give one whole number or string for each picture"
        )
    values = stream.whole()
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind not in "biuU":
        raise DataError(f"{stream.name}: labels of type {values.dtype}; give whole numbers or strings")
    return [str(value) for value in values.tolist()]


def _layout(stream: Stream) -> tuple[tuple[int, int, int, int], bool]:
    """Shape as (n, C, H, W), and whether the channels stand last in the array."""
    shape = stream.shape
    if len(shape) not in (3, 4):
        raise DataError(f"{stream.name}: shape {shape}; pictures are (N, H, W), (N, H, W, C) or (N, C, H, W)")
    if 0 in shape:
        raise DataError(f"{stream.name}: shape {shape} holds nothing; every axis needs at least one element")
    if math.prod(shape[1:]) > 4 * LARGEST_PIXELS:
        raise DataError(f"{stream.name}: shape {shape} has too many pixels in a picture; the file may be damaged")
    if len(shape) == 3:
        return (shape[0], 1, shape[1], shape[2]), False
    if shape[3] in CHANNELS:
        return (shape[0], shape[3], shape[1], shape[2]), True
    if shape[1] in CHANNELS:
        return (shape[0], shape[1], shape[2], shape[3]), False
    raise DataError(f"{stream.name}: shape {shape} has no axis of 1, 3 or 4 channels, last or second")


def _conversion(stream: Stream) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """How the values become 256 levels, and what to say about it."""
    kind = stream.dtype.kind
    if stream.dtype == np.uint8:
        return (lambda block: block), ""
    if kind == "b":
        return (lambda block: block.astype(np.uint8) * 255), "true and false taken as white and black"
    if kind not in "iuf":
        raise DataError(f"{stream.name}: values of type {stream.dtype}; {WAY_OUT}")
    low, high = _range(stream)
    if kind in "iu":
        if low < 0 or high > 255:
            raise DataError(f"{stream.name}: whole numbers from {low:g} to {high:g}; {WAY_OUT}")
        return (lambda block: block.astype(np.uint8)), f"values of type {stream.dtype}, taken as 8 bits"
    if low < -1 or high > 1:
        raise DataError(f"{stream.name}: floats from {low:g} to {high:g}; {WAY_OUT}")
    if low < 0:
        return (lambda block: _levels((block.astype(np.float64) + 1) / 2)), "floats in [-1, 1], rounded to 256 levels"
    return (lambda block: _levels(block.astype(np.float64))), "floats in [0, 1], rounded to 256 levels"


def _levels(unit: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(unit * 255).astype(np.uint8)
    return levels


def _range(stream: Stream) -> tuple[float, float]:
    """Smallest and largest value; refuses NaN and infinity, naming the row."""
    low, high, start = math.inf, -math.inf, 0
    row_bytes = math.prod(stream.shape[1:]) * stream.dtype.itemsize
    for block in stream.blocks(max(1, BLOCK_BYTES // max(1, row_bytes))):
        finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise DataError(f"{stream.name}: NaN or infinite values, first in picture {row}; remove or mend it")
        low, high, start = min(low, float(block.min())), max(high, float(block.max())), start + len(block)
    return low, high
