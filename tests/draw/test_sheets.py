"""Sheets: where a tile stands, how much it is enlarged, what its pixels are."""

import numpy as np
import pytest
from PIL import Image

from ficta.draw import sheets
from ficta.draw.lettering import font, shortened, width

GAP = sheets.GAP_COLOUR


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def test_tiles_stand_where_they_should_enlarged_by_a_whole_number() -> None:
    items = np.array([10, 20, 30, 40], np.uint8)[:, None, None, None] * np.ones((4, 1, 8, 8), np.uint8)
    image = sheets.sheet(items, 2, width=36)  # room for a tile: (36 - 2) / 2 - 2 = 15, 15/8 = 1.9 => 2
    assert image.size == (2 + 2 * 18, 2 + 2 * 18)
    drawn = pixels(image)
    assert [tuple(drawn[y, x]) for y, x in [(2, 2), (17, 17), (2, 20), (20, 2), (37 - 2, 37 - 2)]] == [
        (10,) * 3,
        (10,) * 3,
        (20,) * 3,
        (30,) * 3,
        (40,) * 3,
    ]
    assert all(tuple(drawn[y, x]) == GAP for y, x in [(0, 0), (1, 1), (18, 5), (19, 5), (5, 18), (37, 37)])


def test_each_pixel_becomes_a_sharp_square() -> None:
    items = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    drawn = pixels(sheets.sheet(items, width=84))[2:-2, 2:-2, 0]  # room 80: ten times
    assert (drawn == np.kron(items[0, 0], np.ones((10, 10), np.uint8))).all()


def test_colours_are_kept() -> None:
    items = np.zeros((1, 3, 2, 2), np.uint8)
    items[0, :, 0, 1] = (255, 128, 7)
    drawn = pixels(sheets.sheet(items, width=8))  # room 4: twice
    assert tuple(drawn[2, 4]) == (255, 128, 7)
    assert tuple(drawn[2, 2]) == (0, 0, 0)


def test_transparent_pictures_lie_on_a_checkerboard() -> None:
    items = np.zeros((1, 4, 16, 16), np.uint8)
    items[0, :, :, :8] = np.array([200, 0, 0, 255], np.uint8)[:, None, None]
    drawn = pixels(sheets.sheet(items, width=20))[2:-2, 2:-2]
    assert tuple(drawn[0, 0]) == (200, 0, 0)
    assert tuple(drawn[0, 8]) == (228, 228, 228)
    assert tuple(drawn[8, 8]) == (255, 255, 255)


def test_half_transparent_is_mixed() -> None:
    items = np.full((1, 4, 1, 1), 51, np.uint8)  # alpha 0.2 on white: 0.2 * 51 + 0.8 * 255 = 214.2
    assert tuple(pixels(sheets.sheet(items, width=5))[2, 2]) == (214, 214, 214)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (7, 3), (8, 4), (10, 5), (64, 8), (100, 10)])
def test_a_sheet_is_about_square_without_empty_places_if_possible(count: int, columns: int) -> None:
    image = sheets.sheet(np.zeros((count, 1, 8, 8), np.uint8))
    tile = (image.width - 2) / columns
    assert tile == int(tile)
    assert image.height == 2 + tile * -(-count // columns)


@pytest.mark.parametrize("side", [1, 2, 8, 28, 31, 32, 64, 90, 128, 500, 3000])
@pytest.mark.parametrize("count", [1, 16, 100])
def test_a_sheet_is_about_as_wide_as_asked(side: int, count: int) -> None:
    if side * side * count > 10_000_000:
        count = 1
    image = sheets.sheet(np.zeros((count, 1, side, side), np.uint8), width=640)
    assert 0.6 * 640 <= image.width <= 1.25 * 640


def test_large_pictures_are_shrunk_in_proportion() -> None:
    image = sheets.sheet(np.full((1, 3, 400, 800), 77, np.uint8), width=104)
    assert image.size == (104, 54)
    assert tuple(pixels(image)[27, 52]) == (77, 77, 77)


def test_extreme_shapes_leave_at_least_a_pixel() -> None:
    assert sheets.sheet(np.zeros((1, 1, 1, 5000), np.uint8), width=100).size == (100, 5)
    assert sheets.sheet(np.zeros((3, 1, 5, 5), np.uint8), 3, width=1).size == (2 + 3 * 3, 2 + 3)


def test_captions_stand_under_their_tiles() -> None:
    items = np.zeros((2, 1, 8, 8), np.uint8)
    plain, named = sheets.sheet(items), sheets.sheet(items, captions=["seven", ""])
    assert named.width == plain.width
    assert named.height == plain.height + sheets.CAPTION_HEIGHT
    below = pixels(named)[plain.height - 1 : -1]
    half = plain.width // 2
    assert (below[:, :half] != GAP).any()
    assert (below[:, half:] == GAP).all()


def test_a_long_caption_is_cut_to_its_tile() -> None:
    text = shortened("a very long name of a class", 60)
    assert text.endswith("…")
    assert width(text) <= 60
    assert shortened("two\nlines", 600) == "two lines"
    assert shortened("wide", 1) == ""
    assert font().getlength("abc") > 0


def test_enlarge_repeats_pixels() -> None:
    items = np.array([[[[1, 2], [3, 4]]]], np.uint8)
    assert sheets.enlarge(items, 2).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]
    assert sheets.enlarge(items, 1).tolist() == items.tolist()
    with pytest.raises(ValueError, match="whole number"):
        sheets.enlarge(items, 0)


@pytest.mark.parametrize(
    "items",
    [
        np.zeros((0, 1, 8, 8), np.uint8),
        np.zeros((1, 1, 0, 8), np.uint8),
        np.zeros((1, 2, 8, 8), np.uint8),
        np.zeros((1, 8, 8), np.uint8),
        np.zeros((1, 1, 8, 8), np.float32),
    ],
)
def test_what_is_no_picture_is_refused(items: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pictures"):
        sheets.sheet(items)


def test_wrong_calls_are_refused() -> None:
    items = np.zeros((2, 1, 8, 8), np.uint8)
    with pytest.raises(ValueError, match="1 captions for 2 pictures"):
        sheets.sheet(items, captions=["one"])
    with pytest.raises(ValueError, match="columns = 0"):
        sheets.sheet(items, 0)
