"""What the names of files say about their split and label."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ficta.base.errors import DataError
from ficta.base.words import plural
from ficta.data.listing import Entry

SPLITS: Mapping[str, str] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
LABELS_FILE = "labels.csv"
SHOWN = 3  # names shown in an error


def lay_out(names: Sequence[str], labels: Mapping[str, str] | None, place: str) -> tuple[list[Entry], list[str]]:
    """Read split and label of every file from its path, and its label from a table if there is one.

    If all first-level folders are called train, val, valid, validation or test, in capitals or not, they are splits and
    the next level is the label; otherwise the first level is the label.

    Args:
        names: paths from the top of the source, with ``/``.
        labels: label of each path, from a table; None to take them from the folders.
        place: the source, for errors.

    Returns:
        The entries in the same order, and notes for the report.

    Raises:
        DataError: the table names files that are not there, or files lie beside split folders.
    """
    parts = [split_path(name) for name in names]
    tops = {part[0] for part in parts if len(part) > 1}
    split_level = bool(tops) and all(map(is_split, tops))
    beside = [name for name, part in zip(names, parts, strict=True) if len(part) == 1]
    if split_level and beside:
        raise DataError(
            f"{place}: {_some(beside)} beside the folders {', '.join(sorted(tops))}: move them into one of these"
        )
    notes = []
    if labels is not None:
        notes += _check_table(names, labels, place)
    entries = []
    for name, part in zip(names, parts, strict=True):
        folders = part[1:-1] if split_level else part[:-1]
        label = labels.get(name) if labels is not None else (_in_utf8(folders[0]) if folders else None)
        entries.append(Entry(name, label, SPLITS[part[0].lower()] if split_level else None))
    return entries, notes


def is_split(folder: str) -> bool:
    """Whether a folder is called like a split, in capitals or not."""
    return folder.lower() in SPLITS


def _in_utf8(name: str) -> str:
    """The name of a folder, with what is no UTF-8 in it escaped, so that it can be written and drawn."""
    return name.encode(errors="backslashreplace").decode()


def split_path(name: str) -> tuple[str, ...]:
    """Folders and file of a relative path with ``/``, as pathlib gives them in many times the time."""
    return tuple(part for part in name.split("/") if part not in ("", "."))


def read_table(content: bytes, place: str) -> dict[str, str]:
    """Read a CSV table with columns ``file`` and ``label``.

    Args:
        content: the file, UTF-8 with or without a byte-order mark.
        place: its name, for errors.

    Returns:
        Label of each file.

    Raises:
        DataError: another encoding, missing columns or fields, or one file with two labels.
    """
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        fields = rows.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{place} is not a CSV file in UTF-8: {error}") from None
    missing = {"file", "label"} - set(fields)
    if missing:
        raise DataError(
            f"{place}: no column {' and '.join(sorted(missing))}; its first line must name the columns file,label"
        )
    labels: dict[str, str] = {}
    try:
        for row in rows:
            _add(labels, row["file"], row["label"], f"{place}, line {rows.line_num}")
    except csv.Error as error:
        raise DataError(f"{place}, line {rows.line_num}: {error}") from None
    return labels


def _add(labels: dict[str, str], file: str | None, label: str | None, where: str) -> None:
    if not file or not label or not label.strip():
        raise DataError(f"{where}: file or label is empty; give both, or leave the line out")
    name = PurePosixPath(file.strip().replace("\\", "/")).as_posix()
    if labels.setdefault(name, label.strip()) != label.strip():
        raise DataError(f"{where}: {name} has two labels, {labels[name]!r} and {label.strip()!r}")


def _check_table(names: Sequence[str], labels: Mapping[str, str], place: str) -> list[str]:
    unknown = sorted(labels.keys() - set(names))
    if unknown:
        raise DataError(f"{place}: the table of labels names {_some(unknown)} that are not there: correct the table")
    without = Counter(name in labels for name in names)[False]
    return [f"{plural(without, 'file has', 'files have')} no label in the table"] if without else []


def _some(names: Sequence[str]) -> str:
    more = ", …" if len(names) > SHOWN else ""
    return f"{plural(len(names), 'file')} ({', '.join(names[:SHOWN])}{more})"
