"""IDX, .npy, .npz and the built-in digits: every shape and range that is read, and each that is refused."""

from __future__ import annotations

import gzip
import itertools
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from data_making import everything, read

from ficta.base.errors import DataError, UsageError
from ficta.data import cache, scan
from ficta.data.formats import npy_file
from ficta.data.pictures import Target

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)


def idx(path: Path, array: np.ndarray, code: int = 8) -> Path:
    content = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def mnist_like(folder: Path, suffix: str = ".gz", dot: str = "-", n: int = 40) -> Path:
    generator = np.random.default_rng(1)
    for name, count in (("train", n), ("t10k", n // 4)):
        idx(folder / f"{name}-images{dot}idx3-ubyte{suffix}", generator.integers(0, 256, (count, 6, 5), np.uint8))
        idx(folder / f"{name}-labels{dot}idx1-ubyte{suffix}", (np.arange(count) % 10).astype(np.uint8))
    return folder


def saved(folder: Path, name: str = "a.npy", **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / name, arrays["x"])
    else:
        np.savez(folder / name, **arrays)
    return folder / name


def test_digits_are_built_in(tmp_path, monkeypatch):
    dataset = read("digits", conditional=True)
    assert dataset.codec.spec.shape == (1, 8, 8)
    assert dataset.report["splits"] == {"train": 1536, "validation": 81, "test": 180}
    assert dataset.report["categories"] == [str(digit) for digit in range(10)]
    assert dataset.report["stored_range"] == [0, 255]
    first = everything(dataset)[0, 0, 0]
    assert first.tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert read("digits").report["kind"] == "built-in"
    with pytest.raises(DataError, match="holds no pictures"):
        read("./digits")


@pytest.mark.parametrize(("suffix", "dot"), [(".gz", "-"), ("", "-"), ("", ".")])
def test_four_idx_files_are_read_with_their_split(tmp_path, suffix, dot):
    dataset = read(mnist_like(tmp_path / "m", suffix, dot), conditional=True)
    assert dataset.report["splits"] == {"train": 38, "validation": 2, "test": 10}
    assert dataset.report["categories"] == [str(digit) for digit in range(10)]
    assert dataset.splits["train"].labels[:12].tolist() == [*range(10), 0, 1]
    expected = np.random.default_rng(1).integers(0, 256, (40, 6, 5), np.uint8)
    np.testing.assert_array_equal(everything(dataset)[:40, 0], expected)


def test_train_alone_has_no_split_of_its_own(tmp_path):
    folder = mnist_like(tmp_path / "m")
    for file in folder.glob("t10k*"):
        file.unlink()
    assert read(folder).report["splits"] == {"train": 34, "validation": 2, "test": 4}


def test_one_idx_file_takes_the_labels_beside_it(tmp_path):
    path = idx(tmp_path / "d" / "mine-images-idx3-ubyte", LEVELS)
    assert read(path).report["categories"] == []
    labels = idx(tmp_path / "d" / "mine-labels-idx1-ubyte.gz", np.arange(20, dtype=np.uint8) % 2)
    assert read(path).report["categories"] == ["0", "1"]
    with pytest.raises(UsageError, match="holds labels"):
        read(labels)


def test_labels_that_do_not_match_are_an_error(tmp_path):
    folder = mnist_like(tmp_path / "m")
    idx(folder / "train-labels-idx1-ubyte.gz", np.zeros(39, np.uint8))
    with pytest.raises(DataError, match=r"train-images.*40 pictures but 39 labels"):
        read(folder)


def test_a_file_and_its_folder_are_not_mixed_up(tmp_path):
    folder = mnist_like(tmp_path / "m")
    sources = {"t10k-images-idx3-ubyte.gz": 10, "train-images-idx3-ubyte.gz": 40, ".": 50}
    for names in (list(sources), list(sources)[::-1]):  # whichever fills the cache
        assert {name: read(folder / name).report["read"] for name in names} == sources
        cache.clear()


def test_only_the_idx_files_that_are_read_decide_whether_they_are_read_again(tmp_path):
    folder = mnist_like(tmp_path / "m")
    path = folder / "train-images-idx3-ubyte.gz"
    first = read(path).report
    for other in ("t10k-images-idx3-ubyte.gz", "more-labels-idx1-ubyte"):
        idx(folder / other, LEVELS)
        assert read(path).report == first
    assert len(cache.entries()) == 1
    idx(folder / "train-labels-idx1-ubyte.gz", np.arange(40, dtype=np.uint8) % 3)
    assert read(path).report["categories"] == ["0", "1", "2"]


def test_damaged_idx_files_are_errors(tmp_path):
    path = idx(tmp_path / "d" / "a-images-idx3-ubyte", LEVELS)
    whole = path.read_bytes()
    for content, message in [
        (whole[:-1], "ends early"),
        (whole + b"x", "longer than its header says"),
        (b"\x89PNG" + whole[4:], "is not an IDX file"),
        (whole[:9], "cannot be read as an IDX file"),
        (b"", "is not an IDX file"),
        (gzip.compress(whole)[:-20], "cannot be read"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 4_000_000_000, 4_000_000_000, 9), "too many pixels"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 0, 6, 5), "holds nothing"),
        (b"\0\0\x08\x01" + struct.pack(">1I", 2) + b"ab", "pictures are"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert "a-images-idx3-ubyte" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        LEVELS,
        LEVELS[..., None],
        LEVELS[:, None],
        LEVELS.astype(np.int64),
        LEVELS / 255,
        (LEVELS / 255).astype(np.float32),
        (LEVELS / 127.5 - 1).astype(np.float32),
        np.asfortranarray(LEVELS),
        LEVELS.astype(">f4") / np.float32(255),
    ],
)
def test_every_form_of_the_same_pictures_is_the_same(tmp_path, array):
    from_npy = read(saved(tmp_path / "d", x=array))
    from_npz = read(saved(tmp_path / "d", "a.npz", images=array, labels=np.arange(20) % 3))
    np.testing.assert_array_equal(everything(from_npy)[:, 0], LEVELS)
    np.testing.assert_array_equal(everything(from_npz)[:, 0], LEVELS)
    assert from_npz.report["categories"] == ["0", "1", "2"]
    assert bool(from_npy.report["notes"]) == (array.dtype != np.uint8)


def test_colours_last_or_second(tmp_path):
    colours = np.random.default_rng(2).integers(0, 256, (7, 6, 5, 3), np.uint8)
    last = read(saved(tmp_path / "d", x=colours))
    second = read(saved(tmp_path / "d", "b.npy", x=np.ascontiguousarray(colours.transpose(0, 3, 1, 2))))
    np.testing.assert_array_equal(everything(last), everything(second))
    assert last.codec.spec.shape == (3, 6, 5)
    both = read(saved(tmp_path / "d", "c.npy", x=colours[:, :3]))
    assert any("two ways" in note for note in both.report["notes"])


def test_arrays_can_be_resized_and_turned_grey(tmp_path):
    colours = np.random.default_rng(2).integers(0, 256, (7, 6, 5, 4), np.uint8)
    dataset = read(saved(tmp_path / "d", x=colours), image={"size": "8x4", "channels": 1})
    assert everything(dataset).shape == (7, 1, 4, 8)
    assert read(saved(tmp_path / "d", x=colours)).codec.spec.shape == (3, 6, 5)
    assert read(saved(tmp_path / "d", x=colours), image={"channels": 4}).codec.spec.shape == (4, 6, 5)


def test_true_and_false_are_white_and_black(tmp_path):
    dataset = read(saved(tmp_path / "d", x=LEVELS > 99))
    np.testing.assert_array_equal(everything(dataset)[:, 0], np.where(LEVELS > 99, 255, 0))


def test_splits_as_keras_names_them(tmp_path):
    labels = np.arange(20) % 2
    path = saved(tmp_path / "d", "m.npz", x_train=LEVELS, y_train=labels, x_test=LEVELS[:5], y_test=labels[:5])
    report = read(path).report
    assert report["splits"] == {"train": 19, "validation": 1, "test": 5}
    assert report["duplicates"]["across_splits"] >= 8


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.where(LEVELS[7, 0, 0] == LEVELS, np.nan, LEVELS / 255), r"NaN or infinite values, first in picture \d"),
        (np.where(np.arange(20)[:, None, None] == 7, np.inf, LEVELS / 255), "first in picture 7"),
        (LEVELS.astype(np.float32), "floats from 0 to 255"),
        (LEVELS / 255 * 3 - 1, "floats from -1 to 2"),
        (LEVELS.astype(np.int16) - 1, "whole numbers from -1 to"),
        (LEVELS.astype(np.uint16) * 257, "whole numbers from"),
        (LEVELS.reshape(20, 30), r"shape \(20, 30\)"),
        (LEVELS.reshape(4, 5, 6, 5), "no axis of 1, 3 or 4 channels"),
        (LEVELS.reshape(1, 20, 6, 5, 1), "pictures are"),
        (LEVELS[:0], "holds nothing"),
        (LEVELS[:, :0], "holds nothing"),
        (np.array(1.0), "pictures are"),
        (LEVELS.astype(complex), "values of type complex128"),
        (LEVELS.astype("U3"), "values of type <U3"),
    ],
)
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_arrays_that_are_no_pictures_are_errors(tmp_path, array, message, name):
    path = saved(tmp_path / "d", name, x=array)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_object_arrays_are_refused_unread(tmp_path, name):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "d").mkdir()
    array = np.array([Trap()], dtype=object)
    np.save(tmp_path / "d" / name, array) if name == "a.npy" else np.savez(tmp_path / "d" / name, x=array)
    with pytest.raises(DataError, match="holds Python objects"):
        read(tmp_path / "d" / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(19, int), "20 pictures but 19 labels"),
        (np.eye(20), r"labels of shape \(20, 20\)"),
        (np.linspace(0, 1, 20), "labels of type float64"),
    ],
)
def test_labels_that_are_none_are_errors(tmp_path, labels, message):
    with pytest.raises(DataError, match=message):
        read(saved(tmp_path / "d", "a.npz", x=LEVELS, y=labels))


def test_labels_of_several_types(tmp_path):
    for labels in (np.array(["a", "b"] * 10), np.array([b"a", b"b"] * 10)):
        assert read(saved(tmp_path / "d", "a.npz", data=LEVELS, y=labels)).report["categories"] == ["a", "b"]
    assert read(saved(tmp_path / "d", "b.npz", x=LEVELS, y=np.arange(20) % 2.0)).report["categories"] == ["0", "1"]


def test_damaged_numpy_files_are_errors(tmp_path):
    path = saved(tmp_path / "d", "a.npz", other=LEVELS)
    with pytest.raises(DataError, match="holds other; name the pictures one of images, x, data, samples"):
        read(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        read(path)
    path = saved(tmp_path / "d", x=LEVELS)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="ends early"):
        read(path)
    path.write_bytes(b"no numpy")
    with pytest.raises(DataError, match="cannot be read as a NumPy array"):
        read(path)


def test_warnings_of_few_dark_and_unbalanced_pictures(tmp_path):
    labels = np.array([0] * 19 + [1])
    report = read(saved(tmp_path / "d", "a.npz", x=LEVELS // 250, y=labels), validation=0, test=0).report
    text = "\n".join(report["warnings"])
    assert "only 20 pictures to train on: expect copies" in text
    assert "no test samples" in text
    assert "labels are unbalanced: 19 of 0, 1 of 1" in text
    assert "the brightest value is 1 of 255" in text
    flat = read(saved(tmp_path / "d", "b.npy", x=np.zeros_like(LEVELS))).report
    assert "all values are 0: there is nothing to learn" in flat["warnings"]
    assert flat["duplicates"]["extra"] == 19


def test_mnist_from_the_folder_of_test_data(shared, monkeypatch, tmp_path):
    folder = shared("mnist")
    dataset = read(folder, conditional=True)
    assert dataset.report["splits"] == {"train": 57_000, "validation": 3_000, "test": 10_000}
    assert dataset.codec.spec.shape == (1, 28, 28)
    monkeypatch.setenv("FICTA_DATA", str(folder.parent))
    assert read("mnist").report["content_hash"] == dataset.report["content_hash"]
    (tmp_path / "own" / "mnist").mkdir(parents=True)
    shutil.copy(folder / "t10k-labels-idx1-ubyte.gz", tmp_path / "own" / "mnist")
    monkeypatch.setenv("FICTA_DATA", str(tmp_path / "own"))
    with pytest.raises(DataError, match=r"lacks train-images-idx3-ubyte\.gz"):
        read("mnist")


def test_enlarging_needs_no_more_memory_than_a_block(tmp_path):
    path = saved(tmp_path / "d", x=np.zeros((20_000, 8, 8), np.uint8))
    part = npy_file(path)[0]
    chunks = scan._scan_part(part, Target(512, 512, 1, "crop"))
    assert all(chunk.stored.nbytes <= scan.BLOCK_BYTES for chunk in itertools.islice(chunks, 2))
