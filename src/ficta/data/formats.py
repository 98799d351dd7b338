"""The files that hold arrays: IDX (MNIST's own format), .npy, .npz."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ficta.base.errors import DataError
from ficta.data.arrays import Stream, label_names, pictures
from ficta.data.listing import ArrayPart

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IDX_NAME = re.compile(r"(?P<stem>.*?)(?P<what>images|labels)(?P<dot>[-.])idx\d-ubyte(?P<gz>\.gz)?", re.IGNORECASE)
IDX_SPLITS = {"train": "train", "t10k": "test", "test": "test"}
IMAGE_KEYS = ("images", "x", "data", "samples")  # the last is what Ficta writes
LABEL_KEYS = ("labels", "y")
SPLIT_KEYS = (("x_train", "y_train", "train"), ("x_val", "y_val", "validation"), ("x_test", "y_test", "test"))
LARGEST_HEADER = 10_000  # bytes of an .npy header; NumPy's own limit


def idx_stream(path: Path) -> Stream:
    """Open an IDX file, compressed by gzip or not.

    Raises:
        DataError: the header is not one of IDX.
    """
    opener: Callable[[], BinaryIO] = lambda: _plain(path)  # noqa: E731 - its type is told apart by the file's first bytes
    try:
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                opener = lambda: _gunzip(path)  # noqa: E731
        with opener() as file:
            magic = file.read(4)
            if len(magic) != 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not magic[3]:
                raise DataError(f"{path} is not an IDX file: it begins with {magic.hex(' ')}; fetch it again")
            shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
            start = 4 + 4 * magic[3]
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an IDX file: {error}; fetch it again") from None
    return Stream(str(path), np.dtype(IDX_TYPES[magic[2]]), shape, lambda: _skip(opener(), start))


def idx_labels(path: Path) -> Path | None:
    """The file of labels that stands beside a file of pictures under the matching name, if there is one."""
    named = IDX_NAME.fullmatch(path.name)
    wanted = f"{named['stem']}labels".lower() if named else None
    return min((other for other in path.parent.iterdir() if _idx_key(other) == wanted), default=None)


def idx_file(path: Path) -> list[ArrayPart]:
    """Read a file of pictures, and the labels that stand beside it."""
    labels = idx_labels(path)
    return [pictures(idx_stream(path), None, label_names(idx_stream(labels)) if labels else None)]


def idx_folder(folder: Path) -> list[ArrayPart]:
    """Read the four files of MNIST: train and t10k, images and labels; without t10k there is no split."""
    images = idx_images(folder)
    parts = []
    for split, path in sorted(images.items(), key=lambda item: item[0] != "train"):
        (part,) = idx_file(path)
        parts.append(ArrayPart(part.name, part.shape, split if len(images) > 1 else None, part.labels, part.blocks))
    return parts


def idx_images(folder: Path) -> dict[str, Path]:
    """The files of pictures under MNIST's names in a folder, by split."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        key = _idx_key(path)
        for name, split in IDX_SPLITS.items():
            if key == f"{name}-images":
                found.setdefault(split, path)
    return found


def npy_file(path: Path) -> list[ArrayPart]:
    """Read an .npy file of pictures."""
    return [pictures(_npy_stream(str(path), lambda: path.open("rb")), None, None)]


def npz_file(path: Path) -> list[ArrayPart]:
    """Read an .npz file: pictures under one of ``IMAGE_KEYS``, with labels or y; or x_train, y_train … as in Keras."""
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as an .npz file: {error}; fetch it again") from None

    def stream(key: str) -> Stream:
        return _npy_stream(f"{path}:{key}", lambda: _member(path, f"{key}.npy"))

    if SPLIT_KEYS[0][0] in keys:
        return [
            pictures(stream(x), split, label_names(stream(y)) if y in keys else None)
            for x, y, split in SPLIT_KEYS
            if x in keys
        ]
    image_key = next((key for key in IMAGE_KEYS if key in keys), None)
    if image_key is None:
        raise DataError(
            f"{path} holds {', '.join(keys) or 'nothing'}; name the pictures one of {', '.join(IMAGE_KEYS)}"
        )
    label_key = next((key for key in LABEL_KEYS if key in keys), None)
    return [pictures(stream(image_key), None, label_names(stream(label_key)) if label_key else None)]


def _npy_stream(name: str, opener: Callable[[], BinaryIO]) -> Stream:
    """Read an array's header; arrays of Python objects are refused, since reading them would run code."""
    try:
        with opener() as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file, max_header_size=LARGEST_HEADER)
            start = file.tell()
            if dtype.hasobject:
                raise DataError(f"{name} holds Python objects, not numbers; save it with a numeric type")
            if fortran and len(shape) > 1:
                file.seek(0)
                array = np.lib.format.read_array(file, allow_pickle=False)
                content = np.ascontiguousarray(array).tobytes()
                return Stream(name, dtype, shape, lambda: io.BytesIO(content))
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{name} cannot be read as a NumPy array: {error}; save it again") from None
    return Stream(name, dtype, shape, lambda: _skip(opener(), start))


def _member(path: Path, name: str) -> BinaryIO:
    """An entry of a zip file, which keeps the file open for as long as it needs it."""
    with zipfile.ZipFile(path) as archive:
        return archive.open(name)  # type: ignore[return-value]


def _plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _gunzip(path: Path) -> BinaryIO:
    return gzip.open(path, "rb")  # type: ignore[return-value]


def _skip(file: BinaryIO, count: int) -> BinaryIO:
    file.read(count)
    return file


def _idx_key(path: Path) -> str:
    """``train-images`` for train-images-idx3-ubyte.gz; empty for names of another kind."""
    named = IDX_NAME.fullmatch(path.name)
    return f"{named['stem']}{named['what']}".lower() if named else ""
