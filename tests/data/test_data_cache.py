"""The cache: whole or absent, bounded, safe with several builders; and what else the ingestion promises."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import tracemalloc

import numpy as np
import pytest
import torch
from data_making import everything, read

from ficta.base.errors import FictaError, UsageError
from ficta.data import cache as store
from ficta.data.dataset import Order, Store
from ficta.data.ingest import ingest
from ficta.data.report import describe


def fill(key: str, size: int = 10_000, source: str = "x") -> None:
    with store.building(key) as builder:
        builder.add(np.zeros((3, size), np.uint8))
        builder.add(np.ones((2, size), np.uint8))
        rows = np.zeros(5, np.int64)
        builder.finish(rows, rows, np.zeros((5, 16), np.uint8), {"source": source})


def test_an_entry_is_read_as_it_was_written(cache):
    assert store.load("a") is None
    fill("a")
    entry = store.load("a")
    assert entry.stored.shape == (5, 10_000)
    assert entry.stored[:, 0].tolist() == [0, 0, 0, 1, 1]
    assert isinstance(entry.stored, np.memmap)
    assert entry.facts == {"source": "x"}
    (kept,) = store.entries()
    assert kept.source == "x"
    assert kept.size_bytes > 50_000


def test_an_entry_can_be_begun_anew(cache):
    for key, voids in (("straight", 0), ("anew", 2)):
        with store.building(key) as builder:
            for _ in range(voids):
                builder.add(np.ones((9, 30, 7), np.int32))
                builder.empty()
            builder.add(np.arange(6, dtype=np.uint8).reshape(2, 3))
            rows = np.zeros(2, np.int64)
            builder.finish(rows, rows, np.zeros((2, 16), np.uint8), {"source": "x"})
    assert store.load("anew").stored.tolist() == [[0, 1, 2], [3, 4, 5]]
    straight, anew = ((cache / "data" / key / store.ITEMS).read_bytes() for key in ("straight", "anew"))
    assert straight == anew


def test_an_entry_may_have_two_names(cache):
    fill("a")
    store.also_known_as("b", "a")
    store.also_known_as("b", "c")  # a name that is taken stays
    assert store.load("b").facts == {"source": "x"}
    assert len(store.entries()) == 1
    store.clear()
    assert store.load("b") is None
    assert list((cache / "data").iterdir()) == []


def test_what_the_data_decided_finds_the_same_entry(cache, pictures):
    dataset = read(pictures())
    assert dataset.settings.image.size is not None
    again = ingest(dataset.settings)
    assert len(store.entries()) == 1
    assert again.report["content_hash"] == dataset.report["content_hash"]
    assert again.settings == dataset.settings
    assert again.codec.spec == dataset.codec.spec


def test_a_build_that_fails_leaves_nothing(cache):
    def build() -> None:
        with store.building("a") as builder:
            builder.add(np.zeros((3, 4), np.uint8))
            builder.add(np.zeros((3, 5), np.uint8))

    with pytest.raises(ValueError, match="after uint8"):
        build()
    assert list((cache / "data").iterdir()) == []


def test_a_damaged_entry_is_built_again(cache, pictures):
    folder = pictures()
    first = read(folder)
    (kept,) = store.entries()
    items = kept.path / store.ITEMS
    items.write_bytes(items.read_bytes()[:-10])
    assert read(folder).report == first.report
    (kept,) = store.entries()
    (kept.path / store.FACTS).write_text("{")
    assert read(folder).report == first.report
    assert len(store.entries()) == 1


def test_the_least_recently_used_go_first(cache, monkeypatch):
    for age, key in enumerate(["old", "older", "oldest"]):
        fill(key, 100_000)
        os.utime(cache / "data" / key, (time.time() - 100 * (age + 1),) * 2)
    assert store.load("oldest") is not None  # a use
    monkeypatch.setenv("FICTA_CACHE_LIMIT_GB", "0.0016")
    fill("new", 100_000)
    assert {kept.path.name for kept in store.entries()} == {"new", "oldest", "old"}
    monkeypatch.setenv("FICTA_CACHE_LIMIT_GB", "0")
    fill("newest", 100)
    assert {kept.path.name for kept in store.entries()} == {"newest"}
    store.clear()
    assert store.entries() == []
    assert list((cache / "data").iterdir()) == []


@pytest.mark.parametrize("limit", ["many", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_a_wrong_call(monkeypatch, limit):
    monkeypatch.setenv("FICTA_CACHE_LIMIT_GB", limit)
    with pytest.raises(UsageError, match="FICTA_CACHE_LIMIT_GB"):
        store.limit_bytes()


def test_builders_of_the_same_entry_do_not_disturb_each_other(cache):
    barrier = threading.Barrier(4)
    failed = []

    def build() -> None:
        try:
            with store.building("a") as builder:
                builder.add(np.zeros((5, 100), np.uint8))
                rows = np.zeros(5, np.int64)
                builder.finish(rows, rows, np.zeros((5, 16), np.uint8), {"source": "x"})
                barrier.wait()
        except (FictaError, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [path.name for path in (cache / "data").iterdir()] == ["a"]
    assert store.load("a") is not None


def test_leftovers_of_killed_builders_go_after_a_day(cache):
    fill("a")
    for name, age in (("fresh", 0), ("stale", 2 * store.STALE_SECONDS)):
        folder = cache / "data" / f"{store.BUILDING}{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age,) * 2)
    fill("b")
    assert {path.name for path in (cache / "data").iterdir()} == {"a", "b", f"{store.BUILDING}fresh"}


def test_a_full_disk_is_an_error_that_says_what_to_do(cache, pictures, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = pictures()
    with monkeypatch.context() as patch:
        patch.setattr(store.Builder, "add", full)
        with pytest.raises(FictaError, match=r"No space left on device.*free some space there.*FICTA_CACHE"):
            read(folder)
    assert list((cache / "data").iterdir()) == []
    assert read(folder).report["read"] == 4


def test_a_cache_folder_that_cannot_be_made(tmp_path, pictures, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FICTA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FictaError, match=r"cache folder .* cannot be written \(Not a directory\)"):
        read(pictures())


def test_a_read_only_cache_folder(cache, pictures, read_only):
    folder = pictures()
    first = read(folder)
    read_only(cache / "data")
    assert read(folder).report == first.report
    with pytest.raises(FictaError, match="cannot be written"):
        read(folder, image={"size": 7})


def test_only_settings_that_change_the_pixels_make_a_new_entry(pictures):
    folder = pictures("a", n=20)
    read(folder)
    read(folder, conditional=True, test=0.3, validation=0.2, limit=3, split_seed=4, image={"binarise": "dynamic"})
    assert len(store.entries()) == 1
    read(folder, image={"fit": "pad"})
    read(folder, image={"binarise": "fixed"})
    assert len(store.entries()) == 3


def test_reading_needs_no_more_memory_than_a_block(tmp_path):
    stream = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (1500, 200, 200))
    stream[:] = np.arange(1500, dtype=np.uint8)[:, None, None]
    stream.flush()
    del stream
    tracemalloc.start()
    dataset = read(tmp_path / "a.npy", image={"size": 200})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dataset.report["read"] == 1500
    assert peak < 60_000_000 * 0.9  # the pictures are 60 MB


def test_the_report_is_json_the_same_each_time_and_readable(pictures):
    folder = pictures("cat", "dog", n=10)
    (folder / "bad.png").write_text("x")
    report = read(folder, max_skipped=0.5).report
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert read(folder, max_skipped=0.5).report == report
    text = describe(report)
    for part in ("bad.png: not a picture", "cat", "dog", "12x10 20", "RGB 20", "expect copies", "train 17 (rest)"):
        assert part in text
    assert report["skipped"] == [{"name": "bad.png", "reason": "not a picture of a known format"}]
    assert report["stored_shape"] == [3, 10, 12]
    assert len(report["content_hash"]) == 64
    assert report["training_sees"].startswith("17 samples of 3 channel x 10 height x 12 width, 256 levels")


def test_progress_is_told(pictures):
    from ficta.data.ingest import ingest
    from ficta.data.settings import DataSettings

    told = []
    ingest(DataSettings(path=str(pictures(n=30))), lambda what, done, total: told.append((what, done, total)))
    assert {what for what, _, _ in told} == {"listing files", "looking at pictures", "reading"}
    assert told[-1] == ("reading", 30, 30)


def test_a_store_gathers_what_the_split_holds_resident_or_streamed(pictures):
    dataset = read(pictures("a", "b", n=20), conditional=True)
    split = dataset.splits["train"]
    device = torch.device("cpu")
    indices = Order(len(split), 3).indices(30, 12)
    resident, streamed = Store(split, device, 10**9), Store(split, device, 0)
    assert resident.resident
    assert not streamed.resident
    for one in (resident, streamed):
        data, labels = one.gather(indices)
        rows = split.rows[indices.numpy()]
        np.testing.assert_array_equal(data.numpy(), everything(dataset)[rows])
        np.testing.assert_array_equal(labels.numpy(), split.labels[rows])
