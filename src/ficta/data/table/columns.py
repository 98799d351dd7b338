"""Columns of a table: rows of words to rows of numbers and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ficta.base.errors import UsageError
from ficta.base.words import nearest
from ficta.data.codec import Skipped
from ficta.data.table import values as meaning
from ficta.data.table.blocks import Block, arrow, columns_of, quoted, words
from ficta.data.table.kinds import WANTED, Column, Kind, column_of, notes_on
from ficta.data.table.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Column", "Kind", "convert", "infer", "parse_value", "to_arrow"]
SHOWN = 20  # categories named in an error


def infer(
    blocks: Iterable[Block], overrides: Mapping[str, Kind], missing: Sequence[str]
) -> tuple[list[Column], list[str]]:
    """Find out what the columns are, in one pass and bounded memory.

    Args:
        blocks: all rows.
        overrides: kinds that columns are to have, by name.
        missing: words that stand for a missing value.

    Returns:
        The columns in order, and notes for the report.

    Raises:
        UsageError: an override of a column that there is not.
        DataError: values that an override does not fit, or a column that cannot be read.
    """
    tallies: dict[str, Tally] = {}
    place = "the table"
    for block in blocks:
        place = block.place
        for name in overrides:
            if name not in block.table.schema.names:
                raise UsageError(f"{place} has no column {name!r}: {nearest(name, block.table.schema.names)}")
        for name, content in columns_of(block):
            where = f"{place}, column {name!r}"
            coded = words(content, missing, where)
            tallies.setdefault(name, Tally()).add(coded, block.row)
    columns, notes = [], []
    for name, tally in tallies.items():
        found = column_of(name, tally, overrides.get(name), f"{place}, column {name!r}")
        columns.append(dataclasses.replace(found, missing=tally.missing, blanks=tuple(missing)))
        notes += [f"column {name!r}: {note}" for note in notes_on(found, tally)]
    return columns, notes


def convert(block: Block, columns: Sequence[Column]) -> tuple[np.ndarray, list[Skipped]]:
    """Turn rows of words into rows of numbers.

    Args:
        block: rows of the source.
        columns: all its columns, as they were inferred from all its rows.

    Returns:
        float64 (n, C) of the C modelled columns: numbers as they are, categories as their index, times as seconds since
        1970 UTC, NaN where a value is missing; and the rows that were left out, with the first reason.
    """
    modelled = [column for column in columns if column.modelled]
    contents = dict(columns_of(block))
    stored = np.empty((block.table.num_rows, len(modelled)))
    reasons: dict[int, str] = {}
    for place, column in enumerate(modelled):
        coded = words(contents[column.name], column.blanks, f"{block.place}, column {column.name!r}")
        stored[:, place] = coded.spread(_meanings(column, coded.values), np.nan)
        for row in np.flatnonzero(~np.isfinite(stored[:, place]) & (coded.codes >= 0)):
            reasons.setdefault(int(row), _reason(column, coded.values[int(coded.codes[row])].as_py()))
    kept = np.ones(len(stored), bool)
    kept[list(reasons)] = False
    skipped = [Skipped(block.row(row), reason) for row, reason in sorted(reasons.items())]
    return stored[kept], skipped


def to_arrow(stored: np.ndarray, columns: Sequence[Column], first: int = 0) -> pa.Table:
    """Turn rows of numbers into a table as the source has it; ``convert`` makes the same rows of it.

    Args:
        stored: float64 (n, C) of the modelled columns.
        columns: all columns of the source.
        first: how many rows were written before these.

    Returns:
        A table of n rows: integers as int64, numbers as float64 rounded as the source is, categories and booleans as
        words, times as date32 or as timestamp of seconds. Identifiers count from ``first`` + 1 on; columns of text and
        empty ones are left out.
    """
    pa = arrow()
    values = iter(stored.T)
    made = {}
    for column in columns:
        if column.modelled:
            made[column.name] = _written(column, next(values))
        elif column.kind == "identifier":
            made[column.name] = pa.array(np.arange(first + 1, first + 1 + len(stored)))
    return pa.table(made)


def parse_value(column: Column, text: str) -> float:
    """Read one value as a user types it; without any, or with a word for a missing value, NaN.

    Raises:
        UsageError: a column that is not modelled, an unknown category, or what is no number, or none in the range that
            was met.
    """
    word = text.strip()
    if not column.modelled:
        raise UsageError(f"column {column.name!r} is not modelled: {column.why}")
    if word in ("", *column.blanks):
        return float("nan")
    value = float(_meanings(column, arrow().array([word], "string"))[0])
    if not np.isfinite(value):
        raise UsageError(_unknown(column, word))
    if column.kind == "integer" and value != np.rint(value):
        raise UsageError(f"column {column.name!r}: {quoted(word)} is {WANTED[column.kind]}")
    if column.low is not None and column.high is not None and not column.low <= value <= column.high:
        low, high = (_shown(column, end) for end in (column.low, column.high))
        raise UsageError(f"column {column.name!r}: {quoted(word)} is outside of what the data hold, {low} to {high}")
    return value


def _meanings(column: Column, words: pa.Array) -> np.ndarray:
    """What words (k,) stand for, float64 (k,): neither NaN nor infinite if they are values of this column."""
    compute = arrow().compute
    if column.kind == "datetime":
        return meaning.times(words)[0]
    if column.kind in ("number", "integer"):
        return meaning.numbers(words)
    known = arrow().array(column.categories, "string")
    if column.kind == "boolean":
        words, known = compute.utf8_lower(words), compute.utf8_lower(known)
    found: np.ndarray = compute.index_in(words, value_set=known).cast("float64").to_numpy(zero_copy_only=False)
    return found


def _reason(column: Column, word: str) -> str:
    """Why a value is none of this column."""
    if column.kind in ("number", "integer") and not np.isnan(_meanings(column, arrow().array([word], "string"))[0]):
        return f"column {column.name!r} is infinite"
    return f"column {column.name!r} is {quoted(word)}, {WANTED.get(column.kind, 'not among its categories')}"


def _unknown(column: Column, word: str) -> str:
    if column.kind in WANTED:
        return _reason(column, word)
    there_is = nearest(word, column.categories)
    if len(column.categories) > SHOWN:
        there_is = there_is.split("there is:")[0] + f"there are {len(column.categories):,}"
    return f"column {column.name!r} has no category {quoted(word)}: {there_is}"


def _shown(column: Column, value: float) -> str:
    """A number or time as a person types it."""
    return str(_written(column, np.array([value]))[0])


def _written(column: Column, values: np.ndarray) -> pa.Array:
    """Numbers (n,) as the source has them, null where they are NaN."""
    pa = arrow()
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    if column.kind == "number":
        return pa.array(known if column.decimals is None else meaning.rounded(known, column.decimals), mask=missing)
    if column.kind == "datetime":
        unit, seconds = ("D", meaning.DAY_SECONDS) if column.resolution == "day" else ("s", 1)
        return pa.array(np.rint(known / seconds).astype(np.int64).astype(f"datetime64[{unit}]"), mask=missing)
    whole = pa.array(np.rint(known).astype(np.int64), mask=missing)
    return whole if column.kind == "integer" else pa.array(column.categories, "string").take(whole)
