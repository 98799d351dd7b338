"""Laws of the splits: disjoint, complete, seeded, duplicates on one side."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.data import splits

LOTS = settings(max_examples=60, deadline=None)
CONTENT = st.lists(st.integers(0, 40), min_size=1, max_size=120)
SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.5, 0.9])


def digests(content: list[int]) -> np.ndarray:
    return np.array([[value % 251, value // 251, 7] for value in content], np.uint8)


@LOTS
@given(CONTENT, SHARES, SHARES, st.integers(0, 5), st.data())
def test_splits_are_disjoint_and_cover_everything(content, validation, test, seed, data):
    count = len(content)
    given_splits = np.array(data.draw(st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=count, max_size=count)))
    rows, origin = splits.divide(given_splits, digests(content), validation=validation, test=test, seed=seed)
    assert sorted(np.concatenate([rows[name] for name in splits.NAMES]).tolist()) == list(range(len(content)))
    for index, name in enumerate(splits.NAMES[1:], 1):
        if origin[name] == "source":
            assert rows[name].tolist() == np.flatnonzero(given_splits == index).tolist()
    again, _ = splits.divide(given_splits, digests(content), validation=validation, test=test, seed=seed)
    assert all(rows[name].tolist() == again[name].tolist() for name in splits.NAMES)


@LOTS
@given(CONTENT, SHARES, SHARES, st.integers(0, 5))
def test_seeded_splits_keep_duplicates_together_and_to_their_share(content, validation, test, seed):
    whole = np.full(len(content), -1)
    rows, _ = splits.divide(whole, digests(content), validation=validation, test=test, seed=seed)
    for value in set(content):
        assert sum(value in {content[row] for row in rows[name]} for name in splits.NAMES) == 1
    assert len(rows["test"]) <= max(1, round(test * len(content)))
    assert len(rows["validation"]) <= max(1, round(validation * (len(content) - len(rows["test"]))))
    assert splits.duplicates(digests(content), rows)["across_splits"] == 0
    assert splits.duplicates(digests(content), rows)["extra"] == len(content) - len(set(content))


@LOTS
@given(st.permutations(range(30)), st.integers(0, 3))
def test_the_order_of_the_source_does_not_matter(order, seed):
    def members(content):
        rows, _ = splits.divide(np.full(30, -1), digests(content), validation=0.2, test=0.2, seed=seed)
        return {name: {content[row] for row in rows[name]} for name in splits.NAMES}

    assert members(list(order)) == members(list(range(30)))


def test_shares_are_met_without_duplicates_and_the_seed_matters():
    content = digests(list(range(1000)))
    rows, origin = splits.divide(np.full(1000, -1), content, validation=0.05, test=0.1, seed=0)
    assert {name: len(rows[name]) for name in rows} == {"train": 855, "validation": 45, "test": 100}
    assert origin == {"train": "rest", "validation": "seed", "test": "seed"}
    other, _ = splits.divide(np.full(1000, -1), content, validation=0.05, test=0.1, seed=1)
    assert rows["test"].tolist() != other["test"].tolist()


def test_validation_is_at_most_5000():
    content = np.frombuffer(np.arange(60_000, dtype=np.int64).tobytes(), np.uint8).reshape(-1, 8)
    rows, _ = splits.divide(np.zeros(60_000, np.int64), content, validation=0.2, test=0.0, seed=0)
    assert len(rows["validation"]) == 5000
    assert len(rows["test"]) == 0


def test_choosing_is_seeded_and_nested():
    content = digests(list(range(100)))
    rows = np.arange(0, 100, 2)
    some = splits.choose(rows, content, 10, 3)
    assert len(some) == 10
    assert set(some.tolist()) <= set(splits.choose(rows, content, 20, 3).tolist()) <= set(rows.tolist())
    assert splits.choose(rows, content, 99, 3).tolist() == rows.tolist()


@LOTS
@given(st.lists(st.lists(st.integers(0, 2), min_size=9, max_size=9), max_size=40))
def test_groups_are_those_of_equal_digests(rows):
    found = splits.groups(np.array(rows, np.uint8).reshape(len(rows), 9))
    for one, row in zip(found, rows, strict=True):
        assert [other == one for other in found] == [other == row for other in rows]
    assert sorted(set(found.tolist())) == list(range(len(set(map(tuple, rows)))))


@LOTS
@given(CONTENT)
def test_items_that_repeat_are_told_apart_and_the_first_is_left(content):
    hashes = (hashlib.blake2b(bytes([value]), digest_size=16).digest() for value in content)
    whole = np.stack([np.frombuffer(each, np.uint8) for each in hashes])
    apart = splits.told_apart(whole)
    assert len(np.unique(apart, axis=0)) == len(content)
    firsts = [place for place, value in enumerate(content) if value not in content[:place]]
    np.testing.assert_array_equal(apart[firsts], whole[firsts])
