"""Pictures of tables: columns beside each other, rows of words, matrices."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ficta.draw import marginals as drawing
from ficta.draw import plots, text
from ficta.draw.marginals import Column, marginals
from ficta.draw.text import text_table

ODD = ["$\\frac$ {", "<script>", "_hidden", "", "日本語", "🙂", "हिन्दी", "עברית", "x" * 300, "a\nb"]


def blue(image: Image.Image) -> np.ndarray:
    colour = np.rint(np.array(to_rgb(drawing.MADE)) * 255)
    return np.asarray(np.abs(np.asarray(image, dtype=np.int64) - colour).max(axis=2) <= 3)


def column(made: list[float], real: list[float], names: tuple[str, ...] = (), name: str = "x") -> Column:
    return Column(name, np.array(made), np.array(real), names, ("0", "9"))


def test_a_higher_bar_is_a_larger_share() -> None:
    image = marginals([column([0.25, 0.0, 0.75, 0.0], [0.25] * 4)], "title")
    heights = blue(image).sum(0)[drawing.GAP : drawing.GAP + drawing.WIDTH]
    first, second, third, fourth = (int(part.max()) for part in np.array_split(heights, 4))
    assert third > 95  # the largest share takes all there is
    assert first == pytest.approx(third / 3, abs=2)
    assert (second, fourth) == (0, 0)


def test_a_longer_bar_is_a_more_frequent_category() -> None:
    image = marginals([column([0.6, 0.3, 0.0], [0.3, 0.3, 0.4], ("often", "seldom", "never"))], "title")
    lengths = blue(image).sum(1)
    found = sorted({int(length) for length in lengths if length > 10})
    assert max(found) == pytest.approx(drawing.WIDTH - drawing.NAME, abs=3)
    assert min(found) == pytest.approx((drawing.WIDTH - drawing.NAME) / 2, abs=3)


def test_the_real_data_are_a_line() -> None:
    one, other = (marginals([column([0.0, 0.0], real)], "t") for real in ([0.5, 0.5], [0.9, 0.1]))
    assert not blue(one).any()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize(("count", "across", "down"), [(1, 1, 1), (4, 4, 1), (5, 4, 2), (60, 4, 15), (61, 4, 15)])
def test_columns_stand_four_in_a_row_and_sixty_are_drawn(count: int, across: int, down: int) -> None:
    image = marginals([column([1.0], [1.0])] * count, "title")
    assert image.size == (
        drawing.GAP + across * (drawing.WIDTH + drawing.GAP),
        drawing.TOP + down * (drawing.HEIGHT + drawing.GAP),
    )


def test_how_many_columns_are_not_drawn_is_said() -> None:
    pictures = [marginals([column([1.0], [1.0])] * count, "title").crop((0, 0, 900, 24)) for count in (60, 61, 62)]
    assert len({picture.tobytes() for picture in pictures}) == 3


@pytest.mark.parametrize("name", ODD)
def test_any_name_can_be_drawn(name: str) -> None:
    marginals([column([0.0], [0.0], (name,), name), column([1.0], [0.0], (), name)], name)
    text_table([name, "b"], [[name, name]], [name])
    plots.matrices({name: np.eye(2)}, [name, "b"])


def test_a_dozen_categories_and_nothing_at_all_can_be_drawn() -> None:
    marginals([column([0.01] * 12, [0.01] * 12, tuple(map(str, range(12))))], "t")
    marginals([column([0.0] * 24, [0.0] * 24)], "t")


def test_a_table_of_words_has_a_line_a_row() -> None:
    image = text_table(["a", "b"], [["1", "2"], ["3", "4"]])
    assert image.height == 3 * text.LINE + text.GAP
    assert text_table(["a", "b"], []).height == text.LINE + text.GAP
    wide = text_table(["a", "b"], [["1", "w" * 500], ["3", "4"]])
    assert image.width < wide.width <= 4 * text.GAP + 2 * text.WIDEST
    assert text_table(["a", "b"], [["1", "2"]], ["training"]).width > image.width + 40


def test_what_is_too_much_is_left_out_and_counted() -> None:
    rows = [["1"] * 30 for _ in range(50)]
    image = text_table([str(place) for place in range(30)], rows, ["x"] * 50)
    assert text_table(["a"], [["1"]] * 41 + [["w" * 99]]).width == text_table(["a"], [["1"]] * 42).width
    assert image.height == (text.MOST_ROWS + 2) * text.LINE + text.GAP
    last = [
        text_table(["a"], [["1"]] * count).crop((0, (text.MOST_ROWS + 1) * text.LINE, 26, 900)) for count in (41, 42)
    ]
    assert (np.asarray(last[0]) < 200).any()
    assert text_table(["a"], [["1"]] * 40).height < text_table(["a"], [["1"]] * 41).height
    with pytest.raises(ValueError, match="zip"):
        text_table(["a", "b"], [["1"]])


def test_matrices_share_one_scale() -> None:
    image = np.asarray(plots.matrices({"a": np.ones((3, 3)), "b": -np.ones((3, 3))}, list("xyz")), dtype=np.int64)
    red, blue_ = (image[..., place] > image[..., 2 - place] + 60 for place in (0, 2))
    assert red.mean() > 0.1
    assert blue_.mean() > 0.1
    assert np.nonzero(red)[1].max() < np.nonzero(blue_)[1].min()  # the first one on the left
    half = np.asarray(plots.matrices({"a": np.full((3, 3), 0.5)}, list("xyz")), dtype=np.int64)
    assert half[red.shape[0] // 2, half.shape[1] // 2].sum() > image[red].sum(1).min()


@pytest.mark.parametrize("size", [1, 2, 40, 41, 100])
def test_matrices_of_any_size(size: int) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (size, size))
    values[0, 0] = np.nan
    image = plots.matrices({"a": values, "b": values, "c": values}, [f"column {place}" for place in range(size)])
    assert image.size == (2000, 640)
