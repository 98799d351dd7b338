"""Size and channels are those that a look at every header gives, however few were looked at before decoding began."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from data_making import everything, picture, read
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ficta.data import cache, layout, scan


def colour(path: Path) -> None:
    picture(99).save(path)


def grey(path: Path) -> None:
    picture(99, mode="L").save(path)


def wide(path: Path) -> None:
    picture(99, (20, 10), "L").save(path)


def huge(path: Path) -> None:
    picture(99, (12, 300)).save(path)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(99, mode="L").save(path, exif=exif)


def turned_into_place(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    picture(99, (10, 12), "L").save(path, exif=exif)


def palette(path: Path) -> None:
    picture(99).quantize(9).save(path)


def grey_palette(path: Path) -> None:
    picture(99, mode="L").convert("P").save(path)


def grey_in_colour(path: Path) -> None:
    picture(99, mode="L").convert("RGB").save(path)


def grey_jpeg_in_colour(path: Path) -> None:
    picture(99, mode="L").convert("RGB").save(path, "JPEG")


def coloured_where_it_is_not_seen(path: Path) -> None:
    image = picture(99, mode="L").convert("RGBA")
    image.putpixel((3, 3), (255, 0, 0, 0))
    image.save(path)


def hardly_coloured(path: Path) -> None:
    image = picture(99, mode="L").convert("RGB")
    image.putpixel((11, 9), (100, 101, 100))
    image.save(path)


def see_through(path: Path) -> None:
    image = picture(99).quantize(9)
    image.save(path, transparency=bytes([0, 128, 255]))


def grey_see_through(path: Path) -> None:
    picture(99, mode="L").convert("LA").save(path)


def deep(path: Path) -> None:
    Image.fromarray(np.full((10, 12), 40_000, np.uint16)).save(path)


def cut_wide(path: Path) -> None:
    file = io.BytesIO()
    picture(99, (200, 20)).save(file, "PNG")
    path.write_bytes(file.getvalue()[:-3000])  # a header that can be read, before pixels that cannot


def cut_alike(path: Path) -> None:
    file = io.BytesIO()
    picture(99, (12, 10), "L").save(file, "PNG")
    path.write_bytes(file.getvalue()[:-60])


def text(path: Path) -> None:
    path.write_text("not a picture")


Odd = Callable[[Path], None]
GREY, COLOUR, OTHER = (1, 10, 12), (3, 10, 12), (64, 64)
AMONG_GREY: list[tuple[Odd, tuple[int, ...]]] = [
    (colour, COLOUR),
    (grey, GREY),
    (wide, (1, *OTHER)),
    (huge, (3, *OTHER)),
    (turned, (1, *OTHER)),
    (turned_into_place, GREY),
    (palette, COLOUR),
    (grey_palette, GREY),
    (grey_in_colour, GREY),
    (grey_jpeg_in_colour, GREY),
    (coloured_where_it_is_not_seen, GREY),
    (hardly_coloured, COLOUR),
    (see_through, COLOUR),
    (grey_see_through, GREY),
    (deep, GREY),
    (cut_wide, GREY),
    (cut_alike, GREY),
    (text, GREY),
]


def facts() -> dict[str, object]:
    """What the cache holds of the only source in it, but for the seconds it took."""
    (kept,) = cache.entries()
    entry = cache.load(kept.path.name)
    assert entry is not None
    arrays = {name: getattr(entry, name).tolist() for name in ("stored", "labels", "splits", "digests")}
    return {**entry.facts, **arrays, "seconds": None}


@pytest.mark.parametrize("stored", ["L", "RGB"])
@pytest.mark.parametrize("place", [0, 5, 9])
@pytest.mark.parametrize(("odd", "shape"), AMONG_GREY, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_promised_by_a_few_pictures_is_checked_by_all(pictures, monkeypatch, odd, shape, place, stored):
    folder = pictures(n=10, mode="L")
    for path in folder.iterdir():
        Image.open(path).convert(stored).save(path)
    odd(folder / f"{place:03d}.png")
    found = []
    for few in (2, 1000):  # pictures looked at before decoding begins; 1000 are all of them
        monkeypatch.setattr(scan, "FEW", few)
        dataset = read(folder, max_skipped=0.2)
        assert everything(dataset).shape[1:] == shape
        found.append((facts(), dataset.report))
        cache.clear()
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("odd", "image", "decoded"),
    [
        (grey, {}, 10),
        (text, {}, 10),
        (grey_in_colour, {}, 10),
        (wide, {}, 10 + 4),
        (colour, {}, 10 + 4),
        (wide, {"size": 8}, 10),
        (colour, {"channels": 1}, 10),
        (wide, {"channels": 3}, 10 + 4),
        (colour, {"size": 8}, 10 + 4),
    ],
)
def test_pictures_are_decoded_twice_only_after_a_broken_promise(pictures, monkeypatch, odd, image, decoded):
    folder = pictures(n=10, mode="L")
    odd(folder / "003.png")
    calls = []

    def counting(*given):
        calls.append(given)
        return decode(*given)

    decode = scan.decode
    monkeypatch.setattr(scan, "FEW", 2)
    monkeypatch.setattr(scan, "LARGEST_BATCH", 2)
    monkeypatch.setattr(scan, "_threads", lambda: 1)
    monkeypatch.setattr(scan, "decode", counting)
    read(folder, max_skipped=0.2, image=image)
    assert len(calls) == decoded


def test_pixels_are_looked_at_only_until_there_is_colour(pictures, monkeypatch):
    folder, seen = pictures(n=10), []

    def spying(file, colours):
        seen.append(colours)
        return look(file, colours)

    look = scan.look
    monkeypatch.setattr(scan, "look", spying)
    monkeypatch.setattr(scan, "_threads", lambda: 1)
    read(folder)
    assert seen == [True] + 9 * [False]
    cache.clear()
    seen.clear()
    read(folder, image={"channels": 1})
    assert seen == 10 * [False]


def test_a_large_grey_photograph_is_told_by_a_glance(tmp_path):
    grey = Image.linear_gradient("L").resize((600, 500))
    coloured = grey.convert("RGB")
    coloured.paste((200, 60, 60), (100, 100, 140, 140))
    for number, (image, channels) in enumerate([(grey.convert("RGB"), 1), (coloured, 3)]):
        (tmp_path / str(number)).mkdir()
        image.save(tmp_path / str(number) / "a.jpg")
        report = read(tmp_path / str(number)).report
        assert report["stored_shape"] == [channels, 64, 64]
        assert ("stored in colour, but all grey: 1" in report["notes"]) == (channels == 1)


PARTS = st.text(st.sampled_from("ab.\\ é"), max_size=3)


@given(st.lists(PARTS, min_size=1, max_size=5).map("/".join).filter(lambda name: not name.startswith("/")))
def test_paths_are_split_as_pathlib_does(name):
    assert layout.split_path(name) == PurePosixPath(name).parts
