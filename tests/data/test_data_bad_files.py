"""Bad files: each is an error of one line, or skipped with a reason; none is a crash."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from data_making import packed, picture, read
from PIL import Image

from ficta.base.errors import DataError, UsageError
from ficta.data import folders


@pytest.mark.parametrize("content", [{}, {"a.txt": b"x"}])
def test_no_pictures_are_an_error(tmp_path, content):
    (tmp_path / "empty").mkdir()
    for name, text in content.items():
        (tmp_path / "empty" / name).write_bytes(text)
    for path in (tmp_path / "empty", packed(tmp_path / "empty")):
        with pytest.raises(DataError, match="holds no pictures"):
            read(path)


def test_text_named_png_is_an_error_that_names_it(tmp_path):
    (tmp_path / "texts").mkdir()
    for index in range(5):
        (tmp_path / "texts" / f"{index}.png").write_text("not a picture at all")
    with pytest.raises(DataError, match=r"none of 5 pictures.*0\.png \(not a picture of a known format\).*and 2 more"):
        read(tmp_path / "texts")
    assert not list((tmp_path / "cache" / "data").iterdir())


def test_a_truncated_jpeg_is_skipped_with_its_reason(pictures):
    folder = pictures(n=5, suffix=".jpg", size=(40, 40))
    whole = (folder / "002.jpg").read_bytes()
    (folder / "002.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "003.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 5 pictures.*max_skipped = 0\.01 allows.*002\.jpg \(.*truncated"):
        read(folder)
    report = read(folder, max_skipped=0.5).report
    assert report["read"] == 3
    assert [item["name"] for item in report["skipped"]] == ["002.jpg", "003.jpg"]


def corrupted() -> list[bytes]:
    """Pictures of several formats with bytes cut and flipped."""
    found = []
    generator = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA"):
        file = io.BytesIO()
        picture(3, (16, 16)).save(file, form)
        whole = file.getvalue()
        found += [whole[:cut] for cut in (8, len(whole) // 3, len(whole) - 1)]
        for _ in range(12):
            broken = bytearray(whole)
            for place in generator.integers(0, min(len(broken), 80), 3):
                broken[place] = generator.integers(0, 256)
            found.append(bytes(broken))
    return found


def test_no_damage_to_a_picture_gets_further_than_the_report(pictures):
    folder = pictures(n=3)
    for index, content in enumerate(corrupted()):
        (folder / f"z{index:03d}.png").write_bytes(content)
    report = read(folder, max_skipped=1, image={"size": 16, "channels": 3}).report
    assert report["read"] + len(report["skipped"]) == 3 + len(corrupted())
    assert len(report["skipped"]) > 20
    assert all(item["reason"] for item in report["skipped"])


@pytest.mark.parametrize("side", [14_000, 10_000])  # over Pillow's error and warning thresholds
def test_a_decompression_bomb_is_skipped(pictures, side):
    folder = pictures(n=2)
    Image.new("1", (side, side)).save(folder / "bomb.png")
    report = read(folder, max_skipped=0.5).report
    assert report["read"] == 2
    assert report["skipped"][0]["name"] == "bomb.png"
    assert "decompression bomb" in report["skipped"][0]["reason"]


def test_floats_and_pipes_are_skipped(pictures):
    folder = pictures(n=2)
    Image.fromarray(np.ones((4, 4), np.float32)).save(folder / "float.tif")
    os.mkfifo(folder / "pipe.png")
    (folder / "broken.png").symlink_to(folder / "gone.png")
    reasons = {item["name"]: item["reason"] for item in read(folder, max_skipped=0.9).report["skipped"]}
    assert reasons.keys() == {"float.tif", "pipe.png", "broken.png"}
    assert "floating-point" in reasons["float.tif"]


@pytest.mark.parametrize(
    "name", ["../a.png", "x/../../a.png", "/etc/a.png", "C:\\a.png", "x\\..\\..\\a.png", "..\\a.png"]
)
def test_a_zip_that_points_outside_is_refused(pictures, name):
    folder = pictures("x")
    with pytest.raises(DataError, match="points out of the zip") as caught:
        read(packed(folder, extra={name: (folder / "x" / "000.png").read_bytes()}))
    assert repr(name) in str(caught.value)


def test_a_zip_bomb_is_refused(pictures, monkeypatch):
    path = packed(pictures("x"), extra={"x/zeros.bmp": bytes(2_000_000)})
    monkeypatch.setattr(folders, "ENTRY_BYTES", 1_000_000)
    with pytest.raises(DataError, match=r"zeros\.bmp' unpacks to 2\.0 MB, over the limit of 1\.0 MB"):
        read(path)
    monkeypatch.setattr(folders, "ENTRY_BYTES", 10_000_000)
    monkeypatch.setattr(folders, "TOTAL_SLACK_BYTES", 1_000_000)
    with pytest.raises(DataError, match="a zip bomb"):
        read(path)


def test_damaged_and_encrypted_zips(pictures, tmp_path):
    path = packed(pictures("x", n=30))
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(content)
    report = read(tmp_path / "flipped.zip", max_skipped=0.5).report
    assert len(report["skipped"]) == 1
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.zip cannot be read as a zip file"):
        read(tmp_path / "cut.zip")
    locked = bytearray(path.read_bytes())
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(DataError, match="is encrypted"):
        read(tmp_path / "locked.zip")


def test_unknown_paths_and_names_say_what_was_probably_meant(pictures, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'digits'"):
        read("digit")
    pictures()
    with pytest.raises(UsageError, match="did you mean 'photos'"):
        read(tmp_path / "photo")
    with pytest.raises(UsageError, match="a single picture; give the folder"):
        read(tmp_path / "photos" / "000.png")
    (tmp_path / "table.xls").write_bytes(b"x")
    with pytest.raises(UsageError, match="files of this kind are not read"):
        read(tmp_path / "table.xls")


def test_a_path_that_is_too_long(tmp_path):
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        read(tmp_path / ("a" * 300))


def test_a_folder_that_cannot_be_read(pictures):
    folder = pictures("a", "b")
    (folder / "a").chmod(0)
    try:
        if os.access(folder / "a", os.R_OK):
            pytest.skip("permissions do not bind this user (root)")
        with pytest.raises(DataError, match="cannot be read: Permission denied"):
            read(folder)
    finally:
        (folder / "a").chmod(0o700)


def test_a_read_only_source_is_enough(pictures, read_only):
    folder = pictures("a", "b")
    read_only(folder)
    assert read(folder).report["read"] == 8
