"""What is counted of a column while its table is read once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ficta.data.table import values as meaning
from ficta.data.table.blocks import Words, arrow, hashed, quoted

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CATEGORIES = 100_000
MOST_WORD_BYTES = 16_000_000  # of the different words of a column
MOST_HASHES = 131_072  # so that a number of different words is known to 0.4 %
EARLY_ROWS = 100_000  # within which words that come again are counted
STRAY_SHARE = 0.01  # of a column of numbers or times: what is neither is skipped, up to here …
STRAY_ROWS = 200  # … if there are as many rows


class Distinct:
    """The different words of a column: all of them while they are few, then an estimate of their number.

    The estimate keeps the hashes below a bound that is lowered as they get many (Wegman's adaptive sampling, Flajolet
    1990): hashes are uniform, so the number kept says how many there are.
    """

    def __init__(self) -> None:
        self._words: list[pa.Array] | None = []
        self._hashes = np.empty(0, np.uint64)
        self._halvings = 0

    def add(self, words: pa.Array) -> None:
        """Add different words (k,)."""
        if self._words is not None:
            held = arrow().concat_arrays([*self._words, words]).unique()
            self._words = [held]
            if len(held) <= MOST_CATEGORIES and held.nbytes <= MOST_WORD_BYTES:
                return
            self._words, words = None, held
        self._sample(words)

    @property
    def held(self) -> bool:
        """Whether they are few enough to be held."""
        return self._words is not None

    @property
    def words(self) -> list[str]:
        """All of them in the order they came; none if they are not held."""
        return [word for words in self._words or [] for word in words.to_pylist()]

    @property
    def count(self) -> int:
        """How many there are; to two digits if they are too many to be held."""
        if self._words is not None:
            return sum(map(len, self._words))
        return int(float(f"{len(self._hashes) * 2.0**self._halvings:.1e}"))

    def _sample(self, words: pa.Array) -> None:
        hashes = hashed(words)
        self._hashes = np.union1d(self._hashes, hashes[hashes <= self._bound])
        while len(self._hashes) > MOST_HASHES:
            self._halvings += 1
            self._hashes = self._hashes[self._hashes <= self._bound]

    @property
    def _bound(self) -> np.uint64:
        return np.uint64((1 << (64 - self._halvings)) - 1)


class Strays:
    """Rows whose word is not what the others are: how many, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def add(self, which: np.ndarray, words: Words, where: Callable[[int], str]) -> None:
        """Count the rows that hold one of these words, bool (k,)."""
        if which.any():
            if not self.count:
                place, word = words.first(which)
                self.first = f"{where(place)} is {quoted(word)}"
            self.count += int(words.counts[which].sum())

    def few(self, known: int) -> bool:
        """Whether they are few enough among so many rows to be left out, rather than to decide what the column is."""
        return not self.count or (known >= STRAY_ROWS and self.count < STRAY_SHARE * known)


class Range:
    """The least and the largest of finite values."""

    def __init__(self) -> None:
        self.low: float | None = None
        self.high: float | None = None

    def add(self, values: np.ndarray) -> None:
        """Add finite values (k,)."""
        if len(values):
            low, high = float(values.min()), float(values.max())
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)


class Tally:
    """What a column holds, over all blocks so far.

    Attributes:
        known, missing: rows with and without a value.
        distinct: its different words.
        no_numbers, no_times, no_whole: rows that are no numbers, no times, no whole numbers.
        decimals: that it takes to write its numbers; None if more than 6.
        numbers, times: their range.
        padded: whether one of its whole numbers begins with a zero, which is lost in a number.
        finer: rows whose time is finer than a second.
        whole_days: whether all times are midnight.
        worded, spaced, letters, longest: rows that are no numbers or padded, those of them with spaces, the sum of
            their lengths, and the longest.
        repeats: whether words came again often among the first 100,000 rows.
    """

    def __init__(self) -> None:
        self.known = self.missing = 0
        self.distinct = Distinct()
        self.no_numbers, self.no_times, self.no_whole = Strays(), Strays(), Strays()
        self.decimals: int | None = 0
        self.numbers, self.times = Range(), Range()
        self.padded = False
        self.finer = 0
        self.whole_days = True
        self.worded = self.spaced = self.letters = self.longest = 0
        self.repeats = False

    def add(self, words: Words, where: Callable[[int], str]) -> None:
        """Count a block; ``where`` says which row stands at a place in it."""
        early = self.known < EARLY_ROWS
        self.known += int(words.counts.sum())
        self.missing += int((words.codes < 0).sum())
        self.distinct.add(words.values)
        if early:
            self.repeats = self.distinct.count <= self.known / 2
        found = meaning.numbers(words.values)
        worded = np.isnan(found)
        self.no_numbers.add(worded, words, where)
        finite = np.isfinite(found)
        if finite.any():
            self._add_numbers(found, finite, words, where)
        self._add_times(worded, words, where)
        padded = meaning.padded(words.values)
        self.padded = self.padded or bool(padded.any())
        if (worded | padded).any():
            self._add_words(worded | padded, words)

    def _add_numbers(self, found: np.ndarray, finite: np.ndarray, words: Words, where: Callable[[int], str]) -> None:
        self.numbers.add(found[finite])
        if self.decimals is not None:
            self.decimals = meaning.decimals(found[finite], self.decimals)
        whole = (np.rint(found) == found) & (np.abs(found) <= meaning.LARGEST_WHOLE)
        self.no_whole.add(finite & ~whole, words, where)

    def _add_words(self, worded: np.ndarray, words: Words) -> None:
        compute = arrow().compute
        kept, counts = words.values.filter(arrow().array(worded)), words.counts[worded]
        lengths = compute.utf8_length(kept).to_numpy(zero_copy_only=False)
        self.worded += int(counts.sum())
        self.letters += int((lengths * counts).sum())
        self.longest = max(self.longest, int(lengths.max()))
        self.spaced += int(counts[compute.match_substring(kept, " ").to_numpy(zero_copy_only=False)].sum())

    def _add_times(self, worded: np.ndarray, words: Words, where: Callable[[int], str]) -> None:
        found, finer = np.full(len(worded), np.nan), np.zeros(len(worded), bool)
        if worded.any() and self._may_be_times():  # no number is a time
            found[worded], finer[worded] = meaning.times(words.values.filter(arrow().array(worded)))
        dated = ~np.isnan(found)
        self.no_times.add(~dated, words, where)
        self.times.add(found[dated])
        self.finer += int(words.counts[finer].sum())
        self.whole_days = self.whole_days and not (found[dated] % meaning.DAY_SECONDS).any()

    def _may_be_times(self) -> bool:
        """Spares the search in columns of words: what has begun without any times is none."""
        return self.times.low is not None or self.no_times.count < EARLY_ROWS
