"""Train, validation, test: the source's own, or seeded with duplicates on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from ficta.base.seeds import mix

NAMES = ("train", "validation", "test")
MOST_VALIDATION = 5000
Rows = np.ndarray  # int64 (n,), ascending


def divide(
    given: np.ndarray, digests: np.ndarray, *, validation: float, test: float, seed: int
) -> tuple[dict[str, Rows], dict[str, str]]:
    """Divide the items.

    Splits that the source gives stay as they are. Those it lacks are taken from what remains, in whole groups of
    duplicates, in an order that depends on the seed and the items' content alone.

    Args:
        given: index into ``NAMES`` of each item, -1 where the source gives none, int64 (N,).
        digests: digest of each item's content, uint8 (N, D); equal for duplicates.
        validation: share of the training split, at most 5,000 items.
        test: share of all, if the source gives no test split.
        seed: of the order.

    Returns:
        Rows of each split, and where each comes from: ``source``, ``seed`` or ``none``.
    """
    free = np.flatnonzero((given == NAMES.index("train")) | (given < 0))
    rows = {name: np.flatnonzero(given == index) for index, name in enumerate(NAMES)}
    origin = {name: "source" if len(rows[name]) else "none" for name in NAMES}
    if not len(rows["test"]) and test > 0:
        rows["test"], free = _take(free, digests, _target(test, len(free)), mix(seed, "test"))
        origin["test"] = "seed"
    if not len(rows["validation"]) and validation > 0:
        target = min(MOST_VALIDATION, _target(validation, len(free)))
        rows["validation"], free = _take(free, digests, target, mix(seed, "validation"))
        origin["validation"] = "seed"
    rows["train"] = free
    return rows, origin | {"train": origin["train"] if origin["train"] == "source" else "rest"}


def choose(rows: Rows, digests: np.ndarray, count: int, seed: int) -> Rows:
    """So many of ``rows``, chosen by the seed and the items' content, not by their position."""
    if count >= len(rows):
        return rows
    order = np.argsort(_ranks(digests[rows], seed), kind="stable")
    return np.sort(rows[order[:count]])


def groups(digests: np.ndarray) -> np.ndarray:
    """Number of the group of duplicates that each item belongs to, int64 (N,), for digests uint8 (N, D)."""
    words = np.zeros((len(digests), -(-digests.shape[1] // 8) * 8), np.uint8)
    words[:, : digests.shape[1]] = digests
    keys = words.view(np.uint64)
    order = np.lexsort(keys.T)
    ordered = keys[order]
    found = np.empty(len(digests), np.int64)
    found[order] = np.cumsum((np.diff(ordered, axis=0, prepend=ordered[:1]) != 0).any(1))
    return found


def told_apart(digests: np.ndarray) -> np.ndarray:
    """Digests uint8 (N, D), D >= 8, of which no two are equal: how often an item came before goes into its own."""
    number = groups(digests)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    nth = np.empty(len(number), np.uint64)
    nth[order] = np.arange(len(number)) - np.repeat(starts, np.diff(np.append(starts, len(number))))
    found = digests.copy()
    found[:, :8] ^= nth[:, None].view(np.uint8).reshape(-1, 8)
    return found


def duplicates(digests: np.ndarray, rows: Mapping[str, Rows]) -> dict[str, int]:
    """Count exact duplicates: ``groups`` of them, ``extra`` items beyond the first, items ``across`` splits."""
    number = groups(digests)
    sizes = np.bincount(number)
    seen_in = np.zeros((len(NAMES), len(sizes)), bool)
    for index, name in enumerate(NAMES):
        seen_in[index, number[rows[name]]] = True
    across = seen_in.sum(axis=0) > 1
    return {
        "groups": int((sizes > 1).sum()),
        "extra": int((sizes - 1).clip(min=0).sum()),
        "across_splits": int(sizes[across].sum()),
    }


def _target(share: float, count: int) -> int:
    """How many items a share is; at least one where there are two or more."""
    return max(round(share * count), 1 if count > 1 else 0)


def _take(rows: Rows, digests: np.ndarray, target: int, seed: int) -> tuple[Rows, Rows]:
    """Take at most ``target`` of ``rows`` in whole groups of duplicates; gives those taken and those left."""
    number = groups(digests[rows])
    firsts, sizes = np.unique(number, return_index=True, return_counts=True)[1:]
    order = np.argsort(_ranks(digests[rows[firsts]], seed), kind="stable")
    taken, count = np.zeros(len(firsts), bool), 0
    for group in order:
        if count == target:
            break
        if count + sizes[group] <= target:
            taken[group] = True
            count += int(sizes[group])
    chosen = taken[number]
    return rows[chosen], rows[~chosen]


def _ranks(digests: np.ndarray, seed: int) -> np.ndarray:
    """Where the seed's order has each of ``digests``, uint8 (n, D): uint64 (n,)."""
    width, content = digests.shape[1], digests.tobytes()
    keyed = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"))

    def rank(start: int) -> int:
        one = keyed.copy()
        one.update(content[start : start + width])
        return int.from_bytes(one.digest(), "big")

    return np.fromiter(map(rank, range(0, len(content), width)), np.uint64, len(digests))
