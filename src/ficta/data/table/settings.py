"""How tables are read and encoded."""

from typing import Annotated

from pydantic import Field

from ficta.base.settings import Settings
from ficta.data.table.kinds import Kind

MISSING = ("", "NA", "N/A", "nan", "NaN", "null", "NULL")


class TableSettings(Settings):
    """How tables are read and encoded."""

    types: Annotated[
        dict[str, Kind],
        Field(
            default_factory=dict,
            description="kind of a column where it is to be another than the one inferred: number, integer, boolean, "
            "category, datetime, identifier (made anew), text or empty (left out)",
        ),
    ]
    missing: Annotated[tuple[str, ...], Field(description="words that stand for a missing value")] = MISSING
    constraints: Annotated[
        tuple[str, ...],
        Field(
            description="what holds in every row: 'a <= b', 'a < b', 'total = a + b', 'unique key' (numbered anew); "
            "rows of the source that break an order or a sum are skipped"
        ),
    ] = ()
    balance: Annotated[
        str | None,
        Field(
            description="of a conditional run: a column whose rare values are seen more often in training, by the "
            "logarithm of their number, whenever it is given"
        ),
    ] = None
    modes: Annotated[
        int, Field(ge=1, description="parts that a column of numbers is divided into: frequent values, and ranges")
    ] = 32
    categories: Annotated[
        int, Field(ge=1, description="categories with a part of their own; of more, rare ones share parts")
    ] = 256
