"""Decoded once: each source as one memory-mapped array, in a cache that keeps to a size."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ficta.base.errors import FictaError, UsageError
from ficta.base.files import write_json

FOLDER_VARIABLE = "FICTA_CACHE"
LIMIT_VARIABLE = "FICTA_CACHE_LIMIT_GB"
DEFAULT_LIMIT_GB = 20.0
FORMAT = 4  # raise it when entries of older versions cannot be used
ITEMS, FACTS = "items.npy", "facts.json"
LABELS, SPLITS, DIGESTS = "labels.npy", "splits.npy", "digests.npy"
BUILDING, REMOVING = ".building-", ".removing-"
STALE_SECONDS = 24 * 3600  # a folder under construction for longer was left by a killed process


@dataclasses.dataclass(frozen=True)
class Entry:
    """A source in compact form.

    Attributes:
        stored: (N, *stored shape), memory-mapped and read-only.
        labels: index into ``facts["categories"]``, int64 (N,); -1 for none.
        splits: index into ``ingest.SPLITS``, int64 (N,); -1 where the source gives none.
        digests: digest of each item, uint8 (N, 16).
        facts: what was met on the way, for the report.
    """

    stored: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    digests: np.ndarray
    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Kept:
    """An entry of the cache, for listing: where it is, source, size, and when it was last used (seconds since 1970)."""

    path: Path
    source: str
    size_bytes: int
    used: float


def cache_folder() -> Path:
    """``$FICTA_CACHE``, or ``~/.cache/ficta``."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".cache" / "ficta"


def limit_bytes() -> int:
    """How large the cache may grow: ``$FICTA_CACHE_LIMIT_GB``, or 20 GB.

    Raises:
        UsageError: the variable is not a number from 0.
    """
    text = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_LIMIT_GB))
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise UsageError(f"{LIMIT_VARIABLE} = {text!r}: give a number of gigabytes, e.g. {DEFAULT_LIMIT_GB:g}")
    return int(limit * 1e9)


def key_of(content: Any) -> str:
    """Name of the entry for ``content`` (JSON types): the source's manifest and the settings that change the result."""
    text = json.dumps([FORMAT, content], sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def load(key: str) -> Entry | None:
    """The entry of this name, or None if there is none that can be used (a damaged one is removed)."""
    path = _entries_folder() / key
    if not path.is_dir():
        return None
    entry = _read(path)
    if entry is None:
        with writing(_entries_folder()):
            _remove(path)
        return None
    with contextlib.suppress(OSError):  # a cache on a read-only disk can still be used
        os.utime(path)
    return entry


def also_known_as(name: str, key: str) -> None:
    """Let ``name`` find the entry ``key``, too; an entry of that name stays. Where links cannot be made, nothing."""
    if name == key:
        return
    with contextlib.suppress(OSError):
        (_entries_folder() / name).symlink_to(key)


def _read(path: Path) -> Entry | None:
    try:
        facts = json.loads((path / FACTS).read_text())
        labels, splits, digests = (np.load(path / name, allow_pickle=False) for name in (LABELS, SPLITS, DIGESTS))
        stored = np.load(path / ITEMS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if not isinstance(facts, dict) or "source" not in facts:
        return None
    if not len(stored) == len(labels) == len(splits) == len(digests):
        return None
    return Entry(stored, labels, splits, digests, facts)


class Builder:
    """An entry under construction; it becomes visible whole with ``finish``, or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = (folder / ITEMS).open("wb")
        self._item: tuple[int, ...] | None = None
        self._count = 0
        self._header_bytes = 0
        self._dtype = np.dtype(np.uint8)

    def add(self, stored: np.ndarray) -> None:
        """Append items (n, *stored shape); all of one shape and dtype."""
        if self._item is None:
            self._item, self._dtype = stored.shape[1:], stored.dtype
            self._header_bytes = self._write_header()
        if stored.shape[1:] != self._item or stored.dtype != self._dtype:
            raise ValueError(f"items of {stored.dtype} {stored.shape[1:]} after {self._dtype} {self._item}")
        self._file.write(np.ascontiguousarray(stored).data)
        self._count += len(stored)

    def empty(self) -> None:
        """Forget the items added so far; those to come may be of another shape."""
        self._file.seek(0)
        self._file.truncate()
        self._item, self._count = None, 0

    def finish(self, labels: np.ndarray, splits: np.ndarray, digests: np.ndarray, facts: dict[str, Any]) -> None:
        """Complete the entry: ``facts`` are JSON types, the arrays have a row for each item added."""
        self._file.seek(0)
        if self._write_header() != self._header_bytes:
            raise RuntimeError("the header of an .npy file changed its length")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        for name, array in ((LABELS, labels), (SPLITS, splits), (DIGESTS, digests)):
            np.save(self.folder / name, array, allow_pickle=False)
        write_json(self.folder / FACTS, facts)

    def close(self) -> None:
        """Close the file of items, whatever has become of it."""
        self._file.close()

    def _write_header(self) -> int:
        """NumPy leaves room in the header for a first axis of any length, so that it can be written again."""
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._count, *(self._item or ())),
        }
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()


@contextlib.contextmanager
def building(key: str) -> Iterator[Builder]:
    """Build the entry of this name in a folder beside its place, and put it there if the block ends well.

    If another process has built the same entry meanwhile, that one stays.

    Raises:
        FictaError: the disk is full or the cache folder cannot be written.
    """
    with writing(_entries_folder()):
        _entries_folder().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=BUILDING, dir=_entries_folder()))
        builder = Builder(folder)
        try:
            yield builder
            builder.close()
            with contextlib.suppress(FileExistsError):
                _put(folder, _entries_folder() / key)
        finally:
            with contextlib.suppress(OSError):  # closing flushes, which a full disk refuses again
                builder.close()
            shutil.rmtree(folder, ignore_errors=True)
        evict(key)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn failures to write under ``folder`` into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise FictaError(
            f"the cache folder {folder} cannot be written ({error.strerror or error}); free some space there, "
            f"or name another folder in {FOLDER_VARIABLE}"
        ) from None


def entries() -> list[Kept]:
    """All entries, the most recently used first."""
    folder = _entries_folder()
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink() or path.name.startswith((BUILDING, REMOVING)):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # removed meanwhile, or damaged
            source = json.loads((path / FACTS).read_text())["source"]
            size_bytes = sum(file.stat().st_size for file in path.iterdir())
            found.append(Kept(path, str(source), size_bytes, path.stat().st_mtime))
    for path in derived_folder().iterdir() if derived_folder().is_dir() else ():
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append(Kept(path, path.name.rsplit("-", 1)[0], facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda kept: -kept.used)


def derived_folder() -> Path:
    """Where files lie that were computed from data and can be computed again."""
    return cache_folder() / "derived"


def clear() -> None:
    """Remove all entries and what killed processes left behind; downloads stay.

    Raises:
        FictaError: the cache folder cannot be written.
    """
    with writing(cache_folder()):
        for folder in (_entries_folder(), derived_folder()):
            for path in folder.iterdir() if folder.is_dir() else ():
                _remove(path)


def evict(key: str) -> None:
    """Remove the entries used longest ago until the cache keeps to its size; the one named ``key`` stays."""
    total, limit = 0, limit_bytes()
    for kept in sorted(entries(), key=lambda kept: kept.path.name != key):
        total += kept.size_bytes
        if total > limit and kept.path.name != key:
            _remove(kept.path)
    for path in _entries_folder().iterdir() if _entries_folder().is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another process has tidied up
            if path.is_symlink() and not path.exists():
                path.unlink()
            elif path.name.startswith((BUILDING, REMOVING)) and path.stat().st_mtime < time.time() - STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _entries_folder() -> Path:
    return cache_folder() / "data"


def _put(folder: Path, place: Path) -> None:
    if place.exists():
        return
    try:
        folder.rename(place)
    except OSError:
        if not place.exists():
            raise


def _remove(path: Path) -> None:
    """Take an entry out of sight at once, then delete it; processes that have it mapped keep what they have."""
    hidden = path.with_name(f"{REMOVING}{path.name}-{os.getpid()}-{time.monotonic_ns()}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(hidden)
        if hidden.is_symlink() or hidden.is_file():
            hidden.unlink()
        else:
            shutil.rmtree(hidden, ignore_errors=True)
