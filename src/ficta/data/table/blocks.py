"""Rows of a table as they are read: some at a time, each column coded by which words it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ficta.base.errors import DataError, UsageError
from ficta.data.codec import Skipped

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 16_777_216
BLOCK_ROWS = 65_536
INSTALL = "pip install 'ficta[table]'"
EXCEL_INSTALL = "pip install 'ficta[excel]'"


def arrow() -> Any:
    """pyarrow, which is an extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError:
        raise UsageError(f"tables are read and written with pyarrow: {INSTALL}") from None
    return pyarrow


def hashed(words: pa.Array) -> np.ndarray:
    """Uniform hashes of words (k,), uint64 (k,).

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        from pandas.util import hash_array
    except ImportError:
        raise UsageError(f"tables with many different words are read with pandas: {INSTALL}") from None
    return np.asarray(hash_array(words.to_numpy(zero_copy_only=False), categorize=False))


@dataclasses.dataclass(frozen=True)
class Block:
    """Some rows of a table.

    Attributes:
        table: the rows, with all columns of the table.
        numbers: number of each row in its source, counted from 1, int64 (n,).
        skipped: what could not be read between the last block and this one.
        place: the source, for errors.
    """

    table: pa.RecordBatch
    numbers: np.ndarray
    skipped: list[Skipped] = dataclasses.field(default_factory=list)
    place: str = "the table"

    def row(self, place: int) -> str:
        """What the row at this place in the block is called."""
        return row_name(int(self.numbers[place]))


def row_name(number: int) -> str:
    """What a row is called, in errors and among what was skipped."""
    return f"row {number}"


def quoted(word: str) -> str:
    """A value as an error shows it, short and on one line."""
    return repr(word if len(word) <= 40 else word[:39] + "…")


@dataclasses.dataclass(frozen=True)
class Words:
    """A column of a block, coded.

    Attributes:
        values: the different words in it without spaces around them, none of them a missing value, strings (k,).
        codes: which of them stands in each row, -1 where a value is missing, int64 (n,).
        counts: how many rows hold each of them, int64 (k,).
    """

    values: pa.Array
    codes: np.ndarray
    counts: np.ndarray

    def spread(self, values: np.ndarray, missing: Any) -> np.ndarray:
        """What was found out about the words (k,), for each row (n,)."""
        found: np.ndarray = np.append(values, missing)[self.codes]
        return found

    def first(self, which: np.ndarray) -> tuple[int, str]:
        """Place in the block, and word, of the first row that holds one of these words, bool (k,) with one true."""
        place = int(np.argmax(self.spread(which, False)))
        return place, self.values[int(self.codes[place])].as_py()


def columns_of(block: Block) -> list[tuple[str, pa.Array]]:
    """Name and content of each column."""
    return list(zip(block.table.schema.names, block.table.columns, strict=True))


def words(column: pa.Array, blanks: Sequence[str], where: str) -> Words:
    """Code a column by its words; what is done for each of these alone costs little in columns that repeat them.

    Args:
        column: strings, or any type whose values can be written as words.
        blanks: words that stand for a missing value; nulls and NaN do, too.
        where: file and column, for errors.

    Raises:
        DataError: values that cannot be words: lists, records, binary content.
    """
    pa = arrow()
    coded = _as_strings(column, where).dictionary_encode()
    bare = pa.compute.utf8_trim_whitespace(coded.dictionary)
    missing = pa.compute.is_in(bare, value_set=pa.array(blanks, pa.string()))
    again = pa.compute.if_else(missing, None, bare).dictionary_encode()  # " a" and "a" are the same
    codes: np.ndarray = np.append(_indices(again), -1)[_indices(coded)]
    return Words(again.dictionary, codes, np.bincount(codes[codes >= 0], minlength=len(again.dictionary)))


def _indices(coded: pa.DictionaryArray) -> np.ndarray:
    indices: np.ndarray = coded.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
    return indices


def _as_strings(column: pa.Array, where: str) -> pa.Array:
    """Any column as strings, floats with the fewest digits that tell them apart, times in UTC."""
    pa = arrow()
    kinds = pa.types
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kinds.is_float16(column.type):
        column = column.cast(pa.float32())
    if kinds.is_floating(column.type):
        column = pa.compute.if_else(pa.compute.is_nan(column), None, column)
    if kinds.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp(column.type.unit))  # the time in UTC
    if kinds.is_duration(column.type):
        column = column.cast(pa.int64())
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        told = str(error).partition("\n")[0]
        raise DataError(
            f"{where} holds values of type {column.type}, which are no words: {told}; leave it out"
        ) from None
