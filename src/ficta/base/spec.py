"""What one sample is: the only thing that data and models agree on."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

ValueKind = Literal["continuous", "binary", "categorical", "mixed"]


@dataclasses.dataclass(frozen=True)
class Span:
    """One column of mixed data: which of its modes a value lies in, one-hot, and where within that mode.

    A mode is a single value (a category, a frequent number, a missing value) or a range of them.

    Attributes:
        name: of the column.
        modes: how many it has.
        placed: those of them that are ranges, ascending; a value has a place in [-1, 1] within these alone.
        ordered: whether it is a number or a time, rather than a category.
    """

    name: str
    modes: int
    placed: tuple[int, ...] = ()
    ordered: bool = False

    def __post_init__(self) -> None:
        if self.modes < 1 or any(not 0 <= mode < self.modes for mode in self.placed):
            raise ValueError(f"column {self.name!r}: ranges {self.placed} among {self.modes} modes")

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Span:
        """Read what ``dataclasses.asdict`` and JSON made of it."""
        return cls(**content | {"placed": tuple(content["placed"])})


@dataclasses.dataclass(frozen=True)
class Spec:
    """Axes, shape and kind of value of one sample in model space.

    Values in model space: ``continuous`` in [-1, 1]; ``binary`` in {0, 1}; ``categorical`` an index in
    [0, len(categories)); ``mixed`` one axis that holds the one-hot modes of all columns, then the places in [-1, 1] of
    those that have ranges. As a condition, a column whose modes are all 0 is not given.

    Attributes:
        axes: name of each axis, e.g. ``("channel", "height", "width")``; empty for a single value.
        shape: length of each axis.
        kind: kind of value.
        levels: how many equally spaced values a continuous one can take (256 for 8-bit pictures); None if any.
        categories: names of the values of a categorical one.
        columns: of mixed ones.
        unit: unit of a value, for people.
        condition: what a sample can be asked for, itself a Spec; None for an unconditional one.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    kind: ValueKind
    levels: int | None = None
    categories: tuple[str, ...] = ()
    columns: tuple[Span, ...] = ()
    unit: str = ""
    condition: Spec | None = None

    def __post_init__(self) -> None:
        if len(self.axes) != len(self.shape):
            raise ValueError(f"{len(self.axes)} axes but {len(self.shape)} lengths: {self.axes}, {self.shape}")
        if any(length < 1 for length in self.shape):
            raise ValueError(f"every axis needs at least one element: {self.shape}")
        if self.levels is not None and self.levels < 2:
            raise ValueError(f"continuous data have at least 2 levels, not {self.levels}")
        if (self.kind == "categorical") != bool(self.categories):
            raise ValueError("categories belong to a categorical Spec, and only to that")
        if (self.kind == "mixed") != bool(self.columns):
            raise ValueError("columns belong to a mixed Spec, and only to that")
        if self.columns and self.shape != (_width(self.columns),):
            raise ValueError(f"these columns take one axis of {_width(self.columns)} values, not {self.shape}")

    @property
    def size(self) -> int:
        """Number of values in a sample."""
        return math.prod(self.shape)

    @property
    def categorical(self) -> tuple[bool, ...]:
        """Which columns are categories; empty for what is not mixed."""
        return tuple(not column.ordered for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """The Spec as plain JSON types; ``from_json`` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Spec:
        """Read what ``to_json`` wrote."""
        condition = content["condition"]
        return cls(
            axes=tuple(content["axes"]),
            shape=tuple(content["shape"]),
            kind=content["kind"],
            levels=content["levels"],
            categories=tuple(content["categories"]),
            columns=tuple(Span.from_json(each) for each in content.get("columns", ())),
            unit=content["unit"],
            condition=cls.from_json(condition) if condition else None,
        )


def class_condition(names: tuple[str, ...]) -> Spec:
    """The Spec of a class label with these names, in this order."""
    return Spec(axes=(), shape=(), kind="categorical", categories=names)


def columns_spec(columns: tuple[Span, ...], condition: Spec | None = None) -> Spec:
    """The Spec of rows with these columns."""
    return Spec(axes=("value",), shape=(_width(columns),), kind="mixed", columns=columns, condition=condition)


def _width(columns: tuple[Span, ...]) -> int:
    """Values of a row in model space."""
    return sum(column.modes + bool(column.placed) for column in columns)
