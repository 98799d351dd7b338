"""The kind of a column: what its values speak for, what a recipe may make of it, and why."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ficta.base.errors import DataError
from ficta.base.words import count, plural
from ficta.data.table.tally import MOST_CATEGORIES, Tally

Kind = Literal["number", "integer", "boolean", "category", "datetime", "identifier", "text", "empty"]
MODELLED = ("number", "integer", "boolean", "category", "datetime")
PAIRS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"))
BITS = ("0", "1")  # boolean where a recipe says so
NAMED_ID = re.compile(r"(?i:^id|[_ .-]id|uuid|(^|[_ .-])key)$|(?<=[a-z0-9])(Id|ID|Key)$")
LEAST_IDENTIFIERS = 20
LONGEST_IDENTIFIER = 64  # characters, as a SHA-256 in hexadecimal
NEARLY_ALL = 0.95
LONG_TEXT = 40  # characters on average
LEAST_TEXTS = 100
MOST_WRITINGS = 100  # of the words of a boolean
WANTED = {
    "number": "not a number",
    "integer": "not a whole number",
    "datetime": "not a date from year 1 to 9999 written as 2024-01-31 or 2024-01-31 23:59:59",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: its name.
        kind: what it is modelled as; identifiers are made anew, text and empty columns are left out.
        why: why it was taken as this kind.
        missing: rows of the source without a value.
        categories: the words of a category in natural order; of a boolean the word for false first. As the source
            writes them.
        decimals: that it takes to write its numbers, 0 to 6; None if more.
        resolution: of times; what is finer than a second was cut.
        low, high: range of its numbers, or of its times in seconds since 1970 UTC.
        blanks: words that stand for a missing value.
    """

    name: str
    kind: Kind
    why: str
    missing: int = 0
    categories: tuple[str, ...] = ()
    decimals: int | None = None
    resolution: Literal["day", "second"] | None = None
    low: float | None = None
    high: float | None = None
    blanks: tuple[str, ...] = ("",)

    @property
    def modelled(self) -> bool:
        """Whether a model learns it."""
        return self.kind in MODELLED

    @property
    def constant(self) -> bool:
        """Whether every row holds the same value."""
        one = self.low == self.high if self.low is not None else len(self.categories) == 1
        return self.modelled and one and not self.missing

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Column:
        """Read what ``to_json`` and JSON made of it."""
        return cls(**{**content, "categories": tuple(content["categories"]), "blanks": tuple(content["blanks"])})


def column_of(name: str, tally: Tally, wanted: Kind | None, where: str) -> Column:
    """What a column is, and what follows from that.

    Args:
        name: its name.
        tally: what it holds.
        wanted: the kind that it is to have, if that is set.
        where: file and column, for errors.

    Raises:
        DataError: values that are not of the wanted kind.
    """
    kind, why = _kind(name, tally)
    if wanted is not None and kind != "empty":
        _check(tally, wanted, where)
        kind, why = wanted, "set in the recipe"
    if kind in ("number", "integer"):
        ends = tally.numbers
        return Column(name, kind, why, decimals=tally.decimals, low=ends.low, high=ends.high)
    if kind == "datetime":
        resolution: Literal["day", "second"] = "day" if tally.whole_days else "second"
        return Column(name, kind, why, resolution=resolution, low=tally.times.low, high=tally.times.high)
    if kind == "boolean":
        return Column(name, kind, why, categories=_pair(tally, (*PAIRS, BITS)))
    if kind == "category":
        return Column(name, kind, why, categories=tuple(sorted(tally.distinct.words, key=_natural)))
    return Column(name, kind, why)


def _kind(name: str, tally: Tally) -> tuple[Kind, str]:
    """The kind that a column's values speak for, and why."""
    distinct, known = tally.distinct.count, tally.known
    differ = distinct >= known if tally.distinct.held else distinct >= NEARLY_ALL * known
    differ = differ and known >= LEAST_IDENTIFIERS
    many = f"all {count(known)} values differ" if tally.distinct.held else f"{count(distinct)} distinct values"
    if not known:
        return "empty", "no values"
    if tally.no_numbers.few(known) and not tally.padded:
        low, high = tally.numbers.low, tally.numbers.high
        if differ and tally.decimals == 0 and low is not None and high is not None:
            if NAMED_ID.search(name):
                return "identifier", f"whole numbers under the name of an identifier, {many}"
            if low in (0, 1) and high == low + known - 1:
                return "identifier", f"whole numbers that count the rows, {many}"
        if tally.no_whole.count:
            return "number", "numbers"
        return "integer", "whole numbers"
    if tally.no_times.few(known):
        return "datetime", "dates" if tally.whole_days else "dates and times"
    if len(pair := _pair(tally, PAIRS)) == 2:
        return "boolean", f"{pair[0]} and {pair[1]}"
    return _kind_of_words(tally, differ, many)


def _kind_of_words(tally: Tally, differ: bool, many: str) -> tuple[Kind, str]:
    phrases = tally.known >= LEAST_TEXTS and not tally.repeats and tally.spaced > tally.worded / 2
    mean = tally.letters / max(1, tally.worded)
    if phrases:
        return "text", f"phrases that rarely repeat, {count(tally.distinct.count)} distinct values"
    if differ and tally.longest <= LONGEST_IDENTIFIER:
        return "identifier", many
    if mean > LONG_TEXT:
        return "text", f"{mean:.0f} characters on average"
    if not tally.distinct.held:
        return "text", f"{count(tally.distinct.count)} distinct values, more than {count(MOST_CATEGORIES)}"
    return "category", plural(tally.distinct.count, "distinct value")


def _pair(tally: Tally, pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The words of one of these pairs that a column consists of, as they are first written in it; of 1, 2 or none."""
    if tally.distinct.count > MOST_WRITINGS:
        return ()
    written: dict[str, str] = {}
    for word in tally.distinct.words:
        written.setdefault(word.lower(), word)
    fitting = [pair for pair in pairs if written.keys() <= set(pair)]
    return tuple(written[word] for word in fitting[0] if word in written) if fitting else ()


def _check(tally: Tally, wanted: Kind, where: str) -> None:
    """Refuse an override that the values do not fit.

    Raises:
        DataError: so many rows are nothing of the kind, or there are too many categories.
    """
    strays = {"number": [tally.no_numbers], "integer": [tally.no_numbers, tally.no_whole], "datetime": [tally.no_times]}
    for misfits in strays.get(wanted, []):
        if not misfits.few(tally.known) or (misfits is tally.no_whole and misfits.count):
            raise DataError(f"{where}: {misfits.first}, {WANTED[wanted]}; mend it, or set another type")
    if wanted == "boolean" and not _pair(tally, (*PAIRS, BITS)):
        raise DataError(
            f"{where}: {plural(tally.distinct.count, 'distinct value')}, not two such as yes and no; type it category"
        )
    if wanted == "category" and not tally.distinct.held:
        raise DataError(
            f"{where}: {count(tally.distinct.count)} distinct values are too many for a category, of which there may "
            f"be {count(MOST_CATEGORIES)}; type it identifier or text"
        )


def notes_on(column: Column, tally: Tally) -> list[str]:
    """What a person should know about how a column was read."""
    notes = []
    strays = tally.no_times if column.kind == "datetime" else tally.no_numbers
    if column.kind in WANTED and strays.count:
        what = "time" if column.kind == "datetime" else "number"
        notes.append(
            f"{count(strays.count)} of {count(tally.known)} rows hold no {what} and are skipped, {strays.first}"
        )
    if column.kind == "datetime" and tally.finer:
        notes.append(f"times cut to whole seconds in {plural(tally.finer, 'row')}")
    if column.kind == "boolean" and tally.distinct.count > 2:
        notes.append(f"all writings of {' and '.join(column.categories)} are taken as these")
    return notes


def _natural(word: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts as people count: 2 before 10."""
    parts = re.split(r"0*([0-9]+)", word.casefold())
    return [(len(part) if place % 2 else 0, part) for place, part in enumerate(parts)], word
