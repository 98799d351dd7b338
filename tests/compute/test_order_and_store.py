"""The order in which data are seen, and the two ways they reach the device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ficta.data.dataset import Order, Split, Store

LAW = settings(deadline=None, derandomize=True, max_examples=60)
LENGTHS, SEEDS = st.integers(1, 60), st.integers(0, 2**62)


@LAW
@given(LENGTHS, SEEDS)
def test_every_epoch_is_a_permutation(length: int, seed: int) -> None:
    seen = Order(length, seed).indices(0, 4 * length)
    assert seen.dtype == torch.int64
    for epoch in seen.split(length):
        assert sorted(epoch.tolist()) == list(range(length))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    order = Order(50, 1)
    first, second, other = order.indices(0, 50), order.indices(50, 50), Order(50, 2).indices(0, 50)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


@LAW
@given(LENGTHS, SEEDS, st.lists(st.tuples(st.integers(0, 300), st.integers(1, 80)), min_size=1, max_size=6))
def test_a_position_depends_on_seed_and_position_alone(length: int, seed: int, asked: list[tuple[int, int]]) -> None:
    reference = Order(length, seed).indices(0, 380)
    order = Order(length, seed)  # asked in any sequence, forwards and backwards
    for start, count in asked:
        assert torch.equal(order.indices(start, count), reference[start : start + count])


def test_far_positions_are_reached_at_once() -> None:
    start = 10**15
    assert torch.equal(Order(7, 3).indices(start, 20), Order(7, 3).indices(start - 7, 27)[7:])


def test_orders_are_fair() -> None:
    # Item 0 stands at each of 4 places in about 500 of 2000 epochs; standard deviation 19.4
    seen = Order(4, 5).indices(0, 8000).reshape(2000, 4)
    counts = (seen == 0).sum(0)
    assert (counts - 500).abs().max() < 5 * 19.4


@LAW
@given(LENGTHS, SEEDS, st.lists(st.tuples(st.integers(0, 300), st.integers(1, 80)), min_size=1, max_size=6))
def test_a_weighted_position_depends_on_seed_and_position_alone(
    length: int, seed: int, asked: list[tuple[int, int]]
) -> None:
    weights = np.random.default_rng(length).random(length) + 0.01
    reference, whole = Order(length, seed, weights).indices(0, 380), Order(length, seed).indices(0, 190)
    assert torch.equal(reference[::2], whole)  # every other position is that of the order without weights
    order = Order(length, seed, weights)
    for start, count in asked:
        assert torch.equal(order.indices(start, count), reference[start : start + count])
        weighted = order.weighted(start, count)
        assert weighted is not None
        assert torch.equal(weighted, torch.arange(start, start + count) % 2 == 1)


def test_items_are_drawn_as_often_as_their_weights_say() -> None:
    order = Order(3, 4, np.array([1.0, 0.0, 3.0]))
    weighted = order.weighted(0, 8000)
    assert weighted is not None
    counts = torch.bincount(order.indices(0, 8000)[weighted], minlength=3)
    # item 2 stands at 3/4 of 4000 places; standard deviation 27.4
    assert counts[1] == 0
    assert abs(int(counts[2]) - 3000) < 5 * 27.4


def split(folder: Path, labelled: bool) -> Split:
    """Rows 3, 11, 5, ... of a memory-mapped cache of 20 pictures."""
    pictures = np.random.default_rng(1).integers(0, 256, (20, 1, 4, 3), dtype=np.uint8)
    np.save(folder / "cache.npy", pictures)
    stored = np.load(folder / "cache.npy", mmap_mode="r")
    labels = np.arange(20, dtype=np.int64) % 7 if labelled else None
    return Split(stored, np.array([3, 11, 5, 0, 19, 8], np.int64), labels)


@pytest.mark.parametrize("labelled", [True, False])
def test_resident_and_streamed_give_the_same(tmp_path: Path, labelled: bool) -> None:
    data = split(tmp_path, labelled)
    item = 4 * 3
    resident = Store(data, torch.device("cpu"), 6 * item)
    streamed = Store(data, torch.device("cpu"), 6 * item - 1)
    assert (resident.resident, streamed.resident) == (True, False)
    assert len(resident) == len(streamed) == 6
    for indices in (torch.tensor([4, 0, 0, 5]), torch.tensor([2])):
        (kept, kept_labels), (read, read_labels) = resident.gather(indices), streamed.gather(indices)
        assert kept.dtype == read.dtype == torch.uint8
        assert torch.equal(kept, read)
        expected = data.stored[data.rows[indices.numpy()]]
        assert (kept.numpy() == expected).all()
        if labelled:
            assert torch.equal(kept_labels, read_labels)
            assert kept_labels.tolist() == [data.rows[index] % 7 for index in indices]
        else:
            assert kept_labels is None
            assert read_labels is None


@pytest.mark.parametrize("limit", [0, 10**6])
def test_a_batch_is_a_copy(tmp_path: Path, limit: int) -> None:
    data = split(tmp_path, labelled=False)
    store = Store(data, torch.device("cpu"), limit)
    batch, _ = store.gather(torch.tensor([1, 2]))
    before = batch.clone()
    batch.zero_()
    assert torch.equal(store.gather(torch.tensor([1, 2]))[0], before)


def test_split_reads_its_rows(tmp_path: Path) -> None:
    data = split(tmp_path, labelled=True)
    assert len(data) == 6
    assert (data.read(1, 3) == data.stored[[11, 5]]).all()
    labels = data.read_labels(1, 3)
    assert labels is not None
    assert labels.tolist() == [4, 5]
    assert split(tmp_path, labelled=False).read_labels(1, 3) is None
