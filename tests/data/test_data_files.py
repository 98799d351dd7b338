"""Folders and zip files: labels, splits, what is ignored, duplicates."""

from __future__ import annotations

import os
import shutil
import time

import numpy as np
import pytest
from data_making import everything, packed, picture, read
from PIL import Image

from ficta.base.errors import DataError, FictaError, UsageError
from ficta.data import cache, folders, layout, scan


def test_the_first_level_is_the_label_in_natural_order(pictures):
    dataset = read(pictures("10", "2", "1/deeper"), conditional=True)
    assert dataset.report["categories"] == ["1", "2", "10"]
    assert dataset.codec.spec.condition.categories == ("1", "2", "10")
    assert dataset.splits["train"].labels.tolist() == [0] * 4 + [2] * 4 + [1] * 4
    assert dataset.report["split_origin"] == {"train": "rest", "validation": "seed", "test": "seed"}
    total = {name: sum(dataset.report["labels"][part][name] for part in dataset.splits) for name in ("1", "2", "10")}
    assert total == {"1": 4, "2": 4, "10": 4}


def test_split_folders_are_splits_and_the_next_level_is_the_label(pictures):
    dataset = read(pictures("train/a", "train/b", "valid/a", "test/a", "test/b"))
    assert dataset.report["splits"] == {"train": 8, "validation": 4, "test": 8}
    assert set(dataset.report["split_origin"].values()) == {"source"}
    assert dataset.report["categories"] == ["a", "b"]
    assert sorted(dataset.splits["test"].read_labels(0, 8)) == [0] * 4 + [1] * 4
    assert dataset.codec.spec.condition is None


def test_a_missing_validation_split_is_taken_from_train(pictures):
    dataset = read(pictures("train", "test", n=20))
    assert dataset.report["splits"] == {"train": 19, "validation": 1, "test": 20}
    assert dataset.report["categories"] == []
    assert dataset.splits["train"].labels is None
    assert read(pictures("train", "test", n=20), validation=0).report["splits"]["validation"] == 0


def test_a_folder_of_another_name_makes_split_names_labels(pictures):
    assert read(pictures("train", "test", "more")).report["categories"] == ["more", "test", "train"]


def test_pictures_beside_split_folders_are_an_error(pictures):
    folder = pictures("train", "test")
    picture(1).save(folder / "stray.png")
    with pytest.raises(DataError, match=r"stray\.png.*beside the folders test, train"):
        read(folder)


def test_test_alone_leaves_nothing_to_train_on(pictures):
    with pytest.raises(DataError, match="nothing to train on"):
        read(pictures("test", "val"))


def test_limit_cuts_train_alone_and_is_seeded(pictures):
    folder = pictures(n=40)
    whole, some = read(folder), read(folder, limit=10)
    assert some.report["splits"] == {**whole.report["splits"], "train": 10}
    assert set(some.splits["train"].rows) <= set(whole.splits["train"].rows)


def test_a_table_gives_the_labels(pictures, tmp_path):
    folder = pictures("x", "y")
    rows = [
        f"{file.relative_to(folder).as_posix()},{'odd' if i % 2 else 'even'}"
        for i, file in enumerate(sorted(folder.rglob("*.png")))
    ]
    (folder / "labels.csv").write_text("file,label\n" + "\n".join(rows[:-1]) + "\n", encoding="utf-8-sig")
    dataset = read(folder)
    assert dataset.report["categories"] == ["even", "odd"]
    assert dataset.report["unlabelled"] == 1
    assert "1 file has no label in the table" in dataset.report["notes"]
    assert any("1 of 8 pictures without a label" in warning for warning in dataset.report["warnings"])
    with pytest.raises(UsageError, match="1 of its samples lacks one"):
        read(folder, conditional=True)
    zipped = read(packed(folder))
    np.testing.assert_array_equal(zipped.splits["train"].labels, dataset.splits["train"].labels)
    table = tmp_path / "other.csv"
    table.write_text("label,file\n" + "\n".join(f"z,{row.split(',')[0]}" for row in rows))
    assert read(folder, labels=str(table), conditional=True).report["categories"] == ["z"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\nx/000.png,a\nx/gone.png,b\n", r"names 1 file \(x/gone\.png\) that are not there"),
        ("file,class\nx/000.png,a\n", "no column label"),
        ("", "no column file and label"),
        ("file,label\nx/000.png,\n", "line 2: file or label is empty"),
        ("file,label\nx/000.png\n", "line 2: file or label is empty"),
        ("file,label\nx/000.png,a\n./x/000.png,b\n", "line 3: x/000.png has two labels"),
        (b"file,label\n\xff\xfe,a\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_table_that_does_not_match_is_an_error(pictures, table, message):
    folder = pictures("x")
    (folder / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(DataError, match=message):
        read(folder)


def test_labels_that_are_not_there_are_a_wrong_call(pictures):
    with pytest.raises(UsageError, match="none of its samples has one"):
        read(pictures(), conditional=True)
    with pytest.raises(UsageError, match=r"no file nowhere\.csv"):
        read(pictures(), labels="nowhere.csv")
    with pytest.raises(UsageError, match="has no files that it could name"):
        read("digits", labels="nowhere.csv")


def test_a_zip_is_read_like_the_folder(pictures):
    folder = pictures("train/a", "train/b", "test/a")
    plain, zipped, wrapped = read(folder), read(packed(folder)), None
    assert plain.report["content_hash"] == zipped.report["content_hash"]
    assert plain.report["splits"] == zipped.report["splits"]
    wrapped = read(packed(folder, "photos/", {"__MACOSX/photos/train/._a.png": b"x", "photos/.DS_Store": b"x"}))
    assert wrapped.report["content_hash"] == plain.report["content_hash"]
    assert wrapped.report["ignored"] == {"hidden files": 2}
    assert any("only folder at the top" in note for note in wrapped.report["notes"])


def test_a_zipped_folder_keeps_its_table_of_labels(pictures):
    folder = pictures(n=4)
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{n:03d}.png,{'ab'[n % 2]}\n" for n in range(4)))
    plain, zipped = read(folder).report, read(packed(folder, "photos/")).report
    assert zipped["categories"] == plain["categories"] == ["a", "b"]
    assert zipped["content_hash"] == plain["content_hash"]
    (folder / "deeper").mkdir()
    (folder / "labels.csv").rename(folder / "deeper" / "labels.csv")
    for source in (folder, packed(folder, "photos/")):
        assert read(source).report["ignored"] == {"labels.csv elsewhere than at the top": 1}


def test_split_folders_may_be_written_in_capitals(pictures):
    report = read(pictures("Train/a", "TEST/a"), validation=0).report
    assert (report["splits"], report["categories"]) == ({"train": 4, "validation": 0, "test": 4}, ["a"])


def test_other_files_are_ignored_and_counted(pictures):
    folder = pictures("a")
    for name in ("notes.txt", "a/Thumbs.db", "a/.hidden.png", "a/README"):
        (folder / name).write_text("no picture")
    (folder / ".git").mkdir()
    (folder / "link").symlink_to(folder / "a", target_is_directory=True)
    report = read(folder).report
    assert report["read"] == 4
    assert report["ignored"] == {
        "not pictures (.txt)": 1,
        "not pictures (.db)": 1,
        "not pictures (no extension)": 1,
        "hidden files": 1,
        "hidden folders": 1,
        "symbolic links to folders": 1,
    }


def test_layout_counts_only_first_level_folders():
    entries, notes = layout.lay_out(["train/x/1.png", "val/2.png"], None, "here")
    assert [(entry.label, entry.split) for entry in entries] == [("x", "train"), (None, "validation")]
    assert notes == []


def test_25000_jpegs_in_a_zip(shared):
    path = shared("cifar10-20k.zip")
    dataset = read(path, conditional=True)
    assert dataset.report["splits"] == {"train": 19_000, "validation": 1_000, "test": 5_000}
    assert dataset.report["labels"]["test"] == dict.fromkeys(dataset.report["categories"], 500)
    assert dataset.codec.spec.shape == (3, 32, 32)
    began = time.monotonic()
    again = read(path, conditional=True)
    assert time.monotonic() - began < 1
    assert again.report == dataset.report


def test_a_changed_file_is_read_again_and_an_unchanged_folder_is_not(pictures, monkeypatch):
    folder = pictures("a")
    first = read(folder)
    with monkeypatch.context() as patch:
        patch.setattr(folders.FolderSource, "open", lambda *_: pytest.fail("read again"))
        assert read(folder).report == first.report
    picture(99).save(folder / "a" / "000.png")
    assert read(folder).report["content_hash"] != first.report["content_hash"]
    shutil.rmtree(folder / "a")
    with pytest.raises(FictaError, match="holds no pictures"):
        read(folder)


def test_no_source_is_taken_for_another_that_shares_its_files(pictures, tmp_path):
    folder = pictures("a", "b")
    table = tmp_path / "table.csv"
    table.write_text("file,label\na/000.png,x\n")
    sources = [
        (folder, {}, (8, ["a", "b"])),
        (folder, {"labels": str(table)}, (8, ["x"])),
        (folder / "a", {}, (4, [])),
        (folder / "b", {}, (4, [])),
        (packed(folder), {}, (8, ["a", "b"])),
        (packed(folder), {"labels": str(table)}, (8, ["x"])),
    ]
    for order in (sources, sources[::-1]):  # whichever fills the cache
        for path, settings, expected in order:
            report = read(path, **settings).report
            assert (report["read"], report["categories"]) == expected
        assert len({kept.path for kept in cache.entries()}) == len(sources)
        cache.clear()


def test_duplicates_are_counted_and_stay_on_one_side(pictures):
    folder = pictures("a", n=30)
    for index in range(10):
        shutil.copy(folder / "a" / f"{index:03d}.png", folder / "a" / f"copy{index}.png")
    dataset = read(folder, test=0.3)
    assert dataset.report["duplicates"] == {
        "groups": 10,
        "extra": 10,
        "across_splits": 0,
        "groups_with_different_labels": 0,
    }
    stored = everything(dataset).reshape(40, -1)
    sides = [{stored[row].tobytes() for row in dataset.splits[name].rows} for name in dataset.splits]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


def test_the_sources_own_duplicates_are_honoured_and_warned_of(pictures):
    folder = pictures("train/a", "test/a")
    shutil.copytree(folder / "train" / "a", folder / "test" / "b")
    report = read(folder, validation=0).report
    assert report["duplicates"]["across_splits"] == 8
    assert report["duplicates"]["groups_with_different_labels"] == 4
    said = " ".join(report["warnings"])
    assert "8 pictures have exact copies in another of the source's splits" in said
    assert "4 pictures have exact copies in the source under another label" in said


def test_one_picture_under_two_labels_is_said_so(pictures):
    folder = pictures("a", "b", n=3)
    shutil.copy(folder / "a" / "000.png", folder / "b" / "copy.png")
    warnings = read(folder).report["warnings"]
    assert "1 picture has exact copies in the source under another label" in warnings


def test_threads_give_the_same_as_one(pictures, monkeypatch):
    folder = pictures("a", n=100)
    (folder / "a" / "bad.png").write_text("x")
    Image.new("1", (10_000, 10_000)).save(folder / "bomb.png")
    one = read(folder, max_skipped=1).report
    cache.clear()
    monkeypatch.setattr(scan, "SLOW_SECONDS", 0.0)
    assert read(folder, max_skipped=1).report == one
    assert [item["name"] for item in one["skipped"]] == ["a/bad.png", "bomb.png"]


def test_the_first_items_of_a_held_out_split_are_no_single_class(pictures):
    test = read(pictures("train/a", "test/a", "test/b", n=16)).splits["test"]
    assert set(test.read_labels(0, 8)) == {0, 1}
    assert len(np.unique(test.rows)) == len(test) == 32


def test_a_run_among_the_pictures_is_left_out(pictures):
    folder = pictures("a")
    before = read(folder).report["content_hash"]
    (folder / "runs" / "mine" / "samples").mkdir(parents=True)
    (folder / "runs" / "mine" / "recipe.toml").write_text("")
    picture(7).save(folder / "runs" / "mine" / "samples" / "1.png")
    cache.clear()
    report = read(folder).report
    assert (report["read"], report["content_hash"]) == (4, before)
    assert report["ignored"] == {"folders that hold a run": 1}


def test_names_that_are_no_utf8(pictures):
    folder = pictures("a")
    (folder / "a").rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    (folder / os.fsdecode(b"\xff.png")).write_text("no picture")
    report = read(folder, max_skipped=1).report
    assert report["categories"] == ["caf\\udce9"]
    assert report["skipped"][0]["name"] == os.fsdecode(b"\xff.png")
