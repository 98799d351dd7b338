"""Tables in Excel workbooks."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import numpy as np

from ficta.base.errors import DataError, UsageError
from ficta.base.words import plural, size
from ficta.data.codec import Skipped
from ficta.data.listing import Listing
from ficta.data.table.blocks import EXCEL_INSTALL, Block, arrow, row_name
from ficta.data.table.delimited import check_names

SHEET_ROWS = 20_000  # a block
MOST_BYTES = 4_000_000_000  # unpacked
NOT_AVAILABLE = "#N/A"  # as Excel writes a missing value

Cells = tuple[Any, ...]


@final
class Excel:
    """The first sheet of an Excel workbook; its first row that is not empty names the columns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def listing(self) -> Listing:
        """About how many rows, as the workbook says, and which sheet.

        Raises:
            UsageError: openpyxl is not installed.
            DataError: it is no workbook, or two columns have one name.
        """
        book = self._book()
        with self._closing(book):
            _, notes = self._header(_filled(book.worksheets[0]))
            if len(book.sheetnames) > 1:
                sheets = plural(len(book.sheetnames), "sheet")
                notes.append(f"of {sheets} the first is read, {book.sheetnames[0]!r}")
            return Listing(max(1, (book.worksheets[0].max_row or 2) - 1), [], {}, notes)

    def blocks(self) -> Iterator[Block]:
        """All rows that are not empty, as strings.

        Raises:
            DataError: no rows.
        """
        book = self._book()
        with self._closing(book):
            rows = _filled(book.worksheets[0])
            names, _ = self._header(rows)
            first = 1
            while part := _some(rows):
                yield self._block(part, names, first)
                first += len(part)
        if first == 1:
            raise DataError(f"{self._path} has no rows after the names of its columns; name another file")

    @contextlib.contextmanager
    def _closing(self, book: Any) -> Iterator[None]:
        """Close it in the end; sheets are read as they are asked for, and may be damaged further on."""
        try:
            yield
        except (SyntaxError, zlib.error, zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
            raise DataError(f"{self._path} is damaged: {error}; save it again, or as CSV") from None
        finally:
            book.close()

    def _book(self) -> Any:
        try:
            import openpyxl
        except ImportError:
            raise UsageError(f"Excel workbooks are read with openpyxl: {EXCEL_INSTALL}") from None
        try:
            with zipfile.ZipFile(self._path) as archive:
                unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > MOST_BYTES:
                raise DataError(f"{self._path} unpacks to {size(unpacked)}, more than a workbook holds; save it as CSV")
            with warnings.catch_warnings(action="ignore"):  # styles and extensions that openpyxl does not know
                book = openpyxl.load_workbook(self._path, read_only=True, data_only=True)
        except (
            OSError,
            KeyError,
            ValueError,
            zipfile.BadZipFile,
            openpyxl.utils.exceptions.InvalidFileException,
        ) as error:
            told = str(error).partition("\n")[0]
            raise DataError(
                f"{self._path} cannot be read as an Excel workbook: {told}; save it again as .xlsx"
            ) from None
        if not book.worksheets:
            raise DataError(f"{self._path} has no sheet with cells; name another file")
        return book

    def _header(self, rows: Iterator[Cells]) -> tuple[list[str], list[str]]:
        cells = next(rows, None)
        if cells is None:
            raise DataError(f"{self._path} is empty; name another file")
        while cells[-1] is None:
            cells = cells[:-1]
        return check_names([_word(cell) or "" for cell in cells], str(self._path))

    def _block(self, rows: list[Cells], names: list[str], first: int) -> Block:
        """Rows as strings; those with cells beyond the last column are skipped."""
        width = len(names)
        fits = np.array([all(cell is None for cell in row[width:]) for row in rows])
        kept = [row[:width] + (None,) * (width - len(row)) for row, fit in zip(rows, fits, strict=True) if fit]
        reason = f"cells beyond the {plural(width, 'column')} that the first row names"
        skipped = [Skipped(row_name(first + int(place)), reason) for place in np.flatnonzero(~fits)]
        columns = zip(*kept, strict=True) if kept else [()] * width
        words = [arrow().array([_word(cell) for cell in column], "string") for column in columns]
        batch = arrow().RecordBatch.from_arrays(words, names=names)
        return Block(batch, first + np.flatnonzero(fits), skipped, str(self._path))


def _filled(sheet: Any) -> Iterator[Cells]:
    """Rows with at least one cell that is not empty."""
    return (row for row in sheet.iter_rows(values_only=True) if any(cell is not None for cell in row))


def _some(rows: Iterator[Cells]) -> list[Cells]:
    with warnings.catch_warnings(action="ignore"):
        return list(itertools.islice(rows, SHEET_ROWS))


def _word(cell: Any) -> str | None:
    """A cell as a word, the same as in other files."""
    if cell is None or cell == NOT_AVAILABLE:
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    if isinstance(cell, datetime.timedelta):
        return repr(cell.total_seconds())
    return str(cell)
