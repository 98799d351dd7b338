"""Tables in text files: CSV, TSV and their like."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np

from ficta.base.errors import DataError
from ficta.base.words import count, plural, size
from ficta.data.codec import Skipped
from ficta.data.listing import Listing
from ficta.data.table.blocks import BLOCK_ROWS, Block, arrow, quoted, row_name
from ficta.data.table.encodings import Text, read_through
from ficta.data.table.values import NUMBER

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SNIFFED = 50  # lines
LEAST_BLOCK_BYTES = 4_000_000
MOST_RAGGED = 10_000  # rows with another number of fields, if there are no more of the right one


@dataclasses.dataclass(frozen=True)
class Header:
    """How a file is divided.

    Attributes:
        delimiter: between fields.
        names: of the columns.
        end: the character of the file at which the rows begin.
        notes: what was guessed.
    """

    delimiter: str
    names: list[str]
    end: int
    notes: list[str]


@final
class Delimited:
    """A text file with one row a line, and the names of the columns in the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[Text, Header] | None = None

    def listing(self) -> Listing:
        """Read it through once: encoding, delimiter, header, and about how many rows.

        Raises:
            DataError: it is no table, or in two encodings.
        """
        text, header = self._opened()
        notes = [text.note] if text.note else []
        return Listing(max(1, text.lines - 1), [], {}, notes + header.notes)

    def blocks(self) -> Iterator[Block]:
        """All rows, as strings.

        Raises:
            DataError: no rows, a quote that is never closed, or most rows have another number of fields.
        """
        text, header = self._opened()
        reading = _Reading(str(self._path))
        block_bytes = max(LEAST_BLOCK_BYTES, 4 * text.longest)  # a row must end in the block after that it begins in
        with text.open(header.end) as file:
            try:
                for batch in _batches(file, header, block_bytes, reading):
                    yield from reading.numbered(batch)
            except arrow().ArrowInvalid as error:
                told = f"no end of a row within {size(block_bytes)}; is there a quote that is never closed?"
                told = told if "straddl" in str(error) else str(error).partition("\n")[0]
                told = reading.refused or f"after row {count(reading.last)}: {told}"
                raise DataError(f"{self._path}, {told}") from None
        if text.quotes % 2 and reading.spans_lines:
            raise DataError(
                f"{self._path}, row {count(reading.last)}: a quote that is never closed; close or double it"
            )
        if not reading.last:
            raise DataError(f"{self._path} has no rows after the names of its columns; name another file")
        yield from reading.rest(header.names)

    def _opened(self) -> tuple[Text, Header]:
        if self._read is None:
            text = read_through(self._path)
            self._read = text, _header(text)
        return self._read


def _batches(file: Any, header: Header, block_bytes: int, reading: _Reading) -> Iterator[Any]:
    from pyarrow import csv as arrow_csv

    strings = dict.fromkeys(header.names, arrow().string())
    reader = arrow_csv.open_csv(
        file,
        arrow_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=header.names),
        arrow_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True, invalid_row_handler=reading.skip),
        arrow_csv.ConvertOptions(column_types=strings, strings_can_be_null=False),
    )
    yield from reader


class _Reading:
    """Counts rows while they are read."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._kept = 0  # rows so far
        self._skipped: list[int] = []  # numbers of the others
        self._untold: list[Skipped] = []
        self.refused = ""  # why the reading was stopped
        self.last = 0  # number of the last row
        self.spans_lines = False  # whether that does

    def skip(self, row: Any) -> str:
        """Take note of a row with another number of fields; stop reading if most are."""
        reason = f"{plural(row.actual_columns, 'field')} where the header has {row.expected_columns}"
        if len(self._skipped) >= MOST_RAGGED and 2 * len(self._skipped) > row.number:
            self.refused = f"{row_name(row.number)}: {reason}, as in most rows; mend the header or the rows"
            return "error"
        self._untold.append(Skipped(row_name(row.number), reason))
        self._skipped.append(row.number)
        self.last, self.spans_lines = row.number, "\n" in row.text
        return "skip"

    def numbered(self, batch: Any) -> Iterator[Block]:
        """Rows with their numbers, and what was skipped since the last ones."""
        before = np.array(self._skipped, np.int64) - 1 - np.arange(len(self._skipped))  # kept rows before each skipped
        for start in range(0, max(1, batch.num_rows), BLOCK_ROWS):
            part = batch.slice(start, BLOCK_ROWS)
            ranks = np.arange(self._kept + 1, self._kept + 1 + part.num_rows)
            numbers = ranks + np.searchsorted(before, ranks)
            untold, self._untold = self._untold, []
            yield Block(part, numbers, untold, self._place)
            self._kept += part.num_rows
        if batch.num_rows and numbers[-1] > self.last:
            ends = [column[-1].as_py() for column in batch.columns]
            self.last, self.spans_lines = int(numbers[-1]), any("\n" in end for end in ends)

    def rest(self, names: Sequence[str]) -> Iterator[Block]:
        """What was skipped after the last row."""
        if self._untold:
            nothing = arrow().record_batch({name: arrow().array([], "string") for name in names})
            yield from self.numbered(nothing)


def check_names(names: Sequence[str], place: str) -> tuple[list[str], list[str]]:
    """Names of columns without spaces around them, those that are empty made up, and notes on that.

    Raises:
        DataError: two columns of one name.
    """
    bare = [name.strip() for name in names]
    found = [name or f"column {number}" for number, name in enumerate(bare, 1)]
    for name, times in Counter(found).items():
        if times > 1:
            where = ", ".join(str(number) for number, other in enumerate(found, 1) if other == name)
            raise DataError(f"{place}: columns {where} are all called {quoted(name)}; give each a name of its own")
    unnamed = [name for name, given in zip(found, bare, strict=True) if not given]
    return found, [f"columns without a name are called {', '.join(unnamed)}"] if unnamed else []


def _header(text: Text) -> Header:
    """Find out the delimiter, and read the names of the columns.

    Raises:
        DataError: no rows, one name for several columns, or two columns of one name.
    """
    delimiter = _delimiter(text)
    lines = io.StringIO(text.start, newline="")
    try:
        names = next(filter(None, csv.reader(lines, delimiter=delimiter)))
    except (StopIteration, csv.Error) as error:
        told = "holds nothing but empty lines" if isinstance(error, StopIteration) else f"first line: {error}"
        raise DataError(f"{text.path} {told}; its first line must name the columns") from None
    end = lines.tell()
    if text.whole and not text.start[end:].strip():
        raise DataError(f"{text.path} has no rows after the names of its columns; name another file")
    found, notes = check_names(names, str(text.path))
    if delimiter != ",":
        notes.append(f"fields are divided by {DELIMITERS[delimiter]}s")
    if any(re.match(NUMBER, name) for name in found):
        notes.append("the first line is taken as the names of the columns, though some of it are numbers")
    return Header(delimiter, found, end, notes)


def _delimiter(text: Text) -> str:
    """The delimiter that divides most of the first lines as it divides the header, and that into most fields."""
    rows = {delimiter: _fields(text, delimiter) for delimiter in DELIMITERS}
    shares = {delimiter: np.mean([n == fields[0] for n in fields]) for delimiter, fields in rows.items() if fields}
    if not shares:
        return ","
    best = max(shares, key=lambda delimiter: (rows[delimiter][0] > 1, shares[delimiter], rows[delimiter][0]))
    if rows[best][0] > 1:
        return best
    for delimiter, (_, *others) in rows.items():
        if others and others[0] > 1 and len(set(others)) == 1:
            first = quoted(text.start.strip().splitlines()[0])
            raise DataError(
                f"{text.path}: the first line has one field, {first}, but others have {others[0]}, divided by "
                f"{DELIMITERS[delimiter]}s; it must name the columns"
            )
    return best


def _fields(text: Text, delimiter: str) -> list[int]:
    """Number of fields of the first lines that are not empty."""
    found: list[int] = []
    with contextlib.suppress(csv.Error):  # a field of more than 131,072 characters
        for row in csv.reader(io.StringIO(text.start, newline=""), delimiter=delimiter):
            if row:
                found.append(len(row))
            if len(found) == SNIFFED:
                return found
    return found if text.whole else found[:-1] or found  # the last may be cut
