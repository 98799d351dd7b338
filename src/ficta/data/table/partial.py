"""Rows of which some values are given: typed by a user, or from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ficta.base.errors import DataError, UsageError
from ficta.base.words import nearest
from ficta.data.table.columns import Column, convert, parse_value
from ficta.data.table.frames import TableSource, is_table, open_frame, open_table


def parse_where(where: Mapping[str, Any], columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
    """One row with these values, by the names of their columns.

    Args:
        where: values as a user types them; True and False for the two words of a boolean column.
        columns: all columns of the source.

    Returns:
        The row float64 (1, C) of the modelled columns, and which of its values are given, bool (1, C).

    Raises:
        UsageError: an unknown column or value, or one that is not modelled.
    """
    modelled = {column.name: place for place, column in enumerate(column for column in columns if column.modelled)}
    known = {column.name: column for column in columns}
    row, given = np.full((1, len(modelled)), np.nan), np.zeros((1, len(modelled)), bool)
    for name, value in where.items():
        if name not in known:
            raise UsageError(f"no column {name!r} to ask for: {nearest(name, modelled)}")
        column = known[name]
        as_word = isinstance(value, bool) and column.kind == "boolean" and len(column.categories) == 2
        found = parse_value(column, column.categories[value] if as_word else str(value))
        if np.isnan(found) and not column.missing:
            raise UsageError(f"column {name!r} has no missing values in the data; ask for a value")
        row[0, modelled[name]] = found
        given[0, modelled[name]] = True
    return row, given


def read_partial(place: Any, columns: Sequence[Column]) -> np.ndarray:
    """Rows of a table that may lack columns and values.

    Args:
        place: a file, or a data frame of pandas.
        columns: all columns of the source.

    Returns:
        float64 (n, C) of the modelled columns, NaN where there is nothing.

    Raises:
        UsageError: no table, or one with columns that are not modelled or that the source has not.
        DataError: a value that is none of its column, or outside of what the source holds.
    """
    source = _opened(place)
    modelled = [column for column in columns if column.modelled]
    names = [column.name for column in modelled]
    parts = []
    for block in source.blocks():
        unknown = sorted(set(block.table.schema.names) - {column.name for column in columns})
        if unknown:
            raise UsageError(
                f"{source.place} has a column {unknown[0]!r} that the run does not: {nearest(unknown[0], names)}"
            )
        lost = [name for name in block.table.schema.names if name not in names]
        if lost:
            raise UsageError(
                f"{source.place} has a column {lost[0]!r}, which is not modelled and would be lost; leave it out, "
                "the rows keep their order"
            )
        there = [column for column in modelled if column.name in block.table.schema.names]
        values, skipped = convert(block, there)
        if skipped or block.skipped:
            first = [*block.skipped, *skipped][0]
            raise DataError(f"{source.place}, {first.name}: {first.reason}; mend it or leave it empty")
        broken = (values != np.rint(values)) & ~np.isnan(values) & [column.kind == "integer" for column in there]
        if broken.any():
            row, which = (int(found[0]) for found in np.nonzero(broken))
            name, value = there[which].name, values[row, which]
            raise DataError(
                f"{source.place}, {block.row(row)}: column {name!r} is {value:g}, not a whole number; mend it"
            )
        ends = [(-np.inf, np.inf) if column.low is None else (column.low, column.high) for column in there]
        low, high = np.array(ends, np.float64).T
        beyond = (values < low) | (values > high)
        if beyond.any():
            row, which = (int(found[0]) for found in np.nonzero(beyond))
            raise DataError(
                f"{source.place}, {block.row(row)}: column {there[which].name!r} lies outside of what the data hold; "
                "mend it or leave it empty"
            )
        rows = np.full((len(values), len(modelled)), np.nan)
        rows[:, [names.index(column.name) for column in there]] = values
        parts.append(rows)
    return np.concatenate(parts)


def _opened(place: Any) -> TableSource:
    if not isinstance(place, str | Path):
        return open_frame(place)
    path = Path(place).expanduser()
    if not (is_table(path) and path.is_file()):
        raise UsageError(f"{place} is no table to complete; name a CSV, TSV, Parquet or Excel file")
    return open_table(path)
