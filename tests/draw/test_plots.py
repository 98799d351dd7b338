"""Plots: what is drawn where, and that nothing odd stops or warns (warnings are errors here)."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ficta.draw import plots
from ficta.draw.style import PALETTE, compact


def has(image: Image.Image, colour: str, tolerance: int = 3) -> bool:
    wanted = np.rint(np.array(to_rgb(colour)) * 255)
    return bool((np.abs(np.asarray(image, dtype=np.int64) - wanted).max(axis=2) <= tolerance).any())


def share(image: Image.Image, colour: str) -> float:
    wanted = np.rint(np.array(to_rgb(colour)) * 255)
    return float((np.abs(np.asarray(image, dtype=np.int64) - wanted).max(axis=2) <= 3).mean())


def test_a_plot_is_light_and_1400_pixels_across() -> None:
    for image in (
        plots.curves({"a": ([0, 1], [0, 1])}, "samples seen", "nats"),
        plots.scatter(np.zeros((3, 2))),
        plots.bars({"train": {"a": 1}}, "samples"),
    ):
        assert image.mode == "RGB"
        assert image.width == 1400
        assert image.getpixel((0, 0)) == (255, 255, 255)


def test_each_curve_has_its_colour() -> None:
    image = plots.curves({"a": ([0, 1], [0, 1]), "b": ([0, 1], [1, 0])}, "x", "y", "title")
    assert has(image, PALETTE[0])
    assert has(image, PALETTE[1])
    assert not has(image, PALETTE[2])


def test_a_curve_rises_from_left_to_right() -> None:
    image = np.asarray(plots.curves({"a": ([0, 10], [0, 1])}, "x", "y"), dtype=np.int64)
    blue = np.abs(image - np.rint(np.array(to_rgb(PALETTE[0])) * 255)).max(axis=2) <= 3
    rows, columns = np.nonzero(blue)
    assert rows[columns == columns.min()].mean() > rows[columns == columns.max()].mean() + 300


def test_a_value_between_gaps_shows_as_a_dot() -> None:
    xs, ys = [1, 2, 3], [None, 5.0, None]
    assert share(plots.curves({"a": (xs, ys)}, "x", "y"), PALETTE[0]) > 1e-4
    assert plots._alone(np.array([1, 0, 1, 1, 0, 1], bool)).tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [3.0],
        [0.0, 0.0],
        [5.0, 5.0],
        [None, None],
        [math.nan, 1.0, math.inf],
        [1e-30, 1e30],
        [-1e30, 1e30],
        [0.0, 1e30, 1.0, 2.0],
        [1.0, -1e5, 1.0, 1.0],
        [-1e308, 1e308],
        [1e-300, 1.0],
        [0.0, 5e-324],
    ],
)
def test_any_values_can_be_drawn(values: Sequence[float | None]) -> None:
    plots.curves({"a": (list(range(len(values))), values), "_b": ([], [])}, "x", "y")


def test_no_series_and_one_place_can_be_drawn() -> None:
    plots.curves({}, "x", "y")
    plots.curves({"a": ([7, 7], [1.0, 2.0])}, "x", "y")
    plots.curves({f"series {i}": ([1, 2], [i, i]) for i in range(25)}, "x", "y", "many")


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="series 'a': 2 x values for 1 y values"):
        plots.curves({"a": ([1, 2], [1.0])}, "x", "y")


def test_classes_have_their_colours_and_generated_points_are_hollow() -> None:
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    image = plots.scatter(points, np.array([0, 1, 1]), ["cat", "dog"], np.array([[5.0, 5.0]]), "t", ("a", "b"))
    assert has(image, PALETTE[0])  # in the legend
    assert has(image, PALETTE[1])
    assert not has(image, PALETTE[2])


@pytest.mark.parametrize("classes", [1, 10, 11, 20, 21, 300])
def test_any_number_of_classes(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % classes
    names = [f"class {index}" for index in range(classes)]
    plots.scatter(rng.normal(size=(400, 2)), labels, names, rng.normal(size=(9, 2)))


@pytest.mark.parametrize(
    ("points", "labels"),
    [
        (np.empty((0, 2)), None),
        (np.empty((0, 2)), np.empty(0, np.int64)),
        (np.zeros((1, 2)), np.array([0])),
        (np.zeros((2, 2)), np.array([-1, -1])),
        (np.zeros((2, 2)), np.array([-1, 30])),
        (np.full((2, 2), np.nan), np.array([0, 1])),
        (np.array([[3e38, -3e38], [0, 0]], np.float32), None),
        (np.array([[0.0, 0.0], [1e-300, 0.0]]), np.array([0, 1])),
    ],
)
def test_any_points_can_be_drawn(points: np.ndarray, labels: np.ndarray | None) -> None:
    plots.scatter(points, labels)
    plots.scatter(points, labels, [], points[:1])


def test_points_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"points are \(n, 2\), not \(3, 3\)"):
        plots.scatter(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="labels"):
        plots.scatter(np.zeros((3, 2)), np.zeros(2, np.int64))


def test_the_longer_bar_is_the_larger_share() -> None:
    image = np.asarray(plots.bars({"train": {"a": 3, "b": 6}}, "samples"), dtype=np.int64)
    blue = np.abs(image - np.rint(np.array(to_rgb(PALETTE[0])) * 255)).max(axis=2) <= 3
    lengths, rows = np.unique(blue.sum(axis=1), return_counts=True)
    short, long = sorted(lengths[np.argsort(rows * (lengths > 0))[-2:]])
    assert long == pytest.approx(2 * short, rel=0.02)


def test_bars_past_the_limit_are_gathered_and_none_is_lost() -> None:
    groups = {"train": {f"l{i}": float(i) for i in range(50)}, "test": {"l1": 5.0}}
    gathered, labels = plots._gathered(groups)
    assert len(labels) == plots.MOST_BARS
    assert labels[-1] == "21 other labels"
    assert sum(gathered["train"].values()) == sum(range(50))
    assert sum(gathered["test"].values()) == 5
    plots.bars(groups, "samples", "many")


@pytest.mark.parametrize("groups", [{}, {"a": {}}, {"a": {"x": 0}}, {"a": {"x": 1e12}, "b": {"y": 2}}])
def test_any_counts_can_be_drawn(groups: dict[str, dict[str, float]]) -> None:
    plots.bars(groups, "samples")


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_what_is_no_length_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="bar 'x' of 'train'"):
        plots.bars({"train": {"x": value}}, "samples")


@pytest.mark.parametrize(
    "name", ["$\\frac$ {", "<script>", "_hidden", "", "日本語", "🙂", "हिन्दी", "עברית", "x" * 300, "a\nb"]
)
def test_any_name_can_be_drawn(name: str) -> None:
    plots.bars({name: {name: 1}}, name, name)
    plots.scatter(np.zeros((1, 2)), np.array([0]), [name], None, name, (name, name))
    plots.curves({name: ([1, 2], [1.0, 2.0]), "b": ([1], [2.0])}, name, name, name)


COMPACT = {0: "0", 7: "7", 0.25: "0.25", 1500: "1.5k", 20_000: "20k", 1.5e6: "1.5M", 2e9: "2G", 1e30: "1e30"}


@pytest.mark.parametrize(
    ("value", "text"), [*COMPACT.items(), (1e-5, "1e-5"), (-250_000, "-250k"), (-2.5e15, "-2.5e15")]
)
def test_compact_numbers(value: float, text: str) -> None:
    assert compact(value) == text
