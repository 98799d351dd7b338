"""Rows to files: CSV, TSV or Parquet, some at a time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ficta.base.errors import UsageError
from ficta.base.files import replacing
from ficta.base.words import nearest
from ficta.data.table.columns import Column, to_arrow

DEFAULT = "samples.csv"  # in a folder
GROUP_ROWS = 65_536


def write_rows(chunks: Iterable[np.ndarray], place: Path, columns: Sequence[Column]) -> None:
    """Write rows as they come, so that any number of them can be written.

    Args:
        chunks: float64 (n, C), of the modelled columns.
        place: a file by whose ending the format is chosen, or a folder.
        columns: all columns of the source; identifiers are made anew, text is left out.

    Raises:
        UsageError: an ending of no known format.
    """
    path = place / DEFAULT if place.is_dir() or not place.suffix else place
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--out {place}: {nearest(path.suffix, FORMATS)}, or a folder")
    done = 0
    with replacing(path) as file, contextlib.ExitStack() as stack:
        write: Callable[[Any], None] | None = None
        for chunk in _gathered(chunks):
            table = to_arrow(chunk, columns, first=done)
            if write is None:
                write = stack.enter_context(FORMATS[path.suffix.lower()](file, table.schema))
            write(table)
            done += len(chunk)


def _gathered(chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same rows in larger pieces: each becomes a group of a Parquet file, of which readers want few."""
    held: list[np.ndarray] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(map(len, held)) >= GROUP_ROWS:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


@contextlib.contextmanager
def _delimited(file: IO[bytes], schema: Any, delimiter: str) -> Iterator[Callable[[Any], None]]:
    from pyarrow import csv

    options = csv.WriteOptions(delimiter=delimiter, quoting_style="needed")
    with csv.CSVWriter(file, schema, write_options=options) as writer:
        yield writer.write_table


@contextlib.contextmanager
def _parquet(file: IO[bytes], schema: Any) -> Iterator[Callable[[Any], None]]:
    from pyarrow import parquet

    with parquet.ParquetWriter(file, schema) as writer:
        yield writer.write_table


FORMATS: Mapping[str, Callable[[IO[bytes], Any], contextlib.AbstractContextManager[Callable[[Any], None]]]] = {
    ".csv": functools.partial(_delimited, delimiter=","),
    ".tsv": functools.partial(_delimited, delimiter="\t"),
    ".parquet": _parquet,
}
