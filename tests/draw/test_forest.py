"""Forest plots: what stands on the axis, what beside it, and that nothing odd stops or warns."""

import math

import pytest

from ficta.draw.forest import ForestRow, _tick, _ticks, forest


def test_an_axis_holds_the_values_and_the_goals_that_do_not_squeeze_them() -> None:
    assert _ticks([1.0, 2.0], [0.0]) == [0, 0.5, 1, 1.5, 2]
    near = _ticks([1.0, 2.0], [8.0, 100.0])
    assert near[0] <= 1
    assert 8 <= near[-1] < 100
    assert _ticks([3.0], [])[0] < 3 < _ticks([3.0], [])[-1]
    assert _ticks([3.0], [500.0])[-1] >= 500


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.25, 0.25, "0.25"), (0.5, 0.25, "0.5"), (1000.5, 0.5, "1,000.5"), (-0.0, 0.5, "0"), (2e6, 1e6, "2M")],
)
def test_ticks_are_told_apart(value: float, step: float, text: str) -> None:
    assert _tick(value, step) == text


@pytest.mark.parametrize(
    "values", [[], [None], [0.0], [math.nan, 1.0], [math.inf, -math.inf], [1e-300, 1e99], [5e-324], [1e9, 1e9 + 1]]
)
def test_any_values_can_be_drawn(values: list[float | None]) -> None:
    intervals = [None if value is None else (value, value) for value in values]
    names = [f"_{number} $\\frac$ <b>" for number in range(len(values))]
    for goals in ([], [[], [0.0]], [[1.0, 2.0], [-1e200, math.nan]]):
        forest([ForestRow("", "", values, intervals, goals)], names, ["real", "shuffled"][: len(goals)])


def test_no_row_and_many_values_can_be_drawn() -> None:
    assert forest([], []).width == 2000
    few, many = (forest([ForestRow("a", "b", [1.0] * n, [None] * n)], ["name" * 20] * n) for n in (2, 30))
    assert many.height > few.height
