"""Groups matched with labels, by pairings that can be found by hand."""

import itertools

import numpy as np
import pytest

from ficta.metrics.clusters import matched


def test_names_do_not_matter() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2])
    assert matched(np.array([2, 0, 1, 2, 0, 1]), labels).all()


def test_each_group_stands_for_one_label_and_each_label_for_one_group() -> None:
    # label 0 fills two groups, of which only the larger may have its name; the other takes label 1, of which it has one
    groups, labels = np.array([0, 0, 0, 1, 1, 1, 2]), np.array([0, 0, 0, 0, 0, 1, 2])
    assert matched(groups, labels).tolist() == [True, True, True, False, False, True, True]


def test_a_group_too_many_has_no_label() -> None:
    assert matched(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 0])).tolist() == [True, True, True, False]


def test_the_pairing_is_the_best_of_all() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        groups, labels = random.integers(0, 4, 30), random.integers(0, 4, 30)
        every = [(np.array(names)[groups] == labels).sum() for names in itertools.permutations(range(4))]
        assert matched(groups, labels).sum() == max(every)


@pytest.mark.parametrize(("groups", "labels"), [([], []), ([0], [0, 1]), ([[0]], [[0]])])
def test_what_makes_no_pairs_is_refused(groups: list[int], labels: list[int]) -> None:
    with pytest.raises(ValueError, match="one each"):
        matched(np.array(groups, np.int64), np.array(labels, np.int64))
