"""What words mean: numbers and times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ficta.data.table.blocks import arrow

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
PADDED = r"^[+-]?0[0-9]+$"  # 007: a code rather than a number
TIME = (
    r"^(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})[-/](?P<day>[0-9]{1,2})"
    r"(?:[Tt ](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<ahead>[0-9]{2}):?(?P<after>[0-9]{2})?)?)?$"
)
EARLIEST, LATEST = (int(np.datetime64(time, "s").astype(np.int64)) for time in ("0001-01-01", "9999-12-31T23:59:59"))
DAY_SECONDS = 86_400
MOST_DECIMALS = 6
LARGEST_WHOLE = 2.0**53  # beyond it a float64 cannot tell neighbours apart


def numbers(words: pa.Array) -> np.ndarray:
    """Words (k,) as float64 (k,): NaN where they are no numbers, infinite where they are, or exceed float64."""
    pa = arrow()
    plain = pa.compute.match_substring_regex(words, NUMBER)
    known = pa.compute.if_else(plain, words, None)
    found: np.ndarray = known.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0
    return found


def times(words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Words (k,) as whole seconds since 1970 UTC, float64 (k,), and which of them are finer, bool (k,).

    NaN where they are no dates from year 1 to 9999, written from the year down: 2024-01-31, 2024/1/31 23:59,
    2024-01-31T23:59:59.5+01:00. Without a zone they are taken as UTC.
    """
    pa = arrow()
    parts = pa.compute.extract_regex(words, TIME)
    matched = parts.is_valid().to_numpy(zero_copy_only=False)

    def part(name: str) -> np.ndarray:
        digits = pa.compute.struct_field(parts, name)
        digits = pa.compute.if_else(pa.compute.equal(digits, ""), "0", digits).fill_null("0")
        return np.asarray(digits.cast(pa.int64()).to_numpy(zero_copy_only=False))

    months = (part("year") - 1970) * 12 + part("month") - 1
    starts, ends = (_month_starts(months + later) for later in (0, 1))
    days = starts + part("day") - 1
    minus = pa.compute.equal(pa.compute.struct_field(parts, "sign"), "-").fill_null(False)
    zone = (part("ahead") * 60 + part("after")) * np.where(minus.to_numpy(zero_copy_only=False), -60, 60)
    seconds = days * DAY_SECONDS + part("hour") * 3600 + part("minute") * 60 + part("second") - zone
    inside = (days >= starts) & (days < ends) & (part("month") >= 1) & (part("month") <= 12)
    inside &= (part("hour") < 24) & (part("minute") < 60) & (part("second") < 60) & (np.abs(zone) < DAY_SECONDS)
    known = matched & inside & (part("year") >= 1) & (seconds >= EARLIEST) & (seconds <= LATEST)
    fraction = pa.compute.utf8_trim(pa.compute.struct_field(parts, "fraction"), "0").fill_null("")
    finer = pa.compute.not_equal(fraction, "").to_numpy(zero_copy_only=False) & known
    return np.where(known, seconds, np.nan), finer


def _month_starts(months: np.ndarray) -> np.ndarray:
    """Days since 1970 at which months since then begin."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def padded(words: pa.Array) -> np.ndarray:
    """Which words (k,) are digits after a zero, as in postcodes and numbers of articles, bool (k,)."""
    found: np.ndarray = arrow().compute.match_substring_regex(words, PADDED).to_numpy(zero_copy_only=False)
    return found


def decimals(values: np.ndarray, least: int = 0) -> int | None:
    """How many decimals it takes to write all of these finite numbers: ``least`` to 6, or None if more."""
    for found in range(least, MOST_DECIMALS + 1):
        values = values[rounded(values, found) != values]
        if not len(values):
            return found
    return None


def rounded(values: np.ndarray, places: int) -> np.ndarray:
    """Numbers rounded to so many decimals, the same as such numbers are read; those too large to have any stay."""
    with np.errstate(over="ignore"):
        scaled = values * 10.0**places
    near = np.rint(scaled) / 10.0**places
    return np.where(np.abs(scaled) < LARGEST_WHOLE, near, values) + 0.0
