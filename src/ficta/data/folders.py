"""Folders and zip files of pictures, read in place."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import BinaryIO, final

from ficta.base.errors import DataError, UsageError
from ficta.base.progress import Progress
from ficta.base.words import size as readable
from ficta.data.layout import LABELS_FILE, is_split, lay_out, read_table, split_path
from ficta.data.listing import FileSource, Listing, Manifest
from ficta.data.pictures import EXTENSIONS, reason

ENTRY_BYTES = 512_000_000  # largest file in a zip, unpacked
TOTAL_RATIO = 100  # a zip may unpack to so many times its size …
TOTAL_SLACK_BYTES = 200_000_000  # … or to so much, whichever is more
RECIPE = "recipe.toml"  # the file that makes a folder a run
ELSEWHERE = f"{LABELS_FILE} elsewhere than at the top"
SHEET, FIRST_SAMPLE = "sheet.png", "000000.png"  # as Ficta writes samples into a folder
ENCRYPTED = 0x1  # bit of a zip entry's flags


@final
class FolderSource(FileSource):
    """Pictures in a folder and its subfolders; symbolic links to folders are not followed."""

    def __init__(self, folder: Path, table: Path | None, progress: Progress) -> None:
        self._folder = folder
        self._table = table
        self._ignored: Counter[str] = Counter()
        self._files = self._walk(progress)
        manifest = _stat(folder, self._files) + ([_stat_one(table, str(table.absolute()))] if table else [])
        super().__init__("folder", str(folder), manifest, progress)

    def _list(self) -> Listing:
        ignored = Counter(self._ignored)
        names = [name for name in self._files if _is_picture(name, ignored)]
        table = self._table or (self._folder / LABELS_FILE if LABELS_FILE in self._files else None)
        ignored[ELSEWHERE] += sum(_is_table(name) and name != LABELS_FILE for name in self._files)
        labels = read_table(_read(table), str(table)) if table else None
        entries, notes = lay_out(names, labels, self.place)
        return Listing(len(entries), entries, dict(+ignored), notes)

    def open(self, name: str) -> BinaryIO:
        """Open a file of the folder."""
        path = self._folder / name
        if not path.is_file():  # a pipe would be waited on for ever
            raise OSError("not a file, or a broken link")
        return path.open("rb")

    def _walk(self, progress: Progress) -> list[str]:
        """Paths of all files that are not hidden, sorted."""
        found: list[str] = []

        def refuse(error: OSError) -> None:
            raise DataError(f"folder {error.filename} cannot be read: {reason(error)}")

        for folder, folders, files in os.walk(self._folder, onerror=refuse):
            inside = Path(folder).relative_to(self._folder)
            if RECIPE in files:  # what Ficta made of data must not become data unseen
                self._ignored["folders that hold a run"] += 1
                folders.clear()
                continue
            for name in [name for name in folders if _hidden(name) or os.path.islink(os.path.join(folder, name))]:
                self._ignored["hidden folders" if _hidden(name) else "symbolic links to folders"] += 1
                folders.remove(name)
            if {SHEET, FIRST_SAMPLE} <= set(files):
                self._ignored["sheets that show the samples beside them"] += 1
                files.remove(SHEET)
            self._ignored["hidden files"] += sum(_hidden(name) for name in files)
            found += [(inside / name).as_posix() for name in files if not _hidden(name)]
            progress("listing files", len(found), None)
        return sorted(found, key=split_path)


@final
class ZipSource(FileSource):
    """Pictures in a zip file, unpacked one at a time in memory.

    If all of them lie under a single folder that is not a split, two folders deep or beside a table of labels, as when
    somebody has packed a folder, that folder counts as the top.
    """

    def __init__(self, path: Path, table: Path | None, progress: Progress) -> None:
        self._path = path
        self._table = table
        self._zip: zipfile.ZipFile | None = None
        self._top = ""
        manifest = [_stat_one(path, str(path.absolute()))]
        if table:
            manifest.append(_stat_one(table, str(table.absolute())))
        super().__init__("zip", str(path), manifest, progress)

    def _list(self) -> Listing:
        ignored: Counter[str] = Counter()
        opened = self._archive()
        infos = {info.filename: info for info in opened.infolist() if not info.is_dir()}
        for name in infos:
            _check_name(name, self.place)
        shown = [name for name in infos if not _hidden_path(name, ignored)]
        pictures = sorted((name for name in shown if _is_picture(name, ignored)), key=split_path)
        _check_sizes([infos[name] for name in pictures], self._path)
        tables = [name for name in shown if _is_table(name)]
        self._top = _wrapper(pictures, tables)
        ignored[ELSEWHERE] += sum(name != self._top + LABELS_FILE for name in tables)
        notes = (
            [f"{self._top} is the only folder at the top of the zip: what is in it counts as the top"]
            if self._top
            else []
        )
        content = _read(self._table) if self._table else None
        if content is None and self._top + LABELS_FILE in infos:
            _check_sizes([infos[self._top + LABELS_FILE]], self._path)
            content = opened.read(self._top + LABELS_FILE)
        labels = None if content is None else read_table(content, str(self._table or f"{self.place}/{LABELS_FILE}"))
        entries, more = lay_out([name[len(self._top) :] for name in pictures], labels, self.place)
        return Listing(len(entries), entries, dict(+ignored), notes + more)

    def open(self, name: str) -> BinaryIO:
        """Unpack an entry in memory."""
        try:
            return io.BytesIO(self._archive().read(self._top + name))
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise OSError(str(error)) from None

    def _archive(self) -> zipfile.ZipFile:
        if self._zip is None:
            try:
                self._zip = zipfile.ZipFile(self._path)
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError(f"{self._path} cannot be read as a zip file: {error}; fetch it again") from None
        return self._zip


def check_labels(labels: str) -> Path | None:
    """The table of labels that the setting ``data.labels`` names; None for ``auto``.

    Raises:
        UsageError: no such file.
    """
    if labels == "auto":
        return None
    if not Path(labels).is_file():
        raise UsageError(
            f"setting data.labels: there is no file {labels}; give a CSV file with columns file,label, or 'auto'"
        )
    return Path(labels)


def _check_name(name: str, place: str) -> None:
    """Refuse entries that point out of the archive: it was made to attack or by a broken program."""
    parts = split_path(name.replace("\\", "/"))
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise DataError(f"{place}: entry {name!r} points out of the zip; the file is not to be trusted, pack it anew")


def _check_sizes(infos: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse encrypted entries and zip bombs, by the sizes that reading will hold the entries to."""
    for info in infos:
        if info.flag_bits & ENCRYPTED:
            raise DataError(f"{path}: entry {info.filename!r} is encrypted; unpack it and give the folder")
        if info.file_size > ENTRY_BYTES:
            raise DataError(
                f"{path}: entry {info.filename!r} unpacks to {readable(info.file_size)}, over the limit of "
                f"{readable(ENTRY_BYTES)}; if it is real, unpack it and give the folder"
            )
    total = sum(info.file_size for info in infos)
    if total > max(TOTAL_SLACK_BYTES, TOTAL_RATIO * path.stat().st_size):
        raise DataError(
            f"{path} unpacks from {readable(path.stat().st_size)} to {readable(total)}: a zip bomb? "
            "If it is real, unpack it and give the folder"
        )


def _wrapper(names: list[str], tables: list[str]) -> str:
    """The folder that all files lie in, a table among them or all of them a folder deeper: ``photos/``, or nothing."""
    parts = [split_path(name) for name in names]
    tops = {part[0] for part in parts}
    if len(tops) != 1 or is_split(*tops) or any(len(part) < 2 for part in parts):
        return ""
    top = f"{tops.pop()}/"
    return top if top + LABELS_FILE in tables or all(len(part) > 2 for part in parts) else ""


def _is_table(name: str) -> bool:
    """Whether a file is called like a table of labels."""
    return PurePosixPath(name).name == LABELS_FILE


def _is_picture(name: str, ignored: Counter[str]) -> bool:
    if PurePosixPath(name).suffix.lower() in EXTENSIONS:
        return True
    if not _is_table(name):
        ignored[f"not pictures ({PurePosixPath(name).suffix.lower() or 'no extension'})"] += 1
    return False


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _hidden_path(name: str, ignored: Counter[str]) -> bool:
    hidden = any(_hidden(part) for part in split_path(name))
    ignored["hidden files"] += hidden
    return hidden


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from None


def _stat(folder: Path, names: list[str]) -> Manifest:
    top = str(folder.absolute())
    return [(top, 0, 0), *(_stat_one(folder / name, name) for name in names)]


def _stat_one(path: Path, name: str) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError:  # a broken link: it is skipped when it is read
        return (name, -1, 0)
    return (name, stat.st_size, stat.st_mtime_ns)
