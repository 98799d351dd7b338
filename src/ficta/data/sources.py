"""Which source a path or name means."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import Progress
from ficta.base.words import nearest
from ficta.data.arrays import Stream, pictures
from ficta.data.download import NAMED, obtain
from ficta.data.folders import FolderSource, ZipSource, check_labels
from ficta.data.formats import IDX_NAME, idx_file, idx_folder, idx_images, idx_labels, npy_file, npz_file
from ficta.data.listing import ArrayPart, ArraySource, Manifest, Source
from ficta.data.pictures import EXTENSIONS, reason
from ficta.data.settings import DataSettings
from ficta.data.table.frames import TableSource, is_table, open_table

DIGITS = "digits"
READABLE = "a folder or zip of pictures, IDX, .npy or .npz, or a table (CSV, TSV, Parquet, Excel)"


def open_source(settings: DataSettings, progress: Progress) -> Source:
    """Open what ``data.path`` names; cheap, nothing is decoded yet.

    A built-in or downloadable name comes before a file of the same name (write ``./digits`` for that).

    Raises:
        UsageError: no such path or name, a kind of file that is not read, or a table of labels for arrays.
        DataError: what is there cannot be read, or cannot be downloaded.
    """
    source = _open(settings, progress)
    if isinstance(source, TableSource) and settings.labels != "auto":
        raise UsageError(f"setting data.labels = {settings.labels!r}: rows have no labels; ask for values of columns")
    if isinstance(source, ArraySource) and settings.labels != "auto":
        raise UsageError(f"setting data.labels = {settings.labels!r}: {settings.path} has no files that it could name")
    return source


def modality(path: str) -> str:
    """The codec that reads what ``data.path`` names, by the name alone."""
    return TableSource.codec if is_table(Path(path)) else Source.codec


def _open(settings: DataSettings, progress: Progress) -> Source:
    if settings.path == DIGITS:
        return ArraySource("built-in", DIGITS, [(DIGITS, 0, 0)], progress, _digits)
    if settings.path in NAMED:
        folder = obtain(settings.path, settings.mirror, progress)
        return _idx_folder(folder, progress)
    path = Path(settings.path).expanduser()
    try:
        if not path.exists():
            raise UsageError(f"data {settings.path}: no such path or name; {_there_is(path)}")
        return _open_path(path, check_labels(settings.labels), progress)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from None


def _open_path(path: Path, table: Path | None, progress: Progress) -> Source:
    if path.is_dir():
        return _idx_folder(path, progress) if idx_images(path) else FolderSource(path, table, progress)
    if not path.is_file():
        raise UsageError(f"data {path} is neither a file nor a folder; give {READABLE}")
    suffix = path.suffix.lower()
    if IDX_NAME.fullmatch(path.name) or suffix in (".idx", ".idx3-ubyte"):
        if "labels" in path.name:
            raise UsageError(f"data {path} holds labels; give the file of pictures, or the folder")
        return _arrays("idx", path, _with_labels([path]), progress, lambda: idx_file(path))
    if suffix == ".npy":
        return _arrays("numpy", path, [path], progress, lambda: npy_file(path))
    if suffix == ".npz":
        return _arrays("numpy", path, [path], progress, lambda: npz_file(path))
    if is_table(path):
        return open_table(path, progress)
    if zipfile.is_zipfile(path) or suffix == ".zip":
        return ZipSource(path, table, progress)
    if suffix in EXTENSIONS:
        raise UsageError(f"data {path} is a single picture; give the folder that it is in")
    raise UsageError(f"data {path}: files of this kind are not read; give {READABLE}")


def _idx_folder(folder: Path, progress: Progress) -> Source:
    files = _with_labels(idx_images(folder).values())
    return _arrays("idx", folder, files, progress, lambda: idx_folder(folder))


def _with_labels(images: Iterable[Path]) -> list[Path]:
    """IDX files of pictures, and the files of their labels."""
    return [file for path in images for file in (path, idx_labels(path)) if file]


def _arrays(
    kind: str, path: Path, files: list[Path], progress: Progress, read: Callable[[], list[ArrayPart]]
) -> ArraySource:
    """A source that reads ``files``, and no others, as ``path`` asks for them."""
    manifest: Manifest = [(str(path.absolute()), 0, 0)]  # the same files may be opened one by one, or as a folder
    for file in files:
        stat = file.stat()
        manifest.append((str(file.absolute()), stat.st_size, stat.st_mtime_ns))
    return ArraySource(kind, str(path), manifest, progress, read)


def _digits() -> list[ArrayPart]:
    """Handwritten digits of 8x8 pixels with 17 grey levels (Alpaydin & Kaynak 1998), as scikit-learn brings them."""
    from sklearn.datasets import load_digits  # a second to import

    digits = load_digits()
    levels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    stream = Stream(DIGITS, levels.dtype, levels.shape, lambda: _memory(levels))
    return [pictures(stream, None, [str(label) for label in digits.target])]


def _memory(array: np.ndarray) -> io.BytesIO:
    return io.BytesIO(array.tobytes())


def _there_is(path: Path) -> str:
    """The nearest built-in name or neighbour of a path that does not exist."""
    neighbours = [] if not path.parent.is_dir() else [other.name for other in path.parent.iterdir()][:1000]
    close = nearest(path.name, [DIGITS, *NAMED, *neighbours]).split("there is:")[0]
    return f"{close}give {READABLE}, or a name: {', '.join([DIGITS, *NAMED])}"
