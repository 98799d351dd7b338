"""How alike two tables are: column by column, pair by pair, in what is missing, and row by row.

A table in compact form is float64 (n, C): numbers as they are, categories by their index 0, 1, …, what is missing as
NaN. ``categorical``, bool (C,), says which columns are categories.
"""

from __future__ import annotations

import numpy as np

BINS = 10  # of a number that is held against categories, as in SDMetrics
CELLS_PER_ROW = 4  # of a table of counts that is kept whole; a wider one is kept by its cells that occur


def checked_table(table: np.ndarray, categorical: np.ndarray | None = None) -> np.ndarray:
    """A table (n, C) as float64.

    Args:
        table: of real numbers (n, C), n and C at least 1.
        categorical: bool (C,); without it no column is looked at as categories.

    Raises:
        ValueError: another number of axes, nothing in it, infinite values, ``categorical`` of another length or
            dtype, or categories that are no whole numbers from 0 on.
    """
    if table.ndim != 2 or not table.size:
        raise ValueError(f"a table is an array (n, C) of at least one row and one column, not {table.shape}")
    found = table.astype(np.float64, copy=False)
    wrong = int(np.isinf(found).any(1).sum())
    if wrong:
        raise ValueError(f"{wrong} of {len(found)} rows have infinite values; what is missing is NaN")
    if categorical is None:
        return found
    if categorical.shape != found.shape[1:] or categorical.dtype != np.bool_:
        raise ValueError(
            f"which columns are categories is bool ({found.shape[1]},), not {categorical.dtype} {categorical.shape}"
        )
    kinds = found[:, categorical]
    strange = int(((kinds < 0) | (kinds % 1 != 0) & ~np.isnan(kinds)).any(1).sum())
    if strange:
        raise ValueError(f"{strange} of {len(found)} rows have categories that are no index 0, 1, …")
    return found


def checked_tables(
    a: np.ndarray, b: np.ndarray, categorical: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two tables (n, C) and (m, C) as float64.

    Raises:
        ValueError: unlike numbers of columns, or what ``checked_table`` refuses.
    """
    if a.ndim == b.ndim == 2 and a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} columns against {b.shape[1]}; both tables need the same")
    return checked_table(a, categorical), checked_table(b, categorical)


def column_shapes(samples: np.ndarray, real: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """How alike each column is distributed, whatever the others hold.

    For numbers 1 less the statistic of Kolmogorov and Smirnov, the largest difference of the cumulated shares
    (KSComplement of SDMetrics); for categories 1 less their total variation distance, half the summed differences of
    the shares (TVComplement of SDMetrics). What is missing is left out: ``missing_pattern`` tells of it.

    Args:
        samples: table (n, C).
        real: table (m, C).
        categorical: bool (C,).

    Returns:
        float64 (C,) in [0, 1]: 1 for the same shares. A column without any value on one side scores 0, on both 1.

    Raises:
        ValueError: tables that ``checked_tables`` refuses.
    """
    samples, real = checked_tables(samples, real, categorical)
    found = np.empty(len(categorical))
    for column, kinds in enumerate(categorical):
        a, b = (items[~np.isnan(items)] for items in (samples[:, column], real[:, column]))
        if not len(a) or not len(b):
            found[column] = len(a) == len(b)
        elif kinds:
            found[column] = 1 - _total_variation(a, b)
        else:
            found[column] = 1 - _kolmogorov_smirnov(a, b)
    return found


def pair_trends(samples: np.ndarray, real: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """How alike each two columns depend on each other.

    Two numbers: 1 - |r_samples - r_real| / 2 with Pearson's r of the rows that have both (CorrelationSimilarity of
    SDMetrics); r is 0 where one of them is constant. Others: 1 less the total variation distance of the joint table,
    in which what is missing is one more category, and a number is cut into ten bins of equal width over the real
    range, the outer ones open (ContingencySimilarity of SDMetrics).

    Args:
        samples: table (n, C).
        real: table (m, C).
        categorical: bool (C,).

    Returns:
        float64 (C, C) in [0, 1], symmetric: 1 for the same dependence, and on the diagonal. Two numbers that no row
        has both score 0 if that is so on one side, 1 if on both.

    Raises:
        ValueError: tables that ``checked_tables`` refuses.
    """
    samples, real = checked_tables(samples, real, categorical)
    coded = [_codes(samples[:, c], real[:, c], kinds) for c, kinds in enumerate(categorical)]
    found = np.eye(len(categorical))
    for i, j in zip(*np.triu_indices(len(categorical), 1), strict=True):
        if categorical[i] or categorical[j]:
            width = 1 + max(int(side.max()) for side in coded[j])
            a, b = (first * width + second for first, second in zip(coded[i], coded[j], strict=True))
            found[i, j] = found[j, i] = 1 - _total_variation(a, b)
        else:
            r, s = (_pearson(*_both(table[:, i], table[:, j])) for table in (samples, real))
            alike = float(r is None and s is None) if r is None or s is None else 1 - abs(r - s) / 2
            found[i, j] = found[j, i] = alike
    return found


def correlations(table: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    """How strongly each two columns of a table depend on each other, over the rows that have both.

    Two numbers: Pearson's r. Two categories: Cramér's V (Cramér 1946, Sec. 21.9), without correction for chance, so
    that rare categories raise it. A number and categories: the correlation ratio eta (Pearson 1905; the root of the
    share of the number's variance that lies between the categories), which chance raises likewise.

    Args:
        table: (n, C).
        categorical: bool (C,).

    Returns:
        float64 (C, C), symmetric: in [-1, 1] for two numbers, else in [0, 1]. 1 on the diagonal; 0 where one of both
        is constant, or no row has both.

    Raises:
        ValueError: a table that ``checked_table`` refuses.
    """
    table = checked_table(table, categorical)
    found = np.eye(len(categorical))
    for i, j in zip(*np.triu_indices(len(categorical), 1), strict=True):
        if categorical[j] and not categorical[i]:
            a, b = _both(table[:, j], table[:, i])
        else:
            a, b = _both(table[:, i], table[:, j])
        if not len(a):
            strength = 0.0
        elif categorical[i] and categorical[j]:
            strength = _cramer(a, b)
        elif categorical[i] or categorical[j]:
            strength = _correlation_ratio(a, b)
        else:
            strength = _pearson(a, b) or 0.0
        found[i, j] = found[j, i] = strength
    return found


def missing_pattern(samples: np.ndarray, real: np.ndarray) -> float:
    """How alike the rows of two tables are in which of their columns are missing together.

    Args:
        samples: table (n, C).
        real: table (m, C).

    Returns:
        1 less the total variation distance of the patterns, of which there are up to 2^C: 1 if each is as frequent
        in both, 0 if none occurs in both.

    Raises:
        ValueError: tables that ``checked_tables`` refuses.
    """
    samples, real = checked_tables(samples, real)
    patterns = _row_bytes(np.packbits(np.isnan(np.concatenate([samples, real])), axis=1))
    numbers: dict[bytes, int] = {}
    codes = np.array([numbers.setdefault(pattern, len(numbers)) for pattern in patterns])
    return 1 - _total_variation(codes[: len(samples)], codes[len(samples) :])


def new_rows(samples: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Which samples equal no training row in all columns; what is missing equals what is missing.

    Args:
        samples: table (n, C).
        train: table (m, C).

    Returns:
        bool (n,). Its mean is the share of new rows, to be held against that of real rows that were not trained on:
        in a table of few columns those are not all new either.

    Raises:
        ValueError: tables that ``checked_tables`` refuses.
    """
    samples, train = checked_tables(samples, train)
    # one NaN and one zero: there are many of the former and two of the latter that differ in their bits
    asked, known = (_row_bytes(np.where(np.isnan(table), np.nan, table + 0.0)) for table in (samples, train))
    among = set(known)
    return np.array([row not in among for row in asked])


def _row_bytes(rows: np.ndarray) -> list[bytes]:
    """The bytes of each row of an array (n, C)."""
    whole, width = rows.tobytes(), rows.itemsize * rows.shape[1]
    return [whole[start : start + width] for start in range(0, len(whole), width)]


def _both(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two columns (n,) where neither is missing."""
    there = ~(np.isnan(a) | np.isnan(b))
    return a[there], b[there]


def _codes(samples: np.ndarray, real: np.ndarray, categories: bool) -> tuple[np.ndarray, np.ndarray]:
    """A column of both tables as small whole numbers: of its category, or its bin; 0 where it is missing."""
    pooled = np.concatenate([samples, real])
    if categories:
        codes = np.unique(np.concatenate([[-1.0], np.where(np.isnan(pooled), -1.0, pooled)]), return_inverse=True)[1]
        return codes[1 : 1 + len(samples)], codes[1 + len(samples) :]
    there = real[~np.isnan(real)]
    low, high = (there.min(), there.max()) if len(there) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5  # as numpy.histogram_bin_edges, which SDMetrics takes
    edges = 2 * np.linspace(low / 2, high / 2, BINS + 1)[1:-1]  # by halves, as the whole range could overflow
    codes = np.where(np.isnan(pooled), 0, 1 + np.digitize(pooled, edges))
    return codes[: len(samples)], codes[len(samples) :]


def _total_variation(a: np.ndarray, b: np.ndarray) -> float:
    """Half the summed differences of the shares of whole numbers (n,) and (m,) from 0 on; [0, 1]."""
    pooled = np.concatenate([a, b])
    if pooled.max() >= CELLS_PER_ROW * len(pooled):
        pooled = np.unique(pooled, return_inverse=True)[1]
    pooled = pooled.astype(np.int64, copy=False)
    size = int(pooled.max()) + 1
    counts = (np.bincount(part, minlength=size) for part in (pooled[: len(a)], pooled[len(a) :]))
    # |a/n - b/m| = |m a - n b| / (n m): in whole numbers, so that equal shares differ by exactly 0
    there, here = next(counts) * len(b), next(counts) * len(a)
    return float(np.abs(there - here).sum() / (2 * len(a) * len(b)))


def _kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of the cumulated shares of numbers (n,) and (m,); [0, 1]."""
    at = np.concatenate([a, b])
    below_a, below_b = (np.searchsorted(np.sort(items), at, side="right") for items in (a, b))
    return float(np.abs(below_a * len(b) - below_b * len(a)).max() / (len(a) * len(b)))


def _centred(items: np.ndarray) -> np.ndarray | None:
    """Numbers (n,) less their mean, of length 1, whose largest could not be squared otherwise; None if constant."""
    low, high = items.min(), items.max()
    if low == high:
        return None
    scaled = items / max(abs(low), abs(high))
    scaled = scaled - scaled.mean()
    scaled = scaled / np.abs(scaled).max()
    return np.asarray(scaled / np.sqrt((scaled**2).sum()))


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's r of two columns (n,); 0 if one is constant, None if there are no rows."""
    if not len(a):
        return None
    x, y = _centred(a), _centred(b)
    return 0.0 if x is None or y is None else float(np.clip((x * y).sum(), -1, 1))


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    """Cramér's V of categories (n,) from the cells of their joint table that occur: memory grows with n alone."""
    (_, i, rows), (_, j, columns) = (np.unique(kinds, return_inverse=True, return_counts=True) for kinds in (a, b))
    least = min(len(rows), len(columns))
    if least < 2:
        return 0.0
    cells, counts = np.unique(i * len(columns) + j, return_counts=True)
    expected = rows[cells // len(columns)] * columns[cells % len(columns)].astype(np.float64)
    squared = (counts * counts / expected).sum() - 1  # chi squared over n
    return float(np.sqrt(np.clip(squared / (least - 1), 0, 1)))


def _correlation_ratio(kinds: np.ndarray, numbers: np.ndarray) -> float:
    """Eta of numbers (n,) by categories (n,)."""
    y = _centred(numbers)
    if y is None:
        return 0.0
    _, which, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    between = (np.bincount(which, weights=y) ** 2 / counts).sum()  # of a total of 1
    return float(np.sqrt(np.clip(between, 0, 1)))
